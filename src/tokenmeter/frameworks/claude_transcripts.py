"""The transcripts of Claude Code: where they are, and each line of them once.

Claude Code keeps a session in ``projects/<project>/<session id>.jsonl`` of its configuration
directory, and its sub-agents in ``<session id>/subagents`` beside it (Claude Code 2.1.330, read
2026-11-23). They say the whole usage of an answer, which is known late; what a line says is read in
`tokenmeter.dialects.claude_code`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tokenmeter.dialects.claude_code import Told, told

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
                answer = told(line)
                if answer is not None:
                    yield answer
