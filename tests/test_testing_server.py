"""The model server: what the real SDKs see is what its account says, and scripts do as told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from pydantic import BaseModel

from tokenmeter.event import Usage
from tokenmeter.testing import Answer, Gate, ModelServer, Served

MESSAGES: list[Any] = [{"role": "user", "content": "one two three"}]
WEATHER: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
SAID = "You said: one two three"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def openai_client(server: ModelServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.openai_url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(server: ModelServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0) as client:
        yield client


def counts(served: Served) -> tuple[int | None, ...]:
    return (
        served.input_tokens,
        served.output_tokens,
        served.cache_read_tokens,
        served.cache_write_tokens,
        served.reasoning_tokens,
    )


CALLED: list[Any] = [("weather", {"city": "Rome"}), ("weather", {"city": "Oslo"})]


def called_in_chat(client: openai.OpenAI, *, stream: bool) -> list[tuple[str, Any]]:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    with client.chat.completions.stream(model="m", messages=MESSAGES, tools=tools) as events:
        streamed = events.get_final_completion()
    plain = client.chat.completions.create(model="m", messages=MESSAGES, tools=tools)
    message: Any = (streamed if stream else plain).choices[0].message
    assert len({call.id for call in message.tool_calls}) == 2
    return [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls]


def called_in_responses(client: openai.OpenAI, *, stream: bool) -> list[tuple[str, Any]]:
    with client.responses.stream(model="m", input="hi") as events:
        streamed = events.get_final_response()
    output: Any = (streamed if stream else client.responses.create(model="m", input="hi")).output
    assert len({call.call_id for call in output}) == 2
    return [(call.name, json.loads(call.arguments)) for call in output]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("way", [called_in_chat, called_in_responses])
def test_a_script_calls_functions_at_once_with_arguments(
    way: Callable[..., Any], stream: bool, server: ModelServer, openai_client: openai.OpenAI
) -> None:
    server.script(*[Answer(calls=CALLED)] * 2)
    assert way(openai_client, stream=stream) == CALLED
    assert {served.output_tokens for served in server.account} == {6}


def test_a_script_calls_functions_at_once_with_arguments_in_messages(
    server: ModelServer, anthropic_client: anthropic.Anthropic
) -> None:
    server.script(*[Answer(calls=CALLED)] * 2)
    plain: Any = anthropic_client.messages.create(model="m", max_tokens=9, messages=MESSAGES)
    with anthropic_client.messages.stream(model="m", max_tokens=9, messages=MESSAGES) as events:
        streamed: Any = events.get_final_message()
    for message in (plain, streamed):
        assert [(call.name, call.input) for call in message.content] == CALLED
        assert len({call.id for call in message.content}) == 2


def test_a_script_without_calls_speaks_although_functions_are_offered(
    server: ModelServer, openai_client: openai.OpenAI
) -> None:
    server.script(Answer(text="no", calls=()))
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    answer = openai_client.chat.completions.create(model="m", messages=MESSAGES, tools=tools)
    assert answer.choices[0].message.content == "no"


def test_a_script_of_a_model_is_for_its_requests_alone_and_before_the_common_one(
    server: ModelServer, openai_client: openai.OpenAI
) -> None:
    server.script(Answer(text="anybody"))
    server.script(Answer(text="of b"), model="b")

    def ask(model: str) -> str | None:
        answer = openai_client.chat.completions.create(model=model, messages=MESSAGES)
        return answer.choices[0].message.content

    assert [ask("b"), ask("a"), ask("b")] == ["of b", "anybody", SAID]


def test_a_member_that_the_server_does_not_know_is_refused_before_the_script() -> None:
    with ModelServer(refuses={"stream_options"}) as server:
        server.script(Answer(text="yes"))
        url, asked = f"{server.openai_url}/chat/completions", {"model": "m", "messages": MESSAGES}
        refused = httpx.post(url, json=asked | {"stream_options": {}})
        assert (refused.status_code, refused.json()["error"]["type"]) == (
            400,
            "invalid_request_error",
        )
        answered = httpx.post(url, json=asked).json()
        assert answered["choices"][0]["message"]["content"] == "yes"
        assert [served.status for served in server.account] == [400, 200]


def of_chat(usage: Any) -> tuple[int | None, ...]:
    return (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens_details.cached_tokens,
        None,
        usage.completion_tokens_details.reasoning_tokens,
    )


def of_response(usage: Any) -> tuple[int | None, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.input_tokens_details.cached_tokens,
        None,
        usage.output_tokens_details.reasoning_tokens,
    )


def of_message(usage: Any) -> tuple[int | None, ...]:
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    return (
        usage.input_tokens + read + written,
        usage.output_tokens,
        read,
        written,
        usage.output_tokens_details.thinking_tokens,
    )


class City(BaseModel):
    city: str
    people: int


def chat_plain(client: openai.OpenAI) -> Any:
    return of_chat(client.chat.completions.create(model="m", messages=MESSAGES).usage)


def chat_choices(client: openai.OpenAI) -> Any:
    answer = client.chat.completions.create(model="m", messages=MESSAGES, n=3)
    assert [choice.message.content for choice in answer.choices] == [SAID] * 3
    return of_chat(answer.usage)


def chat_streamed(client: openai.OpenAI) -> Any:
    stream = client.chat.completions.create(
        model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}, n=2
    )
    chunks = list(stream)
    said = "".join(
        choice.delta.content or "" for c in chunks for choice in c.choices if choice.index == 1
    )
    assert said == SAID
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    return of_chat(chunks[-1].usage)


def chat_helper(client: openai.OpenAI) -> Any:
    with client.chat.completions.stream(
        model="m", messages=MESSAGES, stream_options={"include_usage": True}
    ) as stream:
        return of_chat(stream.get_final_completion().usage)


def chat_parsed(client: openai.OpenAI) -> Any:
    answer = client.chat.completions.parse(model="m", messages=MESSAGES, response_format=City)
    assert answer.choices[0].message.parsed == City(city="text", people=1)
    return of_chat(answer.usage)


def chat_reasoning(client: openai.OpenAI) -> Any:
    answer = client.chat.completions.create(model="m", messages=MESSAGES, reasoning_effort="low")
    assert answer.usage is not None
    assert of_chat(answer.usage)[4] == 4
    return of_chat(answer.usage)


def chat_tool(client: openai.OpenAI) -> Any:
    answer = client.chat.completions.create(
        model="m",
        messages=MESSAGES,
        tools=[{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}],
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.arguments for call in calls] == ['{"city": "text"}']  # type: ignore[union-attr]
    return of_chat(answer.usage)


def response_plain(client: openai.OpenAI) -> Any:
    answer = client.responses.create(model="m", input="one two", reasoning={"effort": "high"})
    assert answer.output_text == "You said: one two"
    return of_response(answer.usage)


def response_incomplete(client: openai.OpenAI) -> Any:
    answer = client.responses.create(model="m", input="one two", max_output_tokens=2)
    assert (answer.status, answer.output_text) == ("incomplete", "You said:")
    return of_response(answer.usage)


def response_streamed(client: openai.OpenAI) -> Any:
    events = list(client.responses.create(model="m", input="one two", stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    return of_response(events[-1].response.usage)


def response_helper(client: openai.OpenAI) -> Any:
    tool: Any = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}
    with client.responses.stream(model="m", input="one two", tools=[tool]) as stream:
        return of_response(stream.get_final_response().usage)


def response_background(client: openai.OpenAI) -> Any:
    queued = client.responses.create(model="m", input="one two", background=True)
    polls = [client.responses.retrieve(queued.id) for _ in range(3)]
    states = [queued.status, *(poll.status for poll in polls)]
    assert states == ["queued", "in_progress", "completed", "completed"]
    return of_response(polls[1].usage)


OPENAI_CALLS = [
    chat_plain,
    chat_choices,
    chat_streamed,
    chat_helper,
    chat_parsed,
    chat_reasoning,
    chat_tool,
    response_plain,
    response_incomplete,
    response_streamed,
    response_helper,
    response_background,
]


@pytest.mark.parametrize("call", OPENAI_CALLS)
def test_the_openai_sdk_sees_what_the_account_says(
    server: ModelServer, openai_client: openai.OpenAI, call: Callable[[Any], Any]
) -> None:
    assert call(openai_client) == counts(server.account[-1])
    assert server.account[-1].reported


def message_plain(client: anthropic.Anthropic) -> Any:
    answer = client.messages.create(model="c", max_tokens=9, messages=MESSAGES)
    return of_message(answer.usage)


def message_thinking(client: anthropic.Anthropic) -> Any:
    answer = client.messages.create(
        model="c",
        max_tokens=2000,
        messages=MESSAGES,
        thinking={"type": "enabled", "budget_tokens": 1024},
    )
    assert [block.type for block in answer.content] == ["thinking", "text"]
    assert of_message(answer.usage)[4] == 8
    return of_message(answer.usage)


def message_cut_short(client: anthropic.Anthropic) -> Any:
    answer = client.messages.create(model="c", max_tokens=2, messages=MESSAGES)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 2)
    return of_message(answer.usage)


def message_streamed(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(model="c", max_tokens=9, messages=MESSAGES) as stream:
        assert "".join(stream.text_stream) == SAID
        return of_message(stream.get_final_message().usage)


def message_tool_streamed(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(
        model="c",
        max_tokens=9,
        messages=MESSAGES,
        tools=[{"name": "weather", "input_schema": WEATHER}],
    ) as stream:
        answer = stream.get_final_message()
    assert [(b.type, getattr(b, "input", None)) for b in answer.content] == [
        ("tool_use", {"city": "text"})
    ]
    return of_message(answer.usage)


def message_beta(client: anthropic.Anthropic) -> Any:
    answer = client.beta.messages.create(model="c", max_tokens=9, messages=MESSAGES, betas=["x"])
    return of_message(answer.usage)


ANTHROPIC_CALLS = [
    message_plain,
    message_thinking,
    message_cut_short,
    message_streamed,
    message_tool_streamed,
    message_beta,
]


@pytest.mark.parametrize("call", ANTHROPIC_CALLS)
def test_the_anthropic_sdk_sees_what_the_account_says(
    server: ModelServer, anthropic_client: anthropic.Anthropic, call: Callable[[Any], Any]
) -> None:
    assert call(anthropic_client) == counts(server.account[-1])
    assert server.account[-1].reported


def test_the_async_sdks_see_what_the_account_says(server: ModelServer) -> None:
    async def drive() -> list[Any]:
        async with (
            openai.AsyncOpenAI(base_url=server.openai_url, api_key="k") as o,
            anthropic.AsyncAnthropic(base_url=server.url, api_key="k") as a,
        ):
            seen = [of_chat((await o.chat.completions.create(model="m", messages=MESSAGES)).usage)]
            async with o.responses.stream(model="m", input="one") as stream:
                seen.append(of_response((await stream.get_final_response()).usage))
            async with a.messages.stream(model="c", max_tokens=9, messages=MESSAGES) as messages:
                seen.append(of_message((await messages.get_final_message()).usage))
            return seen

    assert asyncio.run(drive()) == [counts(served) for served in server.account]


def test_the_account_says_all_about_an_answer(
    server: ModelServer, openai_client: openai.OpenAI
) -> None:
    openai_client.chat.completions.create(model="m", messages=MESSAGES)
    assert server.account == [
        Served(
            format="openai.chat.completions",
            path="/v1/chat/completions",
            request_model="m",
            response_id="chatcmpl-00000001",
            stream=False,
            status=200,
            ending="whole",
            reported=True,
            input_tokens=4,
            output_tokens=5,
            cache_read_tokens=0,
            cache_write_tokens=None,
            reasoning_tokens=0,
        )
    ]


def test_a_background_response_is_accounted_for_when_its_end_is_first_fetched(
    server: ModelServer, openai_client: openai.OpenAI
) -> None:
    response_background(openai_client)
    assert [(served.input_tokens, served.reported) for served in server.account] == [
        (None, False),
        (3, True),
    ]


def test_a_stream_without_include_usage_reports_none_but_the_account_knows(
    server: ModelServer, openai_client: openai.OpenAI
) -> None:
    chunks = list(openai_client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert (counts(server.account[0])[:2], server.account[0].reported) == ((4, 5), False)


def test_legacy_completions_report_only_when_asked(
    server: ModelServer, openai_client: openai.OpenAI
) -> None:
    plain = openai_client.completions.create(model="m", prompt="one two", max_tokens=3)
    chunks = list(openai_client.completions.create(model="m", prompt="one two", stream=True))
    assert plain.usage is not None
    assert (plain.usage.prompt_tokens, plain.usage.completion_tokens) == (2, 3)
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert [served.reported for served in server.account] == [True, False]


def test_embeddings_have_no_output(server: ModelServer, openai_client: openai.OpenAI) -> None:
    answer = openai_client.embeddings.create(model="e", input=["one two", "three"])
    assert [item.embedding[:2] for item in answer.data] == [[0.5, 0.5]] * 2
    assert (answer.usage.prompt_tokens, counts(server.account[0])) == (
        3,
        (3, None, None, None, None),
    )


def test_anthropics_cache_writes_what_is_new_and_reads_what_is_known(
    server: ModelServer, anthropic_client: anthropic.Anthropic
) -> None:
    system: Any = [
        {"type": "text", "text": "a b c", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "d e", "cache_control": {"type": "ephemeral"}},
    ]
    usages = [
        anthropic_client.messages.create(
            model="c", max_tokens=9, system=system[:n], messages=MESSAGES
        ).usage
        for n in (1, 2, 2)
    ]
    assert [
        (
            usage.input_tokens,
            usage.cache_read_input_tokens,
            usage.cache_creation and usage.cache_creation.ephemeral_5m_input_tokens,
            usage.cache_creation and usage.cache_creation.ephemeral_1h_input_tokens,
        )
        for usage in usages
    ] == [(4, 0, 0, 4), (4, 4, 3, 0), (4, 7, 0, 0)]
    assert [counts(served)[:1] + counts(served)[2:4] for served in server.account] == [
        (8, 0, 4),
        (11, 4, 3),
        (11, 7, 0),
    ]


def test_openais_cache_needs_a_key_and_knows_all_but_the_last_message(
    server: ModelServer, openai_client: openai.OpenAI
) -> None:
    messages: list[Any] = [{"role": "system", "content": "a b c"}, *MESSAGES]
    for key in ("k", "k", "other"):
        openai_client.chat.completions.create(model="m", messages=messages, prompt_cache_key=key)
    assert [served.cache_read_tokens for served in server.account] == [0, 4, 0]


def test_the_service_tier_is_served_as_asked(openai_client: openai.OpenAI) -> None:
    tiers = [
        openai_client.chat.completions.create(model="m", messages=MESSAGES, service_tier=tier)
        for tier in ("auto", "flex", "priority")
    ]
    assert [answer.service_tier for answer in tiers] == ["default", "flex", "priority"]


def test_after_a_tools_result_the_model_speaks(anthropic_client: anthropic.Anthropic) -> None:
    messages: list[Any] = [
        *MESSAGES,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sun"}],
        },
    ]
    answer = anthropic_client.messages.create(
        model="c",
        max_tokens=9,
        messages=messages,
        tools=[{"name": "weather", "input_schema": WEATHER}],
    )
    assert [block.type for block in answer.content] == ["text"]


def test_what_is_no_model_call_is_not_in_the_account(
    server: ModelServer, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    counted = anthropic_client.messages.count_tokens(model="c", messages=MESSAGES)
    models = [model.id for model in openai_client.models.list()]
    assert (counted.input_tokens, models, server.account) == (4, ["model-small", "model-large"], [])


def test_a_scripted_error_is_the_vendors_and_the_sdk_retries_it(server: ModelServer) -> None:
    server.script(Answer(status=429, headers={"retry-after-ms": "1"}), Answer(status=500))
    with (
        openai.OpenAI(base_url=server.openai_url, api_key="k", max_retries=1) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.chat.completions.create(model="m", messages=MESSAGES)
    assert [(s.status, s.input_tokens, s.reported) for s in server.account] == [
        (429, None, False),
        (500, None, False),
    ]


def test_a_scripted_error_of_anthropic_has_its_shape(
    server: ModelServer, anthropic_client: anthropic.Anthropic
) -> None:
    server.script(Answer(status=529))
    with pytest.raises(anthropic.APIStatusError) as caught:
        message_plain(anthropic_client)
    assert caught.value.body == {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "message": "The model server was scripted to answer 529.",
        },
        "request_id": "req_1",
    }


def ask(server: ModelServer, *answers: Answer, stream: bool = False) -> httpx.Response:
    server.script(*answers)
    body = {"model": "m", "messages": MESSAGES, "stream": stream}
    return httpx.post(f"{server.openai_url}/chat/completions", json=body)


def raw_chunks(server: ModelServer, answer: Answer) -> list[bytes]:
    """What arrives, cut where the server's network chunks end."""
    server.script(answer)
    body = {"model": "m", "messages": MESSAGES, "stream": True}
    with httpx.stream("POST", f"{server.openai_url}/chat/completions", json=body) as response:
        return list(response.iter_raw())


