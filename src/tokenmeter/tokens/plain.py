"""Rules that fit most models: all text there is, and what a chat template puts around it.

A `Plain` is a template as numbers: tokens that open a conversation, stand around a message or a
call of a tool, end an answer. Its defaults are those of ChatML (`<|im_start|>user`, the text,
`<|im_end|>`), which most templates resemble. A vendor's file has those of its models.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

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
    Tool,
    ToolCall,
    ToolResult,
    Written,
)
from tokenmeter.tokens.families import Family, Length, Weight
from tokenmeter.tokens.images import Size, dimensions

SLACK = 2
"""Tokens by which any number is unsure: of a template that changed, of a text that broke off."""

JOINED = 3
"""Digits that the vocabularies of this package join to one token."""

_DIGITS = re.compile(r"\d{2,}")
_FOREIGN = re.compile(r" ?[\u0370-\u1fff\u2c00-\ud7ff\uf900-\ufdff\ufe70-\ufeff]+")
"""Text in no Latin script: Greek, Cyrillic, Arabic, Chinese and so on."""

_SYSTEM = ("system", "developer")
_UNSEEN = ("hidden", "other")
_THOUGHTS = re.compile(r"\s*<think>.*?(</think>\s*|$)", re.DOTALL)

SHOWN: tuple[Written, ...] = ("text", "refusal", "name", "arguments", "reasoning")
TOLD: tuple[Written, ...] = ("text", "refusal", "name", "arguments")
"""What an answer shows, and what of it even those servers count that leave out reasoning."""


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """Count all text, and what a chat template puts around it, in tokens.

    Args:
        opening: Before all, be it messages or a bare text.
        preamble: Instead of the system message, where there is none.
        message: Around each message.
        roles: Around messages of these roles, where that differs.
        answer: What opens the answer, and whatever else every conversation has.
        tools: What introduces tools, however many there are.
        tool: Around each tool.
        written: How a tool is written for the model.
        terse: Tokens of that for one of other text as long.
        call: Around a call of a tool in an earlier turn.
        recalls: Whether reasoning of earlier turns is read again.
        ending: What ends an answer.
        called: Around each call of a tool in an answer.
        thought: Around reasoning in an answer.
        image: What an image of a width and a height weighs.
        formats: Whether the model is told of a JSON schema that its answer must fit.
        sure: What is always counted of what an answer shows, wherever the model is served.
        doubt: Share by which all of this, and how tools are written, may be off.
    """

    opening: int = 0
    preamble: int = 0
    message: int = 4
    roles: Mapping[str, int] = {}
    answer: int = 3
    tools: int = 0
    tool: int = 0
    written: Callable[[Tool], str] | None = None
    terse: float = 1.0
    call: int = 0
    recalls: bool = True
    ending: int = 0
    called: int = 0
    thought: int = 0
    image: Callable[[Size], int] | None = None
    formats: bool = False
    sure: tuple[Written, ...] = SHOWN
    doubt: float = 0.4

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:
        """Weigh what a request gives the model to read."""
        last = prompt.messages[-1:]
        certain = Counted.of([*prompt.texts, *self._texts(last)], family, length)
        before = Counted.of(self._texts(prompt.messages[:-1]), family, length)
        tools = Counted.of(self._definitions(prompt), family, length)
        text = certain.tokens + before.tokens
        around = tools.tokens * self.terse + self._around(prompt)
        parts = chain.from_iterable(message.parts for message in prompt.messages)
        seen = list(chain.from_iterable(map(self._seen, parts)))
        images = sum(tokens for tokens in seen if isinstance(tokens, int))
        without = [*prompt.elsewhere, *(what for what in seen if isinstance(what, str))]
        error = (text + images) * family.input_error + around * self.doubt
        return weight(text + around + images + prompt.ids, error, certain.least, without)

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds."""
        certain = Counted.of(answer.texts(*self.sure), family, length)
        unsure: list[Written] = [kind for kind in SHOWN if kind not in self.sure]
        text = certain.tokens + Counted.of(answer.texts(*unsure), family, length).tokens
        thoughts, calls = bool(answer.texts("reasoning")), len(answer.texts("name"))
        around = self.ending + self.called * calls + self.thought * thoughts
        without: list[str] = [part.kind for part in answer.parts if part.kind in _UNSEEN]
        if family.reasons and not thoughts:
            without.append("hidden")
        error = text * family.output_error + around * self.doubt
        return weight(text + around, error, certain.least, without)

    def _seen(self, part: Part) -> Iterator[int | str]:
        """Weigh what of a part is no text, or name it."""
        match part:
            case Image():
                size = dimensions(part) if self.image is not None else None
                yield self.image(size) if self.image is not None and size is not None else "image"
            case ToolResult():
                yield from chain.from_iterable(map(self._seen, part.parts))
            case _:
                yield from unweighed(part)

    def _texts(self, messages: Iterable[Message]) -> Iterator[str]:
        for message in messages:
            for text in texts_of(message.parts, thoughts=self.recalls):
                yield _THOUGHTS.sub("", text)

    def _definitions(self, prompt: Prompt) -> Iterator[str]:
        write = self.written or tool_text
        yield from map(write, _offered(prompt))
        if self.formats and prompt.schema is not None:
            yield write(prompt.schema)

    def _around(self, prompt: Prompt) -> int:
        tools = len(_offered(prompt))
        around = self.tools * bool(tools) + self.tool * tools
        if prompt.texts or prompt.messages:
            around += self.opening
        if not prompt.messages:
            return around
        if not any(message.role in _SYSTEM for message in prompt.messages):
            around += self.preamble
        return around + self.answer + sum(map(self._framed, prompt.messages))

    def _framed(self, message: Message) -> int:
        calls = sum(isinstance(part, ToolCall) for part in message.parts)
        return self.roles.get(message.role.lower(), self.message) + self.call * calls


