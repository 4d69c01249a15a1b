"""``tokenmeter run``: the program runs as under Python, and its calls are in the ledger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from signals import heed_ctrl_c
from tokenmeter.ledger import read
from tokenmeter.testing import ModelServer

CALL = """
from openai import OpenAI
with OpenAI(base_url={url!r}, api_key="k") as client:
    client.chat.completions.create(model="m", messages=[{{"role": "user", "content": "hi"}}])
"""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "tokenmeter", "run", *arguments)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def script(folder: Path, text: str, name: str = "script.py") -> str:
    (folder / name).write_text(text)
    return name


def test_calls_of_an_unchanged_script_are_in_the_ledger_and_said_on_stderr(
    tmp_path: Path, server: ModelServer
) -> None:
    done = run(tmp_path, script(tmp_path, CALL.format(url=server.openai_url) + "print('done')"))
    events = list(read(tmp_path / "usage.jsonl"))
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert [(e.input_tokens, e.output_tokens, e.user) for e in events] == [(2, 3, None)]
    lines = [line.split() for line in done.stderr.splitlines()]
    assert done.stderr.splitlines()[0] == (
        "tokenmeter: 1 call, 2 input + 3 output tokens; the events are in usage.jsonl"
    )
    assert ["(none)", "(none)", "m", "1", "2", "3"] in lines


def test_user_and_task_fill_what_the_program_does_not_say_in_all_threads(
    tmp_path: Path, server: ModelServer
) -> None:
    text = f"""
import threading, tokenmeter
def call():{CALL.format(url=server.openai_url).replace(chr(10), chr(10) + "    ")}
threading.Thread(target=call).start()
with tokenmeter.attribute(user="grace"):
    call()
"""
    done = run(
        tmp_path, "--out", "my.jsonl", "--user", "ada", "--task", "T-1", script(tmp_path, text)
    )
    assert done.returncode == 0
    found = {(e.user, e.user_origin, e.task) for e in read(tmp_path / "my.jsonl")}
    assert found == {("ada", "explicit", "T-1"), ("grace", "explicit", "T-1")}


def test_a_program_that_configures_its_own_exporters_is_still_in_the_ledger(
    tmp_path: Path, server: ModelServer
) -> None:
    own = "import tokenmeter\ntokenmeter.configure(exporters=['jsonl:own.jsonl'])\n"
    done = run(tmp_path, script(tmp_path, own + CALL.format(url=server.openai_url)))
    assert done.stderr.startswith("tokenmeter: 1 call, 2 input + 3 output tokens;")
    (event,) = read(tmp_path / "usage.jsonl")
    assert list(read(tmp_path / "own.jsonl")) == [event]


def test_the_ledger_is_kept_and_only_this_run_is_added_up(
    tmp_path: Path, server: ModelServer
) -> None:
    name = script(tmp_path, CALL.format(url=server.openai_url))
    run(tmp_path, name)
    done = run(tmp_path, name)
    assert done.stderr.startswith("tokenmeter: 1 call, 2 input + 3 output tokens;")
    assert len(list(read(tmp_path / "usage.jsonl"))) == 2


SEES = """
import os, sys
print(sys.argv, __name__, os.path.basename(sys.path[0]), __file__ is not None)
"""


def test_a_script_sees_what_it_sees_under_python(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    name = script(tmp_path, SEES, "folder/script.py")
    arguments = [name, "--out", "x", "-m", "y"]
    assert run(tmp_path, *arguments).stdout == python(tmp_path, *arguments).stdout


def test_a_module_sees_what_it_sees_under_python(tmp_path: Path) -> None:
    script(tmp_path, SEES.replace(", os.path.basename(sys.path[0])", ""), "some_module.py")
    arguments = ["-m", "some_module", "--user", "x", "y"]
    found, expected = run(tmp_path, *arguments), python(tmp_path, *arguments)
    assert found.stdout == expected.stdout


@pytest.mark.parametrize(
    "text",
    [
        "raise SystemExit(7)",
        "raise SystemExit('a reason')",
        "raise SystemExit",
        "import sys; sys.exit(0)",
        "def f():\n    1 / 0\nf()",
        "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('no') from e",
        "import missing_module",
        "raise OSError('the program failed, not we')",
    ],
)
def test_the_end_of_a_script_is_as_under_python(tmp_path: Path, text: str) -> None:
    name = str(tmp_path / script(tmp_path, text))
    found, expected = run(tmp_path, name), python(tmp_path, name)
    said = "tokenmeter: no model calls; nothing was added to usage.jsonl\n"
    assert (found.returncode, found.stderr) == (expected.returncode, expected.stderr + said)


def test_a_syntax_error_is_shown_as_python_shows_it(tmp_path: Path) -> None:
    name = str(tmp_path / script(tmp_path, "x = (\n"))
    found, expected = run(tmp_path, name), python(tmp_path, name)
    assert found.returncode == expected.returncode == 1
    assert found.stderr.startswith(expected.stderr)


def test_ctrl_c_shows_the_programs_traceback_and_still_says_the_cost(tmp_path: Path) -> None:
    name = script(tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen(
        [sys.executable, "-m", "tokenmeter", "run", name],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "up\n"
        os.kill(command.pid, signal.SIGINT)
        err = command.communicate(timeout=30)[1]
    assert command.returncode == 130
    assert err.splitlines()[-2:] == [
        "KeyboardInterrupt",
        "tokenmeter: no model calls; nothing was added to usage.jsonl",
    ]


def test_a_forked_child_that_ends_says_no_cost_of_its_own(
    tmp_path: Path, server: ModelServer
) -> None:
    text = f"""
