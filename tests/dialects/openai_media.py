"""OpenAI images, transcriptions, translations and speech."""

from typing import Any

from dialects import Exchange, compact, sse

API = "https://api.openai.com/v1"
AZURE = "https://ours.openai.azure.com/openai/deployments/painter"
IMAGE_USAGE = {
    "total_tokens": 1106,
    "input_tokens": 50,
    "output_tokens": 1056,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}
IMAGE_COUNTS = {
    "input_tokens": 50,
    "output_tokens": 1056,
    "input_text_tokens": 10,
    "input_image_tokens": 40,
}
AUDIO_USAGE = {
    "type": "tokens",
    "input_tokens": 26,
    "input_token_details": {"text_tokens": 5, "audio_tokens": 21},
    "output_tokens": 4,
    "total_tokens": 30,
}
AUDIO_COUNTS = {
    "input_tokens": 26,
    "output_tokens": 4,
    "input_text_tokens": 5,
    "input_audio_tokens": 21,
}
DONE = {"recognised": True, "status": "completed", "final": True}
PICTURE = "iVBORw0KGgo" * 30
SOUND = "//uQxAAA" * 30
TTS = {"model": "gpt-4o-mini-tts", "input": "Good morning", "voice": "alloy"}


def image(name: str, body: object, usage: dict[str, Any], **more: Any) -> Exchange:
    asked = {"request": {"model": "gpt-image-1", "prompt": "an otter"}}
    known = {"provider": "openai", "operation": "image_generation", "request_model": "gpt-image-1"}
    data = body if isinstance(body, bytes) else compact(body)
    url = f"{API}/images/generations"
    return Exchange(**{"url": url, "reading": DONE, **asked, **known, **more}, name=name, body=data,
                    usage=usage)  # fmt: skip


def audio(name: str, body: object, usage: dict[str, Any], **more: Any) -> Exchange:
    known = {
        "provider": "openai",
        "operation": "transcription",
        "url": f"{API}/audio/transcriptions",
    }
    data = body if isinstance(body, bytes) else compact(body)
    return Exchange(**{"reading": DONE, **known, **more}, name=name, body=data, usage=usage)


def speech(name: str, body: bytes, usage: dict[str, Any], **more: Any) -> Exchange:
    known = {"operation": "speech", "url": f"{API}/audio/speech", "request": TTS}
    return audio(name, body, usage, **{**known, "request_model": "gpt-4o-mini-tts", **more})


