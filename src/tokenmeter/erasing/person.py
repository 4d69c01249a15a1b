"""A person as ledgers know them, and what a line of a ledger is without them.

Pure: a line in, a line out. Of the line of an event all that is not about the person stays byte by
byte as it was written, whoever wrote it; where lines are kept is in `files`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.pseudonyms import Pseudonyms, normal

ERASED = "erased"
"""The ``user_origin`` of an event whose user was erased."""

_BEGINNING = b'{"kind":'
_MARK = msgspec.Raw(msgspec.json.encode(ERASED))

Members = dict[str, msgspec.Raw]
_members = msgspec.json.Decoder(Members).decode


class _Who(msgspec.Struct):
    event_id: str
    user: Any = None
    tags: Any = None


_who = msgspec.json.Decoder(_Who).decode


class Found(NamedTuple):
    """What stands in a line.

    Attributes:
        lines: What could stand there instead, the best first; none where nothing is to change.
        events: Events of the person in it, 0 or 1.
        elsewhere: Whether a name of the person is in it where it is not erased.
    """

    lines: tuple[bytes, ...] = ()
    events: int = 0
    elsewhere: bool = False


NOTHING = Found()


class Person:
    """Somebody under all of their names.

    Args:
        users: The names, as in ``attribute(user=…)``, or pseudonyms.
        pseudonyms: Keys, under each of which every name has a pseudonym.
        tags: Tags whose value may be a name of the person.
        whole: Whether whole events go, and not only what is about the person.

    Raises:
        ConfigurationError: A name is empty, or no text that can be written.

    Attributes:
        names: All names, in normalisation form C.
        spellings: The same, and how other programs may write them.
        tags: The tags.
        whole: As given.
    """

    def __init__(
        self,
        users: Iterable[str],
        pseudonyms: Pseudonyms | None = None,
        tags: Iterable[str] = (),
        *,
        whole: bool = False,
    ) -> None:
        import unicodedata

        given = list(map(_checked, users))
        known = [name for user in given for name in (pseudonyms.every(user) if pseudonyms else ())]
        self.names = frozenset(map(normal, (*given, *known)))
        spelled = {unicodedata.normalize("NFD", name) for name in self.names}
        self.spellings = self.names | spelled | frozenset(given)
        self.tags, self.whole = tuple(tags), whole
        texts = (text for name in self.spellings for text in _texts(name))
        self._texts = tuple(sorted(set(texts)))

    def __repr__(self) -> str:
        return f"<Person of {len(self.names)} names>"

    def found(self, line: bytes) -> Found:
        """Say what stands in a line that has its end."""
        torn, event = _parts(line)
        if not event:
            return self._found_torn(line)
        found = self._found_event(event)
        if not torn:
            return found
        rest = self._found_torn(torn)
        lines = tuple(t + e for t in rest.lines or (torn,) for e in found.lines or (event,))
        changed = rest.lines or found.lines
        return Found(lines if changed else (), found.events, found.elsewhere or rest.elsewhere)

    def names_in(self, line: bytes) -> bool:
        """Say whether a name of the person stands in a text of JSON, as the whole of a value."""
        return any(text in line for text in self._texts)

    def _found_torn(self, torn: bytes) -> Found:
        """Have what a killed process left of a line go; what is no line of ours stays."""
        if not self.names_in(torn):
            return NOTHING
        if torn.startswith(_BEGINNING):
            return Found((b"\n" if torn.endswith(b"\n") else b"",))
        return Found(elsewhere=True)

    def _found_event(self, line: bytes) -> Found:
        who = _who(line)
        is_user, tags = self._is(who.user), self._tags(who.tags)
        if not (is_user or tags):
            return Found(elsewhere=self.names_in(line))
        if self.whole:
            return Found((b"\n",), 1)
        lines = tuple(_without(line, tags, mark) for mark in _marks(is_user=is_user))
        return Found(lines, 1, self.names_in(lines[0]))

    def _is(self, value: object) -> bool:
        return isinstance(value, str) and normal(value) in self.names

    def _tags(self, tags: object) -> list[str]:
        if not (self.tags and isinstance(tags, dict)):
            return []
        said = cast("Mapping[str, object]", tags)
        return [tag for tag in self.tags if tag in said and self._is(_text(said[tag]))]


def _checked(user: str) -> str:
    try:
        if user and user.encode():
            return user
    except UnicodeEncodeError:
        pass
    raise ConfigurationError(f"a person has a name; got {user!r}")


def _marks(*, is_user: bool) -> tuple[msgspec.Raw | bool | None, ...]:
    """Give what the origin of the user becomes: the mark, or else absent; false: what it is."""
    return (_MARK, None) if is_user else (False,)


def _without(line: bytes, tags: list[str], mark: msgspec.Raw | bool | None) -> bytes:
    members = _members(line)
    if mark is not False:
        del members["user"]
        if mark is None:
            members.pop("user_origin", None)
        else:
            members["user_origin"] = cast("msgspec.Raw", mark)
    if tags:
        left = {tag: raw for tag, raw in _members(members["tags"]).items() if tag not in tags}
        members["tags"] = msgspec.Raw(msgspec.json.encode(left))
        if not left:
            del members["tags"]
    return msgspec.json.encode(members) + b"\n"


def _parts(line: bytes) -> tuple[bytes, bytes]:
    """Take a line apart: what a killed process left of one, and the event; either may be empty."""
    if _is_event(line):
        return b"", line
    for at in _beginnings(line):
        if _is_event(line[at:]):
            return line[:at], line[at:]
    return line, b""


def _beginnings(line: bytes) -> Iterator[int]:
    at = line.find(_BEGINNING, 1)
    while at > 0:
        yield at
        at = line.find(_BEGINNING, at + 1)


def _is_event(line: bytes) -> bool:
    try:
        return bool(_who(line).event_id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _text(value: object) -> str:
    """Give the value of a tag as tables have it, which know texts only."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(name: str) -> Iterator[bytes]:
    """Give a name as JSON writes it: as it is, and in ASCII alone."""
    yield json.dumps(name, ensure_ascii=False).encode(errors="surrogatepass")
    yield json.dumps(name).encode()
