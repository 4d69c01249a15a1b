"""`metered`: one event for each call of a function, and the function is what it was."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import functools
import gc
import inspect
import logging
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anthropic
import msgspec
import openai
import pytest
import trio
from pydantic import BaseModel

import tokenmeter
from tokenmeter import ConfigurationError, Meter, Usage, attribute, metered
from tokenmeter.dialects import Reading
from tokenmeter.dialects.objects import read
from tokenmeter.exporters.memory import Memory
from tokenmeter.testing import Answer, ModelServer

VARYING = ("event_id", "host", "pid", "ts", "duration_s", "time_to_first_chunk_s", "kind", "schema")
USED = {"input_tokens": 3, "output_tokens": 5}
REPORTED = {**USED, "input_provenance": "reported", "output_provenance": "reported"}
PARTIAL = {**USED, "input_provenance": "reported", "output_provenance": "partial"}
UNKNOWN = {"input_provenance": "unknown", "output_provenance": "unknown"}
NOTHING = {"input_provenance": "none", "output_provenance": "none"}
PLAIN = {"operation": "chat", "source": "metered", "stream": False}
STREAM = PLAIN | {"stream": True}
ASK: Any = {"model": "m", "messages": [{"role": "user", "content": "one two three"}]}


class Ledger(Memory):
    """Events as what they say, without what varies."""

    def __init__(self) -> None:
        super().__init__()
        self.meter = Meter([self])

    def facts(self) -> list[dict[str, Any]]:
        assert self.meter.flush()
        return [
            {
                n: v
                for n, v in msgspec.structs.asdict(e).items()
                if v is not None and n not in VARYING
            }
            for e in self.events
        ]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger()
    yield ledger
    ledger.meter.shutdown()


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def client(server: ModelServer, ledger: Ledger) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.openai_url, api_key="k", max_retries=0) as client:
        yield ledger.meter.wrap(client)


class LeftError(Exception):
    """What a user's code raises."""


class Waits:
    """Something to await that never comes, without a loop."""

    def __await__(self) -> Any:
        yield


def chunks(n: int = 2) -> Iterator[Any]:
    """Chunks of a model, of which the last ones say the usage."""
    yield "text"
    for _ in range(n):
        yield dict(USED)


async def async_chunks(n: int = 2) -> AsyncIterator[Any]:
    for chunk in chunks(n):
        yield chunk


def drop(generator: Any) -> None:
    del generator
    gc.collect()


# --- every exit, one event ------------------------------------------------------------------------


def test_a_return_is_one_completed_event(ledger: Ledger) -> None:
    @metered(model="m", provider="mine", meter=ledger.meter)
    def ask(question: str) -> dict[str, int]:
        return USED

    assert ask("?") is USED
    assert ledger.facts() == [
        {**PLAIN, **REPORTED, "request_model": "m", "provider": "mine", "status": "completed"}
    ]


def test_an_await_is_one_completed_event(ledger: Ledger) -> None:
    @metered(meter=ledger.meter)
    async def ask(question: str) -> dict[str, int]:
        await asyncio.sleep(0)
        return USED

    assert asyncio.run(ask("?")) is USED
    assert ledger.facts() == [{**PLAIN, **REPORTED, "status": "completed"}]


def test_an_exhausted_generator_is_one_completed_event(ledger: Ledger) -> None:
    assert list(metered(meter=ledger.meter)(chunks)()) == ["text", USED, USED]
    assert ledger.facts() == [{**STREAM, **REPORTED, "status": "completed"}]


@pytest.mark.parametrize("run", [asyncio.run, lambda main: trio.run(lambda: main)])
def test_an_exhausted_asynchronous_generator_is_one_completed_event(
    ledger: Ledger, run: Callable[[Any], Any]
) -> None:
    async def main() -> list[Any]:
        return [chunk async for chunk in metered(meter=ledger.meter)(async_chunks)()]

    assert run(main()) == ["text", USED, USED]
    assert ledger.facts() == [{**STREAM, **REPORTED, "status": "completed"}]


