"""How Gemini's models are told of functions, of calls and of what they gave back.

Three forms, by generation and by server; each gives texts, in which `MARK` stands for one of the
model's control tokens.

- ``Texts``: names, descriptions and values one by one, and nothing around them. What Google's own
  local tokenizer counts: https://github.com/googleapis/python-genai,
  ``google/genai/local_tokenizer.py`` of 3.4, read 2026-11-22. Recorded usage adds a token for each
  type in capitals of Google's own schemas, and nothing for JSON schemas.
- ``Python``: Gemini 2.5 on AI Studio. Nobody published it; the models show parts of it where a call
  goes wrong (``default_api``). Empirical, and exact on the recordings that were fitted on.
- ``Declared``: Gemini 3 on AI Studio. As FunctionGemma and Gemma 4 are told of functions:
  https://ai.google.dev/gemma/docs/functiongemma/formatting-and-best-practices, read 2026-11-22.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, cast

from tokenmeter.dialects.content import Tool

MARK = "\x00"
"""Stands for a control token: one token, whatever is around it."""

Schema = Mapping[str, Any]


class Form(Protocol):
    """A way in which functions are written for the model."""

    def tool(self, tool: Tool) -> Iterable[str]:
        """Write what a function is."""
        ...

    def call(self, name: str, arguments: Any) -> Iterable[str]:
        """Write a call of a function."""
        ...

    def result(self, name: str, value: Any) -> Iterable[str]:
        """Write what a function gave back."""
        ...


class Texts:
    """Names, descriptions and values, one by one."""

    def tool(self, tool: Tool) -> Iterator[str]:
        """Write what a function is."""
        yield tool.name
        yield tool.description or ""
        schema = _mapping(tool.parameters)
        if tool.native and schema is not None:
            yield from self._schema(schema)

    def call(self, name: str, arguments: Any) -> Iterator[str]:
        """Write a call of a function."""
        yield name
        yield from _strings(arguments)

    def result(self, name: str, value: Any) -> Iterator[str]:
        """Write what a function gave back."""
        return self.call(name, value)

    def _schema(self, schema: Schema) -> Iterator[str]:
        kind = str(schema.get("type", ""))
        yield kind if not kind.islower() else ""
        for key in ("format", "description"):
            yield from _strings(schema.get(key))
        for key in ("enum", "required"):
            yield from _strings(schema.get(key))
        for name, inner in properties(schema).items():
            yield name
            yield from self._schema(inner)
        if (items := _mapping(schema.get("items"))) is not None:
            yield from self._schema(items)


class Python:
    """A module of Python that has the functions, and code that calls them."""

    def tool(self, tool: Tool) -> Iterator[str]:
        """Write what a function is."""
        yield "".join(_Module(tool).lines())

    def call(self, name: str, arguments: Any) -> Iterator[str]:
        """Write a call of a function."""
        given = _mapping(arguments) or {}
        said = ", ".join(f"{key} = {_json(value)}" for key, value in given.items())
        yield f"print(default_api.{name}({said}))"

    def result(self, name: str, value: Any) -> Iterator[str]:
        """Write what a function gave back."""
        yield _json({f"{name}_response": value})


class Declared:
    """Declarations in the form of Gemma's templates."""

    def tool(self, tool: Tool) -> Iterator[str]:
        """Write what a function is."""
        said = [f"description:{_quoted(tool.description)}"] if tool.description else []
        schema = _mapping(tool.parameters)
        if schema is not None:
            said.append(f"parameters:{_declared(schema, _definitions(schema))}")
        yield f"{MARK}declaration:{tool.name}{{{','.join(said)}}}{MARK}"

    def call(self, name: str, arguments: Any) -> Iterator[str]:
        """Write a call of a function."""
        yield f"{MARK}call:{name}{_written(arguments or {})}{MARK}"

    def result(self, name: str, value: Any) -> Iterator[str]:
        """Write what a function gave back."""
        yield f"{MARK}response:{name}{_written(value)}{MARK}"


def properties(schema: Schema) -> dict[str, Schema]:
    """Give the properties of an object that are schemas themselves."""
    found = _mapping(schema.get("properties")) or {}
    return {name: inner for name, value in found.items() if (inner := _mapping(value)) is not None}


def _mapping(value: Any) -> Schema | None:
    return cast("Schema", value) if isinstance(value, dict) else None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for key, inner in (_mapping(value) or {}).items():
        yield key
        yield from _strings(inner)
    for inner in _items(value):
        yield from _strings(inner)


