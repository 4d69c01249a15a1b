"""Results as JSON, CSV and Markdown: exact, whole, and safe to open."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reported import FACTS, ODD, named, result
from tokenmeter.reports.output import csv as as_csv
from tokenmeter.reports.output import json as as_json
from tokenmeter.reports.output import markdown as as_markdown
from tokenmeter.reports.values import Result


def written(write: Any, found: Result) -> str:
    out = io.StringIO(newline="")
    write(found, out)
    return out.getvalue()


def test_json_has_every_value_exact_and_all_that_is_true_of_them() -> None:
    found = json.loads(written(as_json.write, result(notes=("n",), damage=("d",))))
    facts = found.pop("facts")
    assert (facts["coverage"], facts["shares"]["unpriced"], facts["cost_amount"]) == (
        0.975,
        0.1,
        "12.3456789",
    )
    assert facts["first"] == "2026-11-01T12:00:00Z"
    assert found.pop("columns")[-2:] == [
        {"name": "cost_amount", "kind": "money", "unit": "USD"},
        {"name": "duration_p50_s", "kind": "seconds", "unit": "s"},
    ]
    nobody = found["rows"][1]
    assert (nobody["user"], nobody["output_tokens"], nobody["cost_amount"]) == (
        None,
        None,
        "0.0456789",
    )
    assert found.pop("rows")[0] == {
        "user": "ada",
        "calls": 30,
        "attempts": 31,
        "failed": 1,
        "abandoned": 0,
        "input_tokens": 1200,
        "output_tokens": 200,
        "cost_amount": "12.3",
        "duration_p50_s": 0.842,
    }
    assert found.pop("total")["calls"] == 40
    assert found == {
        "report": "report",
        "title": "Usage by user",
        "rules": 1,
        "time_zone": "Europe/Berlin",
        "period": {"since": None, "until": None},
        "only": {},
        "currency": "USD",
        "names": 1,
        "notes": ["n"],
        "damage": ["d"],
    }


def test_json_of_a_comparison_has_the_facts_of_both() -> None:
    found = json.loads(written(as_json.write, result(before=result(zone="UTC"))))
    assert found["before"]["facts"] == found["facts"]
    assert found["before"]["time_zone"] == "UTC"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, max_value=10**9, min_value=0))
def test_an_amount_in_json_and_csv_is_the_amount(amount: Decimal) -> None:
    found = result(rows=(("a", 1, 1, 0, 0, 1, 1, amount, None),))
    in_json = json.loads(written(as_json.write, found))["rows"][0]["cost_amount"]
    in_csv = next(csv.DictReader(io.StringIO(written(as_csv.write, found))))["cost_amount"]
    assert Decimal(in_json) == Decimal(in_csv) == amount
    assert "E" not in in_json


def test_csv_has_every_column_no_total_and_nothing_where_nobody_knows() -> None:
    assert written(as_csv.write, result()) == (
        "user,calls,attempts,failed,abandoned,input_tokens,output_tokens,cost_amount,duration_p50_s\n"
        "ada,30,31,1,0,1200,200,12.3,0.842\n"
        ",10,10,0,3,5,,0.0456789,\n"
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "＝1", "'x", "\0x"])  # noqa: RUF001
def test_csv_holds_no_formula_and_one_quote_less_is_the_name(name: str) -> None:
    rows = list(csv.reader(io.StringIO(written(as_csv.write, named(name)), newline="")))
    assert rows[1][0] == f"'{name}"


@given(
    st.text("=+-@'\"\t\r\n,;ab山", min_size=1)
    | st.text(min_size=1).filter(lambda text: "\0" not in text)
)
def test_every_name_is_in_csv_and_can_be_told_from_all_others(name: str) -> None:
    text = written(as_csv.write, named(name)).encode(errors="surrogatepass")
    read = csv.reader(io.StringIO(text.decode(errors="surrogatepass"), newline=""))
    found = list(read)[1][0]
    assert found[found.startswith("'") :] == name
    assert found[0] not in "=+-@"


def test_negative_numbers_in_csv_are_numbers() -> None:
    changed = ("a", -1, 1, 0, 0, 1, 1, Decimal("-0.5"), None)
    assert written(as_csv.write, result(rows=(changed,))).splitlines()[1] == "a,-1,1,0,0,1,1,-0.5,"


def test_markdown_has_a_table_its_total_and_what_is_true_of_it() -> None:
    found = result(damage=("usage.jsonl: 1 line (2) is no event",))
    assert written(as_markdown.write, found) == (
        "## Usage by user\n\n"
        "all calls, 2026-11-01 to 2026-11-30 · Europe/Berlin · USD\n\n"
        "| user | calls | attempts | failed | input | output | cost USD | p50 s |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| ada | 30 | 31 | 1 | 1,200 | 200 | 12.3000 | 0.84 |\n"
        "| (none) | 10 | 10 | 0 | 5 | ? | 0.0457 | – |\n"  # noqa: RUF001
        "| **total** | **40** | **41** | **1** | **1,205** | **207** | **12.3457** | **0.80** |\n"
        "\n"
        "- 41 attempts, 40 countable · coverage 97.5 % · estimated 5 % (2) · partial 0 % · "
        "unknown 2.5 % (1) · unpriced 10 % (4) · unattributed 7.3 % (3) · rules version 1\n"
        "- damage: usage.jsonl: 1 line (2) is no event\n"
    )


def test_other_currencies_are_named_where_the_unpriced_are() -> None:
    elsewhere = replace(FACTS, other_currencies={"EUR": 1200, "x\ny": 1})
    shown = written(as_markdown.write, result(facts=elsewhere))
    assert "unpriced 10 % (4; 1,200 of them in EUR; 1 of them in x" in shown
    assert "x\ny" not in shown
    facts = json.loads(written(as_json.write, result(facts=elsewhere)))["facts"]
    assert facts["other_currencies"] == elsewhere.other_currencies


def test_markdown_takes_no_name_for_markdown_or_html() -> None:
    text = written(as_markdown.write, named(*ODD))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(ODD) + 1
    assert "<script" not in text
    assert r"a\|b\*c\*\`d\`" in text
    assert r"\[b\]markup" in text
