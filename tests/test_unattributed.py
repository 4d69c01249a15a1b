"""Calls that nobody claimed: counted, and found where they were made."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenmeter
from canned import Asked, Told, serving, told
from tokenmeter import Meter, attribute
from tokenmeter.unattributed import MOST_PLACES, OTHERS, UNKNOWN, Counter, Unattributed
from wires import ASKED, CHAT, chat

HERE = __name__


@pytest.fixture
def url() -> Iterator[str]:
    def answer(_asked: Asked) -> Told:
        return told(chat(object="chat.completion", created=1))

    with serving(answer) as url:
        yield f"{url}/v1"


@pytest.fixture
def meter() -> Iterator[Meter]:
    meter = Meter(trace_unattributed=True, estimates=False)
    yield meter
    meter.shutdown()
    while OPENED:
        OPENED.pop().close()


def client_of(meter: Meter) -> httpx.Client:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, json=chat()))
    return meter.wrap(httpx.Client(transport=answer))


OPENED: list[openai.OpenAI] = []


def sdk(meter: Meter, url: str) -> openai.OpenAI:
    """Give a metered client that is closed with the meter."""
    OPENED.append(meter.wrap(openai.OpenAI(api_key="k", base_url=url)))
    return OPENED[-1]


def create(meter: Meter, url: str) -> Callable[[], object]:
    client = sdk(meter, url)
    return lambda: client.chat.completions.create(**ASKED)


@pytest.mark.parametrize(
    ("names", "count"),
    [({}, 1), ({"tier": "gold"}, 1), ({"user": "ada"}, 0), ({"team": "x"}, 0), ({"task": "x"}, 0),
     ({"agent": "x"}, 0), ({"conversation": "x"}, 0)],
)  # fmt: skip
def test_a_call_without_any_name_is_counted_and_tags_are_no_name(names: Any, count: int) -> None:
    meter = Meter(estimates=False)
    with attribute(**names):
        client_of(meter).post(CHAT, json=ASKED)
    assert meter.unattributed() == Unattributed(count, {})


def test_what_a_resolver_or_a_header_names_is_not_counted() -> None:
    meter = Meter(user=["request", lambda: None], estimates=False)
    client = client_of(meter)
    client.post(CHAT, json=ASKED, headers={"x-tokenmeter-task": "T-1"})
    client.post(CHAT, json=ASKED | {"user": "ada"})
    client.post(CHAT, json=ASKED)
    assert meter.unattributed() == Unattributed(1, {})


def test_each_event_of_a_call_is_counted_runs_and_what_is_no_call_are_not() -> None:
    meter = Meter(estimates=False)
    client = client_of(meter)
    client.get("https://api.openai.com/v1/models")
    with attribute(agent="planner"):
        pass
    ask = tokenmeter.metered(meter=meter)(lambda: {"input_tokens": 1})
    for _ in range(3):
        ask()
    client.post(CHAT, json=ASKED)
    assert meter.unattributed() == Unattributed(4, {})


def ask_event(meter: Meter, client: httpx.Client) -> tokenmeter.UsageEvent:
    kept: list[tokenmeter.UsageEvent] = []
    with meter.attach(kept.append):
        client.post(CHAT, json=ASKED)
    return kept[0]


def test_a_record_is_counted_too() -> None:
    meter, other = Meter(estimates=False), Meter()
    other.record(ask_event(meter, client_of(meter)))
    assert other.unattributed() == Unattributed(1, {})


# -- where ----------------------------------------------------------------------------------------


class Summary:
    def write(self, ask: Callable[[], object]) -> object:
        return ask()


def test_it_is_said_which_function_made_it(meter: Meter, url: str) -> None:
    ask = create(meter, url)
    Summary().write(ask)
    Summary().write(ask)
    ask()
    with attribute(user="ada"):
        ask()
    place = f"{HERE}.create.<locals>.<lambda>"
    assert meter.unattributed() == Unattributed(3, {place: 3})


def test_the_innermost_function_of_ones_own_is_meant(meter: Meter, url: str) -> None:
    client = sdk(meter, url)

    class Writer:
        def write(self) -> None:
            client.chat.completions.create(**ASKED)

    Summary().write(Writer().write)
    where = "test_the_innermost_function_of_ones_own_is_meant.<locals>.Writer.write"
    assert meter.unattributed().places == {f"{HERE}.{where}": 1}


def test_it_is_found_through_a_chain_of_coroutines(meter: Meter, url: str) -> None:
    async def inner() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=url) as client:
            await meter.wrap(client).chat.completions.create(**ASKED)

    async def outer() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(inner())
            group.create_task(inner())

    asyncio.run(outer())
    where = "test_it_is_found_through_a_chain_of_coroutines.<locals>.inner"
    assert meter.unattributed() == Unattributed(2, {f"{HERE}.{where}": 2})


def test_it_is_found_in_threads(meter: Meter, url: str) -> None:
    client = sdk(meter, url)

    def work() -> None:
        client.chat.completions.create(**ASKED)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: work(), range(4)))
    where = f"{HERE}.test_it_is_found_in_threads.<locals>.work"
    assert meter.unattributed() == Unattributed(5, {where: 5})


def test_it_is_found_through_decorators(meter: Meter, url: str) -> None:
    ask = create(meter, url)

    @attribute(tier="gold")
    def decorated() -> object:
        return ask()

    @tokenmeter.metered(meter=meter)
    def model() -> dict[str, int]:
        return {"input_tokens": 1}

    decorated()
    model()
    here = f"{HERE}.test_it_is_found_through_decorators"
    assert meter.unattributed().places == {f"{HERE}.create.<locals>.<lambda>": 1, here: 1}


def test_what_only_a_library_makes_is_unknown(meter: Meter, url: str) -> None:
    client = sdk(meter, url)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(client.chat.completions.create, **ASKED).result()
    assert meter.unattributed() == Unattributed(1, {UNKNOWN: 1})


def test_code_that_was_typed_and_programs_that_are_installed_are_found(tmp_path: Path) -> None:
    """A package in ``site-packages`` that is no SDK may be the user's own."""
    package = tmp_path / "site-packages" / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def buy(ask):\n    return ask()\n")
    program = textwrap.dedent("""
        import functools, json, httpx, tokenmeter
        from shop import buy
        answer = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        made = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
        meter = tokenmeter.Meter(trace_unattributed=True)
        client = meter.wrap(httpx.Client(transport=made))
        ask = functools.partial(client.post, "https://api.openai.com/v1/chat/completions",
                                json={"model": "m"})
        ask()
        import threading
        thread = threading.Thread(target=buy, args=(ask,))
        thread.start()
        thread.join()
        print(json.dumps(dict(meter.unattributed().places)))
    """)
    paths = os.pathsep.join([str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": paths},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"__main__.<module>": 1, "shop.buy": 1}


def test_nobody_looks_where_it_is_not_switched_on() -> None:
    meter = Meter(estimates=False)
    client_of(meter).post(CHAT, json=ASKED)
    meter.configure(trace_unattributed=True)
    client_of(meter).post(CHAT, json=ASKED)
    where = "test_nobody_looks_where_it_is_not_switched_on"
    assert meter.unattributed() == Unattributed(2, {f"{HERE}.{where}": 1})


def test_a_call_is_counted_where_it_was_made_whoever_reads_its_answer(
    meter: Meter, url: str
) -> None:
    client = sdk(meter, url)

    def begin() -> Any:
        return client.chat.completions.with_streaming_response.create(**ASKED).__enter__()

    answer = begin()
    with attribute(user="ada"):
        contextvars.copy_context().run(answer.read)
        answer.close()
    assert sum(meter.unattributed().places.values()) == 1
    assert begin.__qualname__ in next(iter(meter.unattributed().places))


# -- the count ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.sampled_from("abc") | st.none()))
def test_as_many_are_said_as_were_counted_the_most_frequent_place_first(places: list[Any]) -> None:
    counter = Counter()
    for place in places:
        counter.count(place)
    said = counter.said()
    assert said.calls == len(places)
    assert dict(said.places) == {p: places.count(p) for p in set(places) - {None}}
    assert list(said.places.values()) == sorted(said.places.values(), reverse=True)


def test_places_are_bounded_and_none_is_lost() -> None:
    counter = Counter()
    for n in range(MOST_PLACES + 7):
        counter.count(f"f{n}")
    said = counter.said()
    assert (said.calls, len(said.places)) == (MOST_PLACES + 7, MOST_PLACES + 1)
    assert said.places[OTHERS] == 7


def test_threads_lose_none() -> None:
    counter = Counter()

    def many() -> None:
        for _ in range(5_000):
            counter.count("f")

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.said() == Unattributed(20_000, {"f": 20_000})


def test_the_diagnosis_says_them(meter: Meter) -> None:
    client_of(meter).post(CHAT, json=ASKED)
    found = tokenmeter.diagnose(meter).unattributed
    assert found == meter.unattributed()
    assert found.calls == 1


def test_the_command_says_them(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import tokenmeter
        meter = tokenmeter.configure(trace_unattributed=True)
        ask = tokenmeter.metered(lambda: {"input_tokens": 1})
        def work():
            ask()
        work()
    """)
    (tmp_path / "work.py").write_text(program)
    command = [sys.executable, "-m", "tokenmeter", "doctor", "work.py"]
    environ = os.environ | {"COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    at = lines.index("Calls that nobody claimed")
    shown = " ".join(" ".join(lines[at + 1 : at + 5]).split())
    assert shown.startswith("__main__.work 1 calls")
