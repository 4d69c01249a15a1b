"""Attribution between programs: the W3C header ``baggage``, and the variables of a process.

A program that starts another one, or asks a service, says in which run it does so; the other one
goes on in that run. What travels is ids; names of people and teams, and tags, only where both sides
allow it. What arrives is somebody else's text: it is taken only if it is what it should be.

The header: https://www.w3.org/TR/baggage/ (read 2026-11-23). The variables ``BAGGAGE`` and
``TRACEPARENT``: OpenTelemetry specification, *Environment Variables as Context Propagation
Carriers* (read 2026-11-23).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from typing import NamedTuple, TypeVar
from urllib.parse import quote, unquote_to_bytes

from tokenmeter.attribution import block
from tokenmeter.event import Attribution, Tags, TagValue
from tokenmeter.pseudonyms import Pseudonyms
from tokenmeter.runs import InTree
from tokenmeter.surroundings import RemoteSpan, remote_span, span_context

C = TypeVar("C", bound=MutableMapping[str, str])

PREFIX = "tokenmeter."
"""With what the names of our members begin."""

HEADER, TRACE = "baggage", "traceparent"

MAX_BYTES = 8192
"""How long a header of baggage may be, theirs and ours together (W3C Baggage, 3.3.2)."""

_MAX_CHARACTERS = 256
_MAX_PATH = 1024
_MAX_TAGS = 16
_MAX_DEPTH = 1_000

ALLOWED = ("user", "team", "tags")
"""What travels only where it is allowed by name."""


class Ignored(NamedTuple):
    """What of somebody's baggage could not be used: how many members, for what reason."""

    reason: str
    members: int


class Carried(NamedTuple):
    """What arrived, checked; laid over what is around like a block.

    Attributes:
        names: Columns of `Attribution` by name.
        in_tree: The run from which this was called, and its place; ``None`` where there was none.
        tags: Tags of the caller.
        span: The span from which this was called.
        ignored: What was there and could not be used.
    """

    names: Mapping[str, str] = {}
    in_tree: InTree | None = None
    tags: Mapping[str, TagValue] = {}
    span: RemoteSpan | None = None
    ignored: tuple[Ignored, ...] = ()

    def over(self, outer: Attribution, in_tree: InTree | None) -> Attribution:  # noqa: ARG002
        """Give what is in force inside: what arrived, over what is around."""
        names, here = self.names, self.in_tree
        path = (outer.agent, outer.run_id, outer.parent_run_id, outer.depth)
        return Attribution(
            names.get("user", outer.user),
            "baggage" if "user" in names else outer.user_origin,
            names.get("team", outer.team),
            names.get("task", outer.task),
            *(path if here is None else here),
            names.get("conversation", outer.conversation),
            Tags({**(outer.tags or {}), **self.tags}) if self.tags else outer.tags,
        )


# -- out ------------------------------------------------------------------------------------------


def injected(
    carrier: C,
    allowed: Collection[str],
    pseudonyms: Pseudonyms | None,
    header: str = HEADER,
    trace: str = TRACE,
) -> C:
    """Write what is in force here into a mapping of headers; other members of it stay.

    Where there are pseudonyms, the current one of the user travels and never the name.
    """
    here = block.get()
    who = here.attribution if pseudonyms is None else pseudonyms.applied(here.attribution)
    said = _said(who, allowed)
    ours = [f"{PREFIX}{name}={quote(value, safe='')}" for name, value in said]
    others = [m for m in _members(carrier.get(header, "")) if not m.startswith(PREFIX)]
    while ours and len(",".join(others + ours)) > MAX_BYTES:
        ours.pop()  # the ids come first
    if others or ours:
        carrier[header] = ",".join(others + ours)
    elif header in carrier:
        del carrier[header]
    span = remote_span(span_context(here.span))
    if span is not None and trace not in carrier:
        carrier[trace] = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    return carrier