@pytest.mark.parametrize("body", [{"any": "thing"}, b"not json", b""])
def test_a_scripted_body_is_sent_as_it_is(server: ModelServer, body: Any) -> None:
    expected = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = ask(server, Answer(body=body, headers={"content-type": "text/x"}))
    assert (answer.content, answer.headers["content-type"]) == (expected, "text/x")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_an_encoded_answer_is_the_same_answer(
    server: ModelServer, encoding: Any, stream: bool
) -> None:
    plain = ask(server, Answer(), stream=stream)
    packed = ask(server, Answer(encoding=encoding), stream=stream)
    assert packed.headers["content-encoding"] == encoding
    assert packed.text.replace("00000002", "00000001") == plain.text


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_stream_is_cut_into_chunks_of_any_size(server: ModelServer, size: int) -> None:
    whole = b"".join(raw_chunks(server, Answer()))
    cut = b"".join(raw_chunks(server, Answer(chunk_size=size)))
    assert cut.replace(b"00000002", b"00000001") == whole


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_a_stream_may_have_other_line_ends_comments_and_padding(
    server: ModelServer, end: Any
) -> None:
    body = b"".join(raw_chunks(server, Answer(line_end=end, comments=True, padding=5))).decode()
    lines = body.split(end)
    assert lines[:4] == [": xxxxx", "", ": ping", ""]
    assert lines.count(": ping") == sum(line.startswith("data:") for line in lines)
    assert "\n" not in body.replace(end, "")


