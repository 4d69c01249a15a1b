"""Where the name of an exporter leads: to one of ours, or to what an installed package brings.

A package brings one by an entry point of the group ``tokenmeter.exporters`` that names a factory: a
class or a function whose parameters are the options. It is imported when its name is asked for.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tokenmeter.errors import ConfigurationError
from tokenmeter.exporters import (
    _NAMES,  # pyright: ignore[reportPrivateUsage]
    Exporter,
)
from tokenmeter.guard import blaming
from tokenmeter.near import meant

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "tokenmeter.exporters"

OURS = "tokenmeter"

Factory = Callable[..., Exporter]


class Available(NamedTuple):
    """An exporter that can be had by name.

    Attributes:
        name: Its name.
        package: Who brings it: ``"tokenmeter"``, or a distribution and its version.
    """

    name: str
    package: str


def available() -> list[Available]:
    """List the exporters that can be had by name: ours, then those of packages; none is loaded."""
    ours = [Available(name, OURS) for name in sorted(_NAMES)]
    return ours + [Available(point.name, _package(point)) for point in _installed()]


def find(name: str) -> Factory:
    """Give what makes the exporter of a name.

    Raises:
        ConfigurationError: There is none, there are several, or it cannot be loaded.
    """
    brought = [point for point in _installed() if point.name == name]
    packages = [*([OURS] if name in _NAMES else []), *map(_package, brought)]
    if not packages:
        raise ConfigurationError(f"there is no exporter {name!r}; {meant(name, _known())}")
    if len(packages) > 1:
        raise ConfigurationError(
            f"the exporter {name!r} is brought by {_listed(packages)}: uninstall all but one, or "
            f"hand over in code an object of the one that you mean"
        )
    return _loaded(brought[0]) if brought else _ours(name)


def _ours(name: str) -> Factory:
    module, factory = _NAMES[name]
    return cast("Factory", getattr(importlib.import_module(module), factory))


def _loaded(point: EntryPoint) -> Factory:
    whose = f"the exporter {point.name!r} of {_package(point)}, {point.value},"
    with blaming(f"{whose} cannot be loaded"):
        factory: Any = point.load()
    if not callable(factory):
        raise ConfigurationError(
            f"{whose} is no factory: an entry point names a class or a function that makes an "
            f"exporter; got an object of type {type(factory).__qualname__}"
        )
    return cast("Factory", factory)


def _installed() -> list[EntryPoint]:
    return _scanned(tuple((folder, _changed(folder)) for folder in sys.path))


@functools.lru_cache(maxsize=1)
def _scanned(_folders: tuple[tuple[str, int], ...]) -> list[EntryPoint]:
    """Look through all that is installed, which takes some ten milliseconds."""
    from importlib.metadata import entry_points

    return sorted(entry_points(group=ENTRY_POINTS), key=lambda p: (p.name, _package(p)))


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def _package(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _known() -> list[str]:
    return [found.name for found in available()]


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}"
