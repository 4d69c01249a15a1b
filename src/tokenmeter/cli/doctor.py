"""``tokenmeter doctor``: what is installed, what of it is metered, and what cannot be."""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from typing import TextIO

import msgspec
from msgspec import structs

import tokenmeter
from tokenmeter.cli.run import add_program, program_of, run_it
from tokenmeter.diagnosis import Diagnosis, Library, diagnose
from tokenmeter.errors import MissingExtraError
from tokenmeter.settings import of_process
from tokenmeter.unattributed import Unattributed


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.usage = "tokenmeter doctor [--format table|json] [SCRIPT.py|-m MODULE ...]"
    parser.epilog = (
        "With a program, the program is run and metered, and the diagnosis at its end, on stderr, "
        "also says what it imported that cannot be metered, and what it sent to a model that was "
        "not understood."
    )
    parser.add_argument("--format", default="table", choices=["table", "json"])
    add_program(parser)
    parser.set_defaults(command=_command)


def _command(options: argparse.Namespace) -> int:
    if not options.module and not options.script:
        _say_before_a_program(options.format)
        return 0
    run = program_of(options)
    tokenmeter.instrument()
    atexit.register(_say_at_exit, options.format, os.getpid())
    return run_it(run)


def _say_at_exit(form: str, pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child that ends
        tokenmeter.flush()
        _write(diagnose(), form, sys.stderr)


def _say_before_a_program(form: str) -> None:
    """Say it with the settings that `configure` would find; what is wrong with them comes last."""
    found = diagnose()
    try:
        settings = of_process().read()
        found = structs.replace(found, settings=tuple(settings.described()))
        settings.check()
    finally:
        _write(found, form, sys.stdout)
        sys.stdout.flush()


def _write(found: Diagnosis, form: str, out: TextIO) -> None:
    if form == "json":
        out.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
    else:
        table(found, out)


def table(found: Diagnosis, out: TextIO) -> None:
    """Write tables that fit the terminal.

    Raises:
        MissingExtraError: rich is not installed.
    """
    try:
        from rich.console import Console
    except ImportError as missing:
        raise MissingExtraError("rich", "cli") from missing
    console = Console(file=out, highlight=False)
    console.print(f"tokenmeter {found.tokenmeter}, Python {found.python}\n", markup=False)
    for title, rows in _sections(found):
        console.print(title, markup=False, style="bold")
        console.print(_grid(rows))


Rows = list[tuple[str, ...]]


def _sections(found: Diagnosis) -> list[tuple[str, Rows]]:
    sections: list[tuple[str, Rows]] = [
        ("HTTP stacks that are metered", [_row(library) for library in found.stacks]),
        ("SDKs", [_row(library) for library in found.sdks]),
        ("Imported, and cannot be metered", [(b.what, b.why, b.instead) for b in found.blind]),
        (
            "Sent to a model, and not understood",
            [(n.host, n.path, _why(n.answers)) for n in found.not_understood],
        ),
        ("Calls that nobody claimed", _unclaimed(found.unattributed)),
        ("Settings", [(s.name, s.value or "-", s.origin) for s in found.settings]),
        ("Exporters by name", [tuple(exporter) for exporter in found.exporters]),
        ("Gone wrong in the meter", [(p, f"{n} times") for p, n in found.failures.items()]),
    ]
    return [(title, rows or [("nothing",)]) for title, rows in sections]


def _row(library: Library) -> tuple[str, ...]:
    imported = "imported" if library.imported else ""
    metered = "" if library.metered == "yes" else f"over {library.metered}"
    return (
        library.name,
        library.version or "not installed",
        imported,
        metered,
        f"tested {library.tested}",
    )


def _unclaimed(unattributed: Unattributed) -> Rows:
    if not unattributed.calls:
        return []
    places = unattributed.places or {"anywhere": unattributed.calls}
    return [(place, f"{calls} calls") for place, calls in places.items()]


def _why(answers: int | None) -> str:
    if answers is None:
        return "no wire format is known for this path: nothing was counted"
    return f"answers in no format known for this path: {answers}"


def _grid(rows: Rows) -> object:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=SIMPLE, show_header=False, pad_edge=False)
    for row in rows:
        grid.add_row(*map(Text, row))
    return grid
