"""Messages, tools and whole requests that somebody has in hand, told apart by their shape.

They are encoded as they would be sent and read by the dialect whose format it is, each part by the
one of its own shape, so that OpenAI's tools may stand beside Anthropic's messages. The shapes are
those of the dialects' own sources. An SDK's object is known by its ``model_dump`` (pydantic).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from tokenmeter.dialects import Dialect
from tokenmeter.dialects.content import Prompt, Tool
from tokenmeter.errors import CannotCountError

# Untyped: what stands in a value is anybody's guess.
_DICT: Any = dict
_LIST: Any = (list, tuple)
_TYPE: Any = type
_MAPPING: Any = Mapping
_SEQUENCE: Any = Sequence

CHAT = "openai_chat:OpenAIChat"
RESPONSES = "openai_responses:OpenAIResponses"
EMBEDDINGS = "openai_embeddings:OpenAIEmbeddings"
ANTHROPIC = "anthropic_messages:AnthropicMessages"
GEMINI = "gemini:Gemini"
CONVERSE = "bedrock_converse:BedrockConverse"

ITEMS = {CHAT: "messages", RESPONSES: "input", ANTHROPIC: "messages", GEMINI: "contents",
         CONVERSE: "messages"}  # fmt: skip
"""Where a format has its messages."""

_ENVELOPES = ("body", "params", "request", "modelInput")
"""Where a line of a batch file has the request: at OpenAI, Anthropic, Google and Bedrock."""

_BLOCKS = {
    **dict.fromkeys(("input_text", "output_text", "input_image", "input_file"), RESPONSES),
    **dict.fromkeys(("image_url", "input_audio", "file", "refusal"), CHAT),
    **dict.fromkeys(("tool_use", "tool_result", "thinking", "redacted_thinking"), ANTHROPIC),
    **dict.fromkeys(("image", "document", "search_result", "container_upload"), ANTHROPIC),
}
"""Types of parts of a message that one format alone has."""

_GOOGLES_VECTORS = "gemini_embeddings:GeminiEmbeddings"

_REQUESTS = (
    ("max_tokens_to_sample", "anthropic_complete:AnthropicComplete"),
    ("contents", GEMINI),
    ("inferenceConfig", CONVERSE),
    ("toolConfig", CONVERSE),
    ("anthropic_version", ANTHROPIC),
    ("message", "cohere:CohereChat"),
    ("texts", "cohere:CohereEmbed"),
    ("query", "rerank:Rerank"),
    ("generation_config", "gemini_interactions:GeminiInteractions"),
    ("requests", _GOOGLES_VECTORS),
    ("instances", _GOOGLES_VECTORS),
    ("inputText", "bedrock_invoke:BedrockInvoke"),
    ("prompt", CHAT),
)
"""Fields by which a request is told, beside those that need a closer look."""

_ANTHROPICS = {"system", "thinking", "stop_sequences", "output_format", "output_config"}
"""Fields of a request with messages that only Anthropic has."""


class Asked(NamedTuple):
    """What a request gives to read, and for which model, where it says so.

    It is bare where it is texts that stand in no request.
    """

    prompt: Prompt
    model: str | None = None
    bare: bool = False


class Beside(NamedTuple):
    """What stands beside messages: as any vendor says it."""

    tools: Any = None
    system: Any = None
    schema: Any = None


NOTHING = Beside()


def read(given: Any, beside: Beside = NOTHING) -> Asked:
    """Read a text, messages or a whole request.

    A text is that text alone; with something beside it, it is a message of the user.

    Raises:
        CannotCountError: It is nothing of the kind.
    """
    if isinstance(given, str) and beside == NOTHING:
        return Asked(Prompt(texts=(given,)), bare=True)
    asked = _read([{"role": "user", "content": given}] if isinstance(given, str) else given)
    return asked._replace(prompt=_with(asked.prompt, beside))


def _read(given: Any) -> Asked:
    plain = _plain(given)
    if isinstance(plain, _DICT):
        return _of_mapping(plain)
    if not isinstance(plain, _LIST) or isinstance(given, (set, frozenset)):
        raise _unfit(given)
    if plain and all(isinstance(item, str) for item in plain):
        return Asked(Prompt(texts=tuple(plain)), bare=True)
    return Asked(_of_messages(plain))


def _of_messages(items: Sequence[Any]) -> Prompt:
    for item in items:
        if not _is_message(item):
            raise _unfit(item, "a list with ")
    form = form_of(items) or CHAT
    return _prompt(form, {ITEMS[form]: items})


def _of_mapping(given: dict[str, Any]) -> Asked:
    for envelope in _ENVELOPES:
        if isinstance(given.get(envelope), _DICT):
            return _of_mapping(given[envelope])
    if _is_message(given):
        return Asked(_of_messages([given]))
    form, model = _request_form(given), given.get("model")
    if form is None:
        raise _unfit(given)
    return Asked(_prompt(form, given), model if isinstance(model, str) else None)


def _is_message(item: Any) -> bool:
    """Say whether it is a message, or an item beside messages (a call, what a tool gave back)."""
    return isinstance(item, _DICT) and any(key in item for key in ("role", "parts", "type"))


def form_of(items: Iterable[Any]) -> str | None:
    """Give the format of messages, or ``None`` where they would be the same in all."""
    return next(filter(None, map(_message_form, items)), None)


def _message_form(item: Any) -> str | None:
    if not isinstance(item, _DICT):
        return None
    if "parts" in item:
        return GEMINI
    if "type" in item:
        return RESPONSES
    return next(filter(None, map(_block_form, _list(item.get("content")))), None)


def _block_form(block: Any) -> str | None:
    if not isinstance(block, _DICT):
        return None
    kind = block.get("type")
    if str(kind).endswith(("_tool_use", "_tool_result")):
        return ANTHROPIC
    return CONVERSE if kind is None else _BLOCKS.get(kind)


def _request_form(request: dict[str, Any]) -> str | None:
    for field, form in _REQUESTS:
        if field in request:
            return form
    if "input" in request:
        return EMBEDDINGS if _embeds(request) else RESPONSES
    if not isinstance(request.get("messages"), _LIST):
        return None
    told = form_of(request["messages"]) or _tools_form(_list(request.get("tools")))
    if told is None or ITEMS[told] != "messages":
        return ANTHROPIC if _ANTHROPICS.intersection(request) else CHAT
    return told


def _embeds(request: dict[str, Any]) -> bool:
    bare = [item for item in _list(request["input"]) if not isinstance(item, _DICT)]
    return bool(bare) or "embed" in str(request.get("model")).lower()


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, _LIST) else ()


# What stands beside


def _with(prompt: Prompt, beside: Beside) -> Prompt:
    tools, system, schema = map(_plain, beside)
    if tools is not None:
        prompt = _with_tools(prompt, tools)
    if system is not None:
        prompt = replace(prompt, messages=(*_system(system), *prompt.messages))
    if schema is not None:
        prompt = _with_schema(prompt, schema)
    return prompt


def _with_tools(prompt: Prompt, given: Any) -> Prompt:
    tools = _list(given) or [given]
    if given and not all(isinstance(tool, _DICT) for tool in tools):
        raise CannotCountError(
            f"tools are those that a request would have, such as [{{'type': 'function', …}}]; "
            f"got {given!r}"
        )
    form = _tools_form(tools) or CHAT
    request = {"toolConfig": {"tools": tools}} if form == CONVERSE else {"tools": tools}
    found = _prompt(form, request)
    return replace(prompt, tools=(*prompt.tools, *found.tools), form=prompt.form or found.form)


def _tools_form(tools: Iterable[Any]) -> str | None:
    return next(filter(None, map(_tool_form, tools)), None)


def _tool_form(tool: Any) -> str | None:
    said: Any = tool if isinstance(tool, _DICT) else {}
    if "input_schema" in said or re.search(r"_\d{8}$", str(said.get("type"))):
        return ANTHROPIC
    if "toolSpec" in said:
        return CONVERSE
    if said.get("type") == "function" and "function" not in said:
        return RESPONSES
    return GEMINI if said and not {"type", "name", "function"}.intersection(said) else None


def _system(given: Any) -> tuple[Any, ...]:
    if isinstance(given, _DICT):
        return _prompt(GEMINI, {"systemInstruction": given}).messages
    if isinstance(given, (str, _LIST)):
        return _prompt(ANTHROPIC, {"system": given}).messages
    raise CannotCountError(f"system is a text, or blocks of text; got {given!r}")


def _with_schema(prompt: Prompt, given: Any) -> Prompt:
    if not isinstance(given, _DICT):
        raise CannotCountError(
            f"schema is a JSON schema, a pydantic model or OpenAI's response_format; got {given!r}"
        )
    if given.get("type") != "json_schema":
        schema = Tool(str(given.get("title", "")), None, given, "json_schema", strict=True)
        return replace(prompt, schema=schema)
    flat = "schema" in given  # as responses say it
    asked = {"text": {"format": given}} if flat else {"response_format": given}
    found = _prompt(RESPONSES if flat else CHAT, asked)
    return replace(prompt, schema=found.schema, form=prompt.form or found.form)


# Encoding and decoding


def _plain(given: Any) -> Any:
    """Give JSON's own values of anything that could be sent."""
    if isinstance(given, _TYPE) and hasattr(given, "model_json_schema"):
        return given.model_json_schema()
    if isinstance(given, bytes | bytearray | memoryview):
        raise _unfit(given)
    try:
        return msgspec.to_builtins(given, enc_hook=_dumped)
    except (TypeError, ValueError, RuntimeError) as exc:
        raise _unfit(given) from exc