def test_what_a_generator_returns_counts(ledger: Ledger) -> None:
    @metered(meter=ledger.meter)
    def ask() -> Any:
        yield "text"
        return Usage(input_tokens=3, output_tokens=5)

    def outer() -> Any:
        return (yield from ask())

    steps = outer()
    assert next(steps) == "text"
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value == Usage(input_tokens=3, output_tokens=5)
    assert ledger.facts() == [{**STREAM, **REPORTED, "status": "completed"}]


@pytest.mark.parametrize(
    ("exc", "status"),
    [
        (LeftError("secret"), {"status": "failed", "error_type": "LeftError"}),
        (StopIteration(), {"status": "failed", "error_type": "StopIteration"}),
        (KeyboardInterrupt(), {"status": "abandoned"}),
        (asyncio.CancelledError(), {"status": "abandoned"}),
    ],
)
def test_a_raise_is_one_event_and_the_same_exception(
    ledger: Ledger, exc: BaseException, status: dict[str, str]
) -> None:
    @metered(meter=ledger.meter)
    def ask() -> None:
        raise exc

    with pytest.raises(type(exc)) as raised:
        ask()
    assert raised.value is exc
    assert ledger.facts() == [{**PLAIN, **UNKNOWN, **status}]


def test_a_raise_in_a_coroutine_is_one_event_and_the_same_exception(ledger: Ledger) -> None:
    exc = LeftError()

    @metered(meter=ledger.meter)
    async def ask() -> None:
        raise exc

    with pytest.raises(LeftError) as raised:
        asyncio.run(ask())
    assert raised.value is exc
    assert ledger.facts() == [{**PLAIN, **UNKNOWN, "status": "failed", "error_type": "LeftError"}]


def test_a_raise_after_usage_leaves_the_output_partial(ledger: Ledger) -> None:
    exc = LeftError()

    @metered(meter=ledger.meter)
    def ask() -> Iterator[Any]:
        yield USED
        raise exc

    with pytest.raises(LeftError) as raised:
        list(ask())
    assert raised.value is exc
    assert ledger.facts() == [{**STREAM, **PARTIAL, "status": "failed", "error_type": "LeftError"}]


def test_an_exception_thrown_in_is_handled_as_without_us(ledger: Ledger) -> None:
    @metered(meter=ledger.meter)
    def ask() -> Iterator[Any]:
        try:
            yield "text"
        except LeftError:
            yield USED

    generator: Any = ask()
    assert [next(generator), generator.throw(LeftError()), *generator] == ["text", USED]
    assert ledger.facts() == [{**STREAM, **REPORTED, "status": "completed"}]


def test_a_cancelled_task_is_one_abandoned_event(ledger: Ledger) -> None:
    @metered(meter=ledger.meter)
    async def ask(running: asyncio.Event) -> None:
        running.set()
        await asyncio.Event().wait()

    async def main() -> None:
        running = asyncio.Event()
        task = asyncio.create_task(ask(running))
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ledger.facts() == [{**PLAIN, **UNKNOWN, "status": "abandoned"}]


def test_a_cancelled_trio_scope_is_one_abandoned_event(ledger: Ledger) -> None:
    @metered(meter=ledger.meter)
    async def ask() -> AsyncIterator[Any]:
        yield USED
        await trio.sleep_forever()

    async def main() -> None:
        with trio.CancelScope() as scope:
            async for _ in ask():
                scope.cancel()

    trio.run(main)
    assert ledger.facts() == [{**STREAM, **PARTIAL, "status": "abandoned"}]


def test_a_dropped_coroutine_is_one_abandoned_event(ledger: Ledger) -> None:
    @metered(meter=ledger.meter)
    async def ask() -> None:
        await Waits()

    coroutine = ask()
    coroutine.send(None)
    drop(coroutine)
    del coroutine
    assert ledger.facts() == [{**PLAIN, **UNKNOWN, "status": "abandoned"}]


