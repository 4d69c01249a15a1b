"""A real kernel of Jupyter in a process of its own, driven as a front end drives it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jupyter_client.manager import KernelManager

TIMEOUT_S = 60.0


@dataclass
class Shown:
    """What a cell has shown, in order: text by kind, an updated display in its old place."""

    number: int | None = None
    error: str | None = None
    outputs: list[dict[str, str]] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "\n".join(output["text/plain"] for output in self.outputs)

    @property
    def html(self) -> str:
        return "".join(output.get("text/html", "") for output in self.outputs)

    def add(self, kind: str, content: Mapping[str, Any]) -> None:
        if kind == "stream":
            self.outputs.append({"text/plain": content["text"]})
        elif kind in ("display_data", "execute_result", "update_display_data"):
            self._display(content)
        elif kind == "error":
            self.error = content["ename"]
            self.outputs.append({"text/plain": "\n".join(content["traceback"])})

    def _display(self, content: Mapping[str, Any]) -> None:
        place = content.get("transient", {}).get("display_id")
        if place in self.places:
            self.outputs[self.places[place]] = content["data"]
            return
        if place is not None:
            self.places[place] = len(self.outputs)
        self.outputs.append(content["data"])


class Kernel:
    """A kernel that works in a folder; ``run`` gives what a cell has shown when it has ended."""

    def __init__(self, folder: Path, **environ: str) -> None:
        source = str(Path(__file__).parents[2] / "src")
        paths = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        self._environ = {**os.environ, "PYTHONPATH": paths, "IPYTHONDIR": str(folder), **environ}
        self._folder = folder
        self._manager = KernelManager()

    def __enter__(self) -> Self:
        self._manager.start_kernel(cwd=str(self._folder), env=self._environ)
        self._connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def _connect(self) -> None:
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=TIMEOUT_S)

    def send(self, code: str) -> str:
        """Have a cell run; gives what ``shown`` takes."""
        return str(self._client.execute(code, allow_stdin=False))

    def shown(self, sent: str) -> Shown:
        """Wait for the end of a cell."""
        shown = Shown()
        while True:
            message = self._client.get_iopub_msg(timeout=TIMEOUT_S)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != sent:
                if kind == "update_display_data":
                    shown.add(kind, content)
                continue
            if kind == "execute_input":
                shown.number = content["execution_count"]
            if kind == "status" and content["execution_state"] == "idle":
                return shown
            shown.add(kind, content)

    def run(self, code: str) -> Shown:
        return self.shown(self.send(code))

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()
        # ipykernel 7.4 sees a signal in a cell that awaits only when a message wakes its loop.
        self._client.kernel_info()

    def restart(self, *, killed: bool) -> None:
        """Restart it: as the button does, which interrupts it first, or after it was killed."""
        self._client.stop_channels()
        if killed:
            self._manager.signal_kernel(signal.SIGKILL)
        self._manager.restart_kernel(now=killed)
        self._connect()
