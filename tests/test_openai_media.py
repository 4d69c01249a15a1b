"""The rest of OpenAI's API through the real SDK: one event each, and nothing else changes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from canned import Asked, Told, events, serving, told
from contract.colour import ASYNCIO, SYNC, Mode, do, each, opened, run
from contract.stage import fact, http_client_of
from dialects.openai_media import AUDIO_COUNTS, AUDIO_USAGE, IMAGE_COUNTS, IMAGE_USAGE, PICTURE
from dialects.openai_runs import COUNTS, USAGE
from tokenmeter import Meter, UsageEvent, attribute, check_invariants
from tokenmeter.event import Usage
from tokenmeter.wire.body import BATCH

pytestmark = pytest.mark.filterwarnings("ignore:(The Assistants API is )?deprecated")

SPEECH = b"ID3\x04\x00\x00\x00\x00\x00#TSSE" + b"\xff\xf3\x84\xc4" * 250_000
UPLOAD = ("a.mp3", b"\xff\xfb\x90\xc4" * 1000, "audio/mpeg")
DRAWING = ("a.png", b"\x89PNG\r\n\x1a\n" * 100, "image/png")


class Vendor:
    """The vendor: every answer is a function of the request and of how often a run was polled."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._runs: dict[str, list[str]] = {}

    def __call__(self, asked: Asked) -> Told:
        self.asked.append(asked)
        parts = asked.path.removeprefix("/v1/").split("/")
        return getattr(self, f"_{parts[0]}")(asked, parts[1:])

    def _images(self, asked: Asked, _parts: list[str]) -> Told:
        if b"true" in asked.body and b"stream" in asked.body:
            kind = "image_edit" if asked.path.endswith("edits") else "image_generation"
            head = {"b64_json": PICTURE, "created_at": 1, "size": "1024x1024", "quality": "low",
                    "background": "opaque", "output_format": "png"}  # fmt: skip
            return events(
                {"type": f"{kind}.partial_image", "partial_image_index": 0, **head},
                {"type": f"{kind}.completed", "usage": IMAGE_USAGE, **head},
            )
        if b"dall-e" in asked.body:
            return told({"created": 1, "data": [{"url": "https://x/1.png"}]})
        return told({"created": 1, "data": [{"b64_json": PICTURE}], "usage": IMAGE_USAGE})

    def _audio(self, asked: Asked, parts: list[str]) -> Told:
        if parts == ["speech"]:
            return self._speech(asked)
        if b"srt" in asked.body:
            return Told(b"1\n00:00:00,000 --> 00:00:01,000\nHello.\n\n", "text/plain")
        if b"whisper" in asked.body:
            return told({"text": "Hello.", "usage": {"type": "duration", "seconds": 8.47}})
        if b"stream" in asked.body:
            return events(
                {"type": "transcript.text.delta", "delta": "Hello."},
                {"type": "transcript.text.done", "text": "Hello.", "usage": AUDIO_USAGE},
            )
        return told({"text": "Hello.", "usage": AUDIO_USAGE})

    def _speech(self, asked: Asked) -> Told:
        if asked.json["voice"] == "nobody":
            return told({"error": {"code": "no_voice", "message": "No such voice"}}, 400)
        if asked.json.get("stream_format") != "sse":
            return Told(SPEECH, "audio/mpeg")
        return events(
            {"type": "speech.audio.delta", "audio": "//uQxAAA"},
            {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101}},
        )

    def _moderations(self, _asked: Asked, _parts: list[str]) -> Told:
        return told({"id": "modr-1", "model": "omni-moderation-latest", "results": []})

    def _complete(self, asked: Asked, _parts: list[str]) -> Told:
        head = {"type": "completion", "id": "compl_1", "model": "claude-2.1"}
        if not asked.json.get("stream"):
            return told({**head, "completion": " Hi", "stop_reason": "stop_sequence"})
        return events(
            {**head, "completion": " Hi", "stop_reason": None},
            {**head, "completion": "", "stop_reason": "stop_sequence"},
            end="",
        )

    def _responses(self, _asked: Asked, _parts: list[str]) -> Told:
        usage = {"input_tokens": 156, "output_tokens": 190, "total_tokens": 346}
        return told({"id": "resp_1", "object": "response.compaction", "created_at": 1,
                     "output": [], "usage": usage})  # fmt: skip

    def _threads(self, asked: Asked, parts: list[str]) -> Told:
        """Answer for a run: it needs a tool where it was asked for one, and ends at a poll."""
        match parts[parts.index("runs") + 1 :]:
            case [] if asked.method == "GET":
                runs = [self._run("run_9", "completed")]
                return told({"object": "list", "data": runs, "has_more": False})
            case []:
                return self._begin(asked, "run_1")
            case [run_id]:
                states = self._runs[run_id]
                return told(self._run(run_id, states.pop(0) if len(states) > 1 else states[0]))
            case [run_id, "cancel"]:
                self._runs[run_id] = ["cancelled"]
                return told(self._run(run_id, "cancelling"))
            case [run_id, "submit_tool_outputs"]:
                return self._go_on(asked, run_id, ["in_progress", "completed"])
        raise AssertionError(asked.path)

    def _begin(self, asked: Asked, run_id: str) -> Told:
        needs_tool = asked.json.get("instructions") == "use a tool"
        end = "requires_action" if needs_tool else "completed"
        return self._go_on(asked, run_id, ["queued", "in_progress", end])

    def _go_on(self, asked: Asked, run_id: str, states: list[str]) -> Told:
        if asked.json.get("stream"):
            self._runs[run_id] = states[-1:]
            return events(*((f"thread.run.{s}", self._run(run_id, s)) for s in states))
        self._runs[run_id] = states[1:]
        return told(self._run(run_id, states[0]))

    def _run(self, run_id: str, status: str) -> dict[str, Any]:
        tool_call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [tool_call]}}
        return {"id": run_id, "object": "thread.run", "model": "gpt-4o", "status": status,
                "assistant_id": "a", "thread_id": "t", "created_at": 1, "instructions": "",
                "parallel_tool_calls": True, "tools": [],
                "required_action": action if status == "requires_action" else None,
                "usage": USAGE if status in ("completed", "cancelled") else None}  # fmt: skip


