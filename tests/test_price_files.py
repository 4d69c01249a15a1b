"""A file of prices of one's own: what it says, and where it is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from priced import call, loaded
from test_prices import Fixed, genai, rates
from tokenmeter import ConfigurationError, UsageEvent
from tokenmeter.prices.files import PriceFile

FILE = """\
version = "contract 7"
currency = "EUR"

[[models]]
provider = "azure.ai.openai"
model = "prod-chat"
is = "gpt-4o"

[[models]]
model = "house-*"
of = "together"
is = "llama"

[[discounts]]
provider = "anthropic"
model = "*"
from = 2026-01-01
factor = 0.85

[[prices]]
provider = "openai"
model = "gpt-4o"
until = 2026-07-01
input = 2.0
output = 8

[[prices]]
provider = "openai"
model = "gpt-4o"
input = 1.5
cache_read = 0.5
output = 6

[[prices.above]]
tokens = 100_000
input = 3
output = 9

[[prices]]
provider = "openai"
model = "gpt-4o"
tier = "flex"
input = 1
output = 2

[[prices]]
model = "llama"
between = [22:00:00, 06:00:00]
input = 0.1
output = 0.1

[[prices]]
model = "llama"
input = 0.2
output = 0.2
thousand_calls = 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(FILE)
    return path


def cost(path: Path, **columns: Any) -> UsageEvent:
    return loaded(PriceFile(path), Fixed(rates(input_tokens=10, output_tokens=10))).priced(
        call(**columns)
    )


def test_what_a_file_says_wins_with_its_version_and_currency(path: Path) -> None:
    event = cost(path, cache_read_tokens=200)
    assert event.cost_amount == Decimal("0.0019")  # 800 x 1.5 + 200 x 0.5 + 100 x 6
    assert (event.cost_currency, event.price_source) == ("EUR", "prices.toml")
    assert (event.price_version, event.price_date) == ("contract 7", "2026-11-01")


def test_what_a_file_does_not_name_the_next_book_says(path: Path) -> None:
    event = cost(path, response_model="gpt-4o-mini")
    assert (event.cost_amount, event.price_source) == (Decimal("0.011"), "here")
    alone = loaded(PriceFile(path)).priced(call(response_model="gpt-4o-mini"))
    assert (alone.cost_amount, alone.cost_reason) == (None, "unknown_model")


def test_a_price_has_its_days(path: Path) -> None:
    june, july = (datetime(2026, month, 1, tzinfo=UTC) for month in (6, 7))
    assert cost(path, ts=june).cost_amount == Decimal("0.0028")
    assert cost(path, ts=july).cost_amount == Decimal("0.0021")


def test_a_long_input_has_another_price(path: Path) -> None:
    assert cost(path, input_tokens=100_000).cost_amount == Decimal("0.1506")
    long = cost(path, input_tokens=100_001, cache_read_tokens=1)
    assert long.cost_amount == Decimal("0.3009005")  # 100000 x 3 + 0.5 + 100 x 9


def test_a_tier_has_its_own_price_or_a_documented_factor(path: Path) -> None:
    assert cost(path, service_tier="flex").cost_amount == Decimal("0.0012")
    batch = cost(path, service_tier="batch")
    assert batch.cost_amount == Decimal("0.00105")
    assert batch.price_source == "prices.toml, batch x 0.5"
    assert cost(path, service_tier="priority").cost_reason == "unknown_tier"


def test_a_tier_of_which_a_file_has_no_price_has_that_of_the_next_source(path: Path) -> None:
    event = call(response_model="gpt-5", service_tier="priority")
    alone = loaded(genai()).priced(event)
    path.write_text('version = "1"\n[[prices]]\nmodel = "gpt-5"\ninput = 1\noutput = 1')
    both = loaded(PriceFile(path), genai())
    assert both.priced(event) == alone
    assert alone.price_source == "genai-prices"
    assert both.priced(call(response_model="gpt-5")).price_source == "prices.toml"
    halved = both.priced(call(response_model="gpt-5", service_tier="flex"))
    assert halved.price_source == "prices.toml, flex x 0.5"


def test_that_a_tier_has_no_price_is_not_hidden_by_a_source_that_knows_less(path: Path) -> None:
    path.write_text('[[prices]]\nmodel = "house"\ninput = 1\noutput = 1')
    event = call(response_model="house", service_tier="priority")
    assert loaded(PriceFile(path), genai()).priced(event).cost_reason == "unknown_tier"


