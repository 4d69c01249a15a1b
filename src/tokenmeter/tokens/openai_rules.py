"""What OpenAI's models read and write beside the text: the tokens of the chat formats.

Known are the format of the older models (https://cookbook.openai.com/examples/how_to_count_tokens
and ChatML, https://github.com/openai/openai-python/blob/v0.28.1/chatml.md) and that of the open
ones (https://cookbook.openai.com/articles/openai-harmony; all read 2026-11-22). Of these follow:

- a message is its role, its text and three tokens around them, a name one more; before an answer
  stand three tokens, two for models that reason;
- a call is addressed to ``functions.NAME``, and its result comes from there;
- several calls at once are one call of ``multi_tool_use.parallel`` with all of them as JSON, in
  models before harmony;
- in these models an answer that must be a call of one function begins with its name before the
  model writes anything: the name is read, and only the arguments are written;
- in harmony what is written has a channel: three tokens before each part and three between two of
  them; what an earlier turn said has two more when it is read.

Empirical, as no source says them, fitted on the recordings of the repositories that
``tests/replay/estimates.py`` lists: whether the token that ends an answer is counted (always in
responses; in chat completions where there are tools, or where the answer is a refusal), the other
numbers of `Format`, those of `_STORED` and `_PARALLEL`, and what encrypted reasoning weighs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import msgspec

from tokenmeter.dialects.content import (
    Answer,
    Image,
    Message,
    Other,
    Part,
    Piece,
    Prompt,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Written,
)
from tokenmeter.tokens import functions, images
from tokenmeter.tokens.families import Family, Length, Weight

_RESPONSES = "responses"
_STORED = {True: 1, False: -2}
"""Tokens more that a call has in responses, by whether OpenAI has stored it."""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens a chat format has around what is said.

    Args:
        message: Around a message, its role apart.
        name: Beside the name of who speaks.
        start: Before an answer.
        system: Before all messages.
        instructions: Beside the text of the first system message.
        said: Beside what the model said in an earlier turn.
        call: Around a call of an earlier turn, beside its message.
        result: Around the result of a call, beside its message.
        parallel: Whether several calls at once are one.
        forced: Whether a call that is forced begins with the name of its function.
        wrote_text: Before text that is written.
        wrote_call: Around a call that is written.
        between: Between two parts that are written.
        ended: The end of an answer, where it is always counted.
        ended_text: The end of an answer in text where there were tools.
        refused: The end of a refusal.
        thinks: Whether reasoning is begun always, if only to end it, and not reported then.
        shows: Whether reasoning is shown in full.
        formatted: Before an answer that has a format.
        formatted_beside_tools: The same where there were tools too.
    """

    message: int = 3
    name: int = 1
    start: int = 3
    system: int = 0
    instructions: int = 0
    said: int = 0
    call: int = 0
    result: int = 2
    parallel: bool = True
    forced: bool = True
    wrote_text: int = 0
    wrote_call: int = 4
    between: int = 0
    ended: int = 0
    ended_text: int = 1
    refused: int = 1
    thinks: bool = False
    shows: bool = False
    formatted: int = 0
    formatted_beside_tools: int = 4


CHAT = Format()
"""GPT-3.5, GPT-4 Turbo, GPT-4o, GPT-4.1."""

EARLY_CHAT = Format(wrote_call=1, parallel=False)
"""GPT-4."""

FIRST_CHAT = Format(message=4, name=-1, wrote_call=1, parallel=False)
"""GPT-3.5 of March 2023."""

O_SERIES = Format(start=2)
"""The first that reasoned: o1, o3-mini."""

HARMONY = Format(
    start=2,
    said=2,
    call=4,
    result=4,
    parallel=False,
    forced=False,
    wrote_text=3,
    wrote_call=7,
    between=3,
    ended_text=0,
    refused=0,
    formatted=3,
    formatted_beside_tools=3,
)
"""o3, o4-mini, GPT-5.1 and later."""

REASONING = msgspec.structs.replace(HARMONY, thinks=True)
"""GPT-5."""

OPEN = msgspec.structs.replace(HARMONY, system=61, instructions=3, ended=1, shows=True)
"""gpt-oss: with the system message of the published template."""


class Texts:
    """Count bare texts: completions, embeddings, what is spoken or heard."""

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:  # noqa: ARG002
        """Weigh the texts and the tokens that are given."""
        tokens = sum(map(length, prompt.texts)) + prompt.ids
        return Weight(tokens=tokens, least=tokens, without=prompt.elsewhere)

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what was written; nothing is around it."""
        return _written(sum(map(length, answer.texts(*_SHOWN))), answer, family, length)


class Turns:
    """Count the turns of a conversation in one of the chat formats."""

    def __init__(
        self, form: Format, chat: functions.Style, responses: functions.Style | None = None
    ) -> None:
        self._form = form
        self._styles = {_RESPONSES: responses or chat}
        self._style = chat

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:
        """Weigh what a request gives the model to read."""
        reader = _Reader(self._form, prompt, family.model, length)
        told = reader.told()
        style = self._styles.get(prompt.form or "", self._style)
        tools = functions.weigh(prompt, style, length)
        unsure = _share(tools + reader.drawn, family.input_error)
        return Weight(
            tokens=told + tools,
            error=unsure,
            least=told - reader.drawn,
            without=tuple(dict.fromkeys((*prompt.elsewhere, *reader.without))),
        )

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds."""
        asked = answer.asked or Prompt()
        tokens = sum(_wrote(parts, asked, self._form, length) for parts in _answers(answer, asked))
        weight = _written(tokens, answer, family, length)
        if family.reasons and _may_hide(answer, asked):
            without = tuple(dict.fromkeys((*weight.without, "reasoning")))
            return msgspec.structs.replace(weight, without=without)
        return weight