class Shape(NamedTuple):
    """A thing that a user may write, and the one event that comes of it; ``None``: none does."""

    name: str
    call: Callable[[Any], Any]
    event: dict[str, Any] | None
    usage: dict[str, Any] = {}  # noqa: RUF012 - never changed


UNKNOWN = {"input_provenance": "unknown", "output_provenance": "unknown"}
NONE = {"input_provenance": "none", "output_provenance": "none"}
IMAGE = {"operation": "image_generation", "request_model": "gpt-image-1", "stream": False}
EDIT = {"operation": "image_edit", "request_model": None}
HEARD = {"operation": "transcription", "request_model": None, "stream": False}
SPOKEN = {"operation": "speech", "request_model": "gpt-4o-mini-tts", "stream": False}
RUN = {
    "operation": "invoke_agent",
    "response_id": "run_1",
    "response_model": "gpt-4o",
    "finish_reasons": ("completed",),
}
COMPLETED = {"operation": "text_completion", "request_model": "claude-2.1", **UNKNOWN}
PAINTED: Any = {"model": "gpt-image-1", "prompt": "an otter"}
SAID: Any = {"model": "gpt-4o-mini-tts", "input": "Good morning", "voice": "alloy"}
PROMPT: Any = {
    "model": "claude-2.1",
    "prompt": "\n\nHuman: Hi\n\nAssistant:",
    "max_tokens_to_sample": 9,
}
TOOLS: Any = [{"tool_call_id": "c", "output": "7"}]


async def heard(client: Any, **more: Any) -> Any:
    asked = {"model": "gpt-4o-transcribe", "file": UPLOAD, **more}
    return await do(client.audio.transcriptions.create(**asked))