def _dumped(value: Any) -> Any:
    if hasattr(_TYPE(value), "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, _MAPPING):
        return dict(value)
    if isinstance(value, _SEQUENCE):
        return list(value)
    raise NotImplementedError


def _prompt(form: str, request: dict[str, Any]) -> Prompt:
    prompt = _dialect(form).prompt(_encoded(request))
    if prompt is None:
        raise CannotCountError(f"requests of the format {form.partition(':')[0]} cannot be read")
    return prompt


def _encoded(request: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(request)
    except UnicodeEncodeError:  # a lone surrogate, which no JSON encoder of ours takes
        return json.dumps(request).encode()


def _dialect(form: str) -> Dialect:
    module, name = form.split(":")
    dialect: Dialect = getattr(import_module(f"tokenmeter.dialects.{module}"), name)()
    return dialect


def _unfit(given: Any, where: str = "") -> CannotCountError:
    return CannotCountError(
        f"count() takes a text, a list of messages or the body of a request, of OpenAI, "
        f"Anthropic, Google or who speaks like them; got {where}{_named(given)}"
    )


def _named(given: Any) -> str:
    if isinstance(given, _DICT) and given:
        return f"a mapping with {', '.join(map(repr, list(given)[:5]))}"
    if isinstance(given, bytes):
        return "bytes, which must be decoded first"
    return f"an object of type {type(given).__qualname__}"
