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
    Tool,
    ToolCall,
    ToolResult,
)
from tokenmeter.tokens.families import Family, Length, Weight

SLACK = 2
"""Tokens by which a text that breaks off can weigh more than the whole one that it begins."""

_DIGITS = re.compile(r"\d{2,}")
_FOREIGN = re.compile(r"[\u0370-\u1fff\u2c00-\ud7ff\uf900-\ufdff\ufe70-\ufeff]+")
"""Text in no Latin script: Greek, Cyrillic, Arabic, Chinese and so on."""

_SYSTEM = ("system", "developer")
_UNSEEN = ("hidden", "other")


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """Count all text, and what a chat template puts around it, in tokens.

    Args:
        opening: Before all, be it messages or a bare text.
        preamble: Instead of the system message, where there is none.
        message: Around each message.
        roles: Around messages of these roles, where that differs.
        answer: What opens the answer.
        tools: What introduces tools, however many there are.
        tool: Around each tool.
        written: How a tool is written for the model.
        call: Around a call of a tool in an earlier turn.
        recalls: Whether reasoning of earlier turns is read again.
        ending: What ends an answer.
        called: Around each call of a tool in an answer.
        thought: Around reasoning in an answer.
        sure: Whether reasoning that is shown is always counted.
    """

    opening: int = 0
    preamble: int = 0
    message: int = 4
    roles: Mapping[str, int] = {}
    answer: int = 3
    tools: int = 0
    tool: int = 0
    written: Callable[[Tool], str] | None = None
    call: int = 0
    recalls: bool = True
    ending: int = 0
    called: int = 0
    thought: int = 0
    sure: bool = True

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:
        """Weigh what a request gives the model to read."""
        texts = [*prompt.texts, *self._definitions(prompt)]
        without = list(prompt.elsewhere)
        for message in prompt.messages:
            texts += self._texts(message)
            for part in message.parts:
                without += unweighed(part)
        counted = sum(weigh(text, family, length) for text in texts)
        tokens = counted + self._around(prompt) + prompt.ids
        return weight(tokens, family.input_error, family.output_worst, without)

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds."""
        shown = answer.texts("reasoning")
        told = [p.text for p in answer.parts if p.kind not in (*_UNSEEN, "reasoning")]
        counted = sum(weigh(text, family, length) for text in (*told, *shown))
        around = self.ending + self.called * len(answer.texts("name")) + self.thought * bool(shown)
        without = [p.kind for p in answer.parts if p.kind in _UNSEEN]
        if family.reasons and not shown and "hidden" not in without:
            without.append("hidden")
        best = weight(counted + around, family.output_error, family.output_worst, without)
        certain = sum(least(t, family, length) for t in (*told, *shown * self.sure))
        return msgspec.structs.replace(best, least=max(0, math.floor(certain) - SLACK))

    def _texts(self, message: Message) -> Iterator[str]:
        for part in message.parts:
            if not isinstance(part, Thought):
                yield from texts_in(part)
            elif self.recalls:
                yield part.text

    def _definitions(self, prompt: Prompt) -> Iterator[str]:
        write = self.written or tool_text
        yield from map(write, prompt.tools)
        if prompt.schema is not None:
            yield write(prompt.schema)

    def _around(self, prompt: Prompt) -> int:
        tools = len(prompt.tools)
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


def weigh(text: str, family: Family, length: Length) -> float:
    """Count the tokens of a text as the family's own vocabulary has them."""
    return _counted(text, family, length, family.foreign)


def least(text: str, family: Family, length: Length) -> float:
    """Count what a text weighs at least; scripts that vocabularies differ on count half."""
    return _counted(text, family, length, family.foreign / 2) * (1 - family.output_worst)


def _counted(text: str, family: Family, length: Length, foreign: float) -> float:
    number = float(length(text))
    if family.digits < JOINED:
        number += sum(map(_split_apart, _DIGITS.findall(text)))
    if foreign != 1 and (strange := "".join(_FOREIGN.findall(text))):
        number -= (1 - foreign) * length(strange)
    return number * family.factor


JOINED = 3
"""Digits that the vocabularies of this package join to one token."""


def _split_apart(digits: str) -> int:
    return len(digits) - math.ceil(len(digits) / JOINED)


def weight(tokens: float, error: float, worst: float, without: Iterable[str] = ()) -> Weight:
    """Make a weight of a number and of its errors as shares of it."""
    number = round(tokens)
    return Weight(
        tokens=number,
        error=math.ceil(number * error),
        least=int(number * (1 - worst)),
        without=tuple(dict.fromkeys(without)),
    )


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