async def heard_in_events(client: Any) -> Any:
    return [event async for event in each(await heard(client, stream=True))]


async def heard_as_it_comes(client: Any) -> Any:
    create = client.audio.transcriptions.with_streaming_response.create
    asked = {"model": "gpt-4o-transcribe", "file": UPLOAD, "response_format": "srt"}
    async with opened(create(**asked)) as response:
        return await do(response.text())


async def painted(client: Any) -> Any:
    return [event async for event in each(await do(client.images.generate(**PAINTED, stream=True)))]


async def edited(client: Any) -> Any:
    asked = {"image": DRAWING, **PAINTED, "stream": True}
    return [event async for event in each(await do(client.images.edit(**asked)))]


async def spoken(client: Any, **more: Any) -> Any:
    return (await do(client.audio.speech.create(**SAID | more))).content


async def spoken_as_it_comes(client: Any, **more: Any) -> Any:
    create = client.audio.speech.with_streaming_response.create
    async with opened(create(**SAID | more)) as response:
        return b"".join([chunk async for chunk in each(response.iter_bytes())])


async def run_in_events(client: Any, **more: Any) -> Any:
    stream = await do(client.beta.threads.runs.create("t", assistant_id="a", stream=True, **more))
    return [event async for event in each(stream)]


async def run_with_helper(client: Any) -> Any:
    async with opened(client.beta.threads.create_and_run_stream(assistant_id="a")) as stream:
        return [event async for event in each(stream)]


async def run_with_tool(client: Any) -> Any:
    runs = client.beta.threads.runs
    waiting = await do(
        runs.create_and_poll(
            thread_id="t", assistant_id="a", instructions="use a tool", poll_interval_ms=1
        )
    )
    return waiting, await do(
        runs.submit_tool_outputs_and_poll(
            run_id=waiting.id, thread_id="t", tool_outputs=TOOLS, poll_interval_ms=1
        )
    )


async def run_with_tool_in_events(client: Any) -> Any:
    first = await run_in_events(client, instructions="use a tool")
    submit = client.beta.threads.runs.submit_tool_outputs
    stream = await do(submit("run_1", thread_id="t", tool_outputs=TOOLS, stream=True))
    return first, [event async for event in each(stream)]


async def run_cancelled(client: Any) -> Any:
    runs = client.beta.threads.runs
    made = await do(runs.create("t", assistant_id="a"))
    cancelled = await do(runs.cancel(made.id, thread_id="t"))
    return made, cancelled, [await do(runs.retrieve(made.id, thread_id="t")) for _ in range(3)]


async def runs_listed(client: Any) -> Any:
    return [run async for run in each(await do(client.beta.threads.runs.list("t")))]


async def completed(client: Any) -> Any:
    return await do(client.post("/v1/complete", body=PROMPT, cast_to=object))


async def completed_in_events(client: Any) -> Any:
    stream = (
        anthropic.AsyncStream if client.__class__.__name__ == "AsyncAnthropic" else anthropic.Stream
    )
    asked = {"body": PROMPT | {"stream": True}, "cast_to": object, "stream_cls": stream[object]}
    return [
        event async for event in each(await do(client.post("/v1/complete", **asked, stream=True)))
    ]


def poll(client: Any) -> Any:
    runs = client.beta.threads.runs
    return runs.create_and_poll(thread_id="t", assistant_id="a", poll_interval_ms=1)


def poll_all(client: Any) -> Any:
    return client.beta.threads.create_and_run_poll(assistant_id="a", poll_interval_ms=1)