def _definitions(schema: Schema) -> Schema:
    return _mapping(schema.get("$defs")) or _mapping(schema.get("definitions")) or {}


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """Follow a reference; what stands beside it is laid over what it means."""
    name = schema.get("$ref")
    if not isinstance(name, str):
        return schema
    meant = _mapping(definitions.get(name.rpartition("/")[2])) or {}
    return {**meant, **{key: value for key, value in schema.items() if key != "$ref"}}


# Declarations

_DEEP = 6
"""Levels at which a schema that holds itself is given up."""


def _quoted(text: Any) -> str:
    return f"{MARK}{text}{MARK}"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if (members := _mapping(value)) is not None:
        return "{" + ",".join(f"{key}:{_written(inner)}" for key, inner in members.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, _items(value))) + "]"  # pyright: ignore[reportUnknownArgumentType]
    return _json(value)


def _declared(given: Schema, definitions: Schema, depth: int = _DEEP) -> str:
    schema, said = _resolved(given, definitions), list[str]()
    if schema.get("description"):
        said.append(f"description:{_quoted(schema['description'])}")
    inner = properties(schema) if depth else {}
    if inner:
        each = (f"{k}:{_declared(v, definitions, depth - 1)}" for k, v in inner.items())
        said.append(f"properties:{{{','.join(each)}}}")
    if depth and (items := _mapping(schema.get("items"))) is not None:
        said.append(f"items:{_declared(items, definitions, depth - 1)}")
    for key in ("enum", "required"):
        if schema.get(key):
            said.append(f"{key}:{_written(schema[key])}")
    options = _items(schema.get("anyOf")) or _items(schema.get("oneOf"))
    if depth and options:
        each = (_declared(_mapping(one) or {}, definitions, depth - 1) for one in options)
        said.append(f"anyOf:[{','.join(each)}]")
    if schema.get("type"):
        said.append(f"type:{_quoted(str(schema['type']).upper())}")
    return "{" + ",".join(said) + "}"


# Python

_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "object": "dict[str, Any]",
    "null": "None",
}

_NESTED = 4
"""Classes inside classes at which a schema that holds itself is given up."""


class _Module:
    """One function in Python, and the classes of its arguments before it."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._schema = _mapping(tool.parameters) or {}
        self._definitions = _definitions(self._schema)
        self._classes: list[str] = []

    def lines(self) -> Iterator[str]:
        """Write the module."""
        name, fields = self._tool.name, properties(self._schema)
        types = {k: self._field(k, v, self._schema, _camel(name), 0) for k, v in fields.items()}
        yield from self._classes
        yield f"def {name}(\n"
        yield from (f"    {said},\n" for said in types.values())
        yield f') -> dict:\n  """{self._tool.description or ""}\n\n  Args:\n'
        yield from self._described(fields)
        yield '  """\n\n'

    def _described(self, fields: Mapping[str, Schema]) -> Iterator[str]:
        for name, schema in fields.items():
            said = _resolved(schema, self._definitions).get("description") or ""
            yield f"    {name}: {said}\n"

    def _field(self, name: str, schema: Schema, whole: Schema, owner: str, depth: int) -> str:
        kind = self._type(schema, owner + _camel(name), depth)
        if name in _items(whole.get("required")):
            return f"{name}: {kind}"
        return f"{name}: {kind.removesuffix(' | None')} | None = None"

    def _type(self, given: Schema, name: str, depth: int) -> str:
        schema = _resolved(given, self._definitions)
        options = _items(schema.get("anyOf")) or _items(schema.get("oneOf"))
        if options:
            each = [self._type(_mapping(one) or {}, name, depth) for one in options]
            return " | ".join(dict.fromkeys(each))
        if _items(schema.get("enum")):
            return f"Literal[{', '.join(map(_json, _items(schema['enum'])))}]"
        if properties(schema) and depth < _NESTED:
            self._class(schema, name, depth)
            return name
        return self._simple(schema, name, depth)

    def _simple(self, schema: Schema, name: str, depth: int) -> str:
        kind = str(schema.get("type") or "").lower()
        if kind != "array":
            return _TYPES.get(kind, "Any")
        items = _mapping(schema.get("items"))
        return f"list[{'Any' if items is None else self._type(items, name, depth)}]"

    def _class(self, schema: Schema, name: str, depth: int) -> None:
        fields = properties(schema)
        types = [self._field(k, v, schema, name, depth + 1) for k, v in fields.items()]
        said = [
            f'@dataclasses.dataclass(kw_only=True)\nclass {name}:\n  """',
            f"{schema.get('description') or ''}\n\n  Attributes:\n",
            *self._described(fields),
            '  """\n',
            *(f"  {one}\n" for one in types),
            "\n\n",
        ]
        self._classes.append("".join(said))


def _camel(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[\W_]+", name))
