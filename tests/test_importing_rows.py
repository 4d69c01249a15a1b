"""Rows of exports: whatever a list is wrapped in, and where each of its rows stands."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import ConfigurationError
from tokenmeter.importing.rows import Export, Form, Problem, export


def texts(found: Export, *columns: str) -> list[tuple[str, ...]]:
    return [(row.place, *(row.text((column,)) for column in columns)) for row in found.rows]


def test_a_table_has_rows_by_heading_in_any_case_and_each_knows_its_first_line() -> None:
    data = b'\xef\xbb\xbfIssue key,Summary,Status\r\n\r\nA-1,"two\r\nlines",Done\r\nA-2,,Open\r\n'
    found = export("jira.csv", data)
    assert found.headings == ("Issue key", "Summary", "Status")
    assert texts(found, "issue KEY", "Status") == [
        ("line 3", "A-1", "Done"),
        ("line 5", "A-2", "Open"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("t.csv", "a,b\n1,2\n", None),
        ("t.csv", "a;b\n1;2\n", None),
        ("t.tsv", "a\tb\n1\t2\n", None),
        ("t.txt", "a\tb\n1\t2\n", None),
        ("t.json", "a\tb\n1\t2\n", "tsv"),
        ("t.json", '[{"a": 1, "b": "2"}]', None),
        ("-", '\n {"data": {"repository": {"issues": {"nodes": [{"a": 1, "b": 2}]}}}}', None),
        (
            "-",
            '{"expand": "", "total": 1, "issues": [{"a": 1, "b": 2, "labels": [{"c": 3}]}]}',
            None,
        ),
        ("-", '{"whatever": [{"a": 1, "b": 2}]}', None),
        ("-", '[[{"a": 1}], [{"b": 2}]]', None),
        ("-", '[{"items": [{"a": 1}]}, {"items": [{"b": 2}]}]', None),
        ("-", '[{"a": 1}][{"b": 2}]', None),
        ("-", '{"a": 1}\n{"b": 2}\n', None),
    ],
)
def test_tables_and_lists_are_found_whatever_they_are_wrapped_in(
    name: str, text: str, form: Form | None
) -> None:
    found = export(name, text.encode(), form)
    assert "".join(row.text(("a",)) + row.text(("b",)) for row in found.rows) == "12"
    assert found.problems == ()


def test_json_lines_have_lines_and_lists_have_items() -> None:
    assert texts(export("-", b'{"a": 1}\n\n{"a": 2}'), "a") == [("line 1", "1"), ("line 3", "2")]
    pages = b'[{"a": 1},\n{"a": 2}]\n[{"a": 3}]'
    assert texts(export("-", pages), "a") == [("item 1", "1"), ("item 2", "2"), ("item 3", "3")]


def test_what_is_nested_is_found_by_dots_and_what_is_no_text_is_written_as_json() -> None:
    (row,) = export(
        "-", b'{"head": {"ref": " main "}, "a.b": 1, "no": null, "l": ["x", true]}'
    ).rows
    assert [row.text((name,)) for name in ("head.ref", "a.b", "no", "l", "head.x", "x.y")] == [
        "main", "1", "", '["x", true]', "", "",
    ]  # fmt: skip
    assert row.text(("x", "no", "a.b", "head.ref")) == "1"
    assert (row.has(("no",)), row.has(("x", "head.x"))) == (True, False)


def test_of_repeated_headings_the_first_that_is_filled_counts() -> None:
    found = export("-", b"Labels,Labels,Labels\n,b,c\na,,\n")
    assert texts(found, "Labels") == [("line 2", "b"), ("line 3", "a")]


def test_a_row_may_be_short_and_a_long_one_is_a_problem() -> None:
    found = export("t.csv", b"a,b\n1\n1,2,\n1,2,3\n")
    assert texts(found, "a", "b") == [("line 2", "1", ""), ("line 3", "1", "2")]
    assert found.problems == (
        Problem("t.csv", "line 4", None, "3 cells", "2, as many as headings"),
    )


def test_what_is_no_object_is_a_problem() -> None:
    found = export("t.json", b'[{"a": 1}, 7, null]')
    assert [str(problem) for problem in found.problems] == [
        "t.json, item 2: found '7', expected an object",
        "t.json, item 3: found 'null', expected an object",
    ]


def test_a_file_may_be_empty() -> None:
    assert [export(name, b"").rows for name in ("t.csv", "t.json", "-")] == [(), (), ()]


def test_utf_16_is_known_by_its_mark_and_others_are_named() -> None:
    assert texts(export("-", "a\nä\n".encode("utf-16")), "a") == [("line 2", "ä")]
    assert texts(export("-", "a\nä\n".encode("latin-1"), encoding="latin-1"), "a") == [
        ("line 2", "ä")
    ]


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (b"a\n\xe4\n", None, "x, line 2: this is no utf-8-sig; say what it is with --encoding"),
        (b"a", "utf-99", "there is no encoding 'utf-99'"),
        (b'a\n1\n"b', None, "x, line 3: unexpected end of data"),
        (b'a\n"b"c\n', None, "x, line 2: ',' expected after '\"'"),
        (b'[{"a": 1},\n{"b"]', None, "x, line 2, column 5: this is no JSON: "),
        (b"[" * 100_000, None, "x, line 1: this is no JSON: "),
        (b"\n[" + b"1" * 5_000 + b"]", None, "x, line 2: this is no JSON: "),
    ],
)  # fmt: skip
def test_what_cannot_be_read_as_a_whole_is_refused(
    data: bytes, encoding: str | None, message: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        export("x", data, encoding=encoding)
    assert str(refused.value).startswith(message)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\ufeff"), min_size=1).map(
    str.strip
)
TABLES = st.lists(st.fixed_dictionaries({"task": NAMES, "b": NAMES, "status": NAMES}), max_size=5)


@settings(deadline=None)
@given(TABLES, st.sampled_from(["csv", "semicolon", "tsv", "json", "lines", "issues"]))
def test_a_table_says_the_same_in_every_form(table: list[dict[str, str]], form: str) -> None:
    found = export("-", _written(table, form))
    assert [
        {name: row.text((name,)) for name in ("task", "b", "status")} for row in found.rows
    ] == [row for row in table if form in ("json", "lines", "issues") or any(row.values())]


def _written(table: list[dict[str, str]], form: str) -> bytes:
    if form == "lines":
        return "".join(json.dumps(row) + "\n" for row in table).encode()
    if form in ("json", "issues"):
        return json.dumps(table if form == "json" else {"issues": table, "total": 1}).encode()
    out = io.StringIO()
    delimiter = {"csv": ",", "semicolon": ";", "tsv": "\t"}[form]
    writer = csv.DictWriter(out, ["task", "b", "status"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue().encode()


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode), st.sampled_from([None, "csv", "tsv", "json"]))
def test_any_bytes_are_rows_or_are_refused(data: bytes, form: Any) -> None:
    try:
        found = export("x", data, form)
    except ConfigurationError:
        return
    for row in found.rows:
        assert isinstance(row.text(("a", "b.c")), str)
