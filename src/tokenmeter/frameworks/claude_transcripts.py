"""What the transcripts of Claude Code say of its answers: their whole usage, which is known late.

Claude Code keeps a session in ``projects/<project>/<session id>.jsonl`` of its configuration
directory, and its sub-agents in ``<session id>/subagents`` beside it (Claude Code 2.1.330, read
2026-11-23). Of a line nothing is kept but the id of an answer, its model, its usage, why it stopped
or failed, when, and whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from tokenmeter.dialects import Reading
from tokenmeter.dialects.anthropic_messages import AnthropicMessages
from tokenmeter.dialects.fields import decode

DIALECT = AnthropicMessages()


class Told(NamedTuple):
    """What a line says of an answer.

    Attributes:
        agent: The id of the sub-agent whose answer it is; ``None`` for the session's own.
        ts: When it was written.
        reading: What the answer used; final where it is known why it stopped.
        error: Why there is no answer, in a word.
    """

    agent: str | None
    ts: datetime
    reading: Reading
    error: str | None


class _Line(msgspec.Struct):
    type: str | None = None
    agentId: str | None = None  # noqa: N815 - theirs
    timestamp: datetime | None = None
    message: msgspec.Raw = msgspec.Raw(b"")
    isApiErrorMessage: bool | None = None  # noqa: N815
    error: str | None = None


_line = msgspec.json.Decoder(_Line)
_is_session = re.compile(r"[0-9a-f-]{36}").fullmatch


def home(environ: Mapping[str, str]) -> Path:
    """Give the configuration directory of Claude Code in an environment.

    >>> home({"HOME": "/home/ada"}).as_posix()
    '/home/ada/.claude'
    """
    return Path(environ.get("CLAUDE_CONFIG_DIR") or Path(environ.get("HOME") or "~", ".claude"))


class Transcripts:
    """The transcripts of one session, each line of which is read once.

    Args:
        home: The configuration directory; one without transcripts has nothing to say.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.expanduser()
        self._read: dict[Path, int] = {}

    def news(self, session: str) -> Iterator[Told]:
        """Give what has been written since the last time, also of answers that are not whole."""
        for path in self._paths(session):
            yield from self._answers(path)

    def _paths(self, session: str) -> Iterator[Path]:
        if _is_session(session):  # it becomes a part of a path
            yield from self._home.glob(f"projects/*/{session}.jsonl")
            yield from self._home.glob(f"projects/*/{session}/subagents/**/*.jsonl")

    def _answers(self, path: Path) -> Iterator[Told]:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            for line in file:
                if not line.endswith(b"\n"):  # which is being written
                    break
                self._read[path] = self._read.get(path, 0) + len(line)
                if b'"usage"' in line:
                    yield from _answer(line)


def _answer(line: bytes) -> Iterator[Told]:
    try:
        said = _line.decode(line)
        if said.type == "assistant" and said.timestamp is not None:
            body = decode(DIALECT.answer, bytes(said.message))
            body.streamed = True  # so that it is whole only where it says why it stopped
            reading = DIALECT.reading(body)
            error = said.error or "error" if said.isApiErrorMessage else None
            yield Told(said.agentId, said.timestamp, reading, error)
    except msgspec.DecodeError:
        return
