"""What calls cost, as a meter says it: at once, a little later, and not at all."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

import tokenmeter
from priced import call, loaded
from test_prices import Fixed, rates
from tokenmeter import ConfigurationError, Meter, MissingExtraError, UsageEvent, metered
from tokenmeter.prices import Asked, NoPrice, Rates
from tokenmeter.settings import Settings
from tokenmeter.testing import ModelServer

CHEAP = rates(input_tokens=1, output_tokens=1)


class Late(Fixed):
    """A book that is there when the test says so."""

    def __init__(self) -> None:
        super().__init__(CHEAP)
        self.may_load = threading.Event()


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[Late]:
    late = Late()

    def loaded() -> Late:
        assert late.may_load.wait(30)
        return late

    monkeypatch.setattr("tokenmeter.prices.sources._genai_prices", loaded)
    yield late
    late.may_load.set()


def test_a_call_through_an_sdk_has_its_cost_on_its_event_and_in_tallies() -> None:
    events: list[UsageEvent] = []
    meter = Meter([events.append], prices=Fixed(CHEAP))
    with ModelServer() as server, openai.OpenAI(base_url=server.openai_url, api_key="k") as client:
        meter.wrap(client)
        with meter.tally() as spent:
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    [event] = events
    tokens = (event.input_tokens or 0) + (event.output_tokens or 0)
    assert event.cost_amount == Decimal(tokens) / 1_000_000 == spent.cost_amount
    assert (event.cost_currency, event.price_source) == ("USD", "here")
    assert spent.unpriced == 0


def test_a_recorded_event_has_a_cost_too_and_runs_have_none(events: list[UsageEvent]) -> None:
    meter = Meter([events.append], prices=Fixed(CHEAP))
    meter.record(call())
    meter.record(call(kind="outcome", task="T", input_tokens=None, output_tokens=None))
    assert [event.cost_amount for event in events] == [Decimal("0.0011"), None]
    assert [event.cost_reason for event in events] == [None, None]


def test_an_estimate_is_priced_when_it_is_made(events: list[UsageEvent]) -> None:
    meter = Meter([events.append], prices=Fixed(CHEAP))

    def unreported(_request: httpx.Request) -> httpx.Response:
        said = {"object": "chat.completion", "model": "gpt-4o", "choices": [
            {"message": {"content": "four words and more"}, "finish_reason": "stop"}]}  # fmt: skip
        return httpx.Response(200, json=said)

    with httpx.Client(transport=httpx.MockTransport(unreported)) as client:
        meter.wrap(client).post(
            "https://api.openai.com/v1/chat/completions",
            json={"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]},
        )
    meter.flush()
    [event] = events
    assert event.input_provenance == event.output_provenance == "estimated"
    tokens = (event.input_tokens or 0) + (event.output_tokens or 0)
    assert event.cost_amount == Decimal(tokens) / 1_000_000 > 0


def test_without_prices_nothing_is_said_of_money(events: list[UsageEvent]) -> None:
    Meter([events.append]).record(call())
    assert events[0].cost is None


def test_a_book_that_raises_harms_nobody(events: list[UsageEvent]) -> None:
    class Broken:
        def find(self, asked: Asked, /) -> NoPrice:
            raise ZeroDivisionError

    meter = Meter([events.append], prices=Broken())
    meter.record(call())
    assert [event.cost_amount for event in events] == [None]
    assert meter.stats()["guard"] == {"a price": 1}


def test_the_first_source_that_has_a_price_says_it(
    events: list[UsageEvent], tmp_path: Path
) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('[[prices]]\nmodel = "house"\ninput = 2\noutput = 2\n')
    meter = Meter([events.append], prices=[path, Fixed(CHEAP)])
    meter.record(call(response_model="house"))
    meter.record(call())
    assert [event.cost_amount for event in events] == [Decimal("0.0022"), Decimal("0.0011")]


def test_prices_may_come_later_and_each_event_waits_for_its_own(
    events: list[UsageEvent], late: Late
) -> None:
    meter = Meter([events.append], prices="genai-prices", wait_for_prices=False)
    with meter.tally(timeout=0) as spent:
        meter.record(call())
        meter.record(call(kind="run", status="completed"))
    assert [event.kind for event in events] == ["run"]
    assert spent.calls == 0
    late.may_load.set()
    assert meter.flush()
    meter.record(call())
    assert [event.cost_amount for event in events] == [None, Decimal("0.0011"), Decimal("0.0011")]
    assert spent.cost_amount == Decimal("0.0011")


def test_a_function_around_a_call_that_waits_for_its_price_adds_nothing(
    events: list[UsageEvent], late: Late
) -> None:
    meter = Meter([events.append], prices="genai-prices", wait_for_prices=False)

    @metered(model="outer", meter=meter)
    def outer() -> dict[str, Any]:
        meter.record(call())
        return {"usage": {"input_tokens": 1000, "output_tokens": 100}}

    outer()
    late.may_load.set()
    assert meter.flush()
    assert [event.response_model for event in events if event.input_tokens] == ["gpt-4o"]


def test_prices_that_cannot_be_loaded_are_a_reason_and_no_price(
    events: list[UsageEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise OSError

    monkeypatch.setattr("tokenmeter.prices.sources._genai_prices", broken)
    meter = Meter([events.append], prices="genai-prices", wait_for_prices=False)
    meter.flush()
    meter.record(call())
    assert (events[0].cost_amount, events[0].cost_reason) == (None, "prices_not_loaded")
    assert meter.stats()["guard"] == {"a pending call": 1}


def test_prices_that_cannot_be_loaded_at_once_change_nothing(
    events: list[UsageEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise OSError("no snapshot")

    monkeypatch.setattr("tokenmeter.prices.sources._genai_prices", broken)
    meter = Meter([events.append], prices=Fixed(CHEAP))
    before = meter.settings
    with pytest.raises(OSError, match="no snapshot"):
        meter.configure(exporters=[], prices="genai-prices")
    assert meter.settings is before
    meter.record(call())
    assert [event.cost_amount for event in events] == [Decimal("0.0011")]


def test_a_meter_that_ends_before_its_prices_are_there_still_says_everything(
    events: list[UsageEvent], late: Late
) -> None:
    meter = Meter([events.append], prices="genai-prices", wait_for_prices=False)
    meter.record(call())
    threading.Timer(0.2, late.may_load.set).start()
    assert meter.shutdown()
    assert [event.cost_amount for event in events] == [Decimal("0.0011")]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_loads_its_own(events: list[UsageEvent], late: Late) -> None:
    meter = Meter([events.append], prices="genai-prices", wait_for_prices=False)
    child = os.fork()
    if child == 0:
        late.may_load.set()
        meter.record(call())
        meter.flush()
        amounts = [event.cost_amount for event in events]
        os._exit(0 if amounts == [Decimal("0.0011")] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert events == []


def test_the_same_prices_stay_loaded_when_something_else_is_configured(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('[[prices]]\nmodel = "*"\ninput = 2\noutput = 2\n')
    settings = Settings().given({"prices": path})
    meter = Meter(prices=path)
    pricing = meter.pricing
    assert meter.configure(estimates=False).pricing is pricing
    assert settings.prices == Settings().given({"prices": str(path)}).prices


def test_the_environment_names_prices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[UsageEvent]
) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('[[prices]]\nmodel = "*"\ninput = 2\noutput = 2\n')
    monkeypatch.setattr("tokenmeter.meter._default", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKENMETER_PRICES", f"{path}")
    meter = tokenmeter.configure(exporters=[events.append])
    tokenmeter.record(call())
    assert events[0].cost_amount == Decimal("0.0022")
    [said] = [each for each in meter.settings.described() if each.name == "prices"]
    assert (said.value, said.origin) == (str(path), "TOKENMETER_PRICES")
    meter.shutdown()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("litellm", r"prices: there are no prices named 'litellm'; known names are genai-prices"),
        (["genai-price"], r"prices\[0\]: .* did you mean 'genai-prices'\?"),
        ({"m": 1}, "prices takes 'genai-prices', a TOML file"),
        (7, "prices takes 'genai-prices'"),
        ([7], r"prices\[0\]: prices are 'genai-prices', a TOML file"),
        (Fixed, "an object with a method find"),
    ],
)
def test_what_is_no_source_of_prices_is_refused(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Meter(prices=given)


def test_a_package_that_is_missing_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tokenmeter.prices.sources.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tokenmeter\[prices\]'"):
        Meter(prices="genai-prices")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokenmeter.prices.pricing._REMEMBERED", 3)
    book = Fixed(CHEAP)
    meter = Meter(prices=book)
    for n in range(10):
        meter.record(call(response_model=f"m{n}"))
    gc.collect()
    assert meter.pricing is not None
    assert len(meter.pricing._known) <= 3


def test_a_book_of_ones_own_is_a_class_with_one_method(events: list[UsageEvent]) -> None:
    class Flat:
        def find(self, asked: Asked, /) -> Sequence[Rates] | NoPrice:
            return [CHEAP] if asked.provider == "openai" else NoPrice("unknown_provider")

    meter = Meter([events.append], prices=Flat())
    meter.record(call())
    meter.record(call(provider="other"))
    assert [event.cost_reason for event in events] == [None, "unknown_provider"]


class Answering:
    """A book that gives what a function makes of what is asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def find(self, asked: Asked, /) -> Any:
        return self.answer(asked)