def test_a_coroutine_that_is_never_started_is_no_call(ledger: Ledger) -> None:
    @metered(meter=ledger.meter)
    async def ask() -> None: ...

    ask().close()
    assert ledger.facts() == []


def test_break_and_drop_is_one_abandoned_event(ledger: Ledger) -> None:
    for chunk in metered(meter=ledger.meter)(chunks)(9):
        if chunk == USED:
            break
    assert ledger.facts() == [{**STREAM, **PARTIAL, "status": "abandoned"}]


def test_close_is_one_abandoned_event_however_often(ledger: Ledger) -> None:
    generator: Any = metered(meter=ledger.meter)(chunks)()
    next(generator)
    generator.close()
    generator.close()
    drop(generator)
    assert ledger.facts() == [{**STREAM, **UNKNOWN, "status": "abandoned"}]


def test_aclose_is_one_abandoned_event(ledger: Ledger) -> None:
    async def main() -> None:
        generator: Any = metered(meter=ledger.meter)(async_chunks)()
        await anext(generator)
        await generator.aclose()
        await generator.aclose()

    asyncio.run(main())
    assert ledger.facts() == [{**STREAM, **UNKNOWN, "status": "abandoned"}]


@pytest.mark.parametrize("leave", [drop, lambda generator: generator.close()])
def test_a_generator_dropped_unread_asked_nothing(
    ledger: Ledger, leave: Callable[[Any], None]
) -> None:
    leave(metered(prompt=lambda: 4, meter=ledger.meter)(lambda: (yield))())
    assert ledger.facts() == [{**STREAM, **NOTHING, "status": "abandoned"}]


def test_an_asynchronous_generator_dropped_unread_asked_nothing(ledger: Ledger) -> None:
    drop(metered(meter=ledger.meter)(async_chunks)())
    assert ledger.facts() == [{**STREAM, **NOTHING, "status": "abandoned"}]


def test_a_generator_in_a_dropped_cycle_is_one_abandoned_event(ledger: Ledger) -> None:
    cycle: list[Any] = [metered(meter=ledger.meter)(chunks)()]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert ledger.facts() == [{**STREAM, **UNKNOWN, "status": "abandoned"}]


def test_no_exporter_runs_in_a_finaliser(ledger: Ledger) -> None:
    threads: list[threading.Thread] = []
    ledger.meter.configure(exporters=[lambda _: threads.append(threading.current_thread())])

    def ask(generator: Any) -> Iterator[Any]:
        yield from generator

    outer = ask(metered(meter=ledger.meter)(chunks)())
    next(outer)
    with ledger.meter.tally() as spent:
        del outer  # its finaliser closes the metered generator
        assert threads == [] or threads[0] is not threading.current_thread()
    assert (len(threads), spent.calls) == (1, 0)


def test_a_generator_that_is_open_at_shutdown_is_abandoned(ledger: Ledger) -> None:
    generator: Any = metered(meter=ledger.meter)(chunks)()
    next(generator)
    ledger.meter.shutdown()
    assert list(generator) == [USED, USED]
    assert ledger.facts() == [{**STREAM, **UNKNOWN, "status": "abandoned"}]


def test_a_finished_call_leaves_nothing_behind(ledger: Ledger) -> None:
    list(metered(meter=ledger.meter)(chunks)())
    assert ledger.meter.open_calls == set()
    gc.collect()
    ask = metered(meter=ledger.meter)(lambda: USED)
    gc.disable()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        ask()
        list(metered(meter=ledger.meter)(chunks)())
        gc.collect()
        assert [g for g in gc.garbage if type(g).__module__ == "tokenmeter.call"] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


# --- where the usage comes from -------------------------------------------------------------------


