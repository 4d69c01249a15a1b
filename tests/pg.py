"""A PostgreSQL server for tests, from Debian's package ``postgresql`` or any other of its kind.

It listens on a Unix socket in a directory of its own and writes without fsync; as root it is run
by an unprivileged user, because PostgreSQL refuses root.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

USERS = ("postgres", "nobody")


def binaries() -> Path:
    """Give the directory of ``initdb`` and ``pg_ctl``, or skip the test."""
    at = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)]
    if found := shutil.which("initdb"):
        at.append(Path(found).resolve().parent)
    for folder in at:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")


def _version(folder: Path) -> float:
    name = folder.parent.name
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0


class Server:
    """A running server; ``dsn()`` says how to reach a database of it as its superuser."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()
        self._bin = binaries()
        self._as = {} if (user := unprivileged()) is None else as_user(user)

    def dsn(self, database: str = "postgres", user: str = "ledger") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def database(self) -> str:
        """Make a database of a test's own, and say how to reach it."""
        name = f"t{next(self._numbers)}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.dsn(name)

    def create(self) -> None:
        self._run("initdb", "-A", "trust", "-U", "ledger", "-N", "-E", "UTF8", "--locale=C")

    def start(self) -> None:
        options = f"-c listen_addresses= -c fsync=off -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-w", "-s", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-w", "-s", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(
            command, cwd="/", check=True, timeout=120, stdout=subprocess.DEVNULL, **self._as
        )


def unprivileged() -> str | None:
    """Name a user to run the server; ``None`` where whoever runs the tests can."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in USERS if user in known)


def as_user(user: str) -> dict[str, Any]:
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


@contextmanager
def server() -> Iterator[Server]:
    """Run a server for as long as this lasts."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:  # a socket's path is short
        running = Server(Path(name))
        if user := unprivileged():
            shutil.chown(name, user)
        running.create()
        running.start()
        try:
            yield running
        finally:
            running.stop()