def _offered(prompt: Prompt) -> tuple[Tool, ...]:
    return () if prompt.tool_choice == "none" else prompt.tools  # most templates leave them out


class Counted(NamedTuple):
    """What texts weigh: the best estimate, and what they weigh at least."""

    tokens: float
    least: float

    @classmethod
    def of(cls, texts: Iterable[str], family: Family, length: Length) -> Counted:
        """Count texts as the family's own vocabulary has them."""
        tokens = certain = 0.0
        for text in texts:
            number, strange = float(length(text)), 0
            if family.digits < JOINED:
                number += sum(map(_split_apart, _DIGITS.findall(text)))
            if not text.isascii() and (foreign := "".join(_FOREIGN.findall(text))):
                strange = length(foreign)
            tokens += number - (1 - family.foreign) * strange
            certain += number - (1 - family.foreign / 2) * strange
        return cls(tokens * family.factor, certain * family.factor * (1 - family.output_worst))


def _split_apart(digits: str) -> int:
    return len(digits) - math.ceil(len(digits) / JOINED)


def weight(tokens: float, error: float, least: float, without: Iterable[str] = ()) -> Weight:
    """Make a weight of a number, of its error, and of what is certain."""
    number = round(tokens)
    return Weight(
        tokens=number,
        error=math.ceil(error) + SLACK,
        least=min(number, max(0, math.floor(least) - SLACK)),
        without=tuple(dict.fromkeys(without)),
    )


def texts_of(parts: Iterable[Part], *, thoughts: bool = True) -> Iterator[str]:
    """Give the texts of the parts of a message."""
    for part in parts:
        if thoughts or not isinstance(part, Thought):
            yield from texts_in(part)


def texts_in(part: Part) -> Iterator[str]:
    """Give the texts of one part of a message."""
    match part:
        case Text() | Thought():
            yield part.text
        case ToolCall():
            yield part.name
            yield part.arguments
        case ToolResult():
            for inner in part.parts:
                yield from texts_in(inner)
        case Image() | Other():
            return


def unweighed(part: Part) -> Iterator[str]:
    """Name what one part of a message holds beside text."""
    match part:
        case Image():
            yield "image"
        case Other():
            yield part.what
        case ToolResult():
            for inner in part.parts:
                yield from unweighed(inner)
        case _:
            return


def tool_text(tool: Tool) -> str:
    """Give a tool as JSON, as short as it can be."""
    said = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return msgspec.json.encode(said).decode()


def tool_json(tool: Tool, indent: int | None = None) -> str:
    """Give a tool as templates write it: JSON in OpenAI's form, with the spaces of Python."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    said = {"type": "function", "function": function}
    return json.dumps(said, ensure_ascii=False, indent=indent)
