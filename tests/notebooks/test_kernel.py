"""The extension in a real kernel: whatever becomes of a cell, each answer is one event."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tokenmeter import UsageEvent
from tokenmeter.ledger import Ledger
from tokenmeter.testing import Answer, Gate, ModelServer

pytest.importorskip("ipykernel", reason="the group `notebooks` is not installed")

from notebooks.kernel import Kernel

ASKED = 'ask("good morning").choices[0].message.content'
ANSWER = "'You said: good morning'"


def kept(folder: Path) -> list[UsageEvent]:
    """Read the ledger, all of whose lines are events."""
    with Ledger(folder / "usage.jsonl") as ledger:
        events = list(ledger)
        assert (ledger.skipped, ledger.unfinished) == ([], False)
    return events


def is_complete(folder: Path, server: ModelServer) -> bool:
    """Say whether there is one event for each answer of the server, and none beside; ends it."""
    server.close()  # its account is whole when all of its threads have ended
    events = kept(folder)
    by_id = Counter(event.response_id for event in events if event.status == "completed")
    served = Counter(each.response_id for each in server.account if each.response_id in by_id)
    return len(events) == len(server.account) and by_id == served


def runs(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "tokenmeter-experiments.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def tokens(shown: str) -> list[str]:
    """Give the row of a view of one tally, without money and time."""
    return shown.splitlines()[-1].split()[:3]


# What a cell shows is what it shows without the magic, and the tokens below it


def test_the_tokens_are_shown_below_the_value_of_the_cell(kernel: Kernel) -> None:
    shown = kernel.run(f"%%tokens first question\n{ASKED}")
    assert shown.outputs[0]["text/plain"] == ANSWER
    title, head, row = shown.outputs[1]["text/plain"].splitlines()
    assert title == "first question"
    assert head.split() == ["calls", "input", "output", "cost", "seconds", "numbers", "are"]
    cost, currency, _, provenance = row.split()[3:]
    assert (tokens(row), cost, currency, provenance) == (
        ["1", "3", "4"], "0.0000475", "USD", "reported"
    )  # fmt: skip
    assert "first question" in shown.outputs[1]["text/html"]


def test_a_cell_awaits_as_it_does_without_the_magic(kernel: Kernel) -> None:
    cell = (
        "%%tokens\nawait asyncio.gather(aask(), aask())\n(await aask()).choices[0].message.content"
    )
    shown = kernel.run(cell)
    assert shown.outputs[0]["text/plain"] == ANSWER
    assert tokens(shown.text) == ["3", "9", "12"]


@pytest.mark.parametrize("head", ["%%tokens\n%%time\n", "%%time\n%%tokens\n"])
def test_other_magics_stand_above_and_below_it(kernel: Kernel, head: str) -> None:
    shown = kernel.run(head + ASKED)
    assert "Wall time" in shown.text
    assert ANSWER in shown.text
    assert tokens(shown.text) == ["1", "3", "4"]


def test_a_cell_whose_output_is_captured_still_shows_what_it_cost(kernel: Kernel) -> None:
    shown = kernel.run(f"%%capture\n%%tokens quiet\n{ASKED}")
    assert ANSWER not in shown.text
    assert kernel.run("%tokens").text.splitlines()[2].split()[:5] == ["[2]", "quiet", "1", "3", "4"]


def test_the_value_and_the_code_of_a_cell_are_remembered_as_ever(kernel: Kernel) -> None:
    kernel.run("%%tokens\n6 * 7")
    assert kernel.run("print(_, In[-2])").text.split() == ["42", "#", "%%tokens", "6", "*", "7"]


def test_a_cell_that_fails_shows_its_own_line_and_what_it_cost(
    kernel: Kernel, server: ModelServer, tmp_path: Path
) -> None:
    shown = kernel.run("%%tokens\nask()\n1 / 0")
    assert shown.error == "ZeroDivisionError"
    assert "line 3" in shown.outputs[0]["text/plain"]
    assert tokens(shown.text) == ["1", "3", "4"]
    assert is_complete(tmp_path, server)


def test_a_cell_that_cannot_be_compiled_shows_that_nothing_was_called(kernel: Kernel) -> None:
    shown = kernel.run("%%tokens\nask(")
    assert shown.error in ("SyntaxError", "_IncompleteInputError")
    assert kernel.run(f"%%tokens\n{ASKED}").text.splitlines()[-1].split()[0] == "1"


def test_threads_that_a_cell_starts_are_its_own(
    kernel: Kernel, server: ModelServer, tmp_path: Path
) -> None:
    shown = kernel.run(
        "%%tokens\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as pool:\n    list(pool.map(ask, ['good morning'] * 8))"
    )
    assert tokens(shown.text) == ["8", "24", "32"]
    assert is_complete(tmp_path, server)


def test_a_task_that_ends_after_its_cell_is_added_to_what_the_cell_shows(
    kernel: Kernel, server: ModelServer
) -> None:
    gate = Gate()
    server.script(Answer(gate=gate))
    first = kernel.run("%%tokens background\ntask = asyncio.create_task(aask())")
    assert "no call so far" in first.text
    gate.open()
    later = kernel.run("(await task) and None")
    assert tokens(later.text) == ["1", "3", "4"]
    assert later.text.startswith("background")


def test_the_session_adds_up_all_cells_marked_or_not(kernel: Kernel) -> None:
    kernel.run("ask()")
    kernel.run("%%tokens two\nask(); ask()")
    kernel.run("1 + 1")
    rows = [line.split() for line in kernel.run("%tokens").text.splitlines()]
    assert [row[:4] for row in rows[2:]] == [
        ["[2]", "1", "3", "4"],
        ["[3]", "two", "2", "6"],
        ["all", "3", "9", "12"],
    ]
    columns = "print(%tokens.to_frame('pandas')[['cell', 'name', 'calls']].values.tolist())"
    assert kernel.run(f"spent = %tokens\n{columns.replace('%tokens', 'spent')}").text.strip() == (
        "[[2, '', 1], [3, 'two', 2]]"
    )


def test_a_word_behind_the_magic_of_the_session_is_explained(kernel: Kernel) -> None:
    shown = kernel.run("%tokens mine")
    assert shown.error == "UsageError" or "UsageError" in shown.text
    assert "write %%tokens mine as its first line" in shown.text


# Whatever becomes of a cell


def test_an_interrupted_cell_loses_no_event_and_has_none_twice(
    kernel: Kernel, server: ModelServer, tmp_path: Path
) -> None:
    gate = Gate()
    server.script(Answer(), Answer(gate=gate))
    sent = kernel.send("%%tokens\nwith tokenmeter.experiment('held') as run:\n    ask()\n    ask()")
    assert gate.wait_reached()
    kernel.interrupt()
    shown = kernel.shown(sent)
    gate.open()
    assert shown.error == "KeyboardInterrupt"
    assert tokens(shown.text)[0] == "2"
    assert [event.status for event in kept(tmp_path)] == ["completed", "abandoned"]
    assert is_complete(tmp_path, server)
    begun, ended = runs(tmp_path)
    assert (begun["status"], ended["status"]) == ("unfinished", "interrupted")
    assert (ended["calls"], ended["unknown"], ended["run_id"]) == (2, 1, begun["run_id"])


def test_an_interrupted_cell_that_awaits_does_neither(
    kernel: Kernel, server: ModelServer, tmp_path: Path
) -> None:
    gate = Gate()
    server.script(Answer(), Answer(gate=gate))
    sent = kernel.send("%%tokens\nawait aask()\nawait aask()")
    assert gate.wait_reached()
    kernel.interrupt()
    shown = kernel.shown(sent)
    gate.open()
    assert shown.error in ("CancelledError", "KeyboardInterrupt")
    assert tokens(shown.text)[0] == "2"
    assert tokens(kernel.run(f"%%tokens\n{ASKED}").text) == ["1", "3", "4"]
    assert [event.status for event in kept(tmp_path)] == ["completed", "abandoned", "completed"]
    assert is_complete(tmp_path, server)


def test_a_cancelled_task_is_one_abandoned_event(
    kernel: Kernel, server: ModelServer, tmp_path: Path
) -> None:
    gate = Gate()
    server.script(Answer(gate=gate))
    kernel.run("task = asyncio.create_task(aask())")
    assert gate.wait_reached()
    shown = kernel.run("task.cancel()\nawait asyncio.wait([task])\ntask.cancelled()")
    gate.open()
    assert shown.text.endswith("True")
    assert [event.status for event in kept(tmp_path)] == ["abandoned"]
    assert is_complete(tmp_path, server)


def test_a_cell_that_runs_again_is_another_run(
    kernel: Kernel, server: ModelServer, tmp_path: Path
) -> None:
    cell = "with tokenmeter.experiment('v1') as run:\n    ask()"
    kernel.run(cell)
    kernel.run(cell)
    assert [line["status"] for line in runs(tmp_path)] == ["unfinished", "completed"] * 2
    tags = [(event.tags or {}) for event in kept(tmp_path)]
    assert [tag["experiment_run"] for tag in tags] == [
        line["run_id"] for line in runs(tmp_path) if line["status"] == "completed"
    ]
    assert kernel.run("len(tokenmeter.experiments())").text == "2"
    assert is_complete(tmp_path, server)


@pytest.mark.parametrize(("killed", "end"), [(True, "unfinished"), (False, "interrupted")])
def test_a_restarted_kernel_goes_on_in_the_same_files(  # noqa: PLR0917
    kernel: Kernel, server: ModelServer, tmp_path: Path, first: str, killed: bool, end: str
) -> None:
    gate = Gate()
    cell = "with tokenmeter.experiment('v1') as run:\n    ask()"
    kernel.run(cell)
    server.script(Answer(gate=gate))
    kernel.send(cell)
    assert gate.wait_reached()
    kernel.restart(killed=killed)
    gate.open()
    assert kernel.run(first).error is None
    kernel.run(cell)
    seen = kernel.run("tokenmeter.experiments()").text
    assert [line.split()[3].rstrip(":") for line in seen.splitlines()[2:5]] == [
        "completed",
        end,
        "completed",
    ]
    ids = {line["run_id"] for line in runs(tmp_path)}
    lost = ["abandoned"] * (not killed)  # what a killed process had asked for is in no ledger
    assert [event.status for event in kept(tmp_path)] == ["completed", *lost, "completed"]
    assert {(event.tags or {})["experiment_run"] for event in kept(tmp_path)} <= ids
    server.close()
    assert (len(ids), len(server.account)) == (3, 3)


# Loading and unloading


def test_a_client_that_is_wrapped_as_well_is_counted_once(
    kernel: Kernel, server: ModelServer, tmp_path: Path
) -> None:
    kernel.run("tokenmeter.wrap(client); undo = tokenmeter.instrument()")
    assert tokens(kernel.run("%%tokens\nask()").text) == ["1", "3", "4"]
    assert is_complete(tmp_path, server)


def test_loading_it_twice_changes_nothing_and_loading_it_anew_begins_anew(
    kernel: Kernel, server: ModelServer, tmp_path: Path
) -> None:
    kernel.run("%load_ext tokenmeter")
    assert tokens(kernel.run("%%tokens\nask()").text) == ["1", "3", "4"]
    kernel.run("%reload_ext tokenmeter")
    assert tokens(kernel.run("%%tokens\nask()").text) == ["1", "3", "4"]
    assert kernel.run("%tokens").text.splitlines()[-1].split()[:2] == ["all", "1"]
    assert is_complete(tmp_path, server)


def test_calls_of_the_cell_that_loads_it_are_of_that_cell(kernel: Kernel) -> None:
    kernel.run("%unload_ext tokenmeter")
    kernel.run("%load_ext tokenmeter\nask()")
    assert kernel.run("%tokens").text.splitlines()[2].split()[:3] == ["[3]", "1", "3"]


def test_unloading_takes_everything_back(
    kernel: Kernel, server: ModelServer, tmp_path: Path
) -> None:
    kernel.run("before = len(get_ipython().input_transformers_cleanup)")
    kernel.run("%unload_ext tokenmeter")
    kernel.run("ask()")
    assert kept(tmp_path) == []
    assert len(server.account) == 1
    assert "not found" in kernel.run("%%tokens\n1").text
    left = (
        "print(before - len(get_ipython().input_transformers_cleanup),"
        " tokenmeter.configure().settings.prices, tokenmeter.configure().stats().keys())"
    )
    assert kernel.run(left).text.strip() == "1 () dict_keys(['Jsonl', 'guard'])"


OWN_PRICES = """
currency = "EUR"

