"""``tokenmeter reprice``: a new ledger with costs, and the old one as it was."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from priced import call
from tokenmeter import UsageEvent
from tokenmeter.cli import main
from tokenmeter.ledger import ledgers, read
from tokenmeter.prices import Pricing
from tokenmeter.prices.files import PriceFile
from tokenmeter.reports.files import files_of

PRICES = '[[prices]]\nmodel = "gpt-4o"\ninput = 2\noutput = 2\n'

EVENTS = [
    call(event_id="1"),
    call(event_id="2", response_model="other"),
    call(event_id="3", cost_amount=Decimal(1), cost_currency="USD", price_source="provider"),
    call(event_id="4", cost_amount=Decimal(2), cost_currency="EUR", price_source="old.toml",
         price_version="1", price_date="2026-11-01"),
    call(event_id="5", kind="run", input_tokens=None, output_tokens=None),
]  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prices.toml").write_text(PRICES)
    path = tmp_path / "usage.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in EVENTS))
    return path


def reprice(ledger: Path, *more: str) -> list[UsageEvent]:
    assert (
        main(["reprice", str(ledger), "--to", "new.jsonl", "--prices", "prices.toml", *more]) == 0
    )
    return list(read("new.jsonl"))


def test_calls_without_a_cost_have_one_and_all_else_is_as_it_was(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ledger.read_bytes()
    events = reprice(ledger)
    assert [event.cost_amount for event in events] == [Decimal("0.0022"), None, 1, 2, None]
    assert events[1].cost_reason == "unknown_model"
    assert events[2:] == EVENTS[2:]
    assert ledger.read_bytes() == before
    assert capsys.readouterr().out == (
        "5 events, 1 with another cost: 2 EUR + 1 USD before, 2 EUR + 1.0022 USD now\n"
        "1 without a price: 1 unknown_model\n"
    )
    assert sorted(path.name for path in Path().iterdir()) == [
        "new.jsonl", "prices.toml", "usage.jsonl"
    ]  # fmt: skip


def test_what_was_priced_is_priced_again_where_that_is_wanted(ledger: Path) -> None:
    amounts = [event.cost_amount for event in reprice(ledger, "--all")]
    assert amounts == [Decimal("0.0022"), None, 1, Decimal("0.0022"), None]


def test_what_a_later_version_says_stays_in_a_line(ledger: Path) -> None:
    old = json.loads(msgspec.json.encode(EVENTS[3]))
    later = old | {"schema": 99, "ts": "2026-11-01T13:00:00+01:00", "later": {"a": [1.10, None]}}
    torn = b'{"kind":"call","eve'
    ledger.write_bytes(torn + json.dumps(later).encode() + b"\n")
    reprice(ledger, "--all")
    (line,) = Path("new.jsonl").read_text().splitlines()
    digest = PriceFile(Path("prices.toml")).origin.version
    assert json.loads(line) == later | {
        "cost_amount": "0.002200", "cost_currency": "USD", "price_source": "prices.toml",
        "price_version": digest,
    }  # fmt: skip


def test_what_a_killed_run_has_left_is_in_no_report_of_the_folder(ledger: Path) -> None:
    part = ledger.with_name("new.jsonl.0123abcd.part")
    part.write_bytes(ledger.read_bytes())
    assert files_of([ledger.parent]) == ([ledger], [])
    assert ledgers([ledger.parent / "*"]) == [ledger.with_name("prices.toml"), ledger]


def test_a_new_ledger_never_takes_the_place_of_another_one(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("new.jsonl").write_text("mine")
    code = main(["reprice", str(ledger), "--to", "new.jsonl", "--prices", "prices.toml"])
    assert code == 2
    assert "--to new.jsonl is there already; name a new file" in capsys.readouterr().err
    assert Path("new.jsonl").read_text() == "mine"


def test_a_broken_file_of_prices_writes_nothing(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("prices.toml").write_text(PRICES + "outptu = 3\n")
    assert main(["reprice", str(ledger), "--to", "new.jsonl", "--prices", "prices.toml"]) == 2
    assert "line 5: prices[0].outptu" in capsys.readouterr().err
    assert not Path("new.jsonl").exists()


def test_lines_that_are_no_events_are_said(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ledger.open("a") as file:
        file.write("nonsense\n")
    assert len(reprice(ledger)) == len(EVENTS)
    assert capsys.readouterr().err == f"tokenmeter: {ledger}: 1 line (6) is no event\n"


def test_two_at_a_time_lose_nothing_and_the_later_one_says_that_it_is_there(
    ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ["reprice", str(ledger), "--to", "new.jsonl", "--prices", "prices.toml"]
    priced, codes = Pricing.repriced, list[int]()

    def meanwhile(self: Pricing, event: UsageEvent, **how: Any) -> UsageEvent:
        if not codes:
            codes.append(-1)
            codes[0] = main(first)
        return priced(self, event, **how)

    monkeypatch.setattr(Pricing, "repriced", meanwhile)
    codes.append(main(first))
    assert codes == [0, 2]
    assert "--to new.jsonl is there already; name a new file" in capsys.readouterr().err
    assert [event.event_id for event in read("new.jsonl")] == ["1", "2", "3", "4", "5"]
    assert sorted(path.name for path in Path().iterdir()) == [
        "new.jsonl", "prices.toml", "usage.jsonl"
    ]  # fmt: skip


def test_the_new_ledger_may_be_read_by_whom_other_files_may(ledger: Path) -> None:
    assert main(["reprice", str(ledger), "--to", "new.jsonl", "--prices", "prices.toml"]) == 0
    Path("other").touch()
    assert Path("new.jsonl").stat().st_mode == Path("other").stat().st_mode


@pytest.mark.parametrize("name", ["NEW.JSONL.GZ", "new.jsonl.gz", "new.jsonl.zst", "new.parquet"])
def test_a_new_ledger_is_not_named_as_what_it_is_not(
    ledger: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reprice", str(ledger), "--to", name, "--prices", "prices.toml"]) == 2
    assert "name a file that ends in .jsonl" in capsys.readouterr().err
    assert not Path(name).exists()


def test_parquet_is_refused_whatever_it_is_called(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.write_bytes(b"PAR1....PAR1")
    code = main(["reprice", str(ledger), "--to", "new.jsonl", "--prices", "prices.toml"])
    assert code == 2
    assert f"{ledger} is Parquet, and reprice reads JSON lines" in capsys.readouterr().err
    assert not Path("new.jsonl").exists()
