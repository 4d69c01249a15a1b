"""The example notebooks: they run with real SDKs, and what they show needs nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notebooks.browser import CHROMIUM, Browser

nbformat = pytest.importorskip("nbformat", reason="the group `notebooks` is not installed")
nbclient = pytest.importorskip("nbclient", reason="the group `notebooks` is not installed")
pytest.importorskip("ipykernel", reason="the group `notebooks` is not installed")

EXAMPLES = Path(__file__).parents[2] / "examples"
BOOKS = ["first_cost.ipynb", "compare_prompts.ipynb"]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run each of them once, in a folder of its own."""
    source = str(Path(__file__).parents[2] / "src")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", source)
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        return {name: _executed(name, tmp_path_factory.mktemp("book")) for name in BOOKS}


def _executed(name: str, folder: Path) -> Any:
    book = nbformat.read(EXAMPLES / name, as_version=4)
    return nbclient.NotebookClient(
        book, timeout=120, resources={"metadata": {"path": str(folder)}}
    ).execute()


def outputs(book: Any) -> Iterator[Any]:
    for cell in book.cells:
        yield from cell.get("outputs", ())


def html(book: Any) -> str:
    """Give all that the cells have shown as HTML."""
    return "".join(each["data"].get("text/html", "") for each in outputs(book) if "data" in each)


def exported(book: Any) -> str:
    from nbconvert import HTMLExporter

    # The template of nbconvert asks a CDN for these two, and this notebook needs neither.
    return str(HTMLExporter(mathjax_url="", require_js_url="").from_notebook_node(book)[0])


@pytest.mark.parametrize("name", BOOKS)
def test_it_is_kept_without_outputs_and_is_valid(name: str) -> None:
    book = nbformat.read(EXAMPLES / name, as_version=4)
    nbformat.validate(book)
    assert list(outputs(book)) == []
    assert {cell.get("execution_count") for cell in book.cells} == {None}


def test_the_first_cost_is_shown_below_the_first_marked_cell(executed: dict[str, Any]) -> None:
    marked = executed["first_cost.ipynb"].cells[5]
    value, view = marked.outputs
    assert value["data"]["text/plain"] == "'You said: Why is the sky blue?'"
    title, _, row = view["data"]["text/plain"].splitlines()
    assert title == "first question"
    assert re.fullmatch(r" +1 +6 +7 +0\.0000051 USD +[\d.]+  reported", row)


def test_the_comparison_says_which_prompt_costs_less(executed: dict[str, Any]) -> None:
    texts = [each.get("text", "") for each in outputs(executed["compare_prompts.ipynb"])]
    (compared,) = [text for text in texts if text.startswith("by name: median")]
    rows = {line.partition("  ")[0]: line for line in compared.splitlines()}
    assert "prompt-v1 (3 runs)" in rows[""]
    assert "prompt-v2 (3 runs)" in rows[""]
    assert re.search(r"\N{MINUS SIGN}\d+ %$", rows["USD"])


@pytest.mark.parametrize("name", BOOKS)
def test_what_it_shows_is_html_without_script_or_anything_fetched(
    name: str, executed: dict[str, Any]
) -> None:
    shown = html(executed[name])
    assert "<svg" in shown
    assert re.findall(r"<script|<link|<img|<iframe|https?:|url\(|@import", shown) == []


@pytest.mark.parametrize("name", BOOKS)
def test_nothing_fails_or_warns(name: str, executed: dict[str, Any]) -> None:
    shown = list(outputs(executed[name]))
    assert {each.get("name") for each in shown} <= {None, "stdout"}
    assert "error" not in {each["output_type"] for each in shown}


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("name", BOOKS)
def test_its_page_asks_nobody_for_anything(
    name: str, executed: dict[str, Any], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(exported(executed[name]))
    with Browser(tmp_path) as browser:
        text = browser.text(page)
        assert browser.asked == []
    assert "numbers are" in text
    assert "reported" in text


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_test_of_that_sees_a_page_that_does(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p>here</p><script src='http://cdn.example/x.js'></script>")
    with Browser(tmp_path) as browser:
        browser.text(page)
        assert browser.asked == ["cdn.example"]
