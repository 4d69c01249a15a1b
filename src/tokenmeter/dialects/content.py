"""What a request gives a model to read, and what an answer holds: for counting, and nothing else.

Neutral like a `Reading`: a dialect makes these values of its vendor's fields, and `tokens` weighs
them without knowing a wire format. They hold what people wrote, so they never leave the process,
stand in no event and die with the call.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Literal, NamedTuple

import msgspec


class Text(msgspec.Struct, frozen=True, gc=False):
    """Text, in a message."""

    text: str


class Image(msgspec.Struct, frozen=True, gc=False):
    """An image.

    Args:
        source: A data URL, base64 alone, or a URL of something that nobody here fetches.
        detail: How closely the model looks at it, in the vendor's word (``low``).
    """

    source: str
    detail: str | None = None


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A call of a tool that the model made in an earlier turn.

    Args:
        name: The name of the tool.
        arguments: JSON text, or whatever the model wrote.
        id: What the result of the call refers to.
        stored: Whether the vendor has the call as the model wrote it, and is reminded of it.
    """

    name: str
    arguments: str
    id: str | None = None
    stored: bool = False


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool gave back."""

    parts: tuple[Part, ...]
    name: str | None = None
    id: str | None = None


class Thought(msgspec.Struct, frozen=True, gc=False):
    """Reasoning of an earlier turn that is given back; many models do not read it again.

    Args:
        text: What of it can be read.
        signature: What stands for what cannot: nobody here reads it, but it has a length.
    """

    text: str
    signature: str | None = None


class Other(msgspec.Struct, frozen=True, gc=False):
    """Something that is read and that cannot be weighed by its text.

    Args:
        what: What it is, ``audio``, ``file``, ``video``: for people, and for rules.
        size: Its bytes, where they are in the request.
    """

    what: str
    size: int | None = None


Part = Text | Image | ToolCall | ToolResult | Thought | Other


class Message(msgspec.Struct, frozen=True):
    """One message, system prompts and instructions included; the role is the vendor's word."""

    role: str
    parts: tuple[Part, ...] = ()
    name: str | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool that may be called, or the format that an answer must have.

    Args:
        name: Its name.
        description: What the model is told of it.
        parameters: A JSON schema, as decoded JSON.
        kind: ``function``, or the vendor's word for a tool of its own (``web_search``).
        strict: Whether the answer is held to the schema.
        native: Whether the schema is of the vendor's own kind instead of JSON schema.
    """

    name: str
    description: str | None = None
    parameters: Any = None
    kind: str = "function"
    strict: bool | None = None
    native: bool = False


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """All that a request gives a model to read, and what it asks for.

    Args:
        messages: The conversation.
        texts: Bare texts instead of messages: of a completion, or those to embed.
        ids: Tokens instead of texts, by number of tokens.
        tools: The tools that may be called.
        tool_choice: ``auto``, ``none``, ``required``, or the name of the one tool.
        schema: The format that the answer must have, where it is given as a JSON schema.
        answer_format: The vendor's word for a format without a schema (``json_object``).
        choices: How many answers are asked for.
        limit: The most tokens that one answer may have.
        reasoning: The effort or the budget of reasoning that was asked for, in the vendor's word;
            ``"none"`` where it was switched off; ``None`` where nothing was said.
        elsewhere: What the model reads and the request only names: ``previous_response_id``.
        form: The vendor's word for the way of asking, where one model counts several ways apart
            (``responses``), or several places do (``vertex_ai``).
        on: The day on which it was asked; ``None``: by today's rules. No request says it.
    """

    messages: tuple[Message, ...] = ()
    texts: tuple[str, ...] = ()
    ids: int = 0
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    schema: Tool | None = None
    answer_format: str | None = None
    choices: int = 1
    limit: int | None = None
    reasoning: str | None = None
    elsewhere: tuple[str, ...] = ()
    form: str | None = None
    on: date | None = None


Written = Literal["text", "refusal", "reasoning", "name", "arguments", "other", "hidden"]
"""What a piece of an answer is. ``name`` and ``arguments`` are of a call of a tool; ``reasoning``
is shown in full, ``hidden`` says that there was some that is not (its text is of no use, but its
length may be: a signature; a summary is left out); ``other`` is what the model made and this
library cannot weigh."""


class Piece(NamedTuple):
    """A piece of an answer; pieces of one kind and key follow each other, and are one text.

    Args:
        kind: What it is.
        key: Which part of the answer it belongs to: a choice, a block, an item.
        text: The text.
    """

    kind: Written
    key: str
    text: str


class Answer(msgspec.Struct, frozen=True):
    """What an answer holds, its pieces joined; in the order in which the parts began.

    Args:
        parts: The pieces.
        asked: What it answers, where that is known: some of it changes what is written beside.
    """

    parts: tuple[Piece, ...] = ()
    asked: Prompt | None = None

    @property
    def tool_choice(self) -> str | None:
        """That of its prompt: of a call that was forced, a model writes less itself."""
        return None if self.asked is None else self.asked.tool_choice

    @classmethod
    def of(cls, pieces: Iterable[Piece], asked: Prompt | None = None) -> Answer:
        """Join pieces."""
        joined: dict[tuple[Written, str], list[str]] = {}
        for kind, key, text in pieces:
            joined.setdefault((kind, key), []).append(text)
        return cls(tuple([Piece(*at, "".join(texts)) for at, texts in joined.items()]), asked)

    def texts(self, *kinds: Written) -> list[str]:
        """Give the texts of these kinds."""
        return [part.text for part in self.parts if part.kind in kinds]