EXCHANGES = [
    image(
        "an image with its usage, input and output in their kinds",
        {
            "created": 1,
            "data": [{"b64_json": PICTURE}],
            "usage": IMAGE_USAGE
            | {"output_tokens_details": {"text_tokens": 0, "image_tokens": 1056}},
        },
        IMAGE_COUNTS | {"output_text_tokens": 0, "output_image_tokens": 1056},
    ),
    image(
        "an image that is streamed, with parts before it",
        b"event: image_generation.partial_image\n"
        + sse(
            {
                "type": "image_generation.partial_image",
                "b64_json": PICTURE,
                "partial_image_index": 0,
            }
        )
        + b"event: image_generation.completed\n"
        + sse({"type": "image_generation.completed", "b64_json": PICTURE, "usage": IMAGE_USAGE}),
        IMAGE_COUNTS,
        request={"model": "gpt-image-1", "prompt": "an otter", "stream": True},
    ),
    image(
        "a stream of which the image never came",
        sse(
            {
                "type": "image_generation.partial_image",
                "b64_json": PICTURE,
                "partial_image_index": 0,
            }
        ),
        {},
        reading={"recognised": True},
    ),
    image(
        "an image with an error inside its stream",
        sse(
            {"type": "image_generation.partial_image", "b64_json": PICTURE},
            {"type": "error", "error": {"code": "moderation_blocked", "message": "No"}},
        ),
        {},
        reading={"recognised": True, "status": "failed", "error_type": "moderation_blocked"},
    ),
    image(
        "an edit, whose upload is not read",
        sse({"type": "image_edit.completed", "b64_json": PICTURE, "usage": IMAGE_USAGE}, b"[DONE]"),
        IMAGE_COUNTS,
        url=f"{API}/images/edits",
        operation="image_edit",
        request=None,
        request_model=None,
    ),
    image(
        "images of DALL-E, which are billed one by one and have no tokens",
        {"created": 1, "data": [{"url": "https://x/1.png"}, {"url": "https://x/2.png"}]},
        {"other_counts": {"images": 2}},
        url=f"{API}/images/variations",
        operation="image_variation",
        request=None,
        request_model=None,
    ),
    image(
        "a drawing that another model wrote",
        {
            "data": [{}],
            "usage": IMAGE_USAGE,
            "svg_usage": {
                "model": "gpt-5",
                "input_tokens": 7,
                "output_tokens": 9,
                "total_tokens": 16,
            },
        },
        IMAGE_COUNTS
        | {"other_counts": {"svg_usage.input_tokens": 7, "svg_usage.output_tokens": 9}},
    ),
    image(
        "odd values, each dropped alone",
        {
            "data": [None, 3],
            "usage": IMAGE_USAGE | {"output_tokens": -1, "input_tokens_details": None},
        },
        {"input_tokens": 50},
    ),
    image(
        "an error",
        {"error": {"message": "Unknown parameter", "type": "invalid_request_error", "code": None}},
        {},
        reading={"status": "failed", "error_type": "invalid_request_error"},
    ),
    image(
        "Azure's path, which names the deployment",
        {"data": [{"b64_json": PICTURE}], "usage": IMAGE_USAGE},
        IMAGE_COUNTS,
        url=f"{AZURE}/images/generations?api-version=2025-04-01-preview",
        provider="azure.ai.openai",
        request={"prompt": "an otter"},
        request_model="painter",
    ),
    audio("a transcription in tokens", {"text": "Hello.", "usage": AUDIO_USAGE}, AUDIO_COUNTS),
    audio(
        "a transcription in seconds",
        {"text": "Hello.", "duration": 8.47, "usage": {"type": "duration", "seconds": 9}},
        {"other_counts": {"seconds": 9}},
    ),
    audio(
        "a fraction of a second, which counts as a whole one",
        {"text": "Hello.", "usage": {"type": "duration", "seconds": 8.000001}},
        {"other_counts": {"seconds": 9}},
    ),
    audio("a transcription without usage", {"text": "Hello."}, {}),
    audio("a null usage", {"text": "Hello.", "usage": None}, {}),
    audio(
        "null details inside a usage",
        {"text": "Hello.", "usage": AUDIO_USAGE | {"input_token_details": None}},
        {"input_tokens": 26, "output_tokens": 4},
    ),
    audio("a transcription as plain text", b"Hello, friend.\n", {}, reading={}),
    audio(
        "a transcription as subtitles",
        b"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nHello, friend.\n\n",
        {},
        reading={},
    ),
    audio(
        "subtitles with numbers", b"1\n00:00:00,000 --> 00:00:01,000\nHello.\n\n", {}, reading={}
    ),
    audio(
        "a translation",
        {"text": "Hello."},
        {},
        url=f"{API}/audio/translations",
        operation="translation",
    ),
    audio(
        "a streamed transcription",
        sse(
            {"type": "transcript.text.delta", "delta": "Hel"},
            {"type": "transcript.text.delta", "delta": "lo."},
            {"type": "transcript.text.done", "text": "Hello.", "usage": AUDIO_USAGE},
        ),
        AUDIO_COUNTS,
    ),
    audio(
        "a streamed transcription with speakers, closed with a marker",
        sse(
            {"type": "transcript.text.segment", "text": "Hello.", "speaker": "A"},
            {"type": "transcript.text.done", "text": "Hello.", "usage": AUDIO_USAGE},
            b"[DONE]",
        ),
        AUDIO_COUNTS,
    ),
    audio(
        "the usage of another vendor, under names of its own",
        {"text": "Hello.", "usage": {"prompt_audio_seconds": 3, "prompt_tokens": 3}},
        {},
        reading={},
    ),
    audio(
        "a transcription at Azure",
        {"text": "Hello.", "usage": AUDIO_USAGE},
        AUDIO_COUNTS,
        url=f"{AZURE}/audio/transcriptions?api-version=2025-03-01-preview",
        provider="azure.ai.openai",
        request_model="painter",
    ),
    speech(
        "speech as MP3",
        b"ID3\x04\x00\x00\x00\x00\x00#TSSE" + b"\xff\xf3\x84\xc4" * 99,
        {},
        reading={},
    ),
    speech(
        "speech as WAV",
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00" + b"\x01\x00" * 99,
        {},
        reading={},
    ),
    speech("speech as samples that begin like an event", b"data: \x07\x00\n\n" * 9, {}, reading={}),
    speech(
        "speech that is streamed in events",
        sse(
            {"type": "speech.audio.delta", "audio": SOUND},
            {"type": "speech.audio.delta", "audio": SOUND},
            {
                "type": "speech.audio.done",
                "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115},
            },
        ),
        {"input_tokens": 14, "output_tokens": 101},
        request=TTS | {"stream_format": "sse"},
    ),
    speech(
        "speech in events that ended too early",
        sse({"type": "speech.audio.delta", "audio": SOUND}),
        {},
        reading={"recognised": True},
    ),
    speech(
        "an error of speech",
        compact({"error": {"message": "No such voice", "type": "invalid_request_error"}}),
        {},
        reading={"status": "failed", "error_type": "invalid_request_error"},
    ),
]

# the same bodies, where no traffic was recorded
EXCHANGES += [
    exchange._replace(name=f"{exchange.name}, translated", operation="translation", url=url)
    for exchange in EXCHANGES
    if exchange.url != (url := exchange.url.replace("transcriptions", "translations"))
]
EXCHANGES += [
    exchange._replace(
        name=f"{exchange.name}, varied", operation="image_variation", url=f"{API}/images/variations"
    )
    for exchange in EXCHANGES
    if exchange.url == f"{API}/images/generations" and exchange.body.startswith(b"{")
]
