"""What vendors' bytes mean: each rule that another meter got wrong, and no body that harms."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import InvariantError, Usage, check_invariants
from tokenmeter.dialects import UNREADABLE, Asked, Dialect, Reading
from tokenmeter.dialects.anthropic_messages import AnthropicMessages
from tokenmeter.dialects.fields import decode, overlay, salvage
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.dialects.openai_embeddings import OpenAIEmbeddings
from tokenmeter.dialects.openai_responses import OpenAIResponses
from tokenmeter.wire import body as bodies
from wires import chat, chat_events, sse

CHAT, MESSAGES, RESPONSES = OpenAIChat(), AnthropicMessages(), OpenAIResponses()
EMBEDDINGS = OpenAIEmbeddings()


def plain(dialect: Dialect, body: object) -> Reading:
    return bodies.read(dialect, json.dumps(body).encode())


def stream(dialect: Dialect, *datas: object) -> Reading:
    return bodies.read(dialect, sse(*datas))


def known(reading: Reading) -> dict[str, Any]:
    counts = msgspec.structs.asdict(reading.usage)
    return {name: count for name, count in counts.items() if count is not None}


def message(**usage: Any) -> dict[str, Any]:
    return {"type": "message", "id": "m1", "model": "claude", "stop_reason": "end_turn",
            "usage": usage}  # fmt: skip


def start(**usage: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": message(**usage) | {"stop_reason": None}}


def delta(stop_reason: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": usage}


STOP: dict[str, Any] = {"type": "message_stop"}


def response(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"object": "response", "id": "r1", "model": "gpt", "status": status, **more}


def of_chat(**usage: Any) -> dict[str, Any]:
    return known(plain(CHAT, chat(usage=usage)))


# Streams of Anthropic


def test_the_last_output_count_of_a_message_replaces_the_first() -> None:  # C01, C12
    reading = stream(
        MESSAGES, start(input_tokens=9, output_tokens=2), delta(output_tokens=15), STOP
    )
    assert known(reading) == {"input_tokens": 9, "output_tokens": 15}
    assert reading.final


def test_cumulative_counts_of_several_deltas_are_never_added() -> None:  # C02, C06
    deltas = [delta(None, output_tokens=1), delta(None, output_tokens=9), delta(output_tokens=15)]
    reading = stream(MESSAGES, start(input_tokens=9, output_tokens=1), *deltas, STOP)
    assert known(reading)["output_tokens"] == 15


def test_server_tools_raise_the_input_and_the_larger_one_stands() -> None:  # C03, C05
    reading = stream(
        MESSAGES,
        start(input_tokens=10, cache_read_input_tokens=0, output_tokens=1),
        delta(input_tokens=900, cache_read_input_tokens=100, output_tokens=40,
              server_tool_use={"web_search_requests": 2}),
        STOP,
    )  # fmt: skip
    assert known(reading) == {
        "input_tokens": 1000,
        "cache_read_tokens": 100,
        "output_tokens": 40,
        "other_counts": {"web_search_requests": 2},
    }


@pytest.mark.parametrize("usage", [{}, {"input_tokens": 0, "output_tokens": 0}, None])
def test_input_that_comes_only_in_the_last_delta_is_counted(usage: Any) -> None:  # C04, C45
    first = start(**(usage or {}))
    if usage is None:
        del first["message"]["usage"]
    last = delta(input_tokens=7, cache_read_input_tokens=3, output_tokens=4)
    assert known(stream(MESSAGES, first, last, STOP)) == {
        "input_tokens": 10,
        "cache_read_tokens": 3,
        "output_tokens": 4,
    }


@pytest.mark.parametrize("last", [{}, {"input_tokens": 0, "cache_read_input_tokens": 0}])
def test_input_that_the_last_delta_leaves_out_stands(last: dict[str, int]) -> None:  # C13
    first = start(input_tokens=7, cache_read_input_tokens=3, output_tokens=1)
    reading = stream(MESSAGES, first, delta(output_tokens=4, **last), STOP)
    assert known(reading)["input_tokens"] == 10


@pytest.mark.parametrize("body", [message(), message(input_tokens=None, output_tokens=None)])
def test_an_empty_usage_is_unknown_and_not_zero(body: dict[str, Any]) -> None:  # C11
    assert known(plain(MESSAGES, body)) == {}
    assert known(plain(CHAT, chat(usage={}))) == {}
    assert known(plain(CHAT, chat(usage=None))) == {}
    assert known(plain(RESPONSES, response(usage={}))) == {}


def test_a_placeholder_output_of_an_interrupted_message_is_not_final() -> None:  # C10, C12
    reading = stream(MESSAGES, start(input_tokens=9, output_tokens=2))
    assert known(reading) == {"input_tokens": 9, "output_tokens": 2}
    assert (reading.final, reading.status) == (False, None)


def test_a_message_that_has_its_stop_reason_is_final_even_without_its_last_event() -> None:
    reading = stream(MESSAGES, start(input_tokens=9, output_tokens=2), delta(output_tokens=4))
    assert (reading.final, reading.status) == (True, None)


@pytest.mark.parametrize("blocks", [1, 5])
def test_a_message_is_counted_once_however_many_blocks_it_has(blocks: int) -> None:  # C48
    block = {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}
    reading = stream(
        MESSAGES,
        start(input_tokens=9, output_tokens=2),
        *([block] * blocks),
        delta(output_tokens=4),
        STOP,
    )
    assert known(reading) == {"input_tokens": 9, "output_tokens": 4}


# Anthropic's cache


def test_input_contains_both_kinds_of_cached_input() -> None:  # C40, C41
    body = message(
        input_tokens=5,
        cache_read_input_tokens=100,
        cache_creation_input_tokens=20,
        cache_creation={"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
        output_tokens=7,
    )
    assert known(plain(MESSAGES, body)) == {
        "input_tokens": 125,
        "cache_read_tokens": 100,
        "cache_write_tokens": 20,
        "cache_write_5m_tokens": 15,
        "cache_write_1h_tokens": 5,
        "output_tokens": 7,
    }


def test_what_is_written_to_the_cache_is_no_output() -> None:  # C44
    body = message(input_tokens=5, cache_creation_input_tokens=20, output_tokens=7)
    assert known(plain(MESSAGES, body))["output_tokens"] == 7


def test_a_split_of_the_cache_that_does_not_add_up_is_unknown() -> None:
    body = message(
        input_tokens=5,
        output_tokens=7,
        cache_creation_input_tokens=20,
        cache_creation={"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 0},
    )
    assert "cache_write_5m_tokens" not in known(plain(MESSAGES, body))


def test_thinking_is_a_part_of_the_output_and_compaction_stands_beside_it() -> None:
    body = message(
        input_tokens=5,
        output_tokens=7,
        output_tokens_details={"thinking_tokens": 4},
        iterations=[
            {"type": "message", "input_tokens": 5, "output_tokens": 7},
            {"type": "compaction", "input_tokens": 90, "output_tokens": 8},
            {"type": "compaction", "input_tokens": 10, "output_tokens": 1},
        ],
    )
    assert known(plain(MESSAGES, body)) == {
        "input_tokens": 5,
        "output_tokens": 7,
        "reasoning_tokens": 4,
        "other_counts": {"compaction.input_tokens": 100, "compaction.output_tokens": 9},
    }


# Streams of OpenAI


def test_usage_of_chat_and_responses_streams_is_found() -> None:  # C07, C08, C36
    assert known(stream(CHAT, *chat_events())) == {"input_tokens": 5, "output_tokens": 3}
    done = {"type": "response.completed",
            "response": response(usage={"input_tokens": 5, "output_tokens": 3})}  # fmt: skip
    assert known(stream(RESPONSES, done)) == {"input_tokens": 5, "output_tokens": 3}


def test_usage_in_every_chunk_is_cumulative_and_the_last_stands() -> None:  # C06, C64
    chunks = [
        {"id": "c", "model": "m", "choices": [{"finish_reason": reason}],
         "usage": {"prompt_tokens": 9, "completion_tokens": made}}
        for made, reason in ((1, None), (2, None), (3, "stop"))
    ]  # fmt: skip
    assert known(stream(CHAT, *chunks, "[DONE]")) == {"input_tokens": 9, "output_tokens": 3}


def test_empty_choices_absent_deltas_and_null_tool_calls_are_read() -> None:  # C60, C61
    odd: list[object] = [
        {"id": "c", "model": "m", "choices": None},
        {"choices": []},
        {"choices": [{"delta": None, "finish_reason": None}]},
        {"choices": [{"delta": {"tool_calls": [{"index": None}]}}, None]},
        {"choices": [{"finish_reason": "content_filter"}], "usage": None},
    ]
    reading = stream(CHAT, *odd, *chat_events()[3:])
    assert known(reading) == {"input_tokens": 5, "output_tokens": 3}
    assert reading.finish_reasons == ("content_filter",)


def test_all_finish_reasons_of_several_choices_are_kept_in_order() -> None:
    choices = [{"finish_reason": "stop"}, {"finish_reason": "length"}]
    assert plain(CHAT, chat(choices=choices)).finish_reasons == ("stop", "length")


def test_groqs_own_place_for_the_usage_of_a_stream_is_read() -> None:
    chunk = {"model": "m", "choices": [{"finish_reason": "stop"}],
             "x_groq": {"usage": {"prompt_tokens": 4, "completion_tokens": 2}}}  # fmt: skip
    assert known(stream(CHAT, chunk, "[DONE]")) == {"input_tokens": 4, "output_tokens": 2}


# Parts of OpenAI's counts


def test_a_null_in_the_details_drops_nothing_else() -> None:  # C37
    usage: dict[str, Any] = {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": None, "audio_tokens": 1},
    }
    assert of_chat(**usage) == {
        "input_tokens": 9,
        "output_tokens": 3,
        "cache_read_tokens": 4,
        "output_audio_tokens": 1,
    }


def test_cached_tokens_are_already_in_the_input_of_openai() -> None:  # C22, C24
    details = {"cached_tokens": 80}
    counts = of_chat(prompt_tokens=100, completion_tokens=3, prompt_tokens_details=details)
    assert (counts["input_tokens"], counts["cache_read_tokens"]) == (100, 80)
    reading = plain(RESPONSES, response(usage={"input_tokens": 100, "output_tokens": 3,
                                               "input_tokens_details": details}))  # fmt: skip
    assert known(reading) == {"input_tokens": 100, "output_tokens": 3, "cache_read_tokens": 80}


@pytest.mark.parametrize(
    "place", ["cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens"]
)
def test_cached_tokens_are_found_where_compatible_servers_put_them(place: str) -> None:  # C39
    counts = of_chat(prompt_tokens=9, completion_tokens=3, **{place: 4})
    assert (counts["input_tokens"], counts["cache_read_tokens"]) == (9, 4)


def test_reasoning_is_part_of_the_output_unless_the_servers_own_total_says_otherwise() -> (
    None
):  # C42
    usage: dict[str, Any] = {"completion_tokens_details": {"reasoning_tokens": 4}}
    inside = of_chat(prompt_tokens=9, completion_tokens=6, total_tokens=15, **usage)
    outside = of_chat(prompt_tokens=9, completion_tokens=6, total_tokens=19, **usage)
    alone = of_chat(prompt_tokens=9, completion_tokens=0, total_tokens=13, **usage)
    assert (inside["output_tokens"], outside["output_tokens"]) == (6, 10)
    assert alone["output_tokens"] == 4


def test_a_total_of_reasoning_without_an_output_is_read() -> None:
    counts = of_chat(
        prompt_tokens=9, total_tokens=13, completion_tokens_details={"reasoning_tokens": 4}
    )
    assert counts == {"input_tokens": 9, "output_tokens": 4, "reasoning_tokens": 4}


def test_an_embedding_has_input_only() -> None:
    reading = plain(EMBEDDINGS, {"object": "list", "model": "e", "usage": {"prompt_tokens": 7}})
    assert (known(reading), EMBEDDINGS.counts_output) == ({"input_tokens": 7}, False)


# Ends

ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "secret text"}}


@pytest.mark.parametrize(
    ("reading", "status", "error_type", "finish_reasons"),
    [
        (plain(CHAT, chat()), "completed", None, ("stop",)),
        (stream(CHAT, *chat_events()), "completed", None, ("stop",)),
        (stream(CHAT, *chat_events()[:-1]), None, None, ("stop",)),
        (stream(CHAT, chat_events()[0], {"error": {"code": "server_error"}}), "failed",
         "server_error", None),
        (stream(CHAT, {"error": {"code": 502, "message": "Bad: secret"}}), "failed", "error", None),
        (stream(MESSAGES, start(input_tokens=1), ERROR), "failed", "overloaded_error", None),
        (stream(MESSAGES, start(input_tokens=1), delta("pause_turn", output_tokens=1), STOP),
         "completed", None, ("pause_turn",)),
        (stream(MESSAGES, start(input_tokens=1), delta("refusal", output_tokens=1), STOP),
         "completed", None, ("refusal",)),
        (plain(MESSAGES, ERROR), "failed", "overloaded_error", None),
        (plain(RESPONSES, response()), "completed", None, ("completed",)),
        (plain(RESPONSES, response("incomplete",
                                   incomplete_details={"reason": "max_output_tokens"})),
         "completed", None, ("max_output_tokens",)),
        (plain(RESPONSES, response("incomplete")), "completed", None, ("incomplete",)),
        (plain(RESPONSES, response("failed", error={"code": "server_error"})), "failed",
         "server_error", None),
        (plain(RESPONSES, response("cancelled")), "abandoned", None, None),
        (plain(RESPONSES, response("queued")), None, None, None),
        (stream(RESPONSES, {"type": "response.created", "response": response("in_progress")},
                {"type": "error", "code": "rate_limit_exceeded", "message": "secret"}), "failed",
         "rate_limit_exceeded", None),
        (stream(RESPONSES, {"type": "response.failed",
                            "response": response("failed", error={"code": "server_error"})}),
         "failed", "server_error", None),
    ],
)  # fmt: skip
def test_each_terminal_marker_has_its_status(
    reading: Reading, status: str | None, error_type: str | None, finish_reasons: Any
) -> None:
    assert (reading.status, reading.error_type, reading.finish_reasons) == (
        status,
        error_type,
        finish_reasons,
    )
    assert "secret" not in repr(reading)


def test_a_background_response_is_pending_until_it_has_ended() -> None:  # C33
    for status, pending in (("queued", True), ("in_progress", True), ("completed", False)):
        reading = plain(RESPONSES, response(status, background=True))
        assert (reading.pending, reading.background, reading.response_id) == (pending, True, "r1")


def test_the_tier_and_the_region_that_served_are_read() -> None:
    assert plain(CHAT, chat(service_tier="flex")).service_tier == "flex"
    body = message(input_tokens=1, service_tier="priority", inference_geo="us")
    reading = plain(MESSAGES, body)
    assert (reading.service_tier, reading.region) == ("priority", "us")
    assert plain(MESSAGES, message(inference_geo="not_available")).region is None


def test_the_fast_mode_of_claude_is_a_tier_because_it_has_prices_of_its_own() -> None:
    for speed, tier in (("fast", "fast"), ("standard", "standard"), (None, "standard")):
        body = message(input_tokens=1, service_tier="standard", speed=speed)
        assert plain(MESSAGES, body).service_tier == tier


# Requests


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES, RESPONSES, EMBEDDINGS], ids=lambda d: d.name)
def test_a_request_says_its_model_and_whether_it_streams(dialect: Dialect) -> None:
    for body, expected in (
        (b'{"model": "m", "stream": true, "n": 2}', Asked("m", True)),
        (b'{"model": 7, "stream": "yes"}', Asked(None, None)),
        (b"[]", Asked(None, None)),
    ):
        assert decode(dialect.request, body) == expected
    with pytest.raises(msgspec.DecodeError):
        decode(dialect.request, b"--boundary")


# Odd values

ODD = ["7", "many", 1.5, -3, True, [], [1], {}, {"x": 1}, None, 10**40, -(10**40), 1e300]
PLAIN: list[tuple[Dialect, dict[str, Any]]] = [
    (CHAT, chat(usage={"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 16,
                       "prompt_tokens_details": {"cached_tokens": 2},
                       "completion_tokens_details": {"reasoning_tokens": 4}})),
    (MESSAGES, message(input_tokens=9, output_tokens=3, cache_read_input_tokens=2,
                       cache_creation_input_tokens=2,
                       cache_creation={"ephemeral_5m_input_tokens": 2},
                       server_tool_use={"web_search_requests": 1},
                       iterations=[{"type": "advisor", "input_tokens": 1}])),
    (RESPONSES, response(background=True, usage={"input_tokens": 9, "output_tokens": 3,
                                                 "input_tokens_details": {"cached_tokens": 2}})),
    (EMBEDDINGS, {"object": "list", "model": "e", "usage": {"prompt_tokens": 9}}),
]  # fmt: skip


@pytest.mark.parametrize("odd", [o for o in ODD if not isinstance(o, float) and o is not True])
def test_a_count_of_the_wrong_type_is_dropped_alone(odd: Any) -> None:
    counts = of_chat(prompt_tokens=odd, completion_tokens=3)
    assert counts == {"output_tokens": 3}
    body = message(input_tokens=9, output_tokens=odd, cache_read_input_tokens=1)
    assert known(plain(MESSAGES, body)) == {"input_tokens": 10, "cache_read_tokens": 1}


def test_negative_counts_are_unknown() -> None:
    assert of_chat(prompt_tokens=-1, completion_tokens=-(10**30)) == {}


@pytest.mark.parametrize("usage", ["text", 7, [], [1, 2], True, None])
def test_a_usage_that_is_no_object_is_unknown(usage: Any) -> None:
    for dialect, body in PLAIN:
        assert known(plain(dialect, body | {"usage": usage})) == {}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the way to every value inside a JSON value."""
    inner: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inner = enumerate(value)
    return [path, *(p for key, v in inner for p in places(v, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Give a copy with one value replaced, or with one left out."""
    if not path:
        return odd
    made = copy.copy(value)
    if odd is ... and len(path) == 1:
        del made[path[0]]
        return made
    made[path[0]] = put(value[path[0]], path[1:], odd)
    return made


def sane(reading: Reading, original: Reading) -> None:
    """Assert what holds for every reading of every body, however odd."""
    counts = known(reading)
    others = counts.pop("other_counts", {})
    for name, count in [*counts.items(), *others.items()]:
        assert type(count) is int
        assert 0 <= count < 2**63, name
    assert not {name for name, count in counts.items() if count == 0 and known(original).get(name)}
    assert msgspec.json.decode(msgspec.json.encode(reading), type=Reading) == reading


@pytest.mark.parametrize(("dialect", "body"), PLAIN, ids=lambda v: getattr(v, "name", ""))
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_body_with_something_odd_inside_never_harms(
    dialect: Dialect, body: dict[str, Any], data: st.DataObject
) -> None:
    odd: Any = body
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(odd)))
        value = data.draw(st.sampled_from([*ODD, ..., "\ud800", "x" * 99]))
        odd = put(odd, path, {} if value is ... and not path else value)
        if not isinstance(odd, dict):
            break
    sane(plain(dialect, odd), plain(dialect, body))


@pytest.mark.parametrize(("dialect", "body"), PLAIN, ids=lambda v: getattr(v, "name", ""))
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_bytes_that_were_damaged_on_the_way_never_harm(
    dialect: Dialect, body: dict[str, Any], data: st.DataObject
) -> None:
    raw = bytearray(json.dumps(body).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    for damaged in (bytes(raw), sse(raw.decode("latin-1"))):
        reading = bodies.read(dialect, damaged)
        for name, count in known(reading).items():
            assert name == "other_counts" or (type(count) is int and count >= 0)


@pytest.mark.parametrize(("dialect", "body"), PLAIN, ids=lambda v: getattr(v, "name", ""))
def test_a_truncated_body_says_nothing(dialect: Dialect, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    for end in range(1, len(raw)):
        assert bodies.read(dialect, raw[:end]) == UNREADABLE


@pytest.mark.parametrize(
    ("dialect", "datas"),
    [
        (CHAT, chat_events()),
        (MESSAGES, [start(input_tokens=9, output_tokens=1), delta(output_tokens=4), STOP]),
        (RESPONSES, [{"type": "response.completed", "response": PLAIN[2][1]}]),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_stream_with_something_odd_inside_never_harms(
    dialect: Dialect, datas: list[Any], data: st.DataObject
) -> None:
    odd = list(datas)
    at = data.draw(st.integers(0, len(odd) - 1))
    if isinstance(odd[at], dict):
        path = data.draw(st.sampled_from(places(odd[at])))
        odd[at] = put(odd[at], path, data.draw(st.sampled_from(ODD)))
    if data.draw(st.booleans()):
        odd = data.draw(st.permutations(odd))
    reading = bodies.read(dialect, sse(*odd))
    sane(reading, UNREADABLE)


# Parts of the reading


class _Pair(msgspec.Struct):
    a: int | None = None
    b: int | None = None
    inner: _Pair | None = None


PAIRS = st.builds(
    _Pair,
    a=st.none() | st.integers(0, 9),
    b=st.none() | st.integers(0, 9),
    inner=st.none() | st.builds(_Pair, a=st.none() | st.integers(0, 9)),
)


@given(PAIRS, PAIRS)
def test_laying_a_report_over_another_never_forgets_and_never_adds(old: _Pair, new: _Pair) -> None:
    merged = overlay(old, new)
    assert merged is not None
    for name in ("a", "b"):
        before, after, got = getattr(old, name), getattr(new, name), getattr(merged, name)
        assert got in (before, after)
        assert got == (before if after is None else after)
    assert overlay(merged, new) == merged
    assert overlay(old, None) is old
    assert overlay(None, new) is new


def test_salvage_keeps_what_fits_of_nested_values() -> None:
    value = {"a": "x", "b": 2, "inner": {"a": 1, "b": []}}
    assert salvage(value, _Pair) == _Pair(b=2, inner=_Pair(a=1))
    assert salvage([1, "x", 2], list[int]) == [1, 2]
    assert salvage("x", int | None) is None


def test_a_vendor_that_contradicts_itself_is_reported_as_it_is_and_named() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 1,
             "prompt_tokens_details": {"cached_tokens": 9}}  # fmt: skip
    with pytest.raises(InvariantError, match="cache_read_tokens <= input_tokens"):
        check_invariants(Usage(**of_chat(**usage)))
