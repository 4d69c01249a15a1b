"""Rules that fit models whose template nobody published: text, and a little for each message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tokenmeter.dialects.content import (
    Answer,
    Image,
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

A_MESSAGE, AN_ANSWER = 4, 3
"""Tokens around a message, and before an answer: what most chat templates have."""


class Plain:
    """Count all text there is, times what the family's vocabulary differs."""

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:
        """Weigh what a request gives the model to read."""
        texts = [*prompt.texts, *map(tool_text, prompt.tools)]
        if prompt.schema is not None:
            texts.append(tool_text(prompt.schema))
        without = list(prompt.elsewhere)
        for message in prompt.messages:
            for part in message.parts:
                texts += texts_in(part)
                without += unweighed(part)
        counted = sum(map(length, texts)) * family.factor + prompt.ids
        around = A_MESSAGE * len(prompt.messages) + AN_ANSWER * bool(prompt.messages)
        return weight(counted + around, family.input_error, family.output_worst, without)

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds."""
        counted = sum(map(length, (p.text for p in answer.parts if p.kind not in _UNSEEN)))
        without = [p.kind for p in answer.parts if p.kind in _UNSEEN]
        return weight(counted * family.factor, family.output_error, family.output_worst, without)


_UNSEEN = ("hidden", "other")


def weight(tokens: float, error: float, worst: float, without: Iterable[str] = ()) -> Weight:
    """Make a weight of a number and of its errors as shares of it."""
    number = round(tokens)
    return Weight(
        tokens=number,
        error=-int(-number * error // 1),
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
    """Give a tool as most templates write it: JSON."""
    said = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return msgspec.json.encode(said).decode()
