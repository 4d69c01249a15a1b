"""What the server's model says, before any wire format: deterministic text, calls and counts.

A token is a word here: everything between blanks in the request's text. Nothing in this file
knows a vendor's field; the formats hand in what they read and render what comes out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tokenmeter.event import Usage

Json = dict[str, Any]
"""A decoded JSON object."""

FALLBACK_TEXT = "Hello from the model server."
REASONING_WORDS = {"none": 0, "minimal": 2, "low": 4, "medium": 8, "high": 16, "xhigh": 32}
"""How many words the model thinks at each effort."""

_PIECE = re.compile(r"\S+\s*")
_PRIMITIVES: Json = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the request offers to the model."""

    name: str
    schema: Json


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a function, as the model asks for it."""

    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the model, in no vendor's words.

    Args:
        number: Counts the answers of this server; identifiers are made from it.
        model: The model that was asked for.
        texts: What it says, one text for each choice.
        thought: What it thinks first; empty when it does not think.
        calls: The functions that it calls instead of saying something.
        truncated: Whether the limit of output tokens ended the answer.
        usage: What it used.
    """

    number: int
    model: str
    texts: tuple[str, ...]
    thought: str
    calls: tuple[Called, ...]
    truncated: bool
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One request, in no vendor's words.

    Args:
        said: The last thing the user said; the model echoes it.
        input: Counts of the input alone.
        tool: The function the model has to call.
        schema: The JSON schema that the text has to satisfy.
        limit: The most output tokens for each choice.
        choices: How many answers are wanted; 0 for what has no output, such as an embedding.
        reasoning: How many words the model thinks first, for each choice.
    """

    said: str
    input: Usage
    tool: Tool | None = None
    schema: Json | None = None
    limit: int | None = None
    choices: int = 1
    reasoning: int = 0


def reply(
    prompt: Prompt,
    *,
    number: int,
    model: str,
    text: str | None,
    calls: Sequence[tuple[str, Mapping[str, object]]] | None = None,
) -> Reply:
    """Answer a prompt: what is scripted, JSON for a schema, or an echo of what was said."""
    whole = pieces(text if text is not None else _own_text(prompt))
    said = whole[: prompt.limit]
    called = _called(prompt, calls)
    spoken = sum(count(json.dumps(c.arguments)) + 1 for c in called) if called else len(said)
    usage = prompt.input
    return Reply(
        number=number,
        model=model,
        texts=("".join(said).rstrip(),) * prompt.choices,
        thought=" ".join(["thinking"] * prompt.reasoning),
        calls=called,
        truncated=not called and len(said) < len(whole),
        usage=Usage(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_5m_tokens=usage.cache_write_5m_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            output_tokens=(spoken + prompt.reasoning) * prompt.choices if prompt.choices else None,
            reasoning_tokens=prompt.reasoning * prompt.choices if prompt.choices else None,
        ),
    )


def _called(
    prompt: Prompt, calls: Sequence[tuple[str, Mapping[str, object]]] | None
) -> tuple[Called, ...]:
    if calls is not None:
        return tuple(Called(name, dict(arguments)) for name, arguments in calls)
    return () if prompt.tool is None else (Called(prompt.tool.name, example(prompt.tool.schema)),)


def call_id(start: str, index: int) -> str:
    """Make the id of one of the calls of an answer."""
    return f"{start}_{index}" if index else start


def _own_text(prompt: Prompt) -> str:
    if prompt.schema is not None:
        return json.dumps(example(prompt.schema))
    return f"You said: {prompt.said}" if prompt.said.strip() else FALLBACK_TEXT


def pieces(text: str) -> list[str]:
    """Cut a text into its words, each with the blanks that follow it."""
    return _PIECE.findall(text)


def count(value: object) -> int:
    """Count the words of all texts in a JSON value; a number counts one.

    >>> count([{"role": "user", "content": "two words"}])
    3
    """
    match value:
        case str():
            return len(value.split())
        case bool() | None:
            return 0
        case int() | float():
            return 1
        case Mapping():
            return sum(map(count, cast("Mapping[str, object]", value).values()))
        case list():
            return sum(map(count, cast("list[object]", value)))
        case _:
            return 0


def section(request: Json, name: str) -> Json:
    """Return an object inside a request, empty where the request leaves it out."""
    found: Json | None = request.get(name)
    return found or {}


def plain_text(content: object) -> str:
    """Join the texts of a message's content, which is a text or a list of parts."""
    if isinstance(content, str):
        return content
    parts = cast("list[object]", content) if isinstance(content, list) else []
    return " ".join(text for part in parts if (text := _part_text(part)))


def _part_text(part: object) -> str:
    if not isinstance(part, Mapping):
        return ""
    text = cast("Json", part).get("text")
    return text if isinstance(text, str) else ""


def last_said(messages: Iterable[Json]) -> str:
    """Return the text of the last message that a user wrote."""
    said = [plain_text(m.get("content")) for m in messages if m.get("role") == "user"]
    return said[-1] if said else ""


def example(schema: Json, root: Json | None = None) -> Any:
    """Make a value that satisfies a JSON schema, always the same one.

    >>> example({"type": "object", "properties": {"city": {"type": "string"}}})
    {'city': 'text'}
    """
    root = schema if root is None else root
    for keyword, rule in _RULES.items():
        if keyword in schema:
            return rule(schema, root)
    kinds: str | list[str] = schema.get("type", "object")
    return _PRIMITIVES.get(kinds if isinstance(kinds, str) else kinds[0], {})


def _referenced(schema: Json, root: Json) -> Any:
    target: Any = root
    for step in str(schema["$ref"]).removeprefix("#/").split("/"):
        target = target[step]
    return example(target, root)


def _object(schema: Json, root: Json) -> Any:
    return {name: example(part, root) for name, part in schema["properties"].items()}


def _items(schema: Json, root: Json) -> Any:
    return [example(schema["items"], root)]


def _first(keyword: str) -> Callable[[Json, Json], Any]:
    return lambda schema, root: example(schema[keyword][0], root)


def _const(schema: Json, _root: Json) -> Any:
    return schema["const"]


def _enum(schema: Json, _root: Json) -> Any:
    return schema["enum"][0]


_RULES: Mapping[str, Callable[[Json, Json], Any]] = {
    "$ref": _referenced,
    "const": _const,
    "enum": _enum,
    "anyOf": _first("anyOf"),
    "allOf": _first("allOf"),
    "properties": _object,
    "items": _items,
}