OPENAI = [
    Shape("image", lambda c: c.images.generate(**PAINTED), IMAGE, IMAGE_COUNTS),
    Shape("image stream", painted, IMAGE | {"stream": True}, IMAGE_COUNTS),
    Shape("image edit", lambda c: c.images.edit(image=DRAWING, **PAINTED), EDIT, IMAGE_COUNTS),
    Shape("image edit stream", edited, EDIT | {"stream": True}, IMAGE_COUNTS),
    Shape(
        "image variation",
        lambda c: c.images.create_variation(image=DRAWING, model="dall-e-2"),
        {"operation": "image_variation", **UNKNOWN},
        {"other_counts": {"images": 1}},
    ),
    Shape("transcription", heard, HEARD, AUDIO_COUNTS),
    Shape("transcription stream", heard_in_events, HEARD | {"stream": True}, AUDIO_COUNTS),
    Shape(
        "transcription in seconds",
        lambda c: heard(c, model="whisper-1"),
        HEARD | UNKNOWN,
        {"other_counts": {"seconds": 9}},
    ),
    Shape("transcription as text", lambda c: heard(c, response_format="srt"), HEARD | UNKNOWN),
    Shape("transcription as text, as it comes", heard_as_it_comes, HEARD | UNKNOWN),
    Shape(
        "translation",
        lambda c: c.audio.translations.create(model="gpt-4o", file=UPLOAD),
        {"operation": "translation"},
        AUDIO_COUNTS,
    ),
    Shape("speech", spoken, SPOKEN | UNKNOWN),
    Shape("speech as it comes", spoken_as_it_comes, SPOKEN | UNKNOWN),
    Shape(
        "speech in events",
        lambda c: spoken(c, stream_format="sse"),
        SPOKEN | {"stream": True},
        {"input_tokens": 14, "output_tokens": 101},
    ),
    Shape(
        "speech in events, as they come",
        lambda c: spoken_as_it_comes(c, stream_format="sse"),
        SPOKEN | {"stream": True},
        {"input_tokens": 14, "output_tokens": 101},
    ),
    Shape(
        "speech that is refused",
        lambda c: spoken(c, voice="nobody"),
        SPOKEN | NONE | {"status": "failed", "http_status": 400, "error_type": "no_voice"},
    ),
    Shape(
        "moderation",
        lambda c: c.moderations.create(input="Hi"),
        {"operation": "moderation", "response_model": "omni-moderation-latest", **NONE},
    ),
    Shape(
        "compaction",
        lambda c: c.responses.compact(model="gpt-5", input="Hi"),
        {"operation": "chat", "request_model": "gpt-5"},
        {"input_tokens": 156, "output_tokens": 190},
    ),
    Shape("run that is polled", poll, RUN | {"stream": False}, COUNTS),
    Shape("run with its thread", poll_all, RUN, COUNTS),
    Shape("run stream", run_in_events, RUN | {"stream": True}, COUNTS),
    Shape("run stream helper", run_with_helper, RUN | {"stream": True}, COUNTS),
    Shape("run with a tool", run_with_tool, RUN, COUNTS),
    Shape("run stream with a tool", run_with_tool_in_events, RUN | {"stream": True}, COUNTS),
    Shape(
        "run that is cancelled",
        run_cancelled,
        RUN | {"status": "abandoned", "finish_reasons": None},
        COUNTS,
    ),
    Shape("runs that are listed", runs_listed, None),
]
ANTHROPIC = [
    Shape("completion", completed, COMPLETED | {"stream": False}),
    Shape("completion stream", completed_in_events, COMPLETED | {"stream": True}),
]
CLIENTS = {
    "openai": (openai.OpenAI, openai.AsyncOpenAI, "/v1"),
    "anthropic": (anthropic.Anthropic, anthropic.AsyncAnthropic, ""),
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(answer) as url:
        yield url


vendor = [Vendor()]


def answer(asked: Asked) -> Told:
    return vendor[0](asked)


async def scene(
    mode: Mode, sdk: str, url: str, call: Callable[[Any], Any], meter: Meter | None
) -> Any:
    vendor[0] = Vendor()
    path = CLIENTS[sdk][2]
    http_client = http_client_of(sdk, mode)
    make = CLIENTS[sdk][mode.is_async]
    made = make(base_url=url + path, api_key="k", max_retries=0, http_client=http_client)
    async with opened(made) as client:
        try:
            return fact(await do(call(client if meter is None else meter.wrap(client))))
        except (openai.APIError, anthropic.APIError) as exc:
            return fact(exc)


@pytest.mark.parametrize("mode", [SYNC, ASYNCIO], ids=lambda mode: mode.name)
@pytest.mark.parametrize(
    ("sdk", "shape"),
    [pytest.param("openai", shape, id=shape.name) for shape in OPENAI]
    + [pytest.param("anthropic", shape, id=shape.name) for shape in ANTHROPIC],
)
def test_a_call_is_one_event_and_looks_as_ever(
    sdk: str, shape: Shape, mode: Mode, url: str
) -> None:
    bare, uploads = run(mode, scene, mode, sdk, url, shape.call, None), vendor[0].asked
    found: list[UsageEvent] = []
    meter = Meter([found.append], estimates=False, providers={"127.0.0.1": sdk})
    with attribute(user="ada"):
        assert run(mode, scene, mode, sdk, url, shape.call, meter) == bare
    assert [(a.method, a.path) for a in vendor[0].asked] == [(a.method, a.path) for a in uploads]
    assert meter.flush()
    assert meter.stats()["guard"] == {}
    assert meter.open_calls == set()
    if shape.event is None:
        assert found == []
        return
    [event] = found
    check_invariants(event)
    said = {"status": "completed", "http_status": 200, "user": "ada", "provider": sdk}
    expected = said | shape.event
    assert {name: getattr(event, name) for name in expected} == expected
    assert event.usage == Usage(**shape.usage)


def test_a_run_that_is_polled_belongs_to_whoever_created_it(url: str) -> None:
    found: list[UsageEvent] = []
    meter = Meter([found.append])
    vendor[0] = Vendor()
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        runs = meter.wrap(client).beta.threads.runs
        with attribute(user="ada"):
            made = runs.create("t", assistant_id="a", model="asked")
        assert found == []
        with attribute(user="bob"):
            states = [runs.retrieve(made.id, thread_id="t").status for _ in range(4)]
    assert states == ["in_progress", "completed", "completed", "completed"]
    [event] = found
    assert (event.user, event.request_model, event.response_model) == ("ada", "asked", "gpt-4o")


# What is sent and what comes may be megabytes


def test_an_answer_that_is_audio_is_never_kept(url: str) -> None:
    found: list[UsageEvent] = []
    meter = Meter([found.append], estimates=False, providers={"127.0.0.1": "openai"})
    held: list[int] = []
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k") as client:
        create = meter.wrap(client).audio.speech.with_streaming_response.create
        with create(**SAID) as response:
            for chunk in response.iter_bytes():
                [call] = meter.open_calls
                reader: Any = call._reader
                held.append(sum(map(len, reader.chunks)) - len(chunk))
    assert max(held) <= BATCH
    assert [event.status for event in found] == ["completed"]


def test_an_upload_is_not_decoded() -> None:
    meter = Meter(providers={"llm.corp": "openai"})
    call = meter.open("POST", "llm.corp", "/v1/audio/transcriptions")
    assert call is not None
    body = b"--boundary\r\ncontent-disposition: form-data\r\n\r\n" + UPLOAD[1] * 1000
    tracemalloc.start()
    call.asked(body, None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000


def test_on_a_host_that_nobody_named_a_body_must_be_recognised(url: str) -> None:
    found: list[UsageEvent] = []
    vendor[0] = Vendor()
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k") as bare:
        client = Meter([found.append]).wrap(bare)
        client.audio.transcriptions.create(model="m", file=UPLOAD)
        client.audio.transcriptions.create(model="m", file=UPLOAD, response_format="srt")
        client.audio.speech.create(**SAID)
        client.moderations.create(input="Hi")
    assert [(event.provider, event.operation) for event in found] == [
        ("openai_compatible", "transcription"),  # the text alone, without a model, could be any
        ("openai_compatible", "speech"),
        ("openai_compatible", "moderation"),
    ]
