"""``tokenmeter run``: run a Python program unchanged and say what it cost in tokens."""

from __future__ import annotations

import argparse
import atexit
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from msgspec import structs

import tokenmeter
from tokenmeter.cli.closing import Closing
from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters import Exporter
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.exporters.named import Named
from tokenmeter.frameworks import follow
from tokenmeter.ledger import Ledger
from tokenmeter.meter import default
from tokenmeter.settings import DISABLED


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.usage = "tokenmeter run [--out FILE] [--user USER] [--task TASK] SCRIPT.py|-m MODULE ..."
    parser.add_argument(
        "--out", default="usage.jsonl", metavar="FILE", help="where events are appended"
    )
    parser.add_argument("--user", help="who the calls are for, where the program does not say")
    parser.add_argument("--task", help="what they are for, where the program does not say")
    add_program(parser)
    parser.set_defaults(command=_command)


def add_program(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a program."""
    parser.add_argument(
        "-m",
        dest="module",
        nargs=argparse.REMAINDER,
        metavar="MODULE",
        help="a module to run, as python -m does",
    )
    parser.add_argument("script", nargs=argparse.REMAINDER, help="a script and its arguments")


def _command(options: argparse.Namespace) -> int:
    run = program_of(options)
    ledger = Jsonl(options.out)
    meter = default()
    meter.apply(meter.settings.read().keeping(lambda one: not _writes(one, ledger.path)))
    # Attached: a program that configures exporters of its own does not replace this one.
    meter.attach(_Filled(ledger, options.user, options.task))
    meter.instrument()
    follow()
    # At exit rather than now: threads of the program go on until the interpreter waits for them.
    atexit.register(_say_cost, ledger.path, ledger.path.stat().st_size, os.getpid())
    return run_it(run)


def _writes(exporter: Named | Exporter, ledger: Path) -> bool:
    """Say whether an exporter of the settings writes the very file that this command writes."""
    if not isinstance(exporter, Named) or exporter.name != "jsonl":
        return False
    path = "".join(exporter.arguments) or exporter.options.get("path", "")
    return Path(path).resolve() == ledger.resolve()


class _Filled:
    """Write events to a ledger, with a user and a task where the program did not say them.

    Not an `attribute` block around the program: its threads would not be in it.
    """

    def __init__(self, ledger: Jsonl, user: str | None, task: str | None) -> None:
        self._ledger = ledger
        by_user = {"user": user, "user_origin": "explicit"} if user else {}
        self._defaults = by_user | ({"task": task} if task else {})

    def __call__(self, event: UsageEvent) -> None:
        missing = {n: v for n, v in self._defaults.items() if getattr(event, n) is None}
        self._ledger(structs.replace(event, **missing) if missing else event)

    def close(self) -> None:
        self._ledger.close()


def program_of(options: argparse.Namespace) -> Callable[[], object]:
    """Give what runs the script or module of the command line, as Python itself would."""
    if options.module:
        name, *arguments = options.module
        sys.argv = [name, *arguments]
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 (as `python -m` does, also in a gone folder)
        return lambda: runpy.run_module(name, run_name="__main__", alter_sys=True)
    if not options.script:
        raise ConfigurationError("name a script to run, or -m MODULE")
    script, *arguments = options.script
    if not Path(script).exists():
        raise ConfigurationError(f"there is no script {script!r}; name an existing file")
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    return lambda: runpy.run_path(script, run_name="__main__")


def run_it(run: Callable[[], object]) -> int:
    """Run a program and give its exit code; what it raises is shown as Python shows it."""
    try:
        run()
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 (it is the user's, and shown as Python shows it)
        error.__traceback__ = _without_our_frames(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    ours = (__file__, runpy.__file__, "<frozen runpy>")
    while traceback is not None and traceback.tb_frame.f_code.co_filename in ours:
        traceback = traceback.tb_next
    return traceback


def _say_cost(path: Path, position: int, pid: int) -> None:
    if os.getpid() != pid:  # a forked child that ends
        return
    tokenmeter.shutdown()
    with Ledger(path, position) as ledger:
        closing = Closing(ledger)
    if not closing.total.attempts:
        why = "metering is switched off" if os.environ.get(DISABLED) else "no model calls"
        print(f"tokenmeter: {why}; nothing was added to {path}", file=sys.stderr)
        return
    print(f"tokenmeter: {closing.total}; the events are in {path}", file=sys.stderr)
    closing.write(sys.stderr)
