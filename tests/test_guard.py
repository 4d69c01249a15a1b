"""What goes wrong in the meter stays there: logged once, counted, and never with its text."""

from __future__ import annotations

import logging

import pytest

from tokenmeter.errors import BusyError
from tokenmeter.guard import LIMIT, Guard


def fail(error: BaseException) -> None:
    raise error


def test_what_a_piece_gives_is_given_and_what_it_raises_is_not() -> None:
    guard = Guard()
    assert guard.run("a place", divmod, 7, 2) == (3, 1)
    assert guard.run("a place", fail, KeyError("x")) is None
    assert guard.done("a place", divmod, 7, 2) is True
    assert guard.done("a place", fail, KeyError("x")) is False
    assert guard.failures == {"a place": 2}


def test_a_failure_is_logged_once_a_place_with_its_kind_and_line_but_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guard = Guard()
    with caplog.at_level(logging.WARNING, "tokenmeter"):
        for error in (ValueError("secret"), OSError(28, "secret"), KeyError("secret")):
            guard.run("one", fail, error)
            guard.run("two", fail, error)
        guard.note("three", OSError(28, "secret"))
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(" at ")[0] for line in said] == [
        "one failed with ValueError",
        "two failed with ValueError",
        "three failed with OSError (ENOSPC)",
    ]
    assert f"{__file__}:" in said[0]
    assert not any("secret" in line for line in said)


def test_what_an_exporter_says_of_its_sink_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tokenmeter"):
        Guard().run("delivery to Webhook", fail, BusyError("bills.example answered 401"))
    [record] = caplog.records
    assert record.getMessage().startswith(
        "delivery to Webhook failed with BusyError (bills.example answered 401) at "
    )


@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whoever_leaves_the_program_is_not_held_back(leaving: type[BaseException]) -> None:
    guard = Guard()
    for run in (guard.run, guard.done):
        with pytest.raises(leaving):
            run("a place", fail, leaving())
    assert guard.failures == {}


def test_a_place_that_fails_a_hundred_times_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    guard = Guard()
    with caplog.at_level(logging.WARNING, "tokenmeter"):
        for _ in range(LIMIT + 5):
            guard.run("a place", fail, ValueError())
    assert [f"failed {LIMIT} times" in r.getMessage() for r in caplog.records] == [False, True]
    assert guard.failures == {"a place": LIMIT + 5}


def test_what_was_wrong_outside_is_counted_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()
    guard.count("unreadable", 3)
    guard.count("unreadable")
    assert (guard.failures, caplog.records) == ({"unreadable": 4}, [])