[[prices]]
model = "gpt-4o"
input = 1_000_000
output = 0
"""


def test_prices_that_somebody_has_chosen_stay(tmp_path: Path, first: str) -> None:
    (tmp_path / "own.toml").write_text(OWN_PRICES)
    with Kernel(tmp_path, TOKENMETER_PRICES=str(tmp_path / "own.toml")) as kernel:
        assert "own.toml" in kernel.run(first).text
        assert kernel.run("%%tokens\nask()").text.splitlines()[-1].split()[3:5] == ["3", "EUR"]


# Progress


def test_a_loop_shows_its_money_in_one_output(kernel: Kernel) -> None:
    shown = kernel.run("for n in tokenmeter.progress(range(3), label='asking'): ask()")
    (output,) = shown.outputs
    assert output["text/plain"] == "asking 3/3 in 0:00 · 21 tokens · 0.0001425 USD"
    assert "<svg" in output["text/html"]


def test_a_loop_that_awaits_and_is_left_shows_how_far_it_came(kernel: Kernel) -> None:
    shown = kernel.run(
        "async def rows():\n"
        "    for n in range(9): yield n\n"
        "async for n in tokenmeter.progress(rows(), total=9):\n"
        "    await aask()\n"
        "    if n == 2: break"
    )
    (output,) = shown.outputs
    assert output["text/plain"].startswith("2/9 in 0:00 · 21 tokens · 0.0001425 USD")
