"""Results in a terminal: what fits, what is left out, and names that do no harm."""

from __future__ import annotations

import io
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from reported import ADA, COLUMNS, NOBODYS, ODD, TOTAL, named, result
from tokenmeter.reports.output.table import plain, write
from tokenmeter.reports.scope import moment
from tokenmeter.reports.values import Column, Facts

FACTS_LINE = (
    "41 attempts, 40 countable · coverage 97.5 % · estimated 5 % (2) · partial 0 % · "
    "unknown 2.5 % (1) ·"
)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_a_table_has_a_title_the_rows_their_total_and_what_is_true_of_them() -> None:
    assert lines(str(result())) == [
        "Usage by user",
        "all calls, 2026-11-01 to 2026-11-30 · Europe/Berlin · USD",
        " user   calls attempts failed input output cost USD p50 s",
        " ────────────────────────────────────────────────────────",
        " ada       30       31      1 1,200    200  12.3000  0.84",
        " (none)    10       10      0     5      ?   0.0457     –",  # noqa: RUF001
        " total     40       41      1 1,205    207  12.3457  0.80",
        FACTS_LINE,
        "unpriced 10 % (4) · unattributed 7.3 % (3) · rules version 1",
    ]  # fmt: skip


def test_a_column_that_says_nothing_is_left_out() -> None:
    rows = [(ADA[0], 30, 30, 0, *ADA[4:]), (None, 10, 10, 0, *NOBODYS[4:])]
    shown = lines(plain(result(rows=tuple(rows), total=(None, 40, 40, 0, *TOTAL[4:]))))
    assert shown[2].split() == ["user", "calls", "input", "output", "cost", "USD", "p50", "s"]


def test_notes_what_it_is_compared_with_and_damage_are_said_below() -> None:
    before = result(title="before", damage=("old.jsonl: 1 line (3) is no event",))
    whole = result(
        notes=("no ranks: too few outcomes",),
        damage=("usage.jsonl: 2 lines (1, 9) are no event",),
        before=msgspec.structs.replace(before, facts=Facts()),
    )
    assert lines(plain(whole))[-4:] == [
        "before: no calls · Europe/Berlin · USD · no attempts · rules version 1",
        "note: no ranks: too few outcomes",
        "damage: usage.jsonl: 2 lines (1, 9) are no event",
        "damage: old.jsonl: 1 line (3) is no event",
    ]


def test_what_a_report_was_restricted_to_is_said() -> None:
    assert "only model = gpt-5" in plain(result(only={"model": "gpt-5"}))


def test_a_name_of_anybody_is_on_one_line_and_never_interpreted() -> None:
    shown = plain(named(*ODD[:10]))
    assert shown.isprintable() or set(shown) - set(filter(str.isprintable, shown)) == {"\n"}
    for written in (r"two\nlines\rand\ttabs", r"\x1b[31mred", "[b]markup[/b]", ":smile:"):
        assert written in shown
    assert r"ada\u202egro.evil" in shown
    assert r"zero\u200bwidth" in shown


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=4))
def test_no_name_breaks_the_table(names: list[str]) -> None:
    shown = plain(named(*names)).splitlines()
    table = [line for line in shown[2:] if line.startswith(" ")]
    assert {cell_len(line.rstrip()) <= 100 for line in table} == {True}
    assert sum(line.count("1,200") for line in table) == len(names)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_table_fits_the_terminal_and_hides_no_number(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(max(width, 50)))
    shown = plain(named("u" * 90, "山田太郎" * 8))
    assert max(map(cell_len, shown.splitlines())) <= max(width, 50)
    assert shown.count("u") >= 90
    assert shown.count("山") == 8
    assert "1,200" in shown
    assert "\x1b" not in shown


def test_a_terminal_narrower_than_the_numbers_still_gets_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    columns = (COLUMNS[0], COLUMNS[5], COLUMNS[6])
    shown = plain(result(columns=columns, rows=(("ada", 10**12, 10**11),), total=None))
    assert (shown.count("1,000,000,000,000"), shown.count("100,000,000,000")) == (1, 1)


def test_small_amounts_are_never_shown_as_nothing() -> None:
    rows = (("a", Decimal("123.456")), ("b", Decimal("0.000000001")), ("c", Decimal(0)))
    shown = plain(result(columns=(COLUMNS[0], COLUMNS[7]), rows=rows, total=None))
    assert [line.split()[-1] for line in lines(shown)[4:7]] == ["123.46", "<0.01", "0.00"]


def test_a_total_that_nobody_knows_is_no_zero_and_one_that_there_is_not_is_empty() -> None:
    columns = (COLUMNS[0], Column("tokens", "count"), Column("rank", "count"))
    shown = plain(result(columns=columns, rows=(("a", None, 1),), total=(None, None, None)))
    assert lines(shown)[4:6] == [" a          ?    1", " total      ?"]


def test_kinds_are_shown_as_people_write_them() -> None:
    columns = (
        Column("day", "day"),
        Column("share", "share"),
        Column("ratio", "number"),
        Column("is_ranked", "flag"),
        Column("last", "time"),
        Column("why", "name"),
    )
    rows = (("2026-11-01", 0.125, 1.5, True, result().facts.first, None),)
    shown = lines(plain(result(columns=columns, rows=rows, total=None)))[4]
    assert shown == " 2026-11-01 12.5 %   1.5 yes       2026-11-01 13:00:00"


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("2026-11-01", "2026-12-01", "2026-11-01 to 2026-11-30"),
        ("2026-11-01", "2026-11-02", "2026-11-01"),
        ("2026-11-01", None, "2026-11-01 to the last call"),
        (None, "2026-12-01", "from the first call to 2026-11-30"),
        (
            "2026-11-01T10:00",
            "2026-12-01",
            "2026-11-01 10:00:00+01:00 to before 2026-12-01 00:00:00+01:00",
        ),
    ],
)
def test_a_period_is_said_in_days_of_the_zone(
    since: str | None, until: str | None, said: str
) -> None:
    ends = [at and moment(at, "Europe/Berlin") for at in (since, until)]
    assert lines(plain(result(since=ends[0], until=ends[1])))[1].split(" · ")[0] == said


def test_a_stream_that_is_no_terminal_gets_no_colour() -> None:
    out = io.StringIO()
    write(result(damage=("x",)), out)
    assert "\x1b" not in out.getvalue()