def test_padding_before_json_is_blanks(server: ModelServer) -> None:
    answer = ask(server, Answer(padding=1000))
    assert answer.text.startswith(" " * 1000 + "{")
    assert answer.json()["object"] == "chat.completion"


def test_scripted_text_and_usage_are_what_the_client_gets(
    server: ModelServer, openai_client: openai.OpenAI
) -> None:
    usage = Usage(input_tokens=1000, output_tokens=50, cache_read_tokens=600, reasoning_tokens=20)
    server.script(Answer(text="all is well", usage=usage))
    answer = openai_client.chat.completions.create(model="m", messages=MESSAGES)
    assert answer.choices[0].message.content == "all is well"
    assert of_chat(answer.usage) == counts(server.account[0]) == (1000, 50, 600, None, 20)


def test_an_unfinished_stream_ends_properly_without_its_terminal_marker(
    server: ModelServer,
) -> None:
    events = ask(server, Answer(ending="unfinished", stop_after=2), stream=True).text
    assert (events.count("data:"), "[DONE]" in events) == (2, False)
    assert server.account[0].reported is False


def test_an_error_event_comes_in_the_middle_of_a_stream(
    server: ModelServer, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    server.script(*[Answer(ending="error", stop_after=3)] * 2)
    with pytest.raises(openai.APIError):
        list(openai_client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    with (
        pytest.raises(anthropic.APIStatusError),
        anthropic_client.messages.stream(model="c", max_tokens=9, messages=MESSAGES) as stream,
    ):
        stream.get_final_message()
    assert [(s.status, s.ending) for s in server.account] == [(200, "error")] * 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ending", ["cut", "hangup"])
def test_a_connection_can_be_cut(server: ModelServer, ending: Any, stream: bool) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask(server, Answer(ending=ending, stop_after=1), stream=stream)
    assert ask(server).status_code == 200


def test_a_gate_holds_a_stream_back_until_it_is_opened(server: ModelServer) -> None:
    gate = Gate(after=2)
    server.script(Answer(gate=gate))
    body = {"model": "m", "messages": MESSAGES, "stream": True}
    with httpx.stream("POST", f"{server.openai_url}/chat/completions", json=body) as response:
        arrived = response.iter_raw()
        before = b""
        while before.count(b"\n\n") < 2:
            before += next(arrived)
        assert gate.wait_reached()
        gate.open()
        assert (before + b"".join(arrived)).endswith(b"data: [DONE]\n\n")


def test_a_gate_before_the_headers_lets_a_client_time_out(server: ModelServer) -> None:
    server.script(Answer(gate=Gate()))
    body = {"model": "m", "messages": MESSAGES}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.openai_url}/chat/completions", json=body, timeout=0.05)


def test_closing_opens_gates_ends_idle_connections_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with ModelServer() as server, httpx.Client() as client:
        body = {"model": "m", "messages": MESSAGES}
        client.post(f"{server.openai_url}/chat/completions", json=body)
        server.script(Answer(gate=Gate()))
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"{server.openai_url}/chat/completions", json=body, timeout=0.05)
        client.get(f"{server.openai_url}/models")
    assert set(threading.enumerate()) == before