def test_an_explicit_usage_is_asked_with_the_result(ledger: Ledger) -> None:
    @metered(usage=lambda text: {"output_tokens": len(text)}, meter=ledger.meter)
    def ask() -> str:
        return "five!"

    ask()
    output = {"output_tokens": 5, "input_provenance": "unknown", "output_provenance": "reported"}
    assert ledger.facts() == [{**PLAIN, **output, "status": "completed"}]


def test_an_explicit_usage_is_asked_with_all_that_was_yielded(ledger: Ledger) -> None:
    seen: list[Any] = []

    @metered(usage=lambda items: (seen.extend(items), USED)[1], meter=ledger.meter)
    async def ask() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def main() -> None:
        async for _ in ask():
            pass

    asyncio.run(main())
    assert seen == ["a", "b"]
    assert ledger.facts() == [{**STREAM, **REPORTED, "status": "completed"}]


def test_prompt_and_completion_count_arguments_and_result(ledger: Ledger) -> None:
    class Model:
        @metered(
            prompt=lambda prompt, **_: len(prompt),
            completion=len,
            meter=ledger.meter,
        )
        def ask(self, prompt: list[str], *, hot: bool) -> list[str]:
            prompt.clear()
            return ["a"] * 5

    Model().ask(["1", "2", "3"], hot=True)
    assert ledger.facts() == [{**PLAIN, **REPORTED, "status": "completed"}]


def told(ledger: Ledger) -> Any:
    return metered(model="gpt-4o", prompt=lambda q: q, completion=lambda a: a, meter=ledger.meter)


def test_text_is_estimated(ledger: Ledger) -> None:
    told(ledger)(lambda question: "an answer")("a question, and more")
    event = ledger.facts()[0]
    assert (event["input_tokens"], event["input_provenance"]) == (5, "estimated")
    assert (event["output_tokens"], event["output_provenance"]) == (2, "estimated")
    assert event["estimator"] == "o200k_base"


def test_text_is_not_estimated_where_that_is_switched_off(ledger: Ledger) -> None:
    ledger.meter.configure(estimates=False)
    told(ledger)(lambda question: "an answer")("a question")
    assert ledger.facts() == [
        {**PLAIN, **UNKNOWN, "request_model": "gpt-4o", "status": "completed"}
    ]


def test_nothing_is_estimated_of_a_function_that_raised(ledger: Ledger) -> None:
    def broken(question: str) -> str:
        raise LeftError

    with pytest.raises(LeftError):
        told(ledger)(broken)("a question")
    event = ledger.facts()[0]
    assert (event["input_provenance"], event["output_provenance"]) == ("unknown", "unknown")


def test_a_side_that_was_not_counted_is_taken_from_the_result(ledger: Ledger) -> None:
    metered(prompt=lambda: 7, meter=ledger.meter)(lambda: USED)()
    assert ledger.facts() == [{**PLAIN, **REPORTED, "input_tokens": 7, "status": "completed"}]


def test_an_embedding_has_no_output(ledger: Ledger) -> None:
    metered(operation="embeddings", meter=ledger.meter)(lambda: USED)()
    embedding = {"input_tokens": 3, "input_provenance": "reported", "output_provenance": "none"}
    assert ledger.facts() == [
        {**PLAIN, **embedding, "operation": "embeddings", "status": "completed"}
    ]


@pytest.mark.parametrize("source", ["usage", "prompt", "completion"])
def test_what_the_users_callables_raise_harms_nothing(
    ledger: Ledger, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise LeftError("secret")

    ask: Any = metered(**{source: broken}, meter=ledger.meter)(lambda: "text")  # type: ignore[call-overload]
    with caplog.at_level(logging.WARNING):
        assert [ask() for _ in range(101)] == ["text"] * 101
    assert ledger.facts() == [{**PLAIN, **UNKNOWN, "status": "completed"}] * 101
    assert list(ledger.meter.stats()["guard"].values()) == [101]
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "given", [None, "text", 3, {"output_tokens": "many"}, {"input_tokens": -1}]
)
def test_a_usage_that_says_nothing_is_unknown(ledger: Ledger, given: Any) -> None:
    metered(usage=lambda _: given, meter=ledger.meter)(lambda: "text")()
    assert ledger.facts() == [{**PLAIN, **UNKNOWN, "status": "completed"}]


