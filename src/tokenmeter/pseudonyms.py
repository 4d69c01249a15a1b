"""Pseudonyms: a keyed digest that stands for a person, in every event and before anybody sees it.

A pseudonym is the name of a key, a colon, and the first 80 bits of the HMAC-SHA256 (RFC 2104) of
the person's name, in hexadecimal digits: ``p1:e08d5204144386eb1cb1``. Who has the key can tell
whose it is by trying names; who does not have it can tell only which events are of one person.

Of n people under one key, two have the same pseudonym with a probability of about n² / 2⁸¹: for a
million of them 4·10⁻¹³, for a thousand million 4·10⁻⁷.

The name is taken as UTF-8 in Unicode's normalisation form C, so that one person is not two because
two keyboards write é in two ways. Case and spaces make a difference.
"""

from __future__ import annotations

import hmac
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar, cast

from msgspec.structs import replace

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import Attribution, UsageEvent

Key = bytes | str
"""A secret: bytes, or a text, whose UTF-8 it is without white space around it."""

Keys = Key | Mapping[str, Key] | os.PathLike[str]
"""A key; keys by name, of which the last is the current one; or the path of a file of them."""

FIRST = "p1"
"""What a key is called that was given no name."""

LEAST = 16
"""How many bytes a key has at least."""

REMEMBERED = 10_000
"""People whose pseudonym is not computed again."""

_DIGITS = 20
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,15}")

E = TypeVar("E", UsageEvent, Attribution)


def pseudonym(user: str, key: Key, name: str = FIRST) -> str:
    """Give the pseudonym of a person under a key.

    Args:
        user: The person, as in ``attribute(user=…)``.
        key: The key, at least 16 bytes.
        name: What the key is called.

    Raises:
        ConfigurationError: It is no key, or that is no name for one.

    >>> pseudonym("ada", "a key of 24 characters..")
    'p1:e08d5204144386eb1cb1'
    """
    return _digest(_named(name), _key(name, key), user)


def normal(user: str) -> str:
    """Give a name as all of its spellings in Unicode are compared."""
    return user if user.isascii() else unicodedata.normalize("NFC", user)


class Pseudonyms:
    """The keys of a meter, by name, of which the last makes pseudonyms; it never shows a key.

    Iterating gives the names of the keys.

    >>> known = Pseudonyms({"p1": b"sixteen bytes..1", "p2": b"sixteen bytes..2"})
    >>> known
    Pseudonyms(p1, p2)
    >>> known.known_as("ada") == known.every("ada")[-1]
    True
    """

    __slots__ = ("_keys", "known_as")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        name, key = list(self._keys.items())[-1]
        is_one = re.compile(rf"({'|'.join(map(re.escape, keys))}):[0-9a-f]{{{_DIGITS}}}").fullmatch
        self.known_as = lru_cache(REMEMBERED)(partial(_known_as, is_one, name, key))
        """Give the pseudonym of a person; one of a key that is known stays as it is."""

    def every(self, user: str) -> list[str]:
        """Give the pseudonyms of a person under all keys, the current one's last.

        Of a pseudonym there is none but itself.
        """
        if self.known_as(user) == user:
            return [user]
        return [_digest(name, key, user) for name, key in self._keys.items()]

    def applied(self, to: E) -> E:
        """Give an event, or an attribution, with the pseudonym where the name is."""
        if to.user is None:
            return to
        known_as = self.known_as(to.user)
        return to if known_as == to.user else replace(to, user=known_as)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pseudonyms) and list(self._keys.items()) == list(
            other._keys.items()
        )

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Pseudonyms({', '.join(self)})"


def checked(given: object) -> Pseudonyms:
    """Check keys: one, a mapping of several, or the path of a file.

    Raises:
        ConfigurationError: They cannot be used; the message has nothing of a key in it.
    """
    if isinstance(given, os.PathLike):
        given = _in_file(Path(cast("os.PathLike[str]", given)))
    if not isinstance(given, Mapping):
        return Pseudonyms({FIRST: _key(FIRST, given)})
    keys = cast("Mapping[object, object]", given)
    if not keys:
        raise ConfigurationError("pseudonyms need a key; got a mapping that is empty")
    return Pseudonyms({_named(name): _key(name, key) for name, key in keys.items()})


def _digest(name: str, key: bytes, user: str) -> str:
    text = normal(user).encode(errors="surrogatepass")
    return f"{name}:{hmac.digest(key, text, 'sha256').hex()[:_DIGITS]}"


def _known_as(is_one: Callable[[str], object], name: str, key: bytes, user: str) -> str:
    return user if is_one(user) else _digest(name, key, user)


def _named(name: object) -> str:
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ConfigurationError(
        f"a key of pseudonyms is called by a small letter and at most 15 more of a-z, 0-9, _ and -,"
        f" such as 'p1'; got {name!r}"
    )


def _key(name: object, key: object) -> bytes:
    if isinstance(key, str):
        if os.path.exists(key):  # noqa: PTH110 (false, not an error, for what is no path)
            raise ConfigurationError(
                f"the key {name!r} of pseudonyms is the name of a file; for a file of keys give "
                f"Path(…)"
            )
        key = key.strip().encode(errors="surrogatepass")
    if not isinstance(key, bytes):
        raise ConfigurationError(
            f"the key {name!r} of pseudonyms is bytes or a text; got an object of type "
            f"{type(key).__qualname__}"
        )
    if len(key) < LEAST:
        raise ConfigurationError(
            f"the key {name!r} of pseudonyms has {len(key)} bytes and needs at least {LEAST}, such "
            f"as secrets.token_hex(32) gives"
        )
    return key


def _in_file(path: Path) -> dict[str, object]:
    """Read a file of keys; an error of TOML may quote it, so only where it stands is said."""
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigurationError(f"the file of keys cannot be read: {exc.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        at = re.search(r"line \d+", str(exc))
        where = f" ({at[0]})" if at else ""
        raise ConfigurationError(
            f'the file of keys is no TOML{where}: write a line for each, such as  p1 = "…"'
        ) from None
