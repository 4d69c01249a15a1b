"""What models read and wrote is found in the formats of vendors that have a few fields."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from dialects import compact, sse
from tokenmeter.dialects import Dialect
from tokenmeter.dialects.aleph_alpha import AlephAlpha
from tokenmeter.dialects.cloudflare_run import CloudflareRun
from tokenmeter.dialects.content import (
    Answer,
    Image,
    Message,
    Other,
    Piece,
    Prompt,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from tokenmeter.dialects.huggingface import TextGeneration
from tokenmeter.dialects.mistral_conversations import MistralConversations
from tokenmeter.dialects.mistral_transcriptions import MistralTranscriptions
from tokenmeter.dialects.replicate import Replicate
from tokenmeter.dialects.rerank import Rerank
from tokenmeter.dialects.voyage import VoyageEmbeddings
from tokenmeter.dialects.watsonx import WatsonxChat, WatsonxInput, WatsonxText
from tokenmeter.wire.body import pieces

HI = Message("user", (Text("Hi"),))
SCHEMA = {"type": "object", "properties": {}}


class Asked(NamedTuple):
    dialect: Dialect
    request: dict[str, Any]
    prompt: Prompt | None


ASKED = {
    "pairs to rerank": Asked(
        Rerank(),
        {"query": "q", "documents": ["a", {"text": "b"}, {"title": "c"}]},
        Prompt(texts=("q", "a", "q", "b", "q", '{"title":"c"}')),
    ),
    "a query that is a document": Asked(
        Rerank(), {"query": {"text": "q"}, "documents": ["a"]}, Prompt(texts=("q", "a"))
    ),
    "Voyage: a text": Asked(VoyageEmbeddings(), {"input": "a"}, Prompt(texts=("a",))),
    "Voyage: texts": Asked(VoyageEmbeddings(), {"input": ["a", "b"]}, Prompt(texts=("a", "b"))),
    "Voyage: chunks": Asked(
        VoyageEmbeddings(), {"inputs": [["a", "b"], ["c"]]}, Prompt(texts=("a", "b", "c"))
    ),
    "Voyage: images": Asked(
        VoyageEmbeddings(),
        {"inputs": [{"content": [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": "https://x/y.png"},
            {"type": "image_base64", "image_base64": "data:x"},
            {"type": "video_url", "video_url": "https://x/y.mp4"},
        ]}]},
        Prompt(
            messages=(
                Message("input", (Image("https://x/y.png"), Image("data:x"), Other("video"))),
            ),
            texts=("a",),
        ),
    ),
    "Hugging Face": Asked(
        TextGeneration(),
        {"inputs": "Hi", "parameters": {"max_new_tokens": 9, "best_of": 2}},
        Prompt(texts=("Hi",), choices=2, limit=9),
    ),
    "Replicate": Asked(
        Replicate(),
        {"input": {"prompt": "Hi", "system_prompt": "Brief.", "image": "data:x", "max_tokens": 9}},
        Prompt(
            messages=(
                Message("system", (Text("Brief."),)),
                Message("user", (Image("data:x"), Text("Hi"))),
            ),
            limit=9,
        ),
    ),
    "Replicate: messages": Asked(
        Replicate(),
        {"input": {"messages": [{"role": "user", "content": "Hi"}], "max_new_tokens": 9}},
        Prompt(messages=(HI,), limit=9),
    ),
    "Aleph Alpha: a text": Asked(
        AlephAlpha(),
        {"prompt": "Hi", "maximum_tokens": 9, "n": 1, "best_of": 3},
        Prompt(texts=("Hi",), choices=3, limit=9),
    ),
    "Aleph Alpha: items": Asked(
        AlephAlpha(),
        {"prompt": [
            {"type": "text", "data": "Hi"},
            {"type": "image", "data": "aGk="},
            {"type": "token_ids", "data": [1, 2, 3]},
        ]},
        Prompt(messages=(Message("input", (Image("aGk="),)),), texts=("Hi",), ids=3),
    ),
    "watsonx: a text": Asked(
        WatsonxText(),
        {"model_id": "m", "input": "Hi",
         "parameters": {"max_new_tokens": 9, "prompt_variables": {"a": "b"}}},
        Prompt(texts=("Hi",), limit=9, elsewhere=("prompt_variables",)),
    ),
    "watsonx: chat": Asked(
        WatsonxChat(),
        {"model_id": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9},
        Prompt(messages=(HI,), limit=9),
    ),
    "watsonx: embeddings": Asked(
        WatsonxInput(), {"model_id": "m", "inputs": ["a", "b"]}, Prompt(texts=("a", "b"))
    ),
    "watsonx: reranking": Asked(
        WatsonxInput(),
        {"query": "q", "inputs": [{"text": "a"}, {"text": "b"}]},
        Prompt(texts=("q", "a", "q", "b")),
    ),
    "Mistral: a transcription": Asked(MistralTranscriptions(), {"model": "voxtral"}, None),
    "Mistral: a conversation begins": Asked(
        MistralConversations(),
        {
            "model": "mistral-medium",
            "instructions": "Brief.",
            "inputs": [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"type": "function.call", "name": "f", "arguments": {"a": 1}, "tool_call_id": "t"},
                {"type": "function.result", "tool_call_id": "t", "result": "blue"},
            ],
            "tools": [
                {"type": "web_search"},
                {"type": "function", "function": {"name": "f", "parameters": SCHEMA}},
            ],
            "completion_args": {
                "max_tokens": 9,
                "tool_choice": "any",
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "City", "schema": SCHEMA},
                },
            },
        },
        Prompt(
            messages=(
                Message("system", (Text("Brief."),)),
                HI,
                Message("assistant", (ToolCall("f", '{"a":1}', "t"),)),
                Message("tool", (ToolResult((Text("blue"),), id="t"),)),
            ),
            tools=(Tool("web_search", kind="web_search"), Tool("f", parameters=SCHEMA)),
            tool_choice="any",
            schema=Tool("City", parameters=SCHEMA, kind="json_schema"),
            limit=9,
        ),
    ),
    "Mistral: a conversation goes on": Asked(
        MistralConversations(),
        {"inputs": "Hi"},
        Prompt(messages=(HI,), elsewhere=("conversation",)),
    ),
    "Mistral: an agent": Asked(
        MistralConversations(),
        {"agent_id": "a", "inputs": "Hi"},
        Prompt(messages=(HI,), elsewhere=("agent_id",)),
    ),
    "Cloudflare: a prompt": Asked(
        CloudflareRun(), {"prompt": "Hi", "max_tokens": 9}, Prompt(messages=(HI,), limit=9)
    ),
    "Cloudflare: a raw prompt": Asked(
        CloudflareRun(), {"prompt": "Hi", "raw": True}, Prompt(texts=("Hi",))
    ),
    "Cloudflare: messages and tools": Asked(
        CloudflareRun(),
        {"messages": [{"role": "user", "content": "Hi"}],
         "tools": [{"name": "f", "description": "F", "parameters": SCHEMA}]},
        Prompt(messages=(HI,), tools=(Tool("f", "F", SCHEMA),)),
    ),
    "Cloudflare: embeddings": Asked(
        CloudflareRun(), {"text": ["a", "b"]}, Prompt(texts=("a", "b"))
    ),
    "Cloudflare: responses": Asked(
        CloudflareRun(), {"input": "Hi"}, Prompt(messages=(HI,), form="responses")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_a_request_is_read(name: str) -> None:
    asked = ASKED[name]
    assert asked.dialect.prompt(compact(asked.request)) == asked.prompt


class Said(NamedTuple):
    dialect: Dialect
    plain: Any
    stream: list[Any]
    parts: tuple[Piece, ...]


HELLO = (Piece("text", "0", "Hello"),)
CALL = (Piece("name", "1", "f"), Piece("arguments", "1", '{"a":1}'))
SAID = {
    "Hugging Face": Said(
        TextGeneration(),
        [{"generated_text": "Hello"}],
        [
            {"token": {"id": 1, "text": "Hel", "special": False}, "generated_text": None},
            {"token": {"id": 2, "text": "lo", "special": False}, "generated_text": None},
            {"token": {"id": 3, "text": "</s>", "special": True}, "generated_text": "Hello"},
        ],
        HELLO,
    ),
    "Aleph Alpha": Said(
        AlephAlpha(),
        {"completions": [{"completion": "Hello"}, {"completion": "Hey"}]},
        [
            {"type": "stream_chunk", "index": 0, "completion": "Hel"},
            {"type": "stream_chunk", "index": 0, "completion": "lo"},
            {"type": "stream_chunk", "index": 1, "completion": "Hey"},
            {"type": "stream_summary", "index": 0, "finish_reason": "end_of_text"},
            {"type": "completion_summary", "num_tokens_generated": 2},
            b"[DONE]",
        ],
        (*HELLO, Piece("text", "1", "Hey")),
    ),
    "watsonx": Said(
        WatsonxText(),
        {"results": [{"generated_text": "Hello"}]},
        [
            {"results": [{"generated_text": "Hel", "stop_reason": "not_finished"}]},
            {"results": [{"generated_text": "lo", "stop_reason": "eos_token"}]},
        ],
        HELLO,
    ),
    "Mistral's transcriptions": Said(
        MistralTranscriptions(),
        {"text": "Hello", "segments": [{"text": "Hello"}]},
        [
            {"type": "transcription.language", "audio_language": "en"},
            {"type": "transcription.text.delta", "text": "Hel"},
            {"type": "transcription.text.delta", "text": "lo"},
            {"type": "transcription.segment", "text": "Hello"},
            {"type": "transcription.done", "text": "Hello"},
        ],
        HELLO,
    ),
    "Mistral's conversations": Said(
        MistralConversations(),
        {"outputs": [
            {"type": "message.output", "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                {"type": "text", "text": "Hello"},
                {"type": "tool_reference", "tool": "web_search", "title": "T"},
            ]},
            {"type": "function.call", "name": "f", "arguments": {"a": 1}},
        ]},
        [
            {"type": "conversation.response.started"},
            {"type": "message.output.delta", "output_index": 0,
             "content": {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}},
            {"type": "message.output.delta", "output_index": 0, "content": "Hel"},
            {"type": "message.output.delta", "output_index": 0, "content": "lo"},
            {"type": "function.call.delta", "output_index": 1, "name": "f", "arguments": '{"a"'},
            {"type": "function.call.delta", "output_index": 1, "name": "f", "arguments": ":1}"},
            {"type": "conversation.response.done"},
        ],
        (Piece("reasoning", "0", "Hm."), *HELLO, *CALL),
    ),
    "Cloudflare": Said(
        CloudflareRun(),
        {"result": {"response": "Hello", "tool_calls": []}, "success": True},
        [{"response": "Hel"}, {"response": "lo"}, {"response": "", "usage": {}}, b"[DONE]"],
        HELLO,
    ),
    "Cloudflare: chat": Said(
        CloudflareRun(),
        {"result": {"choices": [{"index": 0, "message": {"content": "Hello"}}]}, "success": True},
        [{"choices": [{"index": 0, "delta": {"content": "Hel"}}]},
         {"choices": [{"index": 0, "delta": {"content": "lo"}}]}],
        HELLO,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_a_stream_and_the_plain_answer_hold_the_same(name: str) -> None:
    said = SAID[name]
    plain = Answer.of(pieces(said.dialect, compact(said.plain)))
    streamed = Answer.of(pieces(said.dialect, sse(*said.stream)))
    assert plain == streamed == Answer(said.parts)


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        (["Hel", "lo"], HELLO),
        ("Hello", HELLO),
        (None, ()),
        (["https://replicate.delivery/x.png"], (Piece("other", "0", ""),)),
    ],
)
def test_what_a_prediction_made_is_text_or_a_file(output: Any, parts: tuple[Piece, ...]) -> None:
    body = {"id": "p", "status": "succeeded", "input": {"prompt": "Hi"}, "output": output}
    assert Answer.of(pieces(Replicate(), compact(body))).parts == parts


def test_every_sequence_beside_the_best_one_was_written() -> None:
    others = {"best_of_sequences": [{"generated_text": "Hey"}]}
    body = compact({"generated_text": "Hello", "details": others})
    assert Answer.of(pieces(TextGeneration(), body)).texts("text") == ["Hello", "Hey"]


def test_what_a_connector_was_asked_for_was_written() -> None:
    started = {"type": "tool.execution.started", "output_index": 1, "name": "f"}
    asked = {"type": "tool.execution.delta", "output_index": 1, "arguments": '{"a":1}'}
    assert Answer.of(pieces(MistralConversations(), sse(started, asked))).parts == CALL
    run = {"type": "tool.execution", "name": "f", "arguments": '{"a":1}', "info": {"x": "found"}}
    body = compact({"outputs": [{"type": "message.output", "content": ""}, run]})
    assert Answer.of(pieces(MistralConversations(), body)).parts == CALL


def test_calls_of_tools_and_responses_are_found_at_cloudflare() -> None:
    called = {"result": {"response": None, "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}}
    assert [p.text for p in pieces(CloudflareRun(), compact(called))] == ["f", '{"a":1}']
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
    body = compact({"result": {"output": [message]}, "success": True})
    assert [p.text for p in pieces(CloudflareRun(), body)] == ["Hello"]
