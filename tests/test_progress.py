"""Progress: the loop is as without it, and what is shown is what was spent."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenmeter
from tokenmeter import ConfigurationError, MissingExtraError, Tally, UsageEvent
from tokenmeter.notebook.pace import Pace
from tokenmeter.notebook.progress import Live, Progress
from trials import ask, ask_unpriced, stepping


class Screen:
    """Keep what is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.closed: list[str] = []

    def show(self, pace: Pace) -> None:
        self.shown.append(str(pace))

    def close(self, pace: Pace) -> None:
        self.closed.append(str(pace))


class Broken:
    """Be a screen of which everything fails."""

    def show(self, pace: Pace) -> None:
        raise OSError

    close = show


@pytest.fixture(autouse=True)
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[UsageEvent]]:
    events: list[UsageEvent] = []
    monkeypatch.setattr("tokenmeter.meter._default", stepping(events))
    yield events
    tokenmeter.shutdown()


def shown(items: Any, screen: Any, total: int | None = None) -> Progress[Any]:
    return Progress(items, Live("", total, screen))


def sinks() -> set[str]:
    return set(tokenmeter.configure().stats()) - {"guard", "append"}


# The loop


@given(st.lists(st.integers()))
def test_the_items_come_unchanged(items: list[int]) -> None:
    assert list(shown(items, Screen())) == items
    assert list(shown(iter(items), Screen())) == items


def test_asynchronous_items_come_unchanged_too() -> None:
    async def items() -> AsyncIterator[int]:
        for n in range(5):
            await asyncio.sleep(0)
            yield n

    async def all_of_them() -> list[int]:
        return [n async for n in shown(items(), Screen())]

    assert asyncio.run(all_of_them()) == [0, 1, 2, 3, 4]


def test_a_loop_that_is_left_closes_its_source_and_shows_how_far_it_came() -> None:
    ended: list[str] = []

    def items() -> Iterator[int]:
        try:
            yield from range(10)
        finally:
            ended.append("closed")

    screen = Screen()
    for n in shown(items(), screen, total=10):
        ask()
        if n == 3:
            break
    gc.collect()
    assert ended == ["closed"]
    assert (len(screen.closed), screen.closed[0].split()[0]) == (1, "3/10")
    assert sinks() == set()


def test_an_exception_of_the_source_is_the_same_one() -> None:
    broken = ValueError()

    def items() -> Iterator[int]:
        yield 1
        raise broken

    screen = Screen()
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - it is the very one
        list(shown(items(), screen))
    assert caught.value is broken
    assert len(screen.closed) == 1


def test_a_screen_that_fails_harms_no_loop() -> None:
    assert list(shown(range(4), Broken())) == [0, 1, 2, 3]
    assert tokenmeter.configure().stats()["guard"]["a progress bar"] > 1


def test_an_exhausted_loop_stays_exhausted() -> None:
    bar = shown([1], Screen())
    assert (list(bar), list(bar), bar.done) == ([1], [], 1)


# What is shown


def test_it_counts_what_the_loop_spent_and_nothing_before_or_after() -> None:
    ask()
    bar = shown(range(3), Screen())
    for _ in bar:
        ask()
    ask()
    assert (bar.spent.calls, bar.done, sinks()) == (3, 3, set())


def test_calls_in_threads_are_seen() -> None:
    with ThreadPoolExecutor(2) as pool:
        bar = shown(pool.map(ask, range(6)), Screen())
        assert len(list(bar)) == 6
    assert bar.spent.calls <= 6  # the pool began before the loop did
    with ThreadPoolExecutor(2) as pool, shown((), Screen()) as bar:
        list(pool.map(ask, range(6)))
    assert bar.spent.calls == 6


def test_without_a_loop_items_are_said_to_be_done() -> None:
    screen = Screen()
    with shown((), screen, total=4) as bar:
        ask()
        bar.advance()
        bar.advance(2)
    assert screen.closed[0].split()[0] == "3/4"


def test_the_rate_and_the_sum_in_the_end_are_said_as_soon_as_they_are_known() -> None:
    spent = Tally()
    assert str(Pace("", 0, 40, 0.5, spent)) == "0/40 in 0:00 · 0 tokens · 0"
    bar = shown(range(1), Screen())
    for _ in bar:
        ask()
    assert str(Pace("", 10, 40, 30.0, bar.spent)) == (
        "10/40 in 0:30 · 10 tokens · 0.00001 USD · 0.00002 USD/min · about 0.00004 USD in all"
    )
    assert str(Pace("", 10, None, 3700.0, bar.spent)) == (
        "10 in 1:01:40 · 10 tokens · 0.00001 USD · 0.0000001622 USD/min"
    )
    assert str(Pace("", 40, 40, 30.0, bar.spent)).endswith("0.00002 USD/min")


def test_what_has_no_price_is_no_money_but_tokens() -> None:
    bar = shown(range(1), Screen())
    for _ in bar:
        ask_unpriced()
    assert str(Pace("", 1, 2, 60.0, bar.spent)) == (
        "1/2 in 1:00 · 10 tokens · no price · 10 tokens/min · about 20 tokens in all"
    )
    with shown((), Screen()) as both:
        ask()
        ask_unpriced()
    assert str(Pace("", 1, 2, 60.0, both.spent)) == (
        "1/2 in 1:00 · 20 tokens · ≥ 0.00001 USD · ≥ 0.00001 USD/min · "
        "about ≥ 0.00002 USD in all · 1 without a price"
    )


def test_in_a_notebook_it_is_html_that_a_label_cannot_break() -> None:
    html = Pace("<script>\x1b[2J", 1, 2, 0.0, Tally())._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "\x1b" not in html
    assert "<svg" in html


# What a program calls


def test_in_a_terminal_it_is_a_bar_on_the_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in tokenmeter.progress([1, 2], label="[red]asking"):
        ask()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.split()[0] == "[red]asking"
    assert "2/2 in" in err
    assert "0.00002 USD" in err


def test_loops_inside_of_loops_both_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [(a, b) for a in tokenmeter.progress([1, 2]) for b in tokenmeter.progress([3, 4])]
    assert pairs == [(1, 3), (1, 4), (2, 3), (2, 4)]


@pytest.mark.parametrize(
    ("items", "total"), [(3, None), (None, None), ([], -1), ([], True), ([1], "3"), ([1], 2.5)]
)
def test_what_no_loop_can_go_over_is_refused(items: Any, total: Any) -> None:
    with pytest.raises(ConfigurationError, match="progress"):
        tokenmeter.progress(items, total=total)


def test_a_terminal_without_rich_is_answered_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tokenmeter.notebook.progress.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"tokenmeter\[notebook\]"):
        tokenmeter.progress([1])
