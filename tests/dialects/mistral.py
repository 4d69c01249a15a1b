"""Mistral: what its chat, agents, fill-in-the-middle, conversations and transcriptions answer."""

from typing import Any

from dialects import Exchange, compact, sse

HOST = "https://api.mistral.ai/v1"
STOP = [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
COUNTS = {"input_tokens": 5, "output_tokens": 3}
READING: dict[str, Any] = {
    "recognised": True,
    "model": "served",
    "response_id": "c1",
    "finish_reasons": ("stop",),
    "status": "completed",
    "final": True,
}
CONVERSATION: dict[str, Any] = {
    "recognised": True,
    "model": "mistral-medium-2505",
    "status": "completed",
    "final": True,
}
SEARCHED = {"prompt_tokens": 196, "completion_tokens": 485, "total_tokens": 3846,
            "connector_tokens": 3165, "connectors": {"document_library": 1}}  # fmt: skip
WITH_SEARCH = {
    "input_tokens": 3361,
    "output_tokens": 485,
    "other_counts": {"document_library": 1},
}
PLAIN = {
    "object": "conversation.response",
    "conversation_id": "conv_1",
    "outputs": [
        {"type": "tool.execution", "name": "document_library"},
        {"type": "message.output", "model": "mistral-medium-2505", "content": "hi"},
    ],
}
STARTED = {"type": "conversation.response.started", "conversation_id": "conv_1"}
SAID = {"type": "message.output.delta", "id": "msg_1", "model": "mistral-medium-2505",
        "content": "hi"}  # fmt: skip
DONE = {"type": "conversation.response.done", "usage": SEARCHED}


def chat(**members: object) -> bytes:
    return compact({"id": "c1", "model": "served", "choices": STOP, **members})


def completed(where: str, url: str, **asked: Any) -> list[Exchange]:
    """Give completions as agents and the fill in the middle answer them, in five shapes."""
    head: dict[str, Any] = {"id": "c1", "object": "chat.completion", "model": "served"}
    tiered = USAGE | {"prompt_audio_seconds": None, "service_tier": "priority"}

    def shape(name: str, body: bytes, usage: dict[str, Any], **reading: Any) -> Exchange:
        return Exchange(f"{where}: {name}", url, body, usage, "mistral_ai", reading, **asked)

    return [
        shape(
            "an answer that read its cache, at a tier",
            compact(
                head
                | {"choices": STOP}
                | {"usage": tiered | {"prompt_tokens_details": {"cached_tokens": 4}}}
            ),
            COUNTS | {"cache_read_tokens": 4},
            **READING | {"service_tier": "priority"},
        ),
        shape(
            "an answer that the length of the model cut short",
            compact(head | {"choices": [{"finish_reason": "model_length"}], "usage": USAGE}),
            COUNTS,
            **READING | {"finish_reasons": ("model_length",)},
        ),
        shape(
            "a stream that a limit cut short, and whose tier is null",
            sse(
                head | {"choices": [{"delta": {"content": "h"}, "finish_reason": None}]},
                head
                | {"choices": [{"delta": {"content": "i"}, "finish_reason": "length"}]}
                | {"usage": tiered | {"service_tier": None, "prompt_tokens_details": None}},
                b"[DONE]",
            ),
            COUNTS,
            **READING | {"finish_reasons": ("length",)},
        ),
        shape("an answer without usage", compact(head | {"choices": STOP}), {}, **READING),
        shape(
            "an answer that says of its input alone",
            compact(head | {"choices": STOP, "usage": {"prompt_tokens": 5}}),
            {"input_tokens": 5},
            **READING,
        ),
        shape(
            "a request that is not valid, in an error without a member of its own",
            compact({"object": "error", "message": "no", "type": "invalid", "code": 1210}),
            {},
        ),
    ]


EXCHANGES = [
    *completed("an agent", f"{HOST}/agents/completions", request={"agent_id": "ag_1"}),
    *completed(
        "a fill in the middle",
        f"{HOST}/fim/completions",
        request={"model": "codestral-latest", "prompt": "def f(", "suffix": "return x"},
        operation="text_completion",
        request_model="codestral-latest",
    ),
    Exchange(
        "an agent that calls a tool, in a stream",
        f"{HOST}/agents/completions",
        sse(
            {"id": "c1", "model": "served", "choices": [{"delta": {"role": "assistant"}}]},
            {
                "id": "c1",
                "model": "served",
                "choices": [
                    {
                        "delta": {"tool_calls": [{"id": "t1", "function": {"name": "weather"}}]},
                        "finish_reason": "tool_calls",
                    }
                ],
                "usage": USAGE,
            },
            b"[DONE]",
        ),
        COUNTS,
        "mistral_ai",
        READING | {"finish_reasons": ("tool_calls",)},
        request={"agent_id": "ag_1", "stream": True},
    ),
    Exchange(
        "a conversation that hands over to an agent, which calls a function",
        f"{HOST}/conversations",
        compact(
            {
                "object": "conversation.response",
                "conversation_id": "conv_1",
                "outputs": [
                    {"type": "agent.handoff", "next_agent_id": "ag_2", "next_agent_name": "two"},
                    {"type": "function.call", "model": None, "name": "weather", "arguments": "{}"},
                    {"type": "function.call", "model": "mistral-medium-2505", "name": "time"},
                ],
                "usage": USAGE,
                "guardrails": None,
            }
        ),
        COUNTS,
        "mistral_ai",
        CONVERSATION,
        request={"agent_id": "ag_1", "inputs": "hi"},
    ),
    Exchange(
        "a conversation whose usage is null",
        f"{HOST}/conversations",
        compact(PLAIN | {"usage": None}),
        {},
        "mistral_ai",
        CONVERSATION,
        request={"model": "mistral-medium-latest", "inputs": "hi", "store": False},
        request_model="mistral-medium-latest",
    ),
    Exchange(
        "a conversation that is refused",
        f"{HOST}/conversations",
        compact({"detail": [{"type": "missing", "loc": ["body", "inputs"], "msg": "required"}]}),
        {},
        "mistral_ai",
        {},
    ),
    Exchange(
        "a conversation that calls a function in its stream, and ran several connectors",
        f"{HOST}/conversations/conv_1",
        sse(
            STARTED,
            {"type": "tool.execution.started", "id": "x1", "name": "web_search"},
            {"type": "tool.execution.done", "id": "x1", "name": "web_search"},
            {"type": "function.call.delta", "model": "mistral-medium-2505", "name": "weather"},
            {
                "type": "conversation.response.done",
                "usage": USAGE
                | {"connector_tokens": 40, "total_tokens": 48}
                | {"connectors": {"web_search": 2, "code_interpreter": None}},
            },
        ),
        {"input_tokens": 45, "output_tokens": 3, "other_counts": {"web_search": 2}},
        "mistral_ai",
        CONVERSATION,
        request={"inputs": "and then?", "stream": True},
    ),
    Exchange(
        "a conversation whose stream was cut before its end",
        f"{HOST}/conversations/conv_1/restart",
        sse(STARTED, SAID),
        {},
        "mistral_ai",
        {"recognised": True, "model": "mistral-medium-2505"},
        request={"inputs": "again", "from_entry_id": "msg_1", "stream": True},
    ),
    Exchange(
        "chat with a tier inside the usage",
        f"{HOST}/chat/completions",
        chat(usage=USAGE | {"service_tier": "standard", "num_cached_tokens": 0}),
        COUNTS,
        "mistral_ai",
        READING | {"service_tier": "standard"},
        request={"model": "asked"},
        request_model="asked",
    ),
    Exchange(
        "chat that was given audio",
        f"{HOST}/chat/completions",
        chat(
            usage={
                "prompt_audio_seconds": 30,
                "prompt_tokens": 12,
                "completion_tokens": 40,
                "total_tokens": 427,
                "prompt_tokens_details": {"audio_tokens": 375},
            }
        ),
        {
            "input_tokens": 387,
            "output_tokens": 40,
            "input_audio_tokens": 375,
            "other_counts": {"prompt_audio_seconds": 30},
        },
        "mistral_ai",
        READING,
        request={"model": "asked"},
        request_model="asked",
    ),
    Exchange(
        "an agent, in a region",
        "https://api.eu.mistral.ai/v1/agents/completions",
        chat(usage=USAGE),
        COUNTS,
        "mistral_ai",
        READING,
        request={"agent_id": "ag_1", "messages": []},
    ),
    Exchange(
        "a fill in the middle",
        "https://codestral.mistral.ai/v1/fim/completions",
        sse(
            {"id": "c1", "model": "served", "choices": [{"delta": {"content": "x"}}]},
            {"id": "c1", "model": "served", "usage": USAGE,
             "choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]},
            b"[DONE]",
        ),
        COUNTS,
        "mistral_ai",
        READING,
        request={"model": "codestral-latest", "stream": True},
        operation="text_completion",
        request_model="codestral-latest",
    ),
    Exchange(
        "a conversation that was started and read a library",
        f"{HOST}/conversations",
        compact(PLAIN | {"usage": SEARCHED}),
        WITH_SEARCH,
        "mistral_ai",
        CONVERSATION,
        request={"model": "mistral-medium-latest", "inputs": "hi"},
        request_model="mistral-medium-latest",
    ),
    Exchange(
        "a conversation that was appended to, streamed",
        f"{HOST}/conversations/conv_1",
        sse(STARTED, SAID, SAID, DONE),
        WITH_SEARCH,
        "mistral_ai",
        CONVERSATION,
        request={"inputs": "and then?", "stream": True},
    ),
    Exchange(
        "a conversation without connectors",
        f"{HOST}/conversations/conv_1/restart",
        compact(PLAIN | {"usage": USAGE | {"connector_tokens": None, "connectors": None}}),
        COUNTS,
        "mistral_ai",
        CONVERSATION,
        request={"inputs": "again", "from_entry_id": "msg_1"},
    ),
    Exchange(
        "a conversation without usage",
        f"{HOST}/conversations/conv_1",
        compact(PLAIN),
        {},
        "mistral_ai",
        CONVERSATION,
    ),
    Exchange(
        "a conversation that failed in its stream",
        f"{HOST}/conversations",
        sse(STARTED, SAID,
            {"type": "conversation.response.error", "message": "no", "code": 3800}),
        {},
        "mistral_ai",
        CONVERSATION | {"status": "failed", "final": False, "error_type": "3800"},
    ),
    Exchange(
        "a conversation on a host that is not listed",
        "https://llm.corp/mistral/v1/conversations",
        sse(STARTED, SAID, DONE),
        WITH_SEARCH,
        "mistral_ai",
        CONVERSATION,
    ),
    Exchange(
        "a transcription",
        f"{HOST}/audio/transcriptions",
        compact({"model": "voxtral-mini-2507", "text": "This week", "language": "en",
                 "segments": [], "finish_reason": None,
                 "usage": {"prompt_audio_seconds": 203, "prompt_tokens": 4,
                           "total_tokens": 3264, "completion_tokens": 635}}),
        {"input_tokens": 2629, "output_tokens": 635,
         "other_counts": {"prompt_audio_seconds": 203}},
        "mistral_ai",
        {"recognised": True, "model": "voxtral-mini-2507", "status": "completed", "final": True},
        operation="transcription",
    ),
    Exchange(
        "a transcription, streamed",
        f"{HOST}/audio/transcriptions",
        sse(
            {"type": "transcription.language", "audio_language": "en"},
            {"type": "transcription.text.delta", "text": "This"},
            {"type": "transcription.done", "model": "voxtral-mini-2507", "text": "This week",
             "usage": {"prompt_audio_seconds": 3, "prompt_tokens": 3, "total_tokens": 389,
                       "completion_tokens": 11, "service_tier": "standard",
                       "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 375}}},
        ),
        {"input_tokens": 378, "output_tokens": 11, "cache_read_tokens": 0,
         "input_audio_tokens": 375, "other_counts": {"prompt_audio_seconds": 3}},
        "mistral_ai",
        {"recognised": True, "model": "voxtral-mini-2507", "status": "completed", "final": True,
         "service_tier": "standard"},
        operation="transcription",
    ),
]  # fmt: skip
