"""The page: whole, offline, readable by everybody, and nothing in it is run but its own script."""

from __future__ import annotations

import io
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from reported import ODD, named, result
from tokenmeter.reports.output.html import fragment, page, write
from tokenmeter.reports.values import Result

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Reads a page, strictly: each element is closed by its own name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def written(*results: Result) -> str:
    out = io.StringIO()
    page(results, out)
    return out.getvalue()


def test_a_page_forbids_every_request_and_runs_its_own_script_alone() -> None:
    text = written(result())
    (policy,) = [m for m in Page(text).named("meta") if "http-equiv" in m]
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert policy["content"] == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_a_page_names_nothing_that_is_elsewhere() -> None:
    found = Page(written(result(), result()))
    links = [a[n] for _, a in found.elements for n in ("href", "src", "srcset", "action") if n in a]
    assert links == ["data:,", "#report-0", "#report-1"]
    assert "url(" not in written(result())
    assert "@import" not in written(result())


def test_everything_that_is_true_of_a_report_is_on_its_page() -> None:
    before = result(title="earlier", damage=("old.jsonl: 1 line (3) is no event",))
    words = "".join(Page(written(result(notes=("few",), damage=("torn",), before=before))).words)
    for said in (
        "Usage by user", "all calls, 2026-11-01 to 2026-11-30 · Europe/Berlin · USD",
        "coverage 97.5 %", "estimated 5 % (2)", "partial 0 %", "unknown 2.5 % (1)",
        "unpriced 10 % (4)", "unattributed 7.3 % (3)", "rules version 1", "note few",
        "damage torn", "old.jsonl: 1 line (3) is no event", "before: all calls", "12.3457",
    ):  # fmt: skip
        assert said in words


def test_a_table_says_what_its_cells_belong_to() -> None:
    found = Page(written(result()))
    scopes = [th.get("scope") for th in found.named("th")]
    assert scopes == ["col"] * 8 + ["row"] * 3
    assert all(svg.get("role") == "img" or svg.get("aria-hidden") for svg in found.named("svg"))


def test_a_report_without_a_chart_has_none() -> None:
    assert "<figure" in written(result())
    assert "<figure" not in written(result(chart=None))


def test_a_fragment_has_no_script_and_no_colours_of_its_own() -> None:
    text = fragment(result())
    found = Page(text)
    assert not found.named("script")
    assert found.elements[0] == ("div", {"class": "tm tm-part"})
    assert result()._repr_html_() == text


@given(st.lists(st.sampled_from(ODD) | st.text(min_size=1), min_size=1, max_size=5))
def test_no_name_is_taken_for_html(names: list[str]) -> None:
    found = Page(written(named(*names)))
    assert len(found.named("script")) == 1
    assert {tag for tag, _ in found.elements}.isdisjoint({"b", "img", "iframe", "a"})
    rows = [attributes for attributes in found.named("th") if attributes.get("scope") == "row"]
    assert len(rows) == len(names) + 1


def test_titles_notes_and_values_of_the_restriction_are_text_too() -> None:
    evil = "<img src=x onerror=alert(1)>"
    text = written(
        result(title=evil, notes=(evil,), damage=(evil,), only={"user": evil}, zone="UTC")
    )
    assert not Page(text).named("img")


def test_several_reports_are_one_page_with_a_list_of_them() -> None:
    found = Page(written(result(title="One"), result(title="Two")))
    assert [link["href"] for link in found.named("a")] == ["#report-0", "#report-1"]
    assert len(found.named("section")) == 2
    assert len(found.named("h1")) == 1


def test_the_same_result_is_the_same_page() -> None:
    out = io.StringIO()
    write(result(), out)
    assert out.getvalue() == written(result())
