"""What vendors' own formats come to as events: one an answer, told apart, nothing counted twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from dialects import Exchange, cohere, compact, lines, ollama, replicate, sse, watsonx
from tokenmeter import Meter, UsageEvent, check_invariants
from tokenmeter.providers import Router

PREDICTIONS = "https://api.replicate.com/v1/predictions"


@pytest.fixture
def events() -> list[UsageEvent]:
    return []


@pytest.fixture
def meter(events: list[UsageEvent]) -> Iterator[Meter]:
    meter = Meter([events.append], estimates=False)
    yield meter
    assert meter.stats()["guard"] == {}
    meter.shutdown()


Send = Callable[..., httpx.Response]


@pytest.fixture
def send(meter: Meter) -> Iterator[Send]:
    """Give a function that sends a request whose answer it is given, and reads it as a stream."""
    answers: list[httpx.Response] = []
    client = httpx.Client(transport=httpx.MockTransport(lambda _: answers.pop()))
    meter.wrap(client)

    def exchange(url: str, body: bytes, asked: Any = None, **options: Any) -> httpx.Response:
        method = options.pop("method", "POST")
        answers.append(httpx.Response(**{"status_code": 200, "content": iter([body]), **options}))
        with client.stream(method, url, json=asked) as response:
            response.read()
        return response

    yield exchange
    meter.unwrap(client)
    client.close()


def counted(event: UsageEvent) -> tuple[Any, ...]:
    return (
        event.input_tokens,
        event.output_tokens,
        event.input_provenance,
        event.output_provenance,
        event.status,
    )


@pytest.mark.parametrize(
    "exchange",
    [*cohere.EXCHANGES, *ollama.EXCHANGES, *watsonx.EXCHANGES],
    ids=lambda exchange: exchange.name,
)
def test_an_event_never_contradicts_itself(
    exchange: Exchange, send: Send, events: list[UsageEvent]
) -> None:
    send(exchange.url, exchange.body, exchange.request)
    for event in events:
        check_invariants(event)


def test_the_counts_of_a_stream_that_states_its_input_once_are_not_lost(  # C04, C13
    send: Send, events: list[UsageEvent]
) -> None:
    stream = sse(watsonx.text(0, 8), watsonx.text(5), watsonx.text(11, 0, "eos_token"))
    send(f"{watsonx.URL}/text/generation_stream", stream, {"model_id": "m"})
    assert counted(events[0]) == (8, 11, "reported", "reported", "completed")
    assert (events[0].request_model, events[0].stream, events[0].region) == ("m", True, "us-south")


def test_cumulative_counts_of_a_stream_are_never_added(  # C02, C06
    send: Send, events: list[UsageEvent]
) -> None:
    stream = sse(*(watsonx.text(made, 8) for made in range(9)), watsonx.text(9, 0, "max_tokens"))
    send(f"{watsonx.URL}/text/generation_stream", stream)
    assert (events[0].input_tokens, events[0].output_tokens) == (8, 9)


def test_a_watsonx_stream_that_stops_in_the_middle_is_a_lower_bound(  # C09, C10
    send: Send, events: list[UsageEvent]
) -> None:
    send(f"{watsonx.URL}/text/generation_stream", sse(watsonx.text(0, 8), watsonx.text(5)))
    assert counted(events[0]) == (8, 5, "reported", "partial", "failed")
    assert events[0].error_type == "stream_ended_early"


def test_a_stream_error_of_cohere_is_a_failure(  # C65
    send: Send, events: list[UsageEvent]
) -> None:
    end = cohere.end("ERROR", usage={}, error="No.", error_type="INVALID_TOOL_GENERATION")
    send(f"{cohere.V2}/chat", sse(cohere.START, end), {"model": "m", "stream": True})
    assert counted(events[0]) == (None, None, "unknown", "unknown", "failed")
    assert events[0].error_type == "INVALID_TOOL_GENERATION"


def test_cached_tokens_are_never_added_to_the_billed_input(  # C22
    send: Send, events: list[UsageEvent]
) -> None:
    usage = {
        "billed_units": {"input_tokens": 8, "output_tokens": 35},
        "tokens": {"input_tokens": 503, "output_tokens": 35},
        "cached_tokens": 480,
    }
    send(f"{cohere.V2}/chat", cohere.v2(usage=usage), {"model": "m"})
    assert (events[0].input_tokens, events[0].cache_read_tokens) == (8, None)
    assert events[0].other_counts == {"cached_tokens": 480}


def test_a_reranking_counts_search_units_and_its_tokens_are_unknown(
    send: Send, events: list[UsageEvent]
) -> None:
    body = {"results": [{"index": 0, "relevance_score": 0.5}],
            "meta": {"billed_units": {"search_units": 3}}}  # fmt: skip
    send(f"{cohere.V2}/rerank", compact(body), {"model": "rerank-v3.5"})
    assert counted(events[0]) == (None, None, "unknown", "none", "completed")
    assert events[0].other_counts == {"search_units": 3}


def test_a_chat_of_ollama_that_does_not_say_is_a_stream(
    send: Send, events: list[UsageEvent]
) -> None:
    one = ollama.said("hi", **ollama.END, **ollama.COUNTED)
    send(f"{ollama.URL}/chat", compact(one), {"model": "m"})
    send(f"{ollama.URL}/chat", compact(one), {"model": "m", "stream": False})
    send(f"{ollama.URL}/embed", ollama.vectors(embeddings=[[0.5]]), {"model": "m"})
    assert [event.stream for event in events] == [True, False, False]
    assert {event.provider for event in events} == {"ollama"}


def test_a_prompt_count_that_ollama_leaves_out_is_not_zero(  # C11
    send: Send, events: list[UsageEvent]
) -> None:
    stream = lines(ollama.said("h"), ollama.said("", **ollama.END, eval_count=8))
    send(f"{ollama.URL}/chat", stream, {"model": "m"})
    assert counted(events[0]) == (None, 8, "unknown", "reported", "completed")


def test_an_answer_of_ollama_that_is_cut_has_failed(send: Send, events: list[UsageEvent]) -> None:
    send(f"{ollama.URL}/chat", lines(ollama.said("h"), ollama.said("i")), {"model": "m"})
    assert counted(events[0]) == (None, None, "unknown", "unknown", "failed")


def test_a_refusal_at_a_host_of_ones_own_is_an_event_where_a_model_was_asked(
    send: Send, events: list[UsageEvent]
) -> None:
    body = compact({"error": "model 'x' not found"})
    send(f"{ollama.URL}/chat", body, {"model": "x"}, status_code=404)
    send(f"{ollama.URL}/chat", body, {}, status_code=404)
    assert [counted(event) for event in events] == [(None, None, "none", "none", "failed")]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat", {"id": "1", "object": "chat.completion", "choices": [{"index": 0}],
                      "usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
        ("/v2/chat", {"message": "hello"}),
        ("/v1/generate", {"text": ["hello"]}),
        ("/generate", {"text": ["hello"]}),
        ("/v1/embed", {"embeddings": [[0.5]]}),
        ("/v1/rerank", {"results": [{"index": 0, "score": 0.5}]}),
        ("/complete", {"completion": "hello", "stop_reason": "stop_sequence"}),
        ("/v1/predictions", {"id": "1", "status": "succeeded"}),
        ("/api/chat", {"message": {"role": "assistant", "content": "hello"}}),
        ("/api/generate", {"response": "hello"}),
    ],
)  # fmt: skip
def test_somebody_elses_answer_at_such_a_path_is_no_event(
    path: str, body: object, send: Send, events: list[UsageEvent]
) -> None:
    send(f"http://127.0.0.1:8000{path}", compact(body), {"model": "m"})
    assert events == []


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("api.anthropic.com", "/v1/complete", ("anthropic", "anthropic_complete")),
        ("127.0.0.1", "/v1/complete", ("anthropic_compatible", "anthropic_complete")),
        ("api.openai.com", "/v1/chat", None),
        ("api.openai.com", "/v1/embeddings", ("openai", "openai_embeddings")),
        ("127.0.0.1", "/v1/embeddings", ("openai_compatible", "openai_embeddings")),
        ("api.jina.ai", "/v1/embeddings", ("jina", "openai_embeddings")),
        ("api.voyageai.com", "/v1/embeddings", ("voyage", "voyage_embeddings")),
        ("eu-de.ml.cloud.ibm.com", "/ml/v1/text/embeddings", ("ibm.watsonx.ai", "watsonx_input")),
        ("api-inference.huggingface.co", "/models/a/b/v1/chat/completions",
         ("huggingface", "openai_chat")),
        ("127.0.0.1", "/v1/models/a", None),
    ],
)  # fmt: skip
def test_paths_that_end_alike_are_told_apart(
    host: str, path: str, expected: tuple[str, str] | None
) -> None:
    route = Router()["POST", host, path]
    assert (route and (route.provider, route.dialect.name)) == expected


def test_a_prediction_is_one_event_of_its_creator_however_often_it_is_polled(  # C33
    send: Send, events: list[UsageEvent]
) -> None:
    create = f"https://api.replicate.com/v1/models/{replicate.MODEL}/predictions"
    send(create, replicate.prediction("starting"), {"input": {}}, status_code=201)
    for status in ("processing", "processing", "succeeded", "succeeded"):
        body = replicate.prediction(status, metrics=replicate.METRICS)
        send(f"{PREDICTIONS}/p-1", body, method="GET")
    assert [counted(event) for event in events] == [
        (12, 30, "reported", "reported", "completed"),
    ]
    assert events[0].request_model == replicate.MODEL


def test_a_prediction_without_tokens_is_an_event_whose_tokens_are_unknown(
    send: Send, events: list[UsageEvent]
) -> None:
    body = replicate.prediction("succeeded", metrics={"predict_time": 0.5})
    send(PREDICTIONS, body, {"version": "5c7d"})
    assert counted(events[0]) == (None, None, "unknown", "unknown", "completed")
    assert json.loads(body)["id"] == events[0].response_id


def test_the_headers_of_text_generation_count_what_the_body_leaves_out(
    send: Send, events: list[UsageEvent]
) -> None:
    headers = {"x-prompt-tokens": "4", "x-generated-tokens": "3"}
    body = compact({"generated_text": "aaa"})
    send("http://127.0.0.1:8080/generate", body, {"inputs": "Hi"}, headers=headers)
    assert counted(events[0]) == (4, 3, "reported", "reported", "completed")
    assert (events[0].provider, events[0].stream) == ("huggingface", False)