class Answered(BaseModel):
    text: str
    usage: dict[str, int]


class Index:
    def __index__(self) -> int:
        return 3


@pytest.mark.parametrize(
    "value",
    [
        USED,
        Usage(**USED),
        {"prompt_tokens": 3, "completion_tokens": 5},
        {"text": object(), "usage": USED},
        {"usage": {"prompt_tokens": 3, "completion_tokens": 5}, "choices": [{"text": "a"}]},
        {"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 5},
        Answered(text="a", usage=USED),
        [{"text": "a"}, {"usage": None}, {"usage": USED}],
        {"input_tokens": Index(), "output_tokens": 5},
    ],
)
def test_a_value_with_usage_is_read(value: Any) -> None:
    usage = read(value).usage
    assert (usage.input_tokens, usage.output_tokens) == (3, 5)


@pytest.mark.parametrize(
    "value",
    [None, "text", b"bytes", 7, object(), [], ["a"], [[0.5]], {}, {"type": "message"}, [1, USED]],
)
def test_a_value_without_usage_says_nothing(value: Any) -> None:
    assert read(value) == Reading()


def test_attributes_of_foreign_objects_are_never_touched() -> None:
    class Touchy:
        def __getattribute__(self, name: str) -> Any:
            assert name == "__class__"
            return object.__getattribute__(self, name)

    assert read(Touchy()) == Reading()


def calls_of_openai(client: openai.OpenAI) -> Iterator[tuple[str, Any]]:
    stream: Any = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    words: Any = {"model": "m", "input": "one two three"}
    yield "chat", client.chat.completions.create(**ASK)
    yield "chat stream", list(client.chat.completions.create(**stream))
    with client.chat.completions.stream(**ASK, stream_options={"include_usage": True}) as events:
        yield "chat stream helper", list(events)
    yield "completion", client.completions.create(model="m", prompt="one two three")
    yield "response", client.responses.create(**words)
    yield "response stream", list(client.responses.create(**words, stream=True))
    yield "embedding", client.embeddings.create(**words)


def calls_of_anthropic(client: anthropic.Anthropic) -> Iterator[tuple[str, Any]]:
    ask: Any = {**ASK, "max_tokens": 99}
    yield "message", client.messages.create(**ask)
    yield "message stream", list(client.messages.create(**ask, stream=True))
    yield "beta message", client.beta.messages.create(**ask)
    with client.messages.stream(**ask) as events:
        yield "message stream helper", list(events)


def test_the_objects_of_the_sdks_say_what_the_wire_says(
    server: ModelServer, ledger: Ledger
) -> None:
    usage = Usage(input_tokens=13, output_tokens=7, cache_read_tokens=4, reasoning_tokens=2)
    server.script(*[Answer(usage=usage)] * 11)
    readings: dict[str, Reading] = {}
    with (
        openai.OpenAI(base_url=server.openai_url, api_key="k") as gpt,
        anthropic.Anthropic(base_url=server.url, api_key="k") as claude,
    ):
        ledger.meter.wrap(gpt)
        ledger.meter.wrap(claude)
        for what, value in (*calls_of_openai(gpt), *calls_of_anthropic(claude)):
            readings[what] = read(value)
    said = [
        (what, reading.usage, reading.model, reading.response_id, reading.finish_reasons)
        for what, reading in readings.items()
    ]
    wire = [
        (what, event.usage, event.response_model, event.response_id, event.finish_reasons)
        for what, event in zip(readings, ledger.events, strict=True)
    ]
    assert said == wire


# --- calls inside ---------------------------------------------------------------------------------


def test_a_wire_call_inside_is_the_only_event(ledger: Ledger, client: openai.OpenAI) -> None:
    @metered(meter=ledger.meter)
    def ask() -> Any:
        return client.chat.completions.create(**ASK)

    ask()
    assert [event["source"] for event in ledger.facts()] == ["wire"]


def test_an_explicit_usage_says_its_own_event_beside_the_wire(
    ledger: Ledger, client: openai.OpenAI
) -> None:
    @metered(usage=lambda answer: answer.usage, meter=ledger.meter)
    def ask() -> Any:
        return client.chat.completions.create(**ASK)

    ask()
    assert [event["source"] for event in ledger.facts()] == ["wire", "metered"]
    assert ledger.events[0].usage.input_tokens == ledger.events[1].usage.input_tokens


def test_a_failed_wire_call_inside_does_not_count_as_one(
    server: ModelServer, ledger: Ledger, client: openai.OpenAI
) -> None:
    @metered(meter=ledger.meter)
    def ask() -> dict[str, int]:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**ASK)
        return USED  # the fallback

    server.script(Answer(status=500))
    ask()
    assert [event["source"] for event in ledger.facts()] == ["wire", "metered"]


