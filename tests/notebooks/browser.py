"""A real browser without a network: all that it asks for comes to a proxy here, and is refused."""

from __future__ import annotations

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

ITS_OWN = {"accounts.google.com", "clients2.google.com", "update.googleapis.com"}
"""Whom Chromium 156 asks by itself, for an empty page too (seen 2026-11-23)."""

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
    "--disable-extensions", "--hide-scrollbars", "--proxy-bypass-list=<-loopback>",
)  # fmt: skip
TIMEOUT_S = 120


class Browser:
    """Chromium, and the hosts that it has asked for anything."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self._folder = folder

        def note(host: str) -> None:
            if host not in ITS_OWN:
                self.asked.append(host)

        class Refused(BaseHTTPRequestHandler):
            def refuse(self) -> None:
                note((urlsplit(self.path).hostname or self.path).partition(":")[0])
                self.send_error(403)

            do_GET = do_POST = do_CONNECT = do_HEAD = refuse  # noqa: N815 (inherited names)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay silent."""

        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), Refused)
        self._thread = threading.Thread(target=self._proxy.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._proxy.shutdown()
        self._thread.join()
        self._proxy.server_close()

    def text(self, page: Path) -> str:
        """Give a page as it is when its scripts have run."""
        return self._run("--dump-dom", page.as_uri())

    def picture(self, page: Path, to: Path, width: int, height: int, *options: str) -> None:
        """Take a picture of a page."""
        size = f"--window-size={width},{height}"
        self._run(f"--screenshot={to}", size, *options, page.as_uri())

    def _run(self, *options: str) -> str:
        assert CHROMIUM is not None
        proxy = f"--proxy-server=http://127.0.0.1:{self._proxy.server_port}"
        profile = f"--user-data-dir={self._folder / 'profile'}"
        command = [CHROMIUM, *_OPTIONS, proxy, profile, *options]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
        return done.stdout