def _said(who: Attribution, allowed: Collection[str]) -> Iterator[tuple[str, str]]:
    """Give what may travel, the most important first."""
    if who.run_id is not None:
        yield "run", who.run_id
        if who.parent_run_id is not None:
            yield "parent", who.parent_run_id
        yield "depth", str(who.depth or 0)
    for name in ("agent", "task", "conversation", "user", "team"):
        value = getattr(who, name)
        if value is not None and (name not in ALLOWED or name in allowed) and _CHECKS[name](value):
            yield name, value
    if "tags" in allowed:
        for tag, value in (who.tags or {}).items():
            if _is_plain(tag) and _is_plain(str(value)):
                yield f"tag.{quote(tag, safe='')}", str(value)


# -- in -------------------------------------------------------------------------------------------


def carried(carrier: Mapping[str, str], allowed: Collection[str]) -> Carried:
    """Read what somebody says; what is not as it should be is ignored, and named."""
    trouble: dict[str, int] = {}
    found: dict[str, str] = {}
    text = _value(carrier, HEADER)
    if len(text) > MAX_BYTES:
        trouble["too long"], text = 1, ""
    for member in _members(text):
        if member.startswith(PREFIX):
            reason = _read(member, found, allowed)
            if reason is not None:
                trouble[reason] = trouble.get(reason, 0) + 1
    tags = {name[4:]: value for name, value in found.items() if name.startswith("tag.")}
    return Carried(
        {name: found[name] for name in ("user", "team", "task", "conversation") if name in found},
        _in_tree(found),
        tags,
        _span(_value(carrier, TRACE)),
        tuple(Ignored(*item) for item in trouble.items()),
    )


def _members(header: str) -> list[str]:
    return [member for part in header.split(",") if (member := part.strip(" \t"))]


def _value(carrier: Mapping[str, str], name: str) -> str:
    """Give a header, or the variable of that name; a text of what cannot be written is none."""
    for spelled in (name, name.upper(), name.title()):
        value: object = carrier.get(spelled)
        if isinstance(value, str) and value:
            return value
    return ""


def _read(member: str, found: dict[str, str], allowed: Collection[str]) -> str | None:
    """Read one member of ours; say why it cannot be used, if it cannot."""
    key, _, rest = member.partition("=")
    name = key.rstrip(" \t").removeprefix(PREFIX)
    kind = "tag" if name.startswith("tag.") else name
    if kind not in _CHECKS:
        return "unknown"
    right = "tags" if kind == "tag" else name
    if right in ALLOWED and right not in allowed:
        return "not allowed"
    try:
        name, value = _unquoted(name), _unquoted(rest.partition(";")[0].strip(" \t"))
    except UnicodeDecodeError:
        return "malformed"
    fits = _CHECKS[kind](value) and _is_plain(name) and name != "tag."
    if not fits or name in found:
        return "repeated" if name in found else "malformed"
    if kind == "tag" and sum(other.startswith("tag.") for other in found) >= _MAX_TAGS:
        return "too many"
    found[name] = value
    return None


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode() if "%" in text else text  # most are ids


def _is_plain(text: str, most: int = _MAX_CHARACTERS) -> bool:
    return 0 < len(text) <= most and text.isprintable()


def _is_path(text: str) -> bool:
    return _is_plain(text, _MAX_PATH)


def _is_depth(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,4}", text) is not None and int(text) <= _MAX_DEPTH


_is_id = re.compile(r"[0-9a-f]{32}").fullmatch

_CHECKS: Mapping[str, Callable[[str], object]] = {
    "run": _is_id,
    "parent": _is_id,
    "depth": _is_depth,
    "agent": _is_path,
    "task": _is_plain,
    "conversation": _is_plain,
    "user": _is_plain,
    "team": _is_plain,
    "tag": _is_plain,
}


def _in_tree(found: Mapping[str, str]) -> InTree | None:
    """Give the run of the caller; half of one is none."""
    if "run" not in found or "agent" not in found:
        return None
    return found["agent"], found["run"], found.get("parent"), int(found.get("depth", "0"))


_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def _span(text: str) -> RemoteSpan | None:
    """Read a ``traceparent``: https://www.w3.org/TR/trace-context/ (read 2026-11-23)."""
    match = _TRACE.fullmatch(text[:_MAX_CHARACTERS])
    if match is None:
        return None
    trace_id, span_id, flags = (int(digits, 16) for digits in match.groups()[:3])
    return RemoteSpan(trace_id, span_id, flags) if trace_id and span_id else None
