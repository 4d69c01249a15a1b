"""A result as HTML: a page that opens offline, or a part of one for a notebook.

All of it is in one file: styles, charts as SVG, and a script that sorts columns, without which the
page reads the same. A policy in the page forbids the browser every request.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TextIO

from tokenmeter.reports.output.cells import (
    TEXTS,
    Cells,
    cells,
    money,
    money_places,
    safe,
    share,
    told,
)
from tokenmeter.reports.output.charts import legend
from tokenmeter.reports.output.choosing import figures
from tokenmeter.reports.output.json import exact
from tokenmeter.reports.output.words import about, damages, facts_line, facts_of
from tokenmeter.reports.values import Result, Value

_MEANINGS = (
    ("countable", "a provider had something to count: it did not fail before an answer"),
    ("coverage", "the share of countable attempts of which no side is unknown"),
    ("estimated", "a side was counted by a tokenizer, because the provider did not say it"),
    ("partial", "only a lower bound is known, for example of an answer that was left"),
    ("unknown", "nobody knows a side; it is in no sum, and it is not zero"),
    ("unpriced", "in no amount of money: there is no price, or it is in another currency"),
    ("unattributed", "without user, team, task, agent and conversation; a share of all attempts"),
)  # fmt: skip


def write(result: Result, out: TextIO) -> None:
    """Write a page with one result."""
    page([result], out)


def page(results: Sequence[Result], out: TextIO) -> None:
    """Write a page with several results, one below the other."""
    title = escape(safe(results[0].title if len(results) == 1 else "Reports"))
    script = _read("sorting.js")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    out.write(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'\">\n"
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{_read('page.css')}{_read('result.css')}</style>\n"
        "</head>\n<body>\n<main>\n"
    )
    if len(results) > 1:
        out.write(_contents(results))
    for at, result in enumerate(results):
        out.write(f'<section class="tm" id="report-{at}">\n')
        out.writelines(_parts(result, heading="h1" if len(results) == 1 else "h2"))
        out.write("</section>\n")
    out.write(f"</main>\n{_meanings()}\n<script>{script}</script>\n</body>\n</html>\n")


def fragment(result: Result) -> str:
    """Give a result as a part of a page, without a script, in the colours of what is around it."""
    parts = "".join(_parts(result, heading="h3"))
    return f'<div class="tm tm-part"><style>{_read("result.css")}</style>{parts}</div>'


def _read(name: str) -> str:
    return files("tokenmeter.reports.output").joinpath(name).read_text(encoding="utf-8")


def _contents(results: Sequence[Result]) -> str:
    links = "".join(
        f'<li><a href="#report-{at}">{escape(safe(result.title))}</a></li>'
        for at, result in enumerate(results)
    )
    return f'<h1>Reports</h1>\n<nav aria-label="reports"><ul>{links}</ul></nav>\n'


def _parts(result: Result, heading: str) -> Iterator[str]:
    yield f"<{heading}>{escape(safe(result.title))}</{heading}>\n"
    yield f'<p class="tm-about">{escape(about(result))}</p>\n'
    yield from _warnings(result)
    yield f'<dl class="tm-sums">{"".join(_sums(result))}</dl>\n'
    for figure, drawing in figures(result):
        key = legend(figure, "before" if result.aim is None else "target")
        yield f"<figure><figcaption>{escape(figure.title)}</figcaption>{key}{drawing}</figure>\n"
    yield from _table(result)
    yield _facts(result)


def _warnings(result: Result) -> Iterator[str]:
    kinds = (("note", result.notes), ("damage", damages(result)))
    for kind, texts in kinds:
        yield from (
            f'<p class="tm-{kind}"><strong>{kind}</strong> {escape(safe(text))}</p>\n'
            for text in texts
        )


def _sums(result: Result) -> Iterator[str]:
    facts = result.facts
    if facts.cost_amount is not None:
        amount = money(facts.cost_amount, money_places([facts.cost_amount]))
        yield _sum(f"cost {result.currency}", amount)
    counts = (
        ("input tokens", facts.input_tokens),
        ("output tokens", facts.output_tokens),
        ("attempts", facts.attempts),
    )
    yield from (_sum(name, "?" if n is None else f"{n:,}") for name, n in counts)
    if facts.coverage is not None:
        yield _sum("coverage", share(facts.coverage))


def _sum(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _table(result: Result) -> Iterator[str]:
    at = told(result)
    columns = [cells(result, index) for index in at]
    yield '<div class="tm-scroll" tabindex="0" role="region" aria-label="table">\n'
    yield "<table>\n<thead><tr>"
    yield from (f'<th scope="col"{_side(one)}>{escape(one.heading)}</th>' for one in columns)
    yield "</tr></thead>\n<tbody>\n"
    shown = zip(*(one.rows for one in columns), strict=True) if columns else iter(())
    for row, texts in zip(result.rows, shown, strict=True):
        values = [row[index] for index in at]
        yield _row(columns, texts, values, result.names)
    yield "</tbody>\n"
    if result.total is not None:
        yield f"<tfoot>{_row(columns, [one.total for one in columns], (), result.names)}</tfoot>\n"
    yield "</table>\n</div>\n"


def _row(
    columns: Sequence[Cells], texts: Iterable[str], values: Sequence[Value], names: int
) -> str:
    made: list[str] = []
    for at, (one, text) in enumerate(zip(columns, texts, strict=True)):
        tag, scope = ("th", ' scope="row"') if at < max(names, 1) else ("td", "")
        order = _order(one, values[at]) if values else ""
        inner = f"<bdi>{escape(text)}</bdi>" if one.column.kind == "name" else escape(text)
        made.append(f"<{tag}{scope}{_side(one)}{order}>{inner}</{tag}>")
    return f"<tr>{''.join(made)}</tr>\n"


def _order(one: Cells, value: Value) -> str:
    """Give by which number the script sorts, where that is not by the text."""
    if one.column.kind in TEXTS:
        return ""
    return f' data-v="{"" if value is None else exact(value)}"'


def _side(one: Cells) -> str:
    return "" if one.column.kind in TEXTS else ' class="n"'


def _facts(result: Result) -> str:
    shares = "".join(
        f"<li>{escape(str(fact))}</li>" for fact in facts_of(result.facts) if result.facts.attempts
    )
    attempts = f"{result.facts.attempts:,} attempts, {result.facts.countable:,} countable"
    before = ""
    if result.before is not None:
        text = f"before: {about(result.before)} · {facts_line(result.before)}"
        before = f'<p class="tm-about">{escape(text)}</p>\n'
    return (
        f'<ul class="tm-facts"><li>{attempts}</li>{shares}'
        f"<li>rules version {result.rules}</li></ul>\n{before}"
    )


def _meanings() -> str:
    words = "".join(f"<dt>{word}</dt><dd>{escape(text)}</dd>" for word, text in _MEANINGS)
    return (
        f"<footer><details><summary>What these words mean</summary><dl>{words}</dl></details>"
        "<p>Made by tokenmeter.</p></footer>"
    )
