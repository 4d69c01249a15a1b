"""The package as a whole: its names, its weight, and which way its imports go."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import tokenmeter

SOURCE = Path(tokenmeter.__file__).parent
MODULES = {
    ".".join(("tokenmeter", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in SOURCE.rglob("*.py")
}


def test_what_is_declared_is_importable_and_what_is_importable_is_declared() -> None:
    for name in tokenmeter.__all__:
        assert getattr(tokenmeter, name) is not None
    assert dir(tokenmeter) == tokenmeter.__all__ == sorted(tokenmeter.__all__)
    assert set(tokenmeter.__all__) == {
        *tokenmeter._HOME,
        "__version__",
    }


def test_every_public_name_is_declared_to_type_checkers_where_it_lives() -> None:
    declared = {
        (alias.asname, node.module)
        for block in ast.parse(MODULES["tokenmeter"].read_text()).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == {(name, f"tokenmeter.{home}") for name, home in tokenmeter._HOME.items()}
    for name, home in tokenmeter._HOME.items():
        assert getattr(importlib.import_module(f"tokenmeter.{home}"), name).__module__ == (
            f"tokenmeter.{home}"
        )


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'tokenmeter' has no attribute 'nothing'"):
        _ = tokenmeter.nothing  # type: ignore[attr-defined]


def test_every_public_name_says_what_it_does() -> None:
    for name in set(tokenmeter.__all__) - {"__version__"}:
        assert (getattr(tokenmeter, name).__doc__ or "").strip(), name
    for module, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text())), module


def test_every_error_derives_from_ours_and_from_a_builtin() -> None:
    errors = [getattr(tokenmeter, name) for name in tokenmeter.__all__ if name.endswith("Error")]
    for error in errors:
        assert issubclass(error, tokenmeter.TokenmeterError)
        builtins = {base for base in error.__mro__ if base.__module__ == "builtins"}
        assert error is tokenmeter.TokenmeterError or builtins - {Exception, BaseException, object}


def test_every_module_can_be_imported_alone() -> None:
    found = {"tokenmeter", *(m.name for m in pkgutil.walk_packages([str(SOURCE)], "tokenmeter."))}
    assert found == set(MODULES)


# Imports only go downwards

ROOMS = [
    {"event", "errors", "guard", "near", "quoting", "wording"},
    {"dialects", "providers", "prices"},
    {"ids", "endings", "attribution", "answers", "pending", "estimating", "tallies",
     "call", "wire", "functions", "tokens", "budget", "surroundings", "runs", "status", "trees",
     "watching", "baggage", "propagation", "who", "unattributed", "pseudonyms"},
    {"meter", "metering", "boundaries", "outcomes", "settings", "sinks", "sources", "exporters",
     "frameworks"},
    {"ledger", "compaction", "erasing", "settlement", "importing", "diagnosis", "ingest",
     "frames", "reports", "notebook", "cli", "testing", "web", "celery"},
]  # fmt: skip
"""From the bottom to the top; exporters are an edge, but the meter makes them by name."""

FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def imports(path: Path) -> set[str]:
    """List what a module imports at its top: what is imported at first use has no direction."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "tokenmeter" and len(parts) > 1 else None


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"tokenmeter", "tokenmeter.__main__"}))
def test_imports_only_go_downwards(module: str) -> None:
    here = FLOOR[room(module) or ""]
    for name in imports(MODULES[module]):
        there = room(name)
        assert there is None or FLOOR[there] <= here, f"{module} imports {name}"


def inner_rooms(name: str) -> set[str]:
    return {
        there
        for module, path in MODULES.items()
        if room(module) == name
        for imported in imports(path)
        if (there := room(imported)) is not None
    }


def test_dialects_know_nothing_but_values_and_the_wire_no_vendor() -> None:
    assert inner_rooms("dialects") <= {"dialects", "event", "errors"}
    assert inner_rooms("event") <= {"errors"}
    assert inner_rooms("errors") == set()
    for module, path in MODULES.items():
        if room(module) in {"wire", "call", "meter", "guard", "exporters"}:
            vendors = {n for n in imports(path) if re.match(r"tokenmeter\.dialects\.[a-z]+_", n)}
            assert vendors == set(), module


OUTSIDE = {
    "exporters": {"tenacity"},
    "frameworks": {"wrapt"},
    "functions": {"wrapt"},
    "cli": {"rich", "msgspec"},
    "testing": {"xllamacpp", "msgspec", "pytest"},
}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_msgspec_is_imported_before_its_first_use(module: str) -> None:
    roots = {name.partition(".")[0] for name in imports(MODULES[module])}
    import sys

    third_party = roots - set(sys.stdlib_module_names) - {"tokenmeter"}
    assert third_party <= {"msgspec"} | OUTSIDE.get(room(module) or "", set())


def test_no_vendors_sdk_is_ever_imported_outside_of_the_demo() -> None:
    vendors = re.compile(
        r"^\s*(from|import) (openai|anthropic|httpx2?|aiohttp|requests|boto3|(aio)?botocore)\b",
        re.M,
    )
    at = {m for m, path in MODULES.items() if vendors.search(path.read_text())}
    assert {room(m) for m in at} <= {"cli", "testing"}


def test_broad_catching_happens_in_the_guard_alone() -> None:
    broad = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    }
    assert broad <= {"tokenmeter.guard"}


SHARED = {"billed", "content", "fields", "objects", "own", "openai_usage", "shapes", "wording"}
"""Files of the dialects that are no wire format."""


@pytest.mark.parametrize(
    "path",
    [path for module, path in MODULES.items() if re.match(r"tokenmeter\.dialects\.", module)],
    ids=lambda path: path.stem,
)
def test_a_dialect_cites_its_sources_and_the_day_they_were_read(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    cites = "https://" in said and re.search(r"read\s+20\d\d-\d\d-\d\d", said)
    assert cites or path.stem in SHARED
