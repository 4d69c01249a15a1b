"""Install the exporter of ``examples/plugin`` in a fresh environment and use it by its name alone.

Run it by hand or from ``.ci/run``: ``python tests/receivers/plugin.py``. It needs what pip needs.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import venv
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PLUGIN = ROOT / "examples" / "plugin"
CALLS = 250

PROGRAM = f"""
import httpx
from tokenmeter.testing import ModelServer

with ModelServer() as server, httpx.Client() as client:
    for n in range({CALLS}):
        asked = {{"model": f"m{{n % 3}}", "messages": [{{"role": "user", "content": "hi " * n}}]}}
        client.post(f"{{server.openai_url}}/chat/completions", json=asked).raise_for_status()
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        tools = installed(here / "venv")
        assert ["sqlite", "tokenmeter-sqlite 0.1.0"] in doctor(tools, here)["exporters"]
        (here / "program.py").write_text(PROGRAM)
        run = (tools / "tokenmeter", "run", "program.py")
        call(*run, folder=here, TOKENMETER_EXPORTERS="sqlite:usage.db")
        there, expected = rows(here / "usage.db"), lines(here / "usage.jsonl")
        assert len(expected) == CALLS
        assert there == expected
        print(f"{len(there)} rows of SQLite equal the {len(expected)} lines of the ledger")
        print(call(tools / "pytest", "-q", "-p", "no:cacheprovider", str(PLUGIN), folder=here))


def installed(folder: Path) -> Path:
    """Make an environment with tokenmeter and the plug-in, and give its folder of commands."""
    venv.create(folder, with_pip=True)
    tools = folder / "bin"
    quiet = ("install", "-q", "--disable-pip-version-check")
    call(tools / "pip", *quiet, f"{ROOT}[cli]", f"{PLUGIN}[test]", "httpx", folder=folder)
    return tools


def doctor(tools: Path, folder: Path) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = json.loads(
        call(tools / "tokenmeter", "doctor", "--format", "json", folder=folder)
    )
    return found


def call(command: Path, *arguments: str, folder: Path, **variables: str) -> str:
    """Run a command to its end and give what it printed."""
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONPATH"} | variables
    line = [str(command), *arguments]
    done = subprocess.run(
        line, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{command.name} failed")
    return done.stdout


def rows(path: Path) -> list[dict[str, object]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM events ORDER BY event_id").fetchall()
    return [{n: value for n, value in dict(row).items() if value is not None} for row in found]


def lines(path: Path) -> list[dict[str, object]]:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    cells = [{name: cell(value) for name, value in event.items()} for event in events]
    return sorted(cells, key=lambda event: str(event["event_id"]))


def cell(value: object) -> object:
    """Give a value as SQLite holds it."""
    return json.dumps(value) if isinstance(value, dict | list) else value


if __name__ == "__main__":
    sys.exit(main())