def _raising(asked: Asked) -> Any:
    raise KeyError(asked.model)


@pytest.mark.parametrize(
    "answer",
    [
        _raising,
        lambda _: None,
        lambda _: [],
        lambda _: CHEAP,
        lambda _: "cheap",
        lambda asked: asked._replace(model=asked.model + "x"),
    ],
)
def test_a_book_that_fails_is_counted_and_the_next_one_is_asked(
    answer: Any, events: list[UsageEvent]
) -> None:
    alone = Meter([events.append], prices=Answering(answer))
    alone.record(call())
    alone.record(call())
    assert [(event.cost_amount, event.cost_reason) for event in events] == [
        (None, "book_failed"), (None, "book_failed")
    ]  # fmt: skip
    assert alone.guard.failures == {"a price": 2}
    events.clear()
    Meter([events.append], prices=[Answering(answer), Fixed(CHEAP)]).record(call())
    assert [(event.cost_amount, event.cost_reason) for event in events] == [
        (Decimal("0.0011"), None)
    ]


def test_a_book_that_has_recovered_is_asked_again() -> None:
    said: list[Any] = [None, [CHEAP]]
    pricing = loaded(Answering(lambda _: said.pop(0)))
    assert [pricing.priced(call()).cost_amount for _ in range(3)] == [
        None, Decimal("0.0011"), Decimal("0.0011")
    ]  # fmt: skip


def test_a_reason_of_a_later_book_does_not_hide_that_one_failed() -> None:
    unknown = Answering(lambda _: NoPrice("unknown_provider"))
    assert loaded(Answering(_raising), unknown).priced(call()).cost_reason == "book_failed"


def test_bytes_are_no_book() -> None:
    with pytest.raises(ConfigurationError, match="an object with a method find"):
        Meter(prices=b"prices.toml")  # pyright: ignore[reportArgumentType]


def test_a_time_that_no_calendar_has_in_utc_has_no_price() -> None:
    early = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    event = loaded(Fixed(CHEAP)).repriced(call(ts=early))
    assert (event.cost_amount, event.cost_reason) == (None, "unknown_day")
