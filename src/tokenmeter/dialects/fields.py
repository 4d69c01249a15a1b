"""Typed, partial, forgiving decoding of vendors' JSON: shared by the dialects.

Only declared fields are decoded. A field of the wrong type, or a negative count, is dropped alone
and never takes its neighbours with it.
"""

from __future__ import annotations

import re
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""A number of tokens as vendors send it; what is negative or no exact JSON number is dropped."""

_SURROGATE = re.compile(rb"(\\[^u]|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..")
"""An escape: kept when it is a pair of surrogates, or of another kind; else no character."""

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


class ErrorBody(msgspec.Struct):
    """The ``error`` member of an error body: OpenAI's, Anthropic's, Google's, their followers'."""

    type: str | None = None
    code: str | None = None
    status: str | None = None  # Google's code; what it calls code is the HTTP status


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode JSON into the decoder's type, dropping what does not fit.

    Bytes that are not UTF-8 and escapes that are no character become replacement characters.

    Raises:
        msgspec.DecodeError: The bytes are not JSON.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        found: T = salvage(_anything(body), decoder.type)
        return found
    except (UnicodeDecodeError, msgspec.DecodeError):
        clean = _text(body)
        if clean == body:
            raise
        return decode(decoder, clean)
    except RecursionError as exc:
        raise msgspec.DecodeError("nested too deeply") from exc


def _anything(body: bytes) -> Any:
    try:
        return msgspec.json.decode(_text(body))
    except RecursionError as exc:
        raise msgspec.DecodeError("nested too deeply") from exc


def _text(body: bytes) -> bytes:
    body = body.decode("utf-8", "replace").encode()
    return _SURROGATE.sub(lambda found: found[1] or rb"\ufffd", body)


def salvage(value: Any, kind: Any) -> Any:
    """Convert what fits of a decoded JSON value; what does not is the type's empty value."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        pass
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for option in options:
        if get_origin(option) is list and isinstance(value, list):
            return _salvage_list(value, *get_args(option))  # pyright: ignore[reportUnknownArgumentType]
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            known = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
            return _salvage_struct(known, option)
    return None


def _salvage_list(value: list[Any], kind: Any) -> list[Any]:
    return [fit for item in value if (fit := salvage(item, kind)) is not None]


def _salvage_struct(value: dict[str, Any], kind: type[S]) -> S:
    hints = get_type_hints(kind, include_extras=True)
    fields = {
        f.name: salvage(value[f.encode_name], hints[f.name])
        for f in msgspec.structs.fields(kind)
        if f.encode_name in value
    }
    return kind(**fields)


def overlay(old: S | None, new: S | None) -> S | None:
    """Lay the newer of two cumulative reports over the older one, field by field.

    What the newer one leaves out keeps its value; what it says replaces, and is never added.
    """
    if old is None or new is None:
        return new or old
    names = old.__struct_fields__
    return type(old)(**{name: _newer(getattr(old, name), getattr(new, name)) for name in names})


def _newer(old: Any, new: Any) -> Any:
    if isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct):
        return overlay(old, new)
    return old if new is None else new


def error_code(error: ErrorBody | None, default: str | None = None) -> str | None:
    """Give the vendor's code of an error when it is an identifier; never a sentence."""
    said = () if error is None else (error.code, error.type, error.status)
    return next((code for name in said if (code := identifier(name))), default)


def identifier(said: str | None) -> str | None:
    """Give what a vendor said when it is an identifier; a sentence may hold anything."""
    return said if said is not None and _IDENTIFIER.fullmatch(said) else None


def billable(**counts: int | None) -> dict[str, int] | None:
    """Collect the vendor's other billable counts that are not zero."""
    return {name: n for name, n in counts.items() if n} or None
