"""The page in a real browser: it is shown, sorted, and asks nothing of any network."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reported import ADA, ODD, result
from tokenmeter.reports.output.html import page
from tokenmeter.reports.values import Column

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

HOSTILE = ("<img src=http://ads.example/x.png>", "url(http://ads.example/y)", *ODD)


@pytest.fixture
def proxy() -> Iterator[tuple[int, list[bytes]]]:
    """Listen where a browser takes every request to, and keep what it says."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    heard.append(connection.recv(200))

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def browsed(tmp_path: Path, url: str, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    return subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--proxy-server=127.0.0.1:{port}",
            f"--log-net-log={tmp_path / 'net.json'}",
            "--window-size=1200,1500",
            *options,
            url,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def asked(log: Path) -> set[str]:
    """Give every address that a page began a request to, as the browser's own log says.

    What the browser asks for itself, its clock and its updates, has no origin; it goes to the proxy
    of the test, and no further.
    """
    found: set[str] = set()
    for event in json.loads(log.read_text())["events"]:
        given: dict[str, Any] = event.get("params", {})
        if given.get("initiator", "not an origin") != "not an origin":
            found.add(given["url"])
    return found


def written(path: Path) -> str:
    rows = tuple((name, 10 + at, *ADA[2:]) for at, name in enumerate(HOSTILE))
    days = (Column("day", "day"), Column("cost_amount", "money", "cost"))
    over = tuple((f"2026-11-{day:02d}", Decimal(day)) for day in range(1, 31))
    with path.open("w", encoding="utf-8") as out:
        page([result(rows=rows), result(columns=days, rows=over, total=None)], out)
    return path.as_uri()


def test_no_request_leaves_the_page(tmp_path: Path, proxy: tuple[int, list[bytes]]) -> None:
    port, heard = proxy
    shot = tmp_path / "page.png"
    browsed(tmp_path, written(tmp_path / "page.html"), port, f"--screenshot={shot}")
    assert shot.stat().st_size > 20_000
    assert asked(tmp_path / "net.json") == set()
    assert not [line for line in heard if b"ads.example" in line]


def test_a_page_that_asks_is_seen_by_this_test(
    tmp_path: Path, proxy: tuple[int, list[bytes]]
) -> None:
    port, heard = proxy
    asking = tmp_path / "asking.html"
    asking.write_text("<img src=http://ads.example/x.png>")
    browsed(tmp_path, asking.as_uri(), port, "--dump-dom")
    assert asked(tmp_path / "net.json") == {"http://ads.example/x.png"}
    assert [line for line in heard if b"ads.example" in line]


def test_the_script_of_the_page_runs_under_its_policy_and_no_other_does(
    tmp_path: Path, proxy: tuple[int, list[bytes]]
) -> None:
    done = browsed(tmp_path, written(tmp_path / "page.html"), proxy[0], "--dump-dom")
    assert '<th scope="col"><button>user</button></th>' in done.stdout
    assert done.stdout.count("<script>") == 1
    assert "Content Security Policy" not in done.stderr
