"""What all commands share that give a report: its options, its engine, and where it goes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from tokenmeter.cli import progress
from tokenmeter.errors import ConfigurationError
from tokenmeter.reports.columns import NAMES, TAG
from tokenmeter.reports.definition import Report
from tokenmeter.reports.engines import ENGINES, Engine
from tokenmeter.reports.files import NAMED, files_of
from tokenmeter.reports.output import FORMATS
from tokenmeter.reports.output.cells import safe
from tokenmeter.reports.output.words import about, damages, facts_line
from tokenmeter.reports.portable import DIALECTS
from tokenmeter.reports.running import run, sql
from tokenmeter.reports.scope import Scope, moment
from tokenmeter.reports.values import Result

Answer = Callable[[Engine, Scope], Result]
"""Gives the result of a report over the events of an engine."""

TABLE = "tokenmeter_events"
"""The table that SQL asks where nobody names one."""

_WORDS = """\
words of the tables:
  attempts      exchanges with a provider, each retry included; calls are those without the retries
  countable     attempts that had something to count: all but those that failed before an answer
  est.          countable, and counted here, because the provider did not say it
  part.         countable, and only a lower bound is known: an answer that was left
  unknown, ?    countable, and nobody knows: in no sum, and never a zero
  unpriced      countable, and in no amount: without a price, or priced in another currency
  unattributed  attempts, countable or not, without user, team, task, agent and conversation
"""

_ENDINGS = {
    ".json": "json", ".csv": "csv", ".md": "markdown", ".html": "html", ".htm": "html",
}  # fmt: skip


def configure(
    parser: argparse.ArgumentParser,
    make: Callable[[argparse.Namespace], Report],
    examples: Iterable[tuple[str, str]],
) -> None:
    """Add the options that all reports have, and make the command give this one.

    Args:
        parser: That of the command; options of its own are added before or after.
        make: Makes the report of the options.
        examples: What somebody wants to know, and the command that says it.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    told = "\n".join(f"  {what}:\n    {do}" for what, do in examples)
    parser.epilog = f"{_WORDS}\nexamples:\n{told}"
    _add_source(parser)
    _add_scope(parser.add_argument_group("what it is about"))
    _add_output(parser.add_argument_group("how it looks"))
    _add_engine(parser.add_argument_group("other engines, and the SQL itself"))

    def command(options: argparse.Namespace) -> int:
        return give(options, make(options))

    parser.set_defaults(command=command)


def add_by(parser: argparse.ArgumentParser, usual: str, more: str = "") -> None:
    """Add the option that says what a row is."""
    parser.add_argument(
        "--by",
        default=usual,
        metavar="COLUMNS",
        help="what to group by, with commas; '' is one row of all calls. Calls without a value are "
        f"a row, too{'; ' + more if more else ''} (default: {usual}). Columns: "
        f"{', '.join(NAMES)}, {TAG}NAME",
    )


def by(options: argparse.Namespace) -> tuple[str, ...]:
    """Give what the options say a row is."""
    return tuple(options.by.split(",")) if options.by.strip() else ()


def add_top(parser: argparse.ArgumentParser) -> None:
    """Add the option that says how many rows there are."""
    add_number(parser, "--top", None, "show the N most expensive rows, the others added up in one")


def add_number(parser: argparse.ArgumentParser, name: str, usual: int | None, what: str) -> None:
    """Add an option that takes a number of at least one."""
    parser.add_argument(
        name,
        type=_positive,
        default=usual,
        metavar="N",
        help=f"{what} (default: {'all' if usual is None else usual})",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1, such as 20")
    return int(text)


def _output(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("it is empty; name a file, such as report.html")
    return Path(text)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="ledgers (.jsonl, also .gz and .zst), Parquet, patterns such as 'logs/*.jsonl' (in "
        "quotes), or folders of them; a ledger is read with its closed files",
    )


def _add_scope(group: Any) -> None:
    group.add_argument(
        "--since",
        metavar="DAY",
        help="calls that began on this day or later: 2026-11-01, or a time such as "
        "2026-11-01T12:00 (default: from the first call)",
    )
    group.add_argument(
        "--until",
        metavar="DAY",
        help="up to this day, which is included; a time is not included (default: to the last)",
    )
    group.add_argument(
        "--timezone",
        default="UTC",
        metavar="ZONE",
        help="where days, weeks and months begin, for example Europe/Berlin (default: UTC, "
        "wherever this machine is)",
    )
    group.add_argument(
        "--currency",
        metavar="CODE",
        help="the currency of amounts; calls in another one count as unpriced, so ask once for "
        "each (default: that of most people; of most calls, where none names anybody)",
    )
    group.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="only calls with this value, for example model=gpt-5 or tag:sprint=12; repeat it for "
        "more conditions, which must all hold; to see calls without a value, group by the column",
    )


def _add_output(group: Any) -> None:
    group.add_argument(
        "--format",
        choices=list(FORMATS),
        help="table: for people, without columns that say nothing; json: everything, exact; csv: "
        "rows only, every column; markdown; html: one page with charts that opens offline "
        "(default: by the ending of --output, else table)",
    )
    group.add_argument(
        "--output",
        type=_output,
        metavar="FILE",
        help="write here, all at once when it is complete (default: standard output)",
    )


def _add_engine(group: Any) -> None:
    group.add_argument(
        "--engine",
        choices=list(ENGINES),
        default="duckdb",
        help="what runs the report (default: duckdb, in this process)",
    )
    group.add_argument(
        "--source",
        metavar="TABLE",
        help=f"the table of events of that engine, instead of FILE (with --sql: {TABLE})",
    )
    group.add_argument("--dsn", metavar="URL", help="where that engine is")
    group.add_argument(
        "--sql", action="store_true", help="print the SQL of the report instead of running it"
    )
    group.add_argument(
        "--dialect", choices=DIALECTS, help="which SQL --sql prints (default: that of --engine)"
    )