def test_a_wire_call_without_usage_inside_does_not_count_as_one(
    server: ModelServer, ledger: Ledger, client: openai.OpenAI
) -> None:
    @metered(completion=lambda _: 5, prompt=lambda: 3, meter=ledger.meter)
    def ask() -> list[Any]:
        return list(client.chat.completions.create(**ASK, stream=True))

    ask()
    own, wire = ledger.facts()
    assert (wire["source"], wire["output_provenance"]) == ("wire", "unknown")
    assert own["source"] == "metered"
    assert ledger.events[0].usage == Usage(input_tokens=3, output_tokens=5)


def test_a_wire_call_without_usage_inside_is_estimated_where_the_function_knows_no_better(
    server: ModelServer, ledger: Ledger, client: openai.OpenAI
) -> None:
    @metered(meter=ledger.meter)
    def ask() -> int:
        return len(list(client.chat.completions.create(**ASK, stream=True)))

    assert ask()
    (event,) = ledger.facts()
    assert (event["source"], event["input_provenance"]) == ("wire", "estimated")


def test_a_wire_call_in_a_thread_with_the_context_is_inside(
    ledger: Ledger, client: openai.OpenAI
) -> None:
    @metered(meter=ledger.meter)
    def ask() -> None:
        context = contextvars.copy_context()
        create = functools.partial(client.chat.completions.create, **ASK)
        thread = threading.Thread(target=context.run, args=(create,))
        thread.start()
        thread.join()

    ask()
    assert [event["source"] for event in ledger.facts()] == ["wire"]


def test_a_wire_call_in_a_task_is_inside(server: ModelServer, ledger: Ledger) -> None:
    @metered(meter=ledger.meter)
    async def ask(client: openai.AsyncOpenAI) -> None:
        await asyncio.create_task(client.chat.completions.create(**ASK))

    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=server.openai_url, api_key="k") as client:
            await ask(ledger.meter.wrap(client))

    asyncio.run(main())
    assert [event["source"] for event in ledger.facts()] == ["wire"]


def test_a_wire_call_of_the_consumer_is_outside(ledger: Ledger, client: openai.OpenAI) -> None:
    for chunk in metered(meter=ledger.meter)(chunks)(1):
        if chunk == USED:
            client.chat.completions.create(**ASK)
    assert [event["source"] for event in ledger.facts()] == ["wire", "metered"]


@pytest.mark.parametrize("leave", [list, next, lambda g: (next(g), g.close())])
def test_a_generator_over_a_wire_stream_leaves_one_event(
    ledger: Ledger, client: openai.OpenAI, leave: Callable[[Any], Any]
) -> None:
    @metered(meter=ledger.meter)
    def ask() -> Iterator[Any]:
        yield from client.chat.completions.create(
            **ASK, stream=True, stream_options={"include_usage": True}
        )

    leave(ask())
    gc.collect()
    assert [event["source"] for event in ledger.facts()] == ["wire"]


