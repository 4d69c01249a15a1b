"""Laws of reports: parts add up to the whole, and what is there twice counts once."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import company
import company_in
from tables import EXAMPLES, over, reported, table
from tokenmeter import UsageEvent
from tokenmeter.reports.columns import NAMES
from tokenmeter.reports.comparison import compare
from tokenmeter.reports.coverage import Coverage
from tokenmeter.reports.engines.duckdb import opened
from tokenmeter.reports.grouping import added
from tokenmeter.reports.measures import measures
from tokenmeter.reports.running import run
from tokenmeter.reports.scope import Scope
from tokenmeter.reports.usage import Usage
from tokenmeter.reports.values import Facts, Result

FEWER = EXAMPLES // 3  # each makes two reports
ADDITIVE = [measure.column.name for measure in measures(Scope()) if measure.is_additive]
COUNT = st.none() | st.integers(0, 2**40)
TEXT = st.none() | st.sampled_from(["", "a", "A", "ä", *company.ODD])
PROVENANCE = st.sampled_from([None, "reported", "estimated", "partial", "unknown", "none"])
MONEY = st.none() | st.decimals(0, 1000, places=9, allow_nan=False)


@st.composite
def events(draw: st.DrawFn) -> list[UsageEvent]:
    """Make some events, among them such as no version of ours writes."""
    made = []
    for n in range(draw(st.integers(0, 12))):
        said: dict[str, Any] = {
            name: draw(COUNT) for name in UsageEvent.__struct_fields__ if name.endswith("_tokens")
        }
        said |= {name: draw(TEXT) for name in ("user", "team", "task", "request_model")}
        said |= {f"{side}_provenance": draw(PROVENANCE) for side in ("input", "output")}
        said |= {"cost_amount": draw(MONEY), "cost_currency": draw(st.sampled_from(["USD", "EUR"]))}
        said |= {"attempt": draw(st.none() | st.integers(0, 2))}
        said |= {"status": draw(st.sampled_from([None, "completed", "failed", "abandoned"]))}
        said |= {
            "tags": draw(
                st.none() | st.dictionaries(st.sampled_from(["t", "'"]), st.text("aé"), max_size=2)
            )
        }
        kind: Any = draw(st.sampled_from(["call", "call", "call", "outcome", "run"]))
        ts = draw(st.sampled_from(company.EDGES))
        made.append(UsageEvent(kind=kind, event_id=f"{n:032x}", schema=1, ts=ts, **said))
    return made


BY = st.lists(st.sampled_from([*NAMES, "tag:t", "tag:'"]), max_size=3, unique=True).map(tuple)
ZONE = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"])


def report(made: list[UsageEvent], by: tuple[str, ...], scope: Scope, times: int = 1) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        ledger = company_in.jsonl(Path(folder) / "usage.jsonl", made * times)
        with opened(ledger) as engine:
            return run(Usage(by), engine, scope, now=company.NOW)


def sums(result: Result) -> dict[str, int | Decimal | None]:
    """Add up the rows, column by column."""
    return {name: added(result.column(name)) for name in ADDITIVE}


@settings(deadline=None, max_examples=EXAMPLES)
@given(events(), BY, ZONE)
def test_the_parts_add_up_to_the_whole_and_to_the_facts(
    made: list[UsageEvent], by: tuple[str, ...], zone: str
) -> None:
    result = report(made, by, Scope(zone=zone, currency="USD"))
    total = sums(result)
    if result.total is not None:
        whole = {name: result.total[result.index(name)] for name in ADDITIVE}
        assert _without_amounts(total) == _without_amounts(whole)
        assert (total["cost_amount"] or 0) == (whole["cost_amount"] or 0)
    for name in set(ADDITIVE) & set(Facts.__struct_fields__):
        known = getattr(result.facts, name)
        assert (total[name] or 0) == (known or 0), name
        is_certain = not by or not result.rows or name == "cost_amount"
        assert is_certain or total[name] == known, name  # unknown stays unknown


def _without_amounts(total: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in total.items() if name != "cost_amount"}


@settings(deadline=None, max_examples=FEWER)
@given(events(), BY)
def test_an_amount_is_known_wherever_nothing_is_unpriced(
    made: list[UsageEvent], by: tuple[str, ...]
) -> None:
    result = report(made, by, Scope(currency="USD"))
    rows = [*result.rows, *([] if result.total is None else [result.total])]
    amount, unpriced = result.index("cost_amount"), result.index("unpriced")
    assert [row for row in rows if row[amount] is None and not row[unpriced]] == []
    assert result.facts.unpriced or result.facts.cost_amount is not None


def test_failures_cost_nothing_so_that_differences_add_up(tmp_path: Path) -> None:
    def call(n: int, day: int, user: str, **columns: Any) -> UsageEvent:
        ts = datetime(2026, 11, day, 12, tzinfo=UTC)
        return UsageEvent("call", f"e-{n}", 1, ts, user=user, **columns)

    failed: dict[str, Any] = {"status": "failed"}
    failed |= {"input_provenance": "none", "output_provenance": "none"}
    priced: dict[str, Any] = {"cost_amount": Decimal("0.5"), "cost_currency": "USD"}
    made = [
        call(1, 1, "ada", **failed), call(2, 2, "ada", **priced),
        call(3, 1, "bob", **priced), call(4, 2, "bob", **failed),
        call(5, 1, "eve", **failed), call(6, 2, "eve", **failed),
        call(7, 1, "zoe"), call(8, 2, "zoe", **failed),
    ]  # fmt: skip
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC) + timedelta(hours=12)
    with over(made, tmp_path) as engine:
        result = compare(Usage(("user",)), engine, Scope(since=noon), Scope(until=noon))
    columns = ("cost_amount", "cost_amount_before", "cost_amount_difference")
    half = Decimal("0.5")
    assert table(result, "user", *columns) == [
        ("ada", half, 0, half), ("bob", 0, half, -half), ("eve", 0, 0, 0), ("zoe", 0, None, None),
    ]  # fmt: skip


def test_rows_of_equal_sums_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    made = [
        UsageEvent("call", f"e-{n}", 1, company.EDGES[0], user=user)
        for n, user in enumerate(["b", "", "a", None])
    ]
    for again in (made, made[::-1]):
        result = reported(Usage(("user",)), again, tmp_path)
        assert result.column("user") == (None, "", "a", "b")


@settings(deadline=None, max_examples=FEWER)
@given(events(), BY, BY)
def test_the_whole_does_not_depend_on_how_it_is_grouped(
    made: list[UsageEvent], one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    scope = Scope(currency="EUR")
    first, second = report(made, one, scope), report(made, other, scope)
    assert first.facts == second.facts
    known = {name: value or 0 for name, value in sums(first).items()}
    assert known == {name: value or 0 for name, value in sums(second).items()}


@settings(deadline=None, max_examples=FEWER)
@given(events(), BY)
def test_a_ledger_that_is_handed_in_twice_changes_nothing_but_what_is_said_of_it(
    made: list[UsageEvent], by: tuple[str, ...]
) -> None:
    scope = Scope(currency="USD")
    once, twice = report(made, by, scope), report(made, by, scope, times=2)
    assert (once.rows, once.total, once.facts) == (twice.rows, twice.total, twice.facts)
    said = [line for line in twice.damage if "there twice" in line]
    assert len(said) == bool(made)
    assert not any("there twice" in line for line in once.damage)


def test_sums_beyond_64_bits_are_exact(tmp_path: Path) -> None:
    most = 2**63 - 1
    made = [
        UsageEvent(
            "call", f"e-{n}", 1, company.EDGES[0], user="ada", input_tokens=most, output_tokens=n
        )
        for n in (1, 2, 3)
    ]
    result = reported(Usage(("user",)), made, tmp_path)
    assert table(result, "input_tokens", "output_tokens") == [(3 * most, 6)]
    assert result.total is not None
    assert result.total[result.index("input_tokens")] == result.facts.input_tokens == 3 * most


def test_tags_that_differ_only_in_case_are_two_columns(tmp_path: Path) -> None:
    made = [
        UsageEvent("call", f"e-{n}", 1, company.EDGES[0], tags={"a": "1", "A": other})
        for n, other in enumerate(["2", "3"])
    ]
    by = ("tag:a", "tag:A")
    for report in (Usage(by), Coverage(by)):
        result = reported(report, made, tmp_path)
        assert table(result, *by, "attempts") == [("1", "2", 1), ("1", "3", 1)]