def test_a_mistake_of_the_server_is_raised_when_it_is_closed() -> None:
    server = ModelServer()
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{server.openai_url}/chat/completions", json={"model": "m", "messages": [7]})
    with pytest.raises(AttributeError, match="'int' object"):
        server.close()


@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings", "responses"])
def test_a_request_that_lacks_something_is_answered_with_400(
    server: ModelServer, path: str
) -> None:
    answer = httpx.post(f"{server.openai_url}/{path}", json={"model": "m"})
    assert (answer.status_code, [s.status for s in server.account]) == (400, [400])


def test_what_it_does_not_know_is_404_and_what_is_no_json_400(server: ModelServer) -> None:
    answers = [
        httpx.post(f"{server.url}/v1/other", json={}),
        httpx.post(f"{server.openai_url}/chat/completions", content=b"{"),
        httpx.get(f"{server.openai_url}/responses/resp_none"),
    ]
    assert [answer.status_code for answer in answers] == [404, 400, 404]


def test_a_streamed_upload_is_read_and_answered(server: ModelServer) -> None:
    body = json.dumps({"model": "m", "messages": MESSAGES}).encode()
    answer = httpx.post(f"{server.openai_url}/chat/completions", content=iter([body[:9], body[9:]]))
    assert answer.json()["usage"]["prompt_tokens"] == 4


def test_many_clients_at_once_are_all_in_the_account(server: ModelServer) -> None:
    def drive() -> None:
        with httpx.Client() as client:
            for _ in range(25):
                body = {"model": "m", "messages": MESSAGES}
                client.post(f"{server.openai_url}/chat/completions", json=body)

    threads = [threading.Thread(target=drive) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({served.response_id for served in server.account}) == len(server.account) == 200