def test_a_wire_stream_that_is_returned_is_the_only_event(
    ledger: Ledger, client: openai.OpenAI
) -> None:
    stream = metered(meter=ledger.meter)(
        lambda: client.chat.completions.create(**ASK, stream=True)
    )()
    list(stream)
    assert [event["source"] for event in ledger.facts()] == ["wire"]


def test_a_metered_function_inside_another_is_the_only_event(ledger: Ledger) -> None:
    inner = metered(model="inner", meter=ledger.meter)(lambda: USED)
    metered(model="outer", meter=ledger.meter)(inner)()
    assert [event["request_model"] for event in ledger.facts()] == ["inner"]


def test_a_background_response_counts_once_however_often_it_is_fetched(ledger: Ledger) -> None:
    answer = {"object": "response", "id": "r", "background": True, "status": "completed"}
    fetch = metered(meter=ledger.meter)(lambda: {**answer, "usage": USED})
    fetch()
    fetch()
    assert len(ledger.facts()) == 1


# --- who it was for, and when nothing is metered --------------------------------------------------


def test_a_generator_belongs_to_whoever_called_it(ledger: Ledger) -> None:
    with attribute(user="ada"):
        generator = metered(meter=ledger.meter)(chunks)()
    with attribute(user="bob"):
        list(generator)
    assert [event.user for event in ledger.events] == ["ada"]


@pytest.mark.parametrize("function", [lambda: USED, chunks])
def test_attribute_and_metered_can_be_stacked(ledger: Ledger, function: Any) -> None:
    result = attribute(task="T")(metered(meter=ledger.meter)(function))()
    if inspect.isgenerator(result):
        list(result)
    assert [event["task"] for event in ledger.facts()] == ["T"]


def test_nothing_is_metered_where_it_is_switched_off(ledger: Ledger) -> None:
    ask = metered(meter=ledger.meter)(chunks)
    with tokenmeter.disabled():
        assert type(ask()) is type(chunks())
        assert list(ask()) == ["text", USED, USED]
    ledger.meter.disable()
    assert list(ask()) == ["text", USED, USED]
    assert asyncio.run(metered(meter=ledger.meter)(nothing)()) is None
    assert metered(meter=ledger.meter)(lambda: 1)() == 1
    assert ledger.facts() == []


def test_the_default_meter_is_used_and_arguments_can_be_left_out() -> None:
    @metered
    def ask(a: int) -> dict[str, int]:
        return {"output_tokens": a}

    with tokenmeter.tally() as spent:
        ask(5)
    assert (spent.calls, spent.output_tokens) == (1, 5)


# --- nothing about the function changes -----------------------------------------------------------


async def nothing() -> None: ...


@metered
def documented(a: int, /, b: str = "b", *, c: bool = False) -> str:
    """Say something."""
    return f"{a}{b}{c}"


class Methods:
    base = 1

    @metered
    def plain(self, a: int) -> int:
        return self.base + a

    @metered
    async def waits(self, a: int) -> int:
        return self.base + a

    @classmethod
    @metered
    def inner_class(cls, a: int) -> int:
        return cls.base + a

    @metered
    @classmethod
    async def outer_class(cls, a: int) -> int:
        return cls.base + a

    @staticmethod
    @metered
    def inner_static(a: int) -> int:
        return a

    @metered
    @staticmethod
    def outer_static(a: int) -> Iterator[int]:
        yield a


def test_a_decorated_function_looks_as_before() -> None:
    assert documented(1, c=True) == "1bTrue"
    assert (documented.__name__, documented.__doc__) == ("documented", "Say something.")
    assert str(inspect.signature(documented)).startswith("(a: 'int', /, b: 'str' = 'b', *")
    assert inspect.isfunction(documented)
    assert pickle.loads(pickle.dumps(documented)) is documented
    assert copy.deepcopy(documented) is copy.copy(documented) is documented


