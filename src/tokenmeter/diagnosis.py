"""What a meter sees of a process, and what it cannot see: the facts behind ``tokenmeter doctor``.

Nothing is imported to find out: versions come from the metadata of installed distributions, and
only what the process has imported already is looked at.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import platform
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

import msgspec

import tokenmeter
from tokenmeter.exporters.factories import Available, available
from tokenmeter.meter import Meter, NotUnderstood, default
from tokenmeter.settings import Setting
from tokenmeter.unattributed import Unattributed


class Library(msgspec.Struct, frozen=True):
    """An HTTP stack or an SDK.

    Args:
        name: The distribution's name.
        version: The version that is installed; ``None``: it is not.
        imported: Whether this process has imported it.
        metered: How it is metered: the stack, or the stacks it sends through.
        tested: The oldest and the newest version that the tests ran with.
    """

    name: str
    version: str | None
    imported: bool
    metered: str
    tested: str


class Blind(msgspec.Struct, frozen=True):
    """Something in this process that cannot be metered.

    Args:
        what: The module or class.
        why: Why its calls are not seen.
        instead: What would work.
    """

    what: str
    why: str
    instead: str


class Diagnosis(msgspec.Struct, frozen=True):
    """What a meter sees, and what not.

    Args:
        python: The version of the interpreter.
        tokenmeter: The version of this package.
        stacks: The HTTP stacks that have a seam.
        sdks: The vendors' SDKs that are known.
        blind: What this process has imported and nobody can meter.
        not_understood: What was seen on the wire, went to a model, and could not be read.
        unattributed: The calls that nobody claimed.
        failures: What went wrong in the meter itself, by place.
        settings: What is set, to what and where, without what may be secret.
        exporters: Those that can be had by name, and who brings them.
    """

    python: str
    tokenmeter: str
    stacks: tuple[Library, ...]
    sdks: tuple[Library, ...]
    blind: tuple[Blind, ...]
    not_understood: tuple[NotUnderstood, ...]
    unattributed: Unattributed
    failures: dict[str, int]
    settings: tuple[Setting, ...]
    exporters: tuple[Available, ...]


STACKS: tuple[tuple[str, str, str], ...] = (
    ("httpx", "httpx", "0.23 to 0.28"),
    ("httpx2", "httpx2", "2.7 to 2.16"),
    ("aiohttp", "aiohttp", "3.8 to 3.14"),
    ("botocore", "botocore", "1.44"),
    ("aiobotocore", "aiobotocore", "3.10"),
    ("requests", "requests", "2.28 to 2.34"),
    ("urllib3", "urllib3", "1.26 to 2.8"),
)
"""Distribution, module, versions that were tested."""

SDKS: tuple[tuple[str, str, str, str], ...] = (
    ("openai", "openai", "httpx2, httpx", "1.0 to 3.54"),
    ("anthropic", "anthropic", "httpx2, httpx", "0.16 to 2.12"),
    ("groq", "groq", "httpx", "0.4 to 1.7"),
    ("together", "together", "httpx", "2.0 to 3.1"),
    ("mistralai", "mistralai", "httpx2, httpx", "1.0 to 3.7"),
    ("google-genai", "google.genai", "httpx2, httpx, aiohttp", "1.10 to 3.4"),
    ("cohere", "cohere", "httpx", "5.0 to 7.3"),
    ("ollama", "ollama", "httpx", "0.3 to 0.6"),
    ("boto3", "boto3", "botocore", "1.44"),
)
"""Distribution, module, the stacks it sends through, versions that were tested."""

_SENDS: tuple[tuple[str, str, str], ...] = (
    ("httpx", "Client", "send"),
    ("httpx", "AsyncClient", "send"),
    ("httpx2", "Client", "send"),
    ("httpx2", "AsyncClient", "send"),
    ("aiohttp", "ClientSession", "_request"),
    ("requests", "Session", "send"),
    ("urllib3", "PoolManager", "urlopen"),
    ("urllib3", "HTTPConnectionPool", "urlopen"),
)
"""Module, class and the method that its seam hooks: a subclass that replaces it is not seen."""

_METERED = "decorate the function that calls it with @tokenmeter.metered"
_UNSEEN: dict[str, str] = {
    "grpc": "gRPC does not go through an HTTP client of Python",
    "pycurl": "libcurl does not go through an HTTP client of Python",
    "websockets": "a socket that stays open, such as the realtime APIs, is not read yet",
    "vllm": "a model in this process has no wire",
    "llama_cpp": "a model in this process has no wire",
    "transformers": "a model in this process has no wire",
}
"""Modules whose calls no seam sees."""


def diagnose(meter: Meter | None = None) -> Diagnosis:
    """Say what a meter sees of this process; ``None`` is the default meter.

    >>> diagnose().not_understood
    ()
    """
    meter = meter or default()
    return Diagnosis(
        python=platform.python_version(),
        tokenmeter=tokenmeter.__version__,
        stacks=tuple(_library(name, module, "yes", tested) for name, module, tested in STACKS),
        sdks=tuple(_library(*sdk) for sdk in SDKS),
        blind=(*_unseen_modules(), *_unseen_classes()),
        not_understood=tuple(meter.not_understood()),
        unattributed=meter.unattributed(),
        failures=dict(meter.guard.failures),
        settings=tuple(meter.settings.described()),
        exporters=tuple(available()),
    )


def _library(name: str, module: str, metered: str, tested: str) -> Library:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    return Library(name, version, module in sys.modules, metered, tested)


def _unseen_modules() -> Iterator[Blind]:
    for module, why in _UNSEEN.items():
        if module in sys.modules:
            yield Blind(module, why, _METERED)


def _unseen_classes() -> Iterator[Blind]:
    for module, name, method in _SENDS:
        base = getattr(sys.modules.get(module), name, None)
        for found in _subclasses(base):
            own = found.__dict__.get(method)
            if own is not None and not _calls_super(own, method):
                what = f"{found.__module__}.{found.__qualname__}"
                why = f"its {method}() never calls that of {module}.{name}"
                yield Blind(what, why, f"call super().{method}(), or wrap() each client of it")


def _subclasses(base: object) -> Iterator[type]:
    if isinstance(base, type):
        subclasses: list[type] = type.__subclasses__(base)
        for found in subclasses:
            yield found
            yield from _subclasses(found)


def _calls_super(method: Any, name: str) -> bool:
    """Guess from its code whether a method calls the one it replaces."""
    code: object = getattr(inspect.unwrap(method), "__code__", None)
    return code is None or any(name in part.co_names for part in _codes(code))


def _codes(code: object) -> Iterator[CodeType]:
    if isinstance(code, CodeType):
        yield code
        for constant in code.co_consts:
            yield from _codes(constant)
