"""What OpenAI's models are given to read for tools and for the format of an answer.

Tools are written as types of TypeScript in a namespace, a format as its JSON schema under a
heading. OpenAI publishes this for its open models (``articles/openai-harmony.md`` of
https://github.com/openai/openai-cookbook, read 2026-11-23); the models behind its API get much the
same. What differs was found on the recorded exchanges of the repositories in ``FITTED`` of
``tests/replay/estimates.py``, as were the few tokens around the text (``Style``): they are
empirical. Three rules those recordings leave open, and the summary of all others decided: that a
function which must be called is read in chat completions too, as in responses; that empty lines
within a description are told; and that the description in the schema of a format stays there,
while the format's name is read once more.

How it is used: choose the style of the model and the endpoint, and add what ``weigh`` counts to
what the messages weigh. A vendor's own tools (``web_search``) are not written this way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from tokenmeter.dialects.content import Prompt, Text, Tool
from tokenmeter.tokens.families import Length

Schema = dict[str, Any]

A_MESSAGE = 4
"""Tokens around a message."""

IN_A_NAMESPACE = "# Tools\n\n## functions\n\nnamespace functions {\n\n"
"""What stands before tools."""

AFTER_ALL = "} // namespace functions"

ONLY_BIND = frozenset({"additionalProperties", "$schema", "required"})
"""Words of a JSON schema that bind the answer, and are not told in its format."""


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How a model of an endpoint is told of tools and formats; the numbers are empirical.

    Args:
        head: What stands before tools, where it is one text with them.
        joins: Whether all this is put at the end of the first system message, where there is one.
        titles: Whether the titles in schemas are told.
        tools: Tokens beside the text of tools, or fewer.
        schema: Tokens beside the text of a format.
        begun: Whether the name of a format, where there are no tools, is read once more, as the
            beginning of the answer.
        both: Tokens beside the text of both.
        forced: Tokens beside the name of a function that must be called, which is where the
            answer then begins; ``None`` where that changes nothing.
        alone: Whether the only function must be called where some call is ``required``.
    """

    head: str = IN_A_NAMESPACE
    joins: bool = False
    titles: bool = True
    tools: int = -1
    schema: int = 4
    begun: bool = False
    both: int = 0
    forced: int | None = None
    alone: bool = False


CHAT = Style(joins=True, schema=2, begun=True, forced=7)
"""GPT-4o, GPT-4.1 and GPT-4.5 in chat completions."""

OLD_CHAT = Style(joins=True, titles=False, forced=4)
"""GPT-3.5 and GPT-4 in chat completions; ``forced`` is what https://github.com/hmarr/openai-chat-tokens
found (``src/index.ts``, read 2026-11-23)."""

RESPONSES = Style(head="namespace functions {\n\n", schema=-3, forced=7, alone=True)
"""The same models in responses."""

REASONING_CHAT = Style(head="", tools=89, schema=78, both=89)
"""GPT-5 in chat completions, where tools bring 82 tokens more than in responses, whatever they
are; the other two numbers are guesses, for want of recordings."""

REASONING_RESPONSES = Style(head="", tools=7, schema=-4, both=7)
"""GPT-5 in responses; ``both`` is a guess."""

O_RESPONSES = Style(head="", tools=4, schema=-4, both=4)
"""o1, o3 and o4 in responses; of a single recording."""


UNUSED_TOOLS = {"web_search": 294, "web_search_preview": 294, "image_generation": 342}
"""Tokens of tools of OpenAI's own while the model does not use them; of two recordings each."""


def weigh(prompt: Prompt, style: Style, length: Length) -> int:
    """Count the tokens that a prompt has because of its tools and of its answer's format.

    They are those that come to the messages' own. What a vendor's own tool brings when it is used
    is not in the request; say of each that it is not in the number.
    """
    own = sum(UNUSED_TOOLS.get(tool.kind, 0) for tool in prompt.tools)
    functions = [tool for tool in prompt.tools if tool.kind == "function"]
    if not functions and prompt.schema is None:
        return own
    return own + _weigh(prompt, functions, style, length)


def _weigh(prompt: Prompt, functions: list[Tool], style: Style, length: Length) -> int:
    text = _told_or_named(functions, prompt.schema, style)
    beside = _beside(style, bool(functions), prompt.schema is not None)
    beside += _forced(functions, prompt.tool_choice, style, length)
    if style.begun and prompt.schema is not None and not functions:
        beside += length(prompt.schema.name)
    system = _system(prompt) if style.joins else ""
    if system:
        return length(f"{system}\n\n{text}") - length(system) + beside
    return A_MESSAGE + length(text) + beside


def _system(prompt: Prompt) -> str:
    """Give the text of the first message that is not of the conversation."""
    for message in prompt.messages:
        if message.role in ("system", "developer"):
            return "".join(part.text for part in message.parts if isinstance(part, Text))
    return ""


def _beside(style: Style, tools: bool, schema: bool) -> int:
    if tools and schema:
        return style.both
    return style.tools if tools else style.schema