def give(options: argparse.Namespace, report: Report, answer: Answer | None = None) -> int:
    """Run a report as the options say, write it, and give the exit code.

    Args:
        options: With those of `configure`.
        report: Which report.
        answer: What gives its result, where that is more than running it.
    """
    scope = scope_of(options)
    _check_output(options)
    if options.sql:
        with written(options.output) as out:
            dialect = options.dialect or options.engine
            out.write(sql(report, dialect=dialect, source=options.source or TABLE, scope=scope))
        return 0
    name = options.format or _format(options.output)
    write = _loaded(FORMATS[name])
    with written(options.output) as out:
        with _opened(options) as engine:
            result = answer(engine, scope) if answer else run(report, engine, scope)
        write(result, out)
    if name != "table" or options.output is not None:
        _say(result, has_facts=name != "csv")
    return 0


def scope_of(options: argparse.Namespace) -> Scope:
    """Give what the options say that a report is about.

    Raises:
        ConfigurationError: A day, a zone or a condition cannot be read.
    """
    zone = options.timezone
    return Scope(
        since=moment(options.since, zone) if options.since else None,
        until=moment(options.until, zone, is_end=True) if options.until else None,
        zone=zone,
        currency=options.currency and options.currency.upper(),
        only=_conditions(options.only),
    )


def _check_output(options: argparse.Namespace) -> None:
    """Refuse to write a report over what it is made of."""
    output: Path | None = options.output
    if output is None or str(output) == "-":
        return
    if output.name.lower().endswith(NAMED):
        raise ConfigurationError(
            f"--output {str(output)!r} ends as a ledger does, and a report is none; name a file "
            f"that ends in {', '.join(_ENDINGS)} or .txt"
        )
    if output.is_file() and any(map(output.samefile, _sources(options))):
        raise ConfigurationError(
            f"--output {str(output)!r} is one of the files that are reported on, and it would be "
            "replaced by the report; name another file"
        )


def _sources(options: argparse.Namespace) -> list[Path]:
    """Give the files that a report is made of."""
    people = getattr(options, "people", None)
    found = [] if people is None else [people]
    if options.source is None and options.files:
        files = files_of(options.files)
        found += [*files.lines, *files.parquet]
    return found


def _conditions(texts: Iterable[str]) -> dict[str, str]:
    only: dict[str, str] = {}
    for name, value in map(_condition, texts):
        if only.setdefault(name, value) != value:
            raise ConfigurationError(
                f"--only says {name}={only[name]} and {name}={value}, and no call is both; run the "
                f"report once for each, or group by {name}"
            )
    return only


def _condition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ConfigurationError(
            f"--only {text!r} is no condition; expected COLUMN=VALUE, for example model=gpt-5"
        )
    return name.strip(), value


def _format(output: Path | None) -> str:
    return "table" if output is None else _ENDINGS.get(output.suffix.lower(), "table")


def _loaded(home: str) -> Any:
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)


@contextmanager
def _opened(options: argparse.Namespace) -> Generator[Engine]:
    opened = _loaded(ENGINES[options.engine])
    if options.engine != "duckdb":
        where = {} if options.dsn is None else {"dsn": options.dsn}
        with opened(options.source or _files(options), **where) as engine:
            yield engine
        return
    for name in ("source", "dsn"):
        if getattr(options, name) is not None:
            raise ConfigurationError(
                f"--{name} is for other engines, and the engine is duckdb, which reads files: "
                f"name them, or say --engine as well"
            )
    files = _files(options)
    with progress.shown("reading and adding up") as watch, opened(files, watch=watch) as engine:
        yield engine


def _files(options: argparse.Namespace) -> list[str]:
    if not options.files:
        raise ConfigurationError(
            "there is nothing to report on: name a ledger, for example  tokenmeter "
            "report usage.jsonl  or a table of an engine with --engine and --source"
        )
    files: list[str] = options.files
    return files


@contextmanager
def written(path: Path | None) -> Generator[TextIO]:
    """Have where text goes: a file that is there when all of it is, or standard output.

    Raises:
        ConfigurationError: It cannot be opened for writing.
        OSError: It cannot be written to its end.
    """
    if path is None or str(path) == "-":
        if (reconfigure := getattr(sys.stdout, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")  # one of Latin-1 shows the rest as escapes
        yield sys.stdout
    elif path.exists() and not path.is_file():  # a pipe or a device takes it as it comes
        with _opened_for(path, path) as out:
            yield out
    else:
        whole = path.resolve()  # so that a link stays one
        part = whole.with_name(f".{whole.name}.{os.getpid()}.part")
        out = _opened_for(path, part)
        try:
            with out:
                yield out
            part.replace(whole)
        finally:
            part.unlink(missing_ok=True)


def _opened_for(path: Path, part: Path) -> TextIO:
    try:
        return part.open("w", encoding="utf-8", newline="")
    except OSError as exc:
        raise ConfigurationError(
            f"--output {str(path)!r} cannot be written: {exc.strerror}; name a file in a folder "
            "that is there and that you may write to"
        ) from exc


def _say(result: Result, *, has_facts: bool) -> None:
    """Say on stderr what a program that reads the result may not see."""
    said = [] if has_facts else [about(result), facts_line(result), *result.notes]
    for line in (*said, *damages(result)):
        print(f"tokenmeter: {safe(line)}", file=sys.stderr)
