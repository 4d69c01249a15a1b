"""Headers that are meant for us: whom one call is for, without a block around it.

``x-tokenmeter-user``, ``-team``, ``-task``, ``-conversation`` and ``-tag-NAME``, whose values are
percent-encoded where they are not plain. A seam takes them out of every request that passes it, so
none of them leaves, whether the call is metered or not. Only one that is signed stays where it is:
without it the signature would not fit.

Knows no HTTP library: a seam says where a request keeps its headers.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace

from tokenmeter.event import Attribution, Tags
from tokenmeter.guard import Guard

PREFIX = "x-tokenmeter-"

_NAMES = ("user", "team", "task", "conversation")
_TAG = "tag-"
_SIGNED = ("authorization", "signature-input")
"""Headers that list those which are signed: AWS's, and HTTP Message Signatures (RFC 9421)."""

_MOST_LOGGED = 100

logger = logging.getLogger("tokenmeter")


class Aside(NamedTuple):
    """What a request says of whom it is for.

    Attributes:
        names: Columns of `Attribution` by name.
        tags: Tags by name.
    """

    names: Mapping[str, str]
    tags: Mapping[str, str]

    def over(self, outer: Attribution) -> Attribution:
        """Give whom the one call is for, inside of what is in force."""
        said: dict[str, Any] = dict(self.names)
        if "user" in said:
            said["user_origin"] = "header"
        if self.tags:
            said["tags"] = Tags({**(outer.tags or {}), **self.tags})
        return replace(outer, **said)


def taken(headers: MutableMapping[str, Any], ours: Iterable[str], guard: Guard) -> Aside | None:
    """Take headers of ours out of a mapping that is not the user's; say what they say."""
    found = {name: headers[name] for name in ours if not _is_signed(name, headers, guard)}
    for name in found:
        if name in headers:  # not when it was there in capitals as well
            del headers[name]
    return _read(found, guard) if found else None


def taken_from_copy(headers: Any, guard: Guard) -> tuple[Any, Aside | None]:
    """Take them out of a copy of a mapping that is the user's; give what is to be sent."""
    ours = named(headers)
    if not ours:
        return headers, None
    copy = headers.copy() if hasattr(headers, "copy") else dict(headers)
    return copy, taken(copy, ours, guard)


def _is_signed(name: str, headers: Mapping[str, Any], guard: Guard) -> bool:
    said = (str(text).lower() for header, text in headers.items() if header.lower() in _SIGNED)
    signed = any(name.lower() in text for text in said)
    if signed:
        guard.count("headers of ours that were sent because they are signed")
    return signed


def _read(found: Mapping[str, Any], guard: Guard) -> Aside:
    names: dict[str, str] = {}
    tags: dict[str, str] = {}
    for header, value in found.items():
        name, text = header.lower().removeprefix(PREFIX), _text(value)
        if name not in _NAMES and not name.startswith(_TAG):
            _unknown(header, guard)
        elif not text or name == _TAG:
            guard.count("headers of ours that were ignored: malformed")
        elif name in _NAMES:
            names[name] = text
        else:
            tags[name.removeprefix(_TAG)] = text
    return Aside(names, tags)


def _text(value: object) -> str | None:
    """Decode a value; ``None``: it is no UTF-8."""
    given = value if isinstance(value, bytes) else str(value)
    try:
        return unquote_to_bytes(given).decode().strip(" \t")
    except (UnicodeDecodeError, UnicodeEncodeError):
        return None


def _unknown(header: str, guard: Guard) -> None:
    guard.count("headers of ours that were ignored: unknown")
    name = header.lower()[:100]
    if name not in _logged and len(_logged) < _MOST_LOGGED:
        _logged.add(name)
        logger.warning(
            "the header %s says nothing to tokenmeter and was taken out; "
            "it knows %suser, -team, -task, -conversation and -tag-NAME",
            name,
            PREFIX,
        )


_logged: set[str] = set()


class Remembered:
    """What was taken out of objects that may be sent again: the object has it no more."""

    def __init__(self) -> None:
        self._any = False  # which costs a call less than to ask the mapping
        self._asides: weakref.WeakKeyDictionary[Any, Aside | None] = weakref.WeakKeyDictionary()

    def of(self, thing: Any, headers: Any, ours: Sequence[str], guard: Guard) -> Aside | None:
        """Take what is there, over what was there before."""
        aside = self._asides.get(thing) if self._any else None
        if ours:
            self._any = True
            aside = self._asides[thing] = both(aside, taken(headers, ours, guard))
        return aside


def both(outer: Aside | None, inner: Aside | None) -> Aside | None:
    """Lay what is said of one call over what is said of all."""
    if outer is None or inner is None:
        return outer or inner
    return Aside({**outer.names, **inner.names}, {**outer.tags, **inner.tags})


def named(headers: Iterable[str]) -> list[str]:
    """Give the names of headers of ours; on the path of every call."""
    return [name for name in headers if name[:13].lower() == PREFIX]