def _forced(functions: list[Tool], choice: str | None, style: Style, length: Length) -> int:
    """Count the beginning of an answer that is a call of a known function: it is given to read."""
    if style.alone and choice == "required" and len(functions) == 1:
        choice = functions[0].name
    named = any(function.name == choice for function in functions)
    return style.forced + length(str(choice)) if style.forced and named else 0


def _told_or_named(functions: list[Tool], schema: Tool | None, style: Style) -> str:
    try:
        return told(functions, schema, style)
    except RecursionError:  # schemas nested hundreds of levels deep: nobody's, and no error here
        named = [msgspec.structs.replace(tool, parameters=None) for tool in functions]
        return told(named, schema and msgspec.structs.replace(schema, parameters=None), style)


def told(functions: Sequence[Tool], schema: Tool | None, style: Style) -> str:
    """Write what a model is told of functions and of the format of its answer."""
    parts = [] if schema is None else [format_text(schema)]
    if functions:
        types = [_function(tool, style) for tool in functions]
        parts.append(style.head + "\n\n".join([*types, AFTER_ALL]))
    return "\n\n".join(parts)


def format_text(schema: Tool) -> str:
    """Write the format of an answer."""
    bare = _bare(schema.parameters)
    above = ["# Response Formats\n", f"## {schema.name}\n", *_comments(schema.description)]
    lines = [*above, _json(bare)]
    return "\n".join(lines)


def _bare(schema: Any) -> Any:
    """Leave out what does not reach the model; names of properties are no words of the schema."""
    if isinstance(schema, list):
        return [_bare(item) for item in cast("Sequence[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    return {
        word: {name: _bare(of) for name, of in _members(value).items()}
        if word == "properties"
        else _bare(value)
        for word, value in _members(schema).items()
        if word not in ONLY_BIND
    }


def _function(tool: Tool, style: Style) -> str:
    schema = _members(tool.parameters)
    above = _comments(tool.description)
    said = "".join(f" {line}\n" for line in _comments(schema.get("description"))) or " "
    takes = f"_:{said}{_Types(schema, style).object(schema)}" if _is_object(schema) else ""
    return "\n".join([*above, f"type {tool.name} = ({takes}) => any;"])


class _Types:
    """Writes the types of one function's parameters; a type that contains itself is ``any``."""

    def __init__(self, schema: Schema, style: Style) -> None:
        self._root = schema
        self._style = style
        self._within: list[str] = []

    def object(self, schema: Schema, said: str | None = None) -> str:
        """Write an object; one without comments and objects in it is one line."""
        comments = self._comments({"title": schema.get("title"), "description": said})
        properties = [*self._properties(schema)]
        lines = [line for property_ in properties for line in property_]
        if comments or any(len(p) > 1 or "\n" in p[0] or "//" in p[0] for p in properties):
            return "\n".join(["{", *comments, *lines, "}"])
        return "{ " + " ".join(lines)[:-1] + " }"

    def _properties(self, schema: Schema) -> Iterator[list[str]]:
        required = schema.get("required") or ()
        for name, value in schema["properties"].items():
            of = _members(value)
            mark = "" if name in required else "?"
            kind = self.object(of) if _is_object(of) else self.type(of)
            default = f" // default: {_json(of['default'])}" if "default" in of else ""
            yield [*self._comments(of), f"{name}{mark}: {kind},{default}"]

    def _comments(self, schema: Schema) -> list[str]:
        title = schema.get("title") if self._style.titles else None
        return [*_comments(title), *_comments(schema.get("description"))]

    def type(self, schema: Any) -> str:
        """Write a type."""
        match schema:
            case {"$ref": str(name)}:
                return self._named(name)
            case {"anyOf": [*options]} | {"oneOf": [*options]}:
                return " | ".join(map(self.type, options))
            case {"allOf": [only]}:
                return self.type(only)
            case {"type": [*kinds]}:
                return " | ".join(self._kind({**schema, "type": kind}) for kind in kinds)
            case _:
                return self._kind(_members(schema))

    def _kind(self, schema: Schema) -> str:
        match schema:
            case {"enum": [*values]}:
                return " | ".join(map(_json, values))
            case {"const": value}:
                return _json(value)
            case {"properties": _} if _is_object(schema):
                return self.object(schema, schema.get("description"))
            case {"type": "array", "items": items}:
                return f"{self.type(items)}[]"
            case _:
                return _KINDS.get(str(schema.get("type")), "any")

    def _named(self, name: str) -> str:
        if name in self._within:
            return "any"
        found: Any = self._root
        for step in filter(None, name.removeprefix("#").split("/")):
            found = _members(found).get(step)
        self._within.append(name)
        try:
            return self.type(found)
        finally:
            self._within.pop()


_KINDS = {
    "integer": "number",
    "array": "any[]",
    **{kind: kind for kind in ("string", "number", "boolean", "null", "object")},
}


def _is_object(schema: Schema) -> bool:
    return schema.get("type") == "object" and bool(_members(schema.get("properties")))


def _members(value: Any) -> Schema:
    return cast("Schema", value) if isinstance(value, dict) else {}


def _comments(said: Any) -> list[str]:
    lines = said.strip().split("\n") if isinstance(said, str) and said.strip() else ()
    return [f"// {line.strip()}".rstrip() for line in lines]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
