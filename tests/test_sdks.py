"""Every vendor's SDK that is installed, plain and streamed, sync and async: one exact event a call.

The shapes of calls are the wire contract's matter; here it is that an SDK goes through a seam at
all, whichever version of it is there.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from typing import Any, NamedTuple

import pytest

from contract.colour import ASYNCIO, SYNC, do, each, run
from tokenmeter import Meter, UsageEvent
from tokenmeter.wire.stacks import clients_in

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDKs' own

READ, MADE = 5, 3
SAID: Any = [{"role": "user", "content": "hi"}]
ASKED: Any = {"model": "m", "messages": SAID}


def sse(*events: Any, named: bool = False) -> bytes:
    lines = (f"event: {e['type']}\ndata: {json.dumps(e)}" if named else f"data: {json.dumps(e)}"
             for e in events)  # fmt: skip
    return "".join(f"{line}\n\n" for line in lines).encode()


def ndjson(*lines: Any) -> bytes:
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


class Spoken(NamedTuple):
    """How a vendor answers: JSON, or a stream of a content type."""

    plain: Any
    stream: bytes
    kind: str = "text/event-stream"


def openai_spoken() -> Spoken:
    usage = {"prompt_tokens": READ, "completion_tokens": MADE, "total_tokens": READ + MADE}
    head = {"id": "c1", "model": "m", "created": 1}
    choice = {"index": 0, "finish_reason": "stop"}
    said = choice | {"message": {"role": "assistant", "content": "ho"}}
    delta = choice | {"delta": {"role": "assistant", "content": "ho"}}
    chunk = head | {"object": "chat.completion.chunk", "choices": [delta], "usage": usage}
    return Spoken(
        head | {"object": "chat.completion", "choices": [said], "usage": usage},
        sse(chunk) + b"data: [DONE]\n\n",
    )


def anthropic_spoken() -> Spoken:
    usage = {"input_tokens": READ, "output_tokens": MADE}
    head = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    text = {"type": "text", "text": ""}
    ended = head | {"content": [text], "stop_reason": "end_turn", "usage": usage}
    started = head | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return Spoken(
        ended,
        sse(
            {"type": "message_start", "message": started},
            {"type": "message_delta", "delta": delta, "usage": {"output_tokens": MADE}},
            {"type": "message_stop"},
            named=True,
        ),
    )


def google_spoken() -> Spoken:
    usage = {
        "promptTokenCount": READ,
        "candidatesTokenCount": MADE,
        "totalTokenCount": READ + MADE,
    }
    content = {"role": "model", "parts": [{"text": "ho"}]}
    whole = {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": usage,
        "modelVersion": "m",
        "responseId": "g1",
    }
    return Spoken(whole, sse(whole))


def cohere_spoken() -> Spoken:
    counts = {"input_tokens": READ, "output_tokens": MADE}
    usage = {"billed_units": counts, "tokens": counts}
    content = [{"type": "text", "text": "ho"}]
    message = {"role": "assistant", "content": content}
    return Spoken(
        {"id": "h1", "finish_reason": "COMPLETE", "message": message, "usage": usage},
        sse(
            {
                "type": "message-start",
                "id": "h1",
                "delta": {"message": {"role": "assistant", "content": []}},
            },
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}},
            named=True,
        ),
    )


def cohere_v1_spoken() -> Spoken:
    counts = {"input_tokens": READ, "output_tokens": MADE}
    whole = {
        "text": "ho",
        "generation_id": "g",
        "response_id": "h1",
        "finish_reason": "COMPLETE",
        "meta": {"api_version": {"version": "1"}, "billed_units": counts, "tokens": counts},
    }
    end = {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": whole,
    }
    begin = {"is_finished": False, "event_type": "stream-start", "generation_id": "g"}
    return Spoken(whole, ndjson(begin, end), "application/stream+json")


def ollama_spoken() -> Spoken:
    head = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
    said = {"message": {"role": "assistant", "content": "ho"}}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": READ, "eval_count": MADE}
    return Spoken(
        head | said | end,
        ndjson(head | said | {"done": False}, head | said | end),
        "application/x-ndjson",
    )


def bedrock_spoken() -> Spoken:
    usage = {"inputTokens": READ, "outputTokens": MADE, "totalTokens": READ + MADE}
    output = {"message": {"role": "assistant", "content": [{"text": "ho"}]}}
    whole = {
        "output": output,
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": {"latencyMs": 1},
    }
    return Spoken(whole, b"")


def stainless(module: str, name: str, root: str) -> Callable[[str, bool], Any]:
    """Make clients of the SDKs that are generated alike."""

    def make(url: str, is_async: bool) -> Any:
        made = getattr(importlib.import_module(module), f"Async{name}" if is_async else name)
        return made(base_url=url + root, api_key="k", max_retries=0)

    return make


def mistral(url: str, is_async: bool) -> Any:
    try:
        from mistralai.client import Mistral
    except ImportError:  # before 2
        from mistralai import Mistral
    return Mistral(api_key="k", server_url=url)


def ask_mistral(client: Any, stream: bool, is_async: bool) -> Any:
    name = ("stream" if stream else "complete") + ("_async" if is_async else "")
    return getattr(client.chat, name)(**ASKED)


def google(url: str, is_async: bool) -> Any:
    from google import genai

    return genai.Client(api_key="k", http_options={"base_url": url})


def ask_google(client: Any, stream: bool, is_async: bool) -> Any:
    models = client.aio.models if is_async else client.models
    ask = models.generate_content_stream if stream else models.generate_content
    return ask(model="m", contents="hi")


def cohere(name: str) -> Callable[[str, bool], Any]:
    def make(url: str, is_async: bool) -> Any:
        module = importlib.import_module("cohere")
        made = getattr(module, f"Async{name}" if is_async else name, None)
        if made is None:
            pytest.skip(f"cohere {version('cohere')} has no {name}")
        own = module.environment.ClientEnvironment.PRODUCTION.value
        return made(api_key="k", base_url=url + ("/v1" if own.endswith("/v1") else ""))

    return make


def ask_cohere(client: Any, stream: bool, is_async: bool) -> Any:
    return (client.chat_stream if stream else client.chat)(**ASKED)


def ask_cohere_v1(client: Any, stream: bool, is_async: bool) -> Any:
    return (client.chat_stream if stream else client.chat)(model="m", message="hi")


def ollama(url: str, is_async: bool) -> Any:
    module = importlib.import_module("ollama")
    return (module.AsyncClient if is_async else module.Client)(host=url)


def bedrock(url: str, is_async: bool) -> Any:
    import botocore.session

    return botocore.session.get_session().create_client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )


def ask_bedrock(client: Any, stream: bool, is_async: bool) -> Any:
    said = [{"role": "user", "content": [{"text": "hi"}]}]
    return client.converse(modelId="m", messages=said)


def ask_chat(client: Any, stream: bool, is_async: bool) -> Any:
    return client.chat.completions.create(**ASKED, stream=stream)


def ask_message(client: Any, stream: bool, is_async: bool) -> Any:
    return client.messages.create(**ASKED, max_tokens=9, stream=stream)


def ask_ollama(client: Any, stream: bool, is_async: bool) -> Any:
    return client.chat(**ASKED, stream=stream)


class Sdk(NamedTuple):
    """One way into a vendor's SDK.

    Args:
        module: What must be installed.
        path: What it posts to; a stream of Google's has a path of its own, which goes there too.
    """

    name: str
    module: str
    path: str
    spoken: Spoken
    make: Callable[[str, bool], Any]
    ask: Callable[[Any, bool, bool], Any]
    shapes: tuple[tuple[bool, bool], ...] = (
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    )


CHAT = "/v1/chat/completions"
SDKS = (
    Sdk("openai", "openai", CHAT, openai_spoken(), stainless("openai", "OpenAI", "/v1"), ask_chat),
    Sdk("groq", "groq", "/openai" + CHAT, openai_spoken(), stainless("groq", "Groq", ""), ask_chat),
    Sdk("together", "together", CHAT, openai_spoken(),
        stainless("together", "Together", "/v1"), ask_chat),
    Sdk("mistralai", "mistralai", CHAT, openai_spoken(), mistral, ask_mistral),
    Sdk("anthropic", "anthropic", "/v1/messages", anthropic_spoken(),
        stainless("anthropic", "Anthropic", ""), ask_message),
    Sdk("google-genai", "google.genai", "/v1beta/models/m:generateContent", google_spoken(),
        google, ask_google),
    Sdk("cohere", "cohere", "/v2/chat", cohere_spoken(), cohere("ClientV2"), ask_cohere),
    Sdk("cohere v1", "cohere", "/v1/chat", cohere_v1_spoken(), cohere("Client"), ask_cohere_v1),
    Sdk("ollama", "ollama", "/api/chat", ollama_spoken(), ollama, ask_ollama),
    Sdk("bedrock", "botocore", "/model/m/converse", bedrock_spoken(), bedrock, ask_bedrock,
        ((False, False),)),
)  # fmt: skip
CASES = [
    pytest.param(
        sdk, stream, is_async,
        id=f"{sdk.name}-{'stream' if stream else 'plain'}-{'async' if is_async else 'sync'}",
    )
    for sdk in SDKS for stream, is_async in sdk.shapes
]  # fmt: skip


@contextlib.contextmanager
def served(sdk: Sdk) -> Iterator[str]:
    """Serve a vendor's answer, whatever it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            streams = asked.get("stream") or "stream" in self.path
            body = sdk.spoken.stream if streams else json.dumps(sdk.spoken.plain).encode()
            self.send_response(200)
            self.send_header("content-type", sdk.spoken.kind if streams else "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def played(sdk: Sdk, client: Any, stream: bool, is_async: bool) -> None:
    """Ask, read to the end, and leave no connection open: how differs by SDK, or is missing."""
    answer = await do(sdk.ask(client, stream, is_async))
    if stream:
        assert [item async for item in each(answer)]
    for http_client, _ in clients_in(client):
        close = getattr(http_client, "aclose" if is_async else "close", None)
        with contextlib.suppress(RuntimeError):  # httpcore before 0.18: of what the SDK left open
            await do(close and close())
    if is_async and hasattr(getattr(client, "aio", None), "aclose"):  # google-genai over aiohttp
        await client.aio.aclose()


@pytest.mark.parametrize("seam", ["wrap", "instrument"])
@pytest.mark.parametrize(("sdk", "stream", "is_async"), CASES)
def test_a_call_through_an_sdk_is_one_exact_event(
    sdk: Sdk, stream: bool, is_async: bool, seam: str
) -> None:
    pytest.importorskip(sdk.module)
    mode = ASYNCIO if is_async else SYNC
    events: list[UsageEvent] = []
    meter = Meter([events.append], estimates=False)
    with served(sdk) as url:
        if seam == "wrap":
            client = sdk.make(url, is_async)
            if not clients_in(client):
                pytest.skip(
                    f"wrap() does not find the HTTP client of {sdk.name}; instrument() does"
                )
            run(mode, played, sdk, meter.wrap(client), stream, is_async)
        else:
            with meter.instrument():
                run(mode, played, sdk, sdk.make(url, is_async), stream, is_async)
    assert meter.flush()
    meter.shutdown()
    assert [
        (e.input_tokens, e.output_tokens, e.input_provenance, e.output_provenance, e.status)
        for e in events
    ] == [(READ, MADE, "reported", "reported", "completed")]
    assert [(e.request_model, bool(e.stream)) for e in events] == [("m", stream)]