import os, sys
child = os.fork()
{CALL.format(url=server.openai_url)}
if child:
    os.waitpid(child, 0)
"""
    done = run(tmp_path, script(tmp_path, text))
    assert done.stderr.count("tokenmeter: ") == 1
    assert done.stderr.startswith("tokenmeter: 2 calls, 4 input + 6 output tokens;")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a script to run, or -m MODULE"),
        (["none.py"], "there is no script 'none.py'; name an existing file"),
    ],
)
def test_a_command_held_wrongly_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (2, f"tokenmeter: {said}\n")


def test_an_unwritable_ledger_is_one_line_and_the_script_does_not_run(tmp_path: Path) -> None:
    done = run(tmp_path, "--out", "none/usage.jsonl", script(tmp_path, "print('ran')"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("tokenmeter: cannot write events to 'none/usage.jsonl'")


def test_the_settings_of_the_environment_and_the_file_are_used(
    tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_EXPORTERS", "jsonl:other.jsonl")
    (tmp_path / "tokenmeter.toml").write_text('providers."127.0.0.1" = "corp"\n')
    done = run(tmp_path, script(tmp_path, CALL.format(url=server.openai_url)))
    assert done.returncode == 0
    (event,) = read(tmp_path / "usage.jsonl")
    assert event.provider == "corp"
    assert list(read(tmp_path / "other.jsonl")) == [event]


@pytest.mark.parametrize(
    "exporters", ["jsonl:usage.jsonl", '[{name = "jsonl", path = "./usage.jsonl"}]']
)
def test_a_file_that_the_settings_write_as_well_has_each_event_once(
    tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch, exporters: str
) -> None:
    monkeypatch.setenv("TOKENMETER_EXPORTERS", exporters)
    text = f"import tokenmeter\ntokenmeter.configure()\n{CALL.format(url=server.openai_url)}"
    done = run(tmp_path, "--user", "ada", script(tmp_path, text))
    assert done.returncode == 0
    assert [event.user for event in read(tmp_path / "usage.jsonl")] == ["ada"]


def test_wrong_settings_are_one_line_and_the_script_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "tokenmeter.toml").write_text('exporters = ["jsonl:none/usage.jsonl"]')
    done = run(tmp_path, script(tmp_path, "print('ran')"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "tokenmeter: tokenmeter.toml: exporters[0]: cannot write events to 'none/usage.jsonl'"
    )
    assert done.stderr.count("\n") == 1