def test_a_deployment_is_the_model_that_it_runs(path: Path) -> None:  # C47
    azure = {"provider": "azure.ai.openai", "request_model": "prod-chat", "response_model": None}
    named = loaded(PriceFile(path), genai()).priced(call(**azure))
    assert (named.cost_amount, named.price_source) == (Decimal("0.0035"), "genai-prices")
    unnamed = loaded(genai()).priced(call(**azure))
    assert (unnamed.cost_amount, unnamed.cost_reason) == (None, "unknown_model")


def test_a_private_name_may_be_a_model_of_another_provider(path: Path) -> None:
    day = cost(path, provider="openai_compatible", response_model="house-70b")
    assert day.cost_amount == Decimal("0.00122")  # 1100 x 0.2 + one call
    night = datetime(2026, 11, 1, 23, tzinfo=UTC)
    asleep = cost(path, provider="openai_compatible", response_model="house-70b", ts=night)
    assert asleep.cost_amount == Decimal("0.00011")


def test_outside_of_its_hours_a_file_says_nothing_and_the_next_book_does(tmp_path: Path) -> None:
    path = tmp_path / "night.toml"
    path.write_text(
        'currency = "EUR"\n[[prices]]\nmodel = "gpt-4o"\nbetween = [22:00:00, 06:00:00]\n'
        "input = 1\noutput = 1\n"
    )
    noon = cost(path)
    assert (noon.cost_amount, noon.cost_currency, noon.price_source, noon.price_version) == (
        Decimal("0.011"), "USD", "here", "1"
    )  # fmt: skip
    night = cost(path, ts=datetime(2026, 11, 1, 23, tzinfo=UTC))
    assert (night.cost_amount, night.cost_currency) == (Decimal("0.0011"), "EUR")
    assert night.price_source == "night.toml"
    assert loaded(PriceFile(path)).priced(call()).cost_reason == "no_price"


def test_a_discount_before_holds_outside_of_the_hours_too(tmp_path: Path) -> None:
    night, half = tmp_path / "night.toml", tmp_path / "half.toml"
    night.write_text(
        '[[prices]]\nmodel = "*"\nbetween = [22:00:00, 06:00:00]\ninput = 1\noutput = 1\n'
    )
    half.write_text('[[discounts]]\nmodel = "*"\nfactor = 0.5\n')
    usual = Fixed(rates(input_tokens=10, output_tokens=10))
    for books in ((half, night), (night, half)):
        event = loaded(*map(PriceFile, books), usual).priced(call())
        assert (event.cost_amount, event.price_source) == (
            Decimal("0.0055"),
            "here, half.toml x 0.5",
        )


def test_a_name_may_stand_for_one_that_stands_for_another(tmp_path: Path) -> None:
    path = tmp_path / "names.toml"
    names = "".join(
        f'[[models]]\nmodel = "{name}"\nis = "{other}"\n'
        for name, other in (("gpt-4o", "b"), ("b", "c"), ("x", "y"), ("y", "x"))
    )
    path.write_text(names + '[[prices]]\nmodel = "c"\ninput = 1\noutput = 1\n')
    assert cost(path).price_source == "names.toml"
    assert cost(path, response_model="x").price_source == "here"  # a circle stands for nothing new


def test_a_discount_is_taken_off_what_the_next_book_says(path: Path) -> None:
    event = cost(path, provider="anthropic", response_model="claude")
    assert event.cost_amount == Decimal("0.00935")
    assert event.price_source == "here, prices.toml x 0.85"
    before = datetime(2025, 12, 31, tzinfo=UTC)
    assert cost(path, provider="anthropic", ts=before).cost_amount == Decimal("0.011")


def test_without_a_version_it_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    versions = set[str]()
    for price in ("1", "2", "1"):
        path.write_text(f'[[prices]]\nmodel = "*"\ninput = {price}\noutput = 1\n')
        versions.add(PriceFile(path).origin.version)
    assert len(versions) == 2


