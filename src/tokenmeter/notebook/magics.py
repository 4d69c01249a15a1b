"""The extension of IPython: ``%load_ext tokenmeter``, ``%%tokens`` on a cell, ``%tokens``.

``%%tokens`` runs nothing itself. Its line becomes a comment before IPython looks at the cell, and
two hooks around the cell watch its calls and show them; so top-level ``await``, the value of the
last line, tracebacks with their line numbers and interrupts are those of the cell without it.
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tokenmeter.meter import WAIT_S, Meter, configure
from tokenmeter.notebook.session import Cell, Session
from tokenmeter.prices.sources import GENAI_PRICES

_MARK = re.compile(r"%%tokens(?:[ \t]+(.*))?$")


def load_ipython_extension(shell: Any) -> None:
    """Meter every client in this process and bring ``%tokens``; for ``%load_ext tokenmeter``.

    The settings are those that the program has made, or else the environment and
    ``tokenmeter.toml`` say, as for `configure`. Where nobody has named prices and ``genai-prices``
    is installed, calls are priced by it; it is loaded in the background.

    Raises:
        ConfigurationError: A setting cannot be used.
    """
    if shell not in _loaded:
        _loaded[shell] = extension = Extension(shell, configure())
        extension.load()


def unload_ipython_extension(shell: Any) -> None:
    """Take back what loading did; for ``%unload_ext tokenmeter``."""
    extension = _loaded.pop(shell, None)
    if extension is not None:
        extension.unload()


class Extension:
    """What is loaded into a shell of IPython, and how it is taken back."""

    def __init__(self, shell: Any, meter: Meter) -> None:
        self._shell, self._meter = shell, meter
        self._session = Session(meter)
        self._open: list[tuple[int, Cell, str | None]] = []  # thread, cell, what `%%tokens` said
        self._undos: list[Callable[[], object]] = []

    def load(self) -> None:
        """Load it."""
        shell, hooks = self._shell, {"pre_run_cell": self._begin, "post_run_cell": self._end}
        self._undos = [self._meter.instrument(), self._priced(), self._session.listen()]
        for event, hook in hooks.items():
            shell.events.register(event, hook)
            self._undos.append(partial(shell.events.unregister, event, hook))
        shell.input_transformers_cleanup.append(unmarked)
        self._undos.append(lambda: shell.input_transformers_cleanup.remove(unmarked))
        shell.register_magic_function(self.tokens, "line_cell", "tokens")
        self._undos.append(self._unregister)
        if getattr(shell.displayhook, "exec_result", None) is not None:  # a cell is loading it
            self._open_cell(_number(shell), None)
        print(self._told())

    def unload(self) -> None:
        """Take it back."""
        for undo in reversed(self._undos):
            undo()
        for _, cell, _ in self._open:
            self._session.end(cell)
        self._open.clear()

    def tokens(self, line: str, cell: str | None = None) -> Session | None:
        """Show what the session has used so far, by cell; on a cell: what the cell used.

        ``%tokens`` gives the session, which has ``to_frame()``. ``%%tokens`` or ``%%tokens NAME``
        as the first line of a cell shows its calls, tokens, money and time below its own output.
        """
        if cell is not None:  # a script into which the notebook was exported calls it so
            self._shell.run_cell(f"%%tokens {line}\n{cell}").raise_error()
            return None
        if line.strip():
            raise import_module("IPython.core.error").UsageError(
                f"%tokens takes nothing; got {line.strip()!r}. To name a cell, write "
                f"%%tokens {line.strip()} as its first line"
            )
        self._meter.pending.drain(WAIT_S)
        return self._session

    def _begin(self, info: Any) -> None:
        counted = bool(getattr(info, "store_history", False))
        self._open_cell(_number(self._shell) if counted else None, mark(info.raw_cell))

    def _open_cell(self, number: int | None, name: str | None) -> None:
        here = threading.get_ident()
        around = [cell for thread, cell, _ in self._open if thread == here]
        # A cell that a magic runs, such as %%capture, is a part of the one around it.
        cell = around[-1] if around else self._session.begin(number, name)
        self._open.append((here, cell, name))

    def _end(self, result: Any = None) -> None:
        if result is not None and not (result.info.raw_cell or "").strip():
            return  # nothing has begun for it
        here = threading.get_ident()
        mine = [each for each in self._open if each[0] == here]
        if not mine:
            return
        self._open.remove(mine[-1])
        _, cell, name = mine[-1]
        if len(mine) == 1:
            self._session.end(cell)
        if name is not None:
            self._meter.pending.drain(WAIT_S)
            cell.show(name)

    def _priced(self) -> Callable[[], object]:
        """Have calls priced where nobody has said by what; give the undo."""
        if self._meter.settings.prices or find_spec("genai_prices") is None:
            return lambda: None
        self._meter.configure(prices=GENAI_PRICES, wait_for_prices=False)
        ours = self._meter.settings.prices

        def undo() -> None:
            if self._meter.settings.prices is ours:
                self._meter.configure(prices=[])

        return undo

    def _unregister(self) -> None:
        for magics in self._shell.magics_manager.magics.values():
            magics.pop("tokens", None)

    def _told(self) -> str:
        said = {each.name: each.value for each in self._meter.settings.described()}
        prices = said["prices"] or "none; pip install 'tokenmeter[prices]' and load again"
        if not self._meter.is_enabled:
            return "tokenmeter: metering is switched off (TOKENMETER_DISABLED, or meter.disable())"
        return (
            f"tokenmeter: calls of every client are metered. %%tokens on a cell, %tokens for all. "
            f"Prices: {prices}"
        )


_loaded: weakref.WeakKeyDictionary[Any, Extension] = weakref.WeakKeyDictionary()


def unmarked(lines: list[str]) -> list[str]:
    """Make a comment of ``%%tokens``, or nothing where another magic is below it.

    >>> unmarked(["%%tokens first", "await ask()"]), unmarked(["%%tokens", "%%time", "ask()"])
    (['# %%tokens first', 'await ask()'], ['%%time', 'ask()'])
    """
    if not lines or _MARK.match(lines[0].rstrip("\n")) is None:
        return lines
    if len(lines) > 1 and lines[1].startswith("%%"):
        return lines[1:]
    return [f"# {lines[0]}", *lines[1:]]


def mark(cell: str) -> str | None:
    r"""Give the name that ``%%tokens`` gives a cell, which may be empty; ``None``: it has none.

    >>> mark("%%time\n%%tokens  first \nask()"), mark("%%tokens"), mark("ask('%%tokens')")
    ('first', '', None)
    """
    for line in cell.lstrip().splitlines():
        if not line.startswith("%%"):
            return None
        found = _MARK.match(line)
        if found is not None:
            return (found[1] or "").strip()
    return None


def _number(shell: Any) -> int:
    return int(shell.execution_count) - 1
