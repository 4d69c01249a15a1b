"""Calls that nobody claimed: how many, and where in the user's own code they were made.

A call is unattributed when it has no user, team, task, agent or conversation. Where it was made is
looked for only where that is switched on, and only for such calls.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import threading
from collections.abc import Mapping
from types import CodeType, FrameType

import msgspec

from tokenmeter.event import Attribution, UsageEvent

MOST_PLACES = 1_000
"""How many places are told apart; what comes from others is counted under `OTHERS`."""

OTHERS = "(others)"
UNKNOWN = "(unknown)"
"""No code of the user's own was below the call: a thread or a task that a library began."""

_LIBRARIES = {
    "aiobotocore", "aiohttp", "anthropic", "asgiref", "boto3", "botocore", "cohere", "google",
    "groq", "httpcore", "httpcore2", "httpx", "httpx2", "mistralai", "ollama", "openai",
    "requests", "tenacity", "together", "urllib3", "wrapt",
}  # fmt: skip
"""Packages that nobody's own code is in: HTTP stacks, SDKs and what lies between."""


class Unattributed(msgspec.Struct, frozen=True):
    """Calls that nobody claimed.

    Args:
        calls: How many events of calls; each attempt is one.
        places: How many by place, ``package.module.Class.method`` of the innermost function of the
            user's own code; empty unless ``trace_unattributed`` is on.

    >>> Unattributed(2).calls
    2
    """

    calls: int = 0
    places: Mapping[str, int] = {}


class Counter:
    """Count them; safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finaliser may come while it is held
        self._calls = 0
        self._places: dict[str, int] = {}

    def count(self, place: str | None) -> None:
        """Count a call that nobody claimed; ``None``: nobody looked where it was made."""
        with self._lock:
            self._calls += 1
            if place is None:
                return
            if place not in self._places and len(self._places) >= MOST_PLACES:
                place = OTHERS
            self._places[place] = self._places.get(place, 0) + 1

    def said(self) -> Unattributed:
        """Give what was counted, the place with the most calls first."""
        with self._lock:
            places = sorted(self._places.items(), key=lambda item: -item[1])
            return Unattributed(self._calls, dict(places))


def is_nobodys(who: Attribution | UsageEvent) -> bool:
    """Say whether something is for nobody; what says only tags is."""
    return (
        who.user is None
        and who.team is None
        and who.task is None
        and who.agent is None
        and who.conversation is None
    )


def place() -> str:
    """Say where the user's own code made the call that is about to be sent.

    That is the innermost function which is neither of this package, nor of an installed one, nor of
    the standard library; in a program that is installed itself, of a package that is no SDK.
    """
    installed = None
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        origin = _origin(frame.f_code.co_filename)
        if origin == _OWN:
            return _named(frame)
        if origin == _INSTALLED and installed is None and _may_be_own(frame):
            installed = frame
        frame = frame.f_back
    return UNKNOWN if installed is None else _named(installed)


_OWN, _INSTALLED, _OURS = "own", "installed", "ours"


def _named(frame: FrameType) -> str:
    code: CodeType = frame.f_code
    return f"{frame.f_globals.get('__name__', '?')}.{code.co_qualname}"


def _may_be_own(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] not in _LIBRARIES


@functools.lru_cache(maxsize=4_096)
def _origin(file: str) -> str:
    """Say whose a file of code is; cells of a notebook and code that was typed are the user's."""
    if file.startswith(("<frozen ", _HERE)):
        return _OURS
    if any(mark in file for mark in _SITES) or file.startswith(_folders("purelib", "platlib")):
        return _INSTALLED
    if file.startswith(_folders("scripts")):
        return _INSTALLED  # what an installer made to start a program
    return _OURS if file.startswith(_folders("stdlib", "platstdlib")) else _OWN


_HERE = os.path.dirname(__file__) + os.sep  # noqa: PTH120 (as frames spell it)
_SITES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@functools.cache
def _folders(*names: str) -> tuple[str, ...]:
    return tuple(path + os.sep for name in names if (path := sysconfig.get_path(name)))