PRICES = '[[prices]]\nmodel = "m"\n'
STEP = "input = 1\n[[prices.above]]\ntokens = 5\ninput = 2\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[prices]\n", "is no TOML: Expected ']]' .*line 1"),
        ("versoin = '1'\n", r"line 1: versoin: did you mean 'version'\?"),
        ("\n[[prices]]\ninput = 1\n", r"line 2: prices\[0\].model is missing"),
        (PRICES + "inptu = 1\n", r"line 3: prices\[0\].inptu: did you mean 'input'\?"),
        (PRICES + "input = -1\noutput = 1\n", r"line 3: prices\[0\].input is .* 0 or more; got -1"),
        (PRICES + "input = nan\noutput = 1\n", r"line 3: prices\[0\].input .*; got NaN"),
        (PRICES + "input = true\n", r"line 3: prices\[0\].input is a number; got True"),
        (PRICES + 'input = "1"\n', r"line 3: prices\[0\].input is a number; got '1'"),
        (PRICES, r"line 2: prices\[0\].model has no price"),
        (PRICES + "output = 1\ncache_read = 1\n", r"line 4: .*cache_read .*: give input, too"),
        (PRICES + 'from = "soon"\ninput = 1\n', r"line 3: prices\[0\].from is a day"),
        (PRICES + "between = [1]\ninput = 1\n", r"line 3: prices\[0\].between is two times"),
        (PRICES + "input = 1\noutput = 1\n" + PRICES + "input = 1\noutptu = 1\n",
         r"line 8: prices\[1\].outptu"),
        (PRICES + "input = 1\n[[prices.above]]\ntokens = 0\n",
         r"line 5: prices\[0\].above\[0\].tokens is how much"),
        (PRICES + "input = 1\n[[prices.above]]\ntokens = 9\noutput = 1\n",
         r"line 6: prices\[0\].above\[0\].output has no price below it"),
        (PRICES + STEP + "[[prices.above]]\ntokens = 6\ninput = -3\n",
         r"line 9: prices\[0\].above\[1\].input is .* 0 or more; got -3"),
        (PRICES + STEP + PRICES + STEP + "[[prices.above]]\ntokens = 6\ninptu = 3\n",
         r"line 15: prices\[1\].above\[1\].inptu: did you mean 'input'"),
        (PRICES + STEP + "\n[[prices.above]]\ntokens = 5\ninput = 3\n",
         r"line 9: prices\[0\].above\[1\].tokens is there twice: 5"),
        (PRICES + "input = 1\n[[prices.above]]\ntokens = 5\n",
         r"line 5: prices\[0\].above\[0\].tokens has no price beside it"),
        (PRICES + "input = 1\nabove = [{tokens = 5, input = 'x'}]\n",
         r"line 4: prices\[0\].above\[0\].input is a number; got 'x'"),
        (PRICES + "input = 1\nfrom = 2026-05-01\nuntil = 2026-01-01\n",
         r"line 5: prices\[0\].until is .* after 2026-05-01; got 2026-01-01"),
        (PRICES + "input = 1\nbetween = [10:00:00, 10:00:00]\n",
         r"line 4: prices\[0\].between begins and ends at 10:00:00"),
        ("version = '1'\ncurrency = ''\n", r"line 2: currency is empty"),
        (PRICES + "input = 1e999999\n", r"line 3: prices\[0\].input .* 10\^12 at most"),
        (PRICES + "input = 9e999998\n", r"line 3: prices\[0\].input .* 10\^12 at most"),
        (PRICES + "input = 1e-400\n", r"line 3: prices\[0\].input .* 20 decimal places at most"),
        ("[[discounts]]\nmodel = 'm'\nfactor = 1e13\n", r"line 3: discounts\[0\].factor .* most"),
        (PRICES + "input = 1e9999999999999999999999\n", r"prices.toml cannot be read: .*too long"),
        (PRICES + f"input = {'9' * 5000}\n", r"prices.toml cannot be read: .*too long"),
        ("a = " + "[" * 5000, r"prices.toml cannot be read: .*nested too deeply"),
        ('[[discounts]]\nmodel = "m"\n', r"line 1: discounts\[0\].factor is missing"),
        ('[[models]]\nmodel = "m"\n', r"line 1: models\[0\].is is missing"),
        ('prices = "cheap"\n', r"line 1: prices is a list of tables: write \[\[prices\]\]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        PriceFile(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml cannot be read: No such file"):
        PriceFile(tmp_path / "nowhere.toml")
    (tmp_path / "prices.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"prices\.toml is no text in UTF-8"):
        PriceFile(tmp_path / "prices.toml")


def test_a_file_may_begin_with_the_mark_that_windows_writes(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_bytes(b'\xef\xbb\xbf[[prices]]\nmodel = "*"\ninput = 1\noutput = 1\n')
    assert cost(path).price_source == "prices.toml"
