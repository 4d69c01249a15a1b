"""Charts: which there are, and that what they draw is what the numbers say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reported import ODD, named, result
from tokenmeter.reports.output.charts import WIDTH, Figure, Series, bars, columns, shortened, ticks
from tokenmeter.reports.output.choosing import figures, short
from tokenmeter.reports.values import Column, Result

SVG = "{http://www.w3.org/2000/svg}"
TEAMS = (Column("team", "name"), Column("calls", "count"), Column("cost_amount", "money", "cost"))


def drawn(figure: Figure, draw: Any = bars) -> ET.Element:
    return ET.fromstring(draw(figure))


def widths(picture: ET.Element) -> list[float]:
    return [float(rect.attrib["width"]) for rect in picture.iter(f"{SVG}rect")]


def texts(picture: ET.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def figure(labels: list[str], *series: Series, **changes: Any) -> Figure:
    made: dict[str, Any] = {"title": "cost by team", "say": "{:g}".format, "axis": short}
    return Figure(labels=labels, series=series, **made | changes)


@given(st.floats(1e-9, 1e15), st.integers(2, 8))
def test_ticks_are_few_round_and_cover_the_largest(largest: float, about: int) -> None:
    found = ticks(largest, about)
    assert found[0] == 0
    assert found[-1] >= largest * (1 - 1e-9)
    assert 2 <= len(found) <= about + 2
    assert f"{found[1]:e}"[0] in "125"


def test_bars_are_as_long_as_their_values_and_say_them() -> None:
    picture = drawn(figure(["a", "b", "c"], Series("", [10.0, 5.0, None])))
    long, half = widths(picture)
    assert long == pytest.approx(2 * half, abs=0.2)
    assert texts(picture)[-6:] == ["a", "10", "b", "5", "c", "?"]
    assert picture.find(f"{SVG}title") is not None
    described = picture.find(f"{SVG}desc")
    assert described is not None
    assert described.text == "a: 10; b: 5; c: ?"


def test_stacked_parts_are_as_long_as_the_whole() -> None:
    parts = drawn(figure(["a"], Series("in", [30.0]), Series("out", [10.0])))
    first, second = widths(parts)
    assert first == pytest.approx(3 * second, abs=0.2)
    assert texts(parts)[-1] == "40"


def test_what_all_others_are_together_makes_no_bar_small() -> None:
    picture = drawn(figure(["a", "(9 more)"], Series("", [10.0, 1000.0]), has_rest=True))
    (only,) = widths(picture)
    assert only > WIDTH / 2
    assert len(list(picture.iter(f"{SVG}polygon"))) == 2
    assert texts(picture)[-1] == "1000"


def test_days_stand_at_their_place_in_time() -> None:
    days = ["2026-11-01", "2026-11-02", "2026-11-05"]
    picture = drawn(figure(days, Series("", [1.0, 2.0, 4.0])), columns)
    rects = list(picture.iter(f"{SVG}rect"))
    x = [float(rect.attrib["x"]) for rect in rects]
    assert x[2] - x[1] == pytest.approx(3 * (x[1] - x[0]), abs=0.3)
    heights = [float(rect.attrib["height"]) for rect in rects]
    assert heights[2] == pytest.approx(2 * heights[1], abs=0.2)


@pytest.mark.parametrize("count", [1, 2, 31, 90, 800])
def test_dates_below_an_axis_do_not_overlap(count: int) -> None:
    days = [str(date(2025, 1, 1) + timedelta(n)) for n in range(count)]
    picture = drawn(figure(days, Series("", [1.0] * count)), columns)
    found = [t for t in picture.iter(f"{SVG}text") if (t.text or "").startswith("20")]
    places = [float(text.attrib["x"]) for text in found]
    assert places
    assert all(b - a > 70 for a, b in pairwise(places))
    assert 30 < places[0] <= places[-1] < WIDTH - 30


@given(st.text(max_size=80), st.integers(40, 300))
def test_a_long_name_keeps_both_of_its_ends(name: str, pixels: int) -> None:
    found = shortened(name, pixels)
    if found != name:
        head, _, tail = found.partition("…")
        assert name.startswith(head)
        assert name.endswith(tail)
        assert len(found) <= len(name) + 1


def chosen(**changes: Any) -> list[Figure]:
    return [each for each, _ in figures(result(**changes))]


def teams(*rows: Any, **changes: Any) -> Result:
    return result(**{"columns": TEAMS, "rows": rows, "total": None, **changes})


def test_a_report_with_money_has_a_chart_of_it_and_one_of_tokens() -> None:
    cost, tokens = chosen()
    assert (cost.title, cost.labels) == ("cost USD by user", ["ada", "(none)"])
    assert [list(one.values) for one in cost.series] == [[12.3, 0.0456789]]
    assert (tokens.title, [one.name for one in tokens.series]) == (
        "tokens by user",
        ["input", "output"],
    )


def test_parts_of_tokens_do_not_overlap() -> None:
    names = ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens")
    found = (Column("user", "name"), *(Column(name, "count") for name in names))
    tokens = chosen(columns=found, rows=(("ada", 100, 60, 30, 10),), total=None)[-1]
    assert [(one.name, list(one.values)) for one in tokens.series] == [
        ("input", [40.0]),
        ("cache read", [60.0]),
        ("output", [20.0]),
        ("reasoning", [10.0]),
    ]


def test_where_nothing_is_priced_the_first_count_is_drawn() -> None:
    (one,) = [each for each, _ in figures(teams(("a", 3, None), ("b", 4, None)))]
    assert (one.title, one.labels) == ("calls by team", ["b", "a"])


def test_a_report_that_must_not_rank_by_volume_has_no_chart_or_the_one_it_names() -> None:
    assert chosen(chart=None) == []
    assert [each.title for each in chosen(chart="calls")] == ["calls by user"]


def test_the_largest_twenty_are_drawn_and_all_others_as_one() -> None:
    rows = [(f"t{n}", n, Decimal(n)) for n in range(1, 26)]
    (one,) = [each for each, _ in figures(teams(*rows))]
    assert (one.labels[0], one.labels[-1], len(one.labels)) == ("t25", "(5 more)", 21)
    assert one.series[0].values[-1] == 1 + 2 + 3 + 4 + 5
    assert one.has_rest


def test_days_are_drawn_over_time_in_colours_by_the_next_name() -> None:
    found = (Column("day", "day"), *TEAMS)
    rows = (
        ("2026-11-01", "a", 1, Decimal(1)), ("2026-11-02", "a", 1, Decimal(5)),
        ("2026-11-01", "b", 1, Decimal(2)), ("2026-11-02", None, 1, None),
    )  # fmt: skip
    (one,) = [each for each, _ in figures(teams(*rows, columns=found, names=2))]
    assert one.labels == ["2026-11-01", "2026-11-02"]
    assert [(each.name, list(each.values)) for each in one.series] == [
        ("a", [1.0, 5.0]),
        ("b", [2.0, None]),
        ("(none)", [None, None]),
    ]


def test_what_is_compared_has_marks_of_the_period_before() -> None:
    found = (*TEAMS, Column("cost_amount_before", "money"))
    (one,) = [each for each, _ in figures(teams(("a", 1, Decimal(3), Decimal(4)), columns=found))]
    assert (one.series[0].name, one.marks) == ("now", [4.0])


def test_nothing_is_drawn_of_nothing() -> None:
    assert chosen(rows=(), total=None) == []


def test_names_of_anybody_are_text_in_a_drawing() -> None:
    for _, drawing in figures(named(*ODD)):
        ET.fromstring(drawing)  # well-formed, whatever they hold
        assert "<script" not in drawing