def _share(tokens: int, share: float) -> int:
    return -int(-tokens * share // 1)


# What is read


class _Reader:
    """Weighs one prompt."""

    def __init__(self, form: Format, prompt: Prompt, model: str, length: Length) -> None:
        self.drawn = 0
        """Tokens of images."""
        self.without = [tool.kind for tool in prompt.tools if tool.kind != "function"]
        self._form = form
        self._prompt = prompt
        self._model = model
        self._length = length
        self._names: dict[str | None, str] = {}  # of calls that were made, by id

    def told(self) -> int:
        """Count all but tools."""
        said = list(_turns(self._prompt.messages))
        bare = sum(map(self._length, self._prompt.texts)) + self._prompt.ids
        if not said:
            return bare
        last = max((at for at, message in enumerate(said) if message.role == "user"), default=-1)
        tokens = sum(self._message(message, now=at > last) for at, message in enumerate(said))
        first = self._form.instructions if said[0].role in ("system", "developer") else 0
        return bare + tokens + self._form.start + self._form.system + first

    def _message(self, message: Message, *, now: bool) -> int:
        """Count a message; ``now`` is what follows the last one of a user."""
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        tokens = self._calls(calls) if calls else 0
        for part in message.parts:
            if isinstance(part, ToolResult):
                tokens += self._result(part)
            elif now and _is_reasoning(part):
                tokens += self._reasoning(part)
        return tokens + self._said(message)

    def _said(self, message: Message) -> int:
        """Count what a message says itself, if it says anything."""
        parts = [part for part in message.parts if not _is_apart(part)]
        content = self._content(parts)
        if (not content and len(parts) < len(message.parts)) or (not parts and message.parts):
            return 0
        named = self._form.name + self._length(message.name) if message.name else 0
        said = self._form.said if message.role == "assistant" else 0
        return self._around(message.role) + content + named + said

    def _around(self, role: str) -> int:
        return self._form.message + self._length(role)

    def _content(self, parts: Sequence[Part]) -> int:
        self.without += [part.what for part in parts if isinstance(part, Other)]
        drawn = sum(self._image(part) for part in parts if isinstance(part, Image))
        self.drawn += drawn
        return drawn + self._length("".join(p.text for p in parts if isinstance(p, Text)))

    def _image(self, image: Image) -> int:
        size = images.dimensions(image)
        if size is None:
            self.without.append("image")
            return 0
        return images.openai(size, image.detail, self._model)

    def _calls(self, calls: Sequence[ToolCall]) -> int:
        """Count calls of one turn."""
        stored = 0
        if self._prompt.form == _RESPONSES:
            stored = _STORED[calls[0].stored]
        together = _together(calls) if self._form.parallel and len(calls) > 1 else None
        if together is not None:
            return self._around("assistant") + _PARALLEL + self._length(together) + stored
        self._names |= {call.id: call.name for call in calls}
        return sum(map(self._call, calls)) + stored * len(calls)

    def _call(self, call: ToolCall) -> int:
        called = self._length(_to(call.name)) + self._length(_compact(call.arguments))
        return self._around("assistant") + self._form.call + called

    def _result(self, result: ToolResult) -> int:
        name = result.name or self._names.get(result.id, "")
        around = self._around("tool") + self._form.result
        return around + self._length(name) + self._content(result.parts)

    def _reasoning(self, part: Part) -> int:
        around = self._form.between + self._form.wrote_text
        if isinstance(part, Thought):
            return around + self._length(part.text) if self._form.shows else 0
        self.without.append("reasoning")
        size = part.size if isinstance(part, Other) and part.size else _HIDDEN_BYTES
        return around + max(0, round((size - _HIDDEN_BYTES) / _BYTES_A_TOKEN))


_PARALLEL = 8
"""Tokens around several calls at once, beside those of a message."""

_HIDDEN_BYTES, _BYTES_A_TOKEN = 700, 3.6
"""Bytes of encrypted reasoning that are none, and those that are a token."""


def _turns(messages: Sequence[Message]) -> Iterator[Message]:
    """Give messages, those that follow each other and are calls as one."""
    calls: list[Part] = []
    for message in messages:
        if message.parts and all(isinstance(part, ToolCall) for part in message.parts):
            calls += message.parts
            continue
        if calls:
            yield Message("assistant", tuple(calls))
            calls = []
        yield message
    if calls:
        yield Message("assistant", tuple(calls))


def _is_reasoning(part: Part) -> bool:
    return isinstance(part, Thought) or (isinstance(part, Other) and part.what == "reasoning")


def _is_apart(part: Part) -> bool:
    return isinstance(part, (ToolCall, ToolResult)) or _is_reasoning(part)


def _address(name: str) -> str:
    """Give to whom a call goes; a name with a dot says its namespace already."""
    return _OWN.get(name) or (name if "." in name else f"functions.{name}")


def _to(name: str) -> str:
    return f" to={_address(name)}"


_OWN = {"code_interpreter": "python"}
"""Tools of OpenAI's own, and what the model calls them."""


def _compact(arguments: str) -> str:
    """Write arguments without spaces, as the model is given them again."""
    try:
        return _json(json.loads(arguments))
    except (ValueError, RecursionError):
        return arguments


def _together(calls: Sequence[ToolCall]) -> str | None:
    """Write several calls as one, or give ``None`` where their arguments are no JSON."""
    try:
        uses = [
            {"recipient_name": _address(call.name), "parameters": json.loads(call.arguments)}
            for call in calls
        ]
    except (ValueError, RecursionError):
        return None
    return _json({"tool_uses": uses})


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# What is written

_SHOWN: tuple[Written, ...] = ("text", "refusal", "reasoning")


def _answers(answer: Answer, asked: Prompt) -> list[list[Piece]]:
    """Take the choices apart; a response has one, however many parts it has."""
    choices: dict[str, list[Piece]] = {}
    for part in answer.parts:
        choice = "" if asked.form == _RESPONSES else part.key.partition(".")[0]
        choices.setdefault(choice, []).append(part)
    return list(choices.values())


def _wrote(parts: list[Piece], asked: Prompt, form: Format, length: Length) -> int:
    """Count one choice."""
    texts = [part for part in parts if part.kind in _texts_of(form)]
    calls = _calls_of(parts)
    together = _together(calls) if form.parallel and len(calls) > 1 else None
    tokens = sum(form.wrote_text + length(part.text) for part in texts)
    if together is not None:
        tokens += _PARALLEL + 2 + length(together)
    elif form.forced and is_forced(asked):
        tokens += sum(length(call.arguments) for call in calls)
    else:
        tokens += sum(form.wrote_call + _called(call, length) for call in calls)
    segments = len(texts) + (1 if together is not None else len(calls))
    tokens += form.between * max(0, segments - 1)
    hidden = any(part.kind == "hidden" for part in parts)
    if hidden or (form.thinks and asked.form != _RESPONSES):
        tokens += form.between + form.wrote_text
    return tokens + _ended(texts[-1].kind if texts and not calls else None, asked, form)


def _texts_of(form: Format) -> tuple[Written, ...]:
    return _SHOWN if form.shows else _SHOWN[:2]


def _called(call: ToolCall, length: Length) -> int:
    return length(_to(call.name)) + length(call.arguments)


def _calls_of(parts: list[Piece]) -> list[ToolCall]:
    arguments = {part.key: part.text for part in parts if part.kind == "arguments"}
    named = [part for part in parts if part.kind == "name"]
    return [ToolCall(part.text, arguments.get(part.key, "")) for part in named]


def is_forced(asked: Prompt) -> bool:
    """Say whether the answer can only be a call of one function."""
    names = [tool.name for tool in asked.tools]
    required = asked.form == _RESPONSES and asked.tool_choice == "required" and len(names) == 1
    return required or asked.tool_choice in names


def _ended(last: str | None, asked: Prompt, form: Format) -> int:
    """Count the end of an answer, and its format; ``last`` is the kind of text that it ends in."""
    tokens = 1 if asked.form == _RESPONSES else form.ended
    if last == "refusal":
        tokens += form.refused
    elif last is not None and asked.tools:
        tokens += form.ended_text
    if asked.schema is not None and last is not None:
        tokens += form.formatted_beside_tools if asked.tools else form.formatted
    return tokens


def _written(tokens: int, answer: Answer, family: Family, length: Length) -> Weight:
    """Weigh an answer: at least all but the last word, and a token that may be split otherwise."""
    sure = sum(
        max(0, length(_but_last_word(part.text)) - 2)
        for part in answer.parts
        if part.kind not in ("hidden", "other") and (part.kind != "reasoning" or not family.reasons)
    )
    without = {"other": "other", "hidden": "reasoning"}
    return Weight(
        tokens=tokens,
        error=_share(tokens, family.output_error),
        least=int(sure * (1 - family.output_worst)),
        without=tuple(dict.fromkeys(without[p.kind] for p in answer.parts if p.kind in without)),
    )


_A_WORD = 40


def _but_last_word(text: str) -> str:
    at = text.rfind(" ", max(0, len(text) - _A_WORD))
    return text[:at] if at >= 0 else text[:-_A_WORD]


def _may_hide(answer: Answer, asked: Prompt) -> bool:
    """Say whether there may be reasoning that is not shown; responses say that there was some."""
    if asked.form == _RESPONSES:
        return bool(answer.texts("hidden"))
    return asked.reasoning != "none" and not answer.texts("reasoning")