@pytest.mark.parametrize("function", [documented.__wrapped__, nothing, chunks, async_chunks])  # type: ignore[attr-defined]
def test_a_decorated_function_is_of_the_same_kind(function: Any) -> None:
    kinds = (
        inspect.iscoroutinefunction,
        asyncio.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.isfunction,
    )
    for decorate in (metered, attribute(user="ada")):
        assert [is_kind(decorate(function)) for is_kind in kinds] == [k(function) for k in kinds]


def test_what_a_decorated_function_gives_is_of_the_same_kind(ledger: Ledger) -> None:
    decorate: Any = metered(meter=ledger.meter)
    coroutine = decorate(nothing)()
    assert inspect.iscoroutine(coroutine)
    assert (coroutine.__name__, coroutine.__qualname__) == ("nothing", "nothing")
    coroutine.close()
    generator = decorate(chunks)()
    assert inspect.isgenerator(generator)
    assert iter(generator) is generator
    assert generator.gi_code is chunks.__code__
    assert inspect.isasyncgen(decorate(async_chunks)())


def test_a_call_with_wrong_arguments_fails_as_before(ledger: Ledger) -> None:
    for function in (chunks, async_chunks, documented.__wrapped__):  # type: ignore[attr-defined]
        with pytest.raises(TypeError, match="argument"):
            metered(meter=ledger.meter)(function)(no=1)


def test_methods_of_every_kind_can_be_decorated() -> None:
    one = Methods()
    assert (one.plain(1), Methods.plain(one, 1), asyncio.run(one.waits(1))) == (2, 2, 2)
    assert (Methods.inner_class(1), one.inner_class(1)) == (2, 2)
    assert asyncio.run(Methods.outer_class(1)) == 2
    assert (Methods.inner_static(1), list(one.outer_static(1))) == (1, [1])
    assert inspect.iscoroutinefunction(one.waits)
    assert pickle.loads(pickle.dumps(one.plain))(2) == 3


def test_objects_that_can_be_called_and_partials_can_be_decorated(ledger: Ledger) -> None:
    class Ask:
        async def __call__(self, used: Any) -> Any:
            return used

    assert asyncio.run(metered(meter=ledger.meter)(Ask())(USED)) == USED
    assert (
        asyncio.run(metered(meter=ledger.meter)(functools.partial(Ask().__call__, USED))()) == USED
    )
    assert ledger.facts() == [{**PLAIN, **REPORTED, "status": "completed"}] * 2


def test_context_managers_can_be_made_of_decorated_generators(ledger: Ledger) -> None:
    with contextlib.contextmanager(metered(meter=ledger.meter)(iter_once))() as used:
        assert used == USED
    decorated = contextlib.contextmanager(metered(meter=ledger.meter)(iter_once))
    exc = LeftError()
    with pytest.raises(LeftError) as raised, decorated():
        raise exc
    assert raised.value is exc
    assert [event["status"] for event in ledger.facts()] == ["completed", "failed"]


def iter_once() -> Iterator[Any]:
    yield USED


@pytest.mark.parametrize("thing", [Methods, "llama", 3])
@pytest.mark.parametrize("decorate", [metered, attribute(user="ada")])
def test_what_is_no_function_is_refused_at_once(decorate: Any, thing: Any) -> None:
    with pytest.raises(ConfigurationError, match="decorates a function or a method; got"):
        decorate(thing)


@pytest.mark.parametrize("source", ["usage", "prompt", "completion"])
@pytest.mark.parametrize("given", [3, nothing])
def test_a_source_that_cannot_be_called_is_refused_at_once(source: str, given: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"metered\({source}=…\) takes a plain function"):
        metered(**{source: given})  # type: ignore[call-overload]
