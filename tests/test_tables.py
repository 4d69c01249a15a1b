"""Views: text that moves no cursor, HTML that no name can break, numbers that say what they are."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tokenmeter import Tally
from tokenmeter.notebook.tables import Bar, Figure, Table, bars, rounded

VIEW = Table(
    "spent",
    ("name", "calls", "cost"),
    (("v1", Figure("1"), Figure("2 USD", Bar(0.5))), ("v2", Figure("10"), Figure("?"))),
    ("one is not known",),
)


class Seen(HTMLParser):
    """Note the tags of a page and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def test_a_view_is_text_whose_numbers_stand_below_each_other() -> None:
    assert str(VIEW) == repr(VIEW)
    assert str(VIEW).splitlines() == [
        "spent",
        "name  calls   cost",
        "v1        1  2 USD",
        "v2       10      ?",
        "one is not known",
    ]


def test_a_view_is_html_that_says_the_same_and_fetches_nothing() -> None:
    seen = Seen(VIEW._repr_html_())
    assert seen.open == []
    assert seen.tags == {
        "div", "b", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect"
    }  # fmt: skip
    assert seen.text.split() == str(VIEW).split()


@given(title=st.text(), name=st.text(), note=st.text())
def test_no_text_of_users_breaks_a_view(title: str, name: str, note: str) -> None:
    view = Table(title, ("name", "n"), ((name, Figure("1", Bar(1, 0.5, 1))),), (note,))
    assert len(str(view).split("\n")) == 4
    assert all(c.isprintable() or c == "\n" for c in str(view))
    seen = Seen(view.html())
    assert seen.open == []
    assert seen.tags <= {
        "div", "b", "table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "path"
    }  # fmt: skip


def test_columns_of_nothing_are_left_out_where_that_is_wanted() -> None:
    view = Table("", ("a", "b", "c"), (("x", Figure("0"), Figure("0")),))
    assert view.without_empty("b").columns == ("a", "c")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_a_rounded_number_is_near_and_has_no_exponent(number: Decimal) -> None:
    said = rounded(number)
    assert set(said) <= set("0123456789,.-")
    near = Decimal(said.replace(",", ""))
    assert abs(near - number) <= abs(number) / 1000


def test_bars_are_as_long_as_their_numbers() -> None:
    assert bars([1, None, Decimal(4), 0]) == [Bar(0.25), None, Bar(1.0), Bar(0.0)]
    assert bars([0, None]) == [None, None]
    assert bars([]) == []


def test_a_tally_shows_itself_in_a_notebook() -> None:
    html = Tally()._repr_html_()
    assert "no call was seen" in html
    assert "numbers are" in html
