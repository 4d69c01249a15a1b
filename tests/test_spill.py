"""Events on disk: in order, once, and never those of a process that lives."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from sinks_of_tests import LONG, event, numbers
from tokenmeter import ConfigurationError
from tokenmeter.exporters.spill import Spill


def test_what_was_written_is_taken_in_order_and_nothing_stays(tmp_path: Path) -> None:
    spill = Spill(tmp_path, "Postgres")
    assert (spill.take(5), spill.waiting, spill.recovered) == ([], 0, 0)
    for n in range(5):
        spill.write(event(n))
    assert spill.waiting == 5
    assert numbers(spill.take(3)) == [0, 1, 2]
    spill.done(3)
    spill.write(event(5))
    assert numbers(spill.take(9)) == [3, 4, 5]
    spill.done(3)
    assert spill.waiting == 0
    spill.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_read_to_its_end_is_gone_while_the_process_goes_on(tmp_path: Path) -> None:
    spill = Spill(tmp_path, "x")
    for n in range(3):
        spill.write(event(n))
        assert numbers(spill.take(9)) == [n]
        spill.done(1)
        assert spill.take(9) == []
        assert list(tmp_path.iterdir()) == []
    spill.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    spill = Spill(tmp_path, "a b/c")
    spill.write(event(1))
    [path] = tmp_path.iterdir()
    assert path.name.startswith("a-b-c-")
    assert path.stat().st_mode & 0o777 == 0o600
    spill.close()


def test_what_has_no_end_waits_again(tmp_path: Path) -> None:
    spill = Spill(tmp_path, "x")
    for n in range(4):
        spill.write(event(n))
    assert numbers(spill.take(4)) == [0, 1, 2, 3]
    spill.done(1)
    assert spill.waiting == 3
    assert numbers(spill.take(4)) == [1, 2, 3]
    spill.done(0)
    spill.close()
    after = Spill(tmp_path, "x")
    assert after.recovered == after.waiting == 3
    assert numbers(after.take(9)) == [1, 2, 3]
    after.done(3)
    after.close()
    assert list(tmp_path.iterdir()) == []


def test_what_belongs_to_a_process_that_lives_or_to_another_exporter_is_left(
    tmp_path: Path,
) -> None:
    mine = Spill(tmp_path, "x")
    mine.write(event(1))
    mine.write(event(2))
    assert found(tmp_path, "x") == 0
    mine.take(2)
    mine.done(1)
    mine.close()
    assert found(tmp_path, "y") == 0
    assert found(tmp_path, "x") == 1


def found(folder: Path, name: str) -> int:
    spill = Spill(folder, name)
    try:
        return spill.recovered
    finally:
        spill.close()


def test_what_a_killed_process_left_is_taken_by_exactly_one_other(tmp_path: Path) -> None:
    program = """
        import os, signal, sys
        from sinks_of_tests import event
        from tokenmeter.exporters.spill import Spill
        spill = Spill(sys.argv[1], "x")
        for n in range(10): spill.write(event(n))
        spill.take(4), spill.done(4), spill.take(2)
        os.write(spill._write._fd, b'{"kind": "call", "torn')
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False, timeout=LONG,
    )  # fmt: skip
    first, second = Spill(tmp_path, "x"), Spill(tmp_path, "x")
    assert (first.recovered, second.recovered) == (6, 0)
    assert numbers(first.take(99)) == [4, 5, 6, 7, 8, 9]
    first.done(6)
    first.close()
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_leaves_its_parents_file_alone(tmp_path: Path) -> None:
    spill = Spill(tmp_path, "x")
    spill.write(event(1))
    child = os.fork()
    if child == 0:
        spill.forget()
        os._exit(spill.waiting + Spill(tmp_path, "x").waiting)
    assert os.waitpid(child, 0)[1] == 0
    assert numbers(spill.take(1)) == [1]
    spill.done(1)
    spill.close()


@pytest.mark.parametrize("where", ["missing", "file"])
def test_a_folder_is_needed(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="name an existing folder"):
        Spill(tmp_path / where, "x")


class Model(RuleBasedStateMachine):
    """Against a list: written, taken, done, left and taken over, at random."""

    spills = Bundle("spills")

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.spill, self.waiting, self.next = Spill(self.folder.name, "x"), list[int](), 0

    @rule()
    def write(self) -> None:
        self.spill.write(event(self.next))
        self.waiting.append(self.next)
        self.next += 1

    @rule(limit=st.integers(1, 4), ended=st.integers(0, 4))
    def take(self, limit: int, ended: int) -> None:
        taken = numbers(self.spill.take(limit))
        assert taken == self.waiting[: len(taken)]
        assert taken or not self.waiting
        ended = min(ended, len(taken))
        self.spill.done(ended)
        del self.waiting[:ended]

    @rule()
    def again(self) -> None:
        self.spill.close()
        self.spill = Spill(self.folder.name, "x")
        assert self.spill.recovered == len(self.waiting)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "spill"):
            assert self.spill.waiting == len(self.waiting)

    def teardown(self) -> None:
        if hasattr(self, "spill"):
            self.spill.close()
            self.folder.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
