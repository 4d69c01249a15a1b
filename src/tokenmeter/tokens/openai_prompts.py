"""What a prompt weighs in one of OpenAI's chat formats, its tools apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokenmeter.dialects.content import (
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
from tokenmeter.tokens.families import Length
from tokenmeter.tokens.openai_formats import PARALLEL, RESPONSES, Format, compact, to, together

_STORED = {True: 1, False: -2}
"""Tokens more that a call has in responses, by whether OpenAI has stored it."""


_HIDDEN_BYTES, _BYTES_A_TOKEN = 700, 3.6
"""Bytes of encrypted reasoning that are none, and those that are a token."""


class Reader:
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
        if self._prompt.form == RESPONSES:
            stored = _STORED[calls[0].stored]
        as_one = together(calls) if self._form.parallel and len(calls) > 1 else None
        if as_one is not None:
            return self._around("assistant") + PARALLEL + self._length(as_one) + stored
        self._names |= {call.id: call.name for call in calls}
        return sum(map(self._call, calls)) + stored * len(calls)

    def _call(self, call: ToolCall) -> int:
        called = self._length(to(call.name)) + self._length(compact(call.arguments))
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
