"""Where settings stand outside of code: environment variables, and one file.

Here they are found and read as text; what they mean is checked in `settings`. The file is
``tokenmeter.toml``, or ``[tool.tokenmeter]`` in ``pyproject.toml``, in the current folder or above,
as far as the root of the project: the folder that has a ``pyproject.toml`` or a ``.git``. Outside
of a project only the current folder is looked at.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from tokenmeter.errors import ConfigurationError
from tokenmeter.near import meant, nearest

_PREFIX = "TOKENMETER_"

CONFIG = f"{_PREFIX}CONFIG"
"""The environment variable that names the file."""

YES = ("1", "true", "yes", "on")
NO = ("0", "false", "no", "off")

_OWN, _SHARED = "tokenmeter.toml", "pyproject.toml"
_ROOT = (_SHARED, ".git")
_REFERENCE = re.compile(r"(\$?)\$\{([^}]*)\}")

logger = logging.getLogger("tokenmeter")


class Found(NamedTuple):
    """A setting as it stands somewhere.

    Attributes:
        value: What stands there.
        place: Where: ``"TOKENMETER_EXPORTERS"``, ``"tokenmeter.toml: exporters"``.
    """

    value: Any
    place: str


def found(without: Collection[str] = ()) -> dict[str, Found]:
    """Give the settings that the environment says or, where it does not, the file.

    Raises:
        ConfigurationError: A variable or the file cannot be read.
    """
    _warn_of_slips()
    in_file = _in_file()
    names = [name for name in _READERS if name not in without]
    sources = {name: _in_environment(name) or _completed(name, in_file.get(name)) for name in names}
    return {name: source for name, source in sources.items() if source is not None}


# -- the environment ------------------------------------------------------------------------------


def _in_environment(name: str) -> Found | None:
    variable = _PREFIX + name.upper()
    text = os.environ.get(variable, "").strip()
    return Found(_READERS[name](text, variable), variable) if text else None


def _warn_of_slips() -> None:
    """Say which variables are probably meant for us, and are not ours.

    No error: a package that brings an exporter may have variables of its own.
    """
    ours = {"CONFIG", "DISABLED", "EXPERIMENTS", *map(str.upper, _READERS)}
    given = {name.removeprefix(_PREFIX) for name in os.environ if name.startswith(_PREFIX)}
    for name in sorted(given - ours):
        if near := nearest(name, ours):
            said = "the variable %s%s says nothing; did you mean %s%s?"
            logger.warning(said, _PREFIX, name, _PREFIX, near)


def _list(text: str, variable: str) -> object:
    """Read ``jsonl:usage.jsonl,stdout``, or a list of TOML where a comma is part of a value."""
    if text.startswith("["):
        return _toml(text, variable)
    return [item.strip() for item in text.split(",")]


def _mapping(text: str, variable: str) -> object:
    """Read ``llm.corp=openai,other.corp=anthropic``."""
    pairs = [item.partition("=") for item in text.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise ConfigurationError(f"{variable}: write HOST=PROVIDER, with commas between several")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _switch(text: str, variable: str) -> object:
    if text.lower() not in YES + NO:
        raise ConfigurationError(
            f"{variable} is one of {', '.join(YES)}, or one of {', '.join(NO)}; got {text!r}"
        )
    return text.lower() in YES


def _toml(text: str, variable: str) -> object:
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as exc:  # whose line and column are those of our own text
        said = str(exc).partition(" (at ")[0]
        raise ConfigurationError(f"{variable}: this is no list of TOML: {said}") from None


_READERS: dict[str, Callable[[str, str], object]] = {
    "exporters": _list,
    "providers": _mapping,
    "estimates": _switch,
    "exact_streams": _switch,
    "baggage": _list,
    "user": _list,
    "trace_unattributed": _switch,
    "pseudonyms": lambda text, _: Path(text),  # a file: no secret stands in the environment itself
    "prices": _list,
    "wait_for_prices": _switch,
}
"""What can be set outside of code, and how its variable is read."""


# -- the file -------------------------------------------------------------------------------------


def _in_file() -> dict[str, Found]:
    """Give what the file says, each with its key."""
    path = _named() or next(_near(), None)
    if path is None:
        return {}
    where = f"{_shown(path)}: " + ("tool.tokenmeter." if path.name == _SHARED else "")
    return {name: Found(value, _key(where, name)) for name, value in _table(path).items()}


def _named() -> Path | None:
    text = os.environ.get(CONFIG, "").strip()
    if text and not Path(text).exists():
        raise ConfigurationError(f"{CONFIG}: there is no file {text!r}: name one, or unset it")
    return Path(text) if text else None


def _near() -> Iterator[Path]:
    """Yield files that have settings, the nearest first."""
    for folder in _folders():
        if _is_there(folder / _OWN):
            yield folder / _OWN
        if _is_there(folder / _SHARED) and _table(folder / _SHARED):
            yield folder / _SHARED


def _folders() -> list[Path]:
    """Give the current folder and those above it, as far as the root of the project."""
    try:
        here = Path.cwd()
    except OSError:  # it is gone
        return []
    folders = [here, *here.parents]
    for n, folder in enumerate(folders):
        if any(_is_there(folder / name) for name in _ROOT):
            return folders[: n + 1]
    return [here]


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (false, not an error, where nothing may be looked at)


def _table(path: Path) -> Mapping[str, Any]:
    """Give the settings of a file; that of a whole project may have none."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{_shown(path)} cannot be read: {_why(exc)}") from exc
    if path.name != _SHARED:
        return _parsed(text, path)
    if "tokenmeter" not in text:  # so that the faults of other tools' tables are theirs
        return {}
    tool: Any = _parsed(text, path).get("tool")
    tools = cast("dict[str, Any]", tool) if isinstance(tool, dict) else {}
    table = tools.get("tokenmeter", {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{_shown(path)}: tool.tokenmeter is a table of settings")
    return cast("dict[str, Any]", table)


def _parsed(text: str, path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationError(f"{_shown(path)}: {exc}") from exc


def _why(exc: OSError | UnicodeDecodeError) -> str:
    return exc.strerror or "?" if isinstance(exc, OSError) else "it is not UTF-8"


def _shown(path: Path) -> str:
    return path.name if path.parent in (Path(), Path.cwd()) else str(path)


def _key(where: str, name: str) -> str:
    if name not in _READERS:
        said = f"{where}{name}: there is no such setting; {meant(name, _READERS, 'settings')}"
        raise ConfigurationError(said)
    return where + name


def _completed(name: str, found: Found | None) -> Found | None:
    """Finish what TOML alone does not say."""
    if found is None or name not in _FINISHERS:
        return found
    return found._replace(value=_FINISHERS[name](found.value, found.place))


def _dotted(value: Any, place: str) -> Any:
    """Join a host that TOML took apart at its dots: ``llm.corp = "openai"``."""
    if not isinstance(value, dict):
        return value
    hosts: dict[str, Any] = {}
    for key, item in cast("dict[str, Any]", value).items():
        inner = _dotted(item, place)
        hosts |= {f"{key}.{k}": v for k, v in inner.items()} if inner is not item else {key: item}
    return hosts


def _filled(value: Any, place: str) -> Any:
    """Put variables of the environment where ``${NAME}`` stands."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda reference: _variable(reference, place), value)
    if isinstance(value, list):
        items = enumerate(cast("Iterable[Any]", value))
        return [_filled(item, f"{place}[{n}]") for n, item in items]
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {key: _filled(item, f"{place}.{key}") for key, item in table.items()}
    return value


def _variable(reference: re.Match[str], place: str) -> str:
    escaped, name = reference.groups()
    if escaped:
        return f"${{{name}}}"
    if name not in os.environ:
        raise ConfigurationError(
            f"{place}: the environment variable {name!r} is not set; set it, or write $${{{name}}} "
            f"for these very characters"
        )
    return os.environ[name]


def _secret(value: Any, place: str) -> Any:
    """Put variables in, and refuse what is no variable: a key, or a path that would be one."""
    keys = cast("dict[str, Any]", value).values() if isinstance(value, dict) else (value,)
    for key in keys:
        reference = isinstance(key, str) and _REFERENCE.fullmatch(key)
        if not reference or reference[1]:
            raise ConfigurationError(
                f"{place}: keys do not stand in this file; write ${{VARIABLE}} for each, or give a "
                f"file of keys in {_PREFIX}PSEUDONYMS"
            )
    return _filled(value, place)


_FINISHERS: dict[str, Callable[[Any, str], Any]] = {
    "exporters": _filled,
    "providers": _dotted,
    "pseudonyms": _secret,
}
