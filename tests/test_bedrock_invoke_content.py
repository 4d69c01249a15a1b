"""What models read and wrote through InvokeModel is found, in the format of each."""

from __future__ import annotations

from typing import Any

import pytest

from amazon import chunk, event
from dialects import compact
from tokenmeter.dialects.bedrock_invoke import BedrockInvoke
from tokenmeter.dialects.content import Answer, Image, Message, Other, Piece, Prompt, Text
from tokenmeter.wire.body import pieces

INVOKE = BedrockInvoke()
HI = (Message("user", (Text("Hi"),)),)


def answer(body: bytes) -> Answer:
    return Answer.of(pieces(INVOKE, body))


def streamed(*events: dict[str, Any]) -> Answer:
    return answer(b"".join(map(chunk, events)))


ASKED: dict[str, tuple[dict[str, Any], Prompt]] = {
    "Claude": (
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9,
         "messages": [{"role": "user", "content": "Hi"}]},
        Prompt(messages=HI, limit=9),
    ),
    "Nova": (
        {"schemaVersion": "messages-v1", "inferenceConfig": {"max_new_tokens": 9},
         "messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
        Prompt(messages=HI, limit=9),
    ),
    "Nova without its version": (
        {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
        Prompt(messages=HI),
    ),
    "OpenAI's": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
         "max_tokens": 9},
        Prompt(messages=HI, limit=9),
    ),
    "Cohere's chat": (
        {"message": "Hi", "max_tokens": 9},
        Prompt(messages=(Message("USER", (Text("Hi"),)),), limit=9),
    ),
    "Cohere's embeddings": ({"texts": ["a", "b"], "input_type": "x"}, Prompt(texts=("a", "b"))),
    "Cohere's embeddings of images": (
        {"images": ["data:x"], "input_type": "image"},
        Prompt(messages=(Message("input", (Image("data:x"),)),)),
    ),
    "a reranking": (
        {"query": "q", "documents": ["a", {"text": "b"}]},
        Prompt(texts=("q", "a", "q", "b")),
    ),
    "Llama": ({"prompt": "Hi", "max_gen_len": 9}, Prompt(texts=("Hi",), limit=9)),
    "Llama with an image": (
        {"prompt": "Hi", "images": ["aGk="]},
        Prompt(messages=(Message("input", (Image("aGk="),)),), texts=("Hi",)),
    ),
    "Mistral": ({"prompt": "Hi", "max_tokens": 9}, Prompt(texts=("Hi",), limit=9)),
    "Cohere's Command": (
        {"prompt": "Hi", "max_tokens": 9, "num_generations": 2},
        Prompt(texts=("Hi",), limit=9, choices=2),
    ),
    "Jurassic": (
        {"prompt": "Hi", "maxTokens": 9, "numResults": 3},
        Prompt(texts=("Hi",), limit=9, choices=3),
    ),
    "Claude before its messages": (
        {"prompt": "\n\nHuman: Hi\n\nAssistant:", "max_tokens_to_sample": 9},
        Prompt(texts=("\n\nHuman: Hi\n\nAssistant:",), limit=9),
    ),
    "Titan": (
        {"inputText": "Hi", "textGenerationConfig": {"maxTokenCount": 9}},
        Prompt(texts=("Hi",), limit=9),
    ),
    "Titan's embeddings": (
        {"inputText": "Hi", "inputImage": "aGk="},
        Prompt(messages=(Message("input", (Image("aGk="),)),), texts=("Hi",)),
    ),
    "Nova's embeddings": (
        {"singleEmbeddingParams": {"text": {"value": "Hi"},
                                   "video": {"source": {"bytes": "aGkh"}}}},
        Prompt(messages=(Message("input", (Other("video", 3),)),), texts=("Hi",)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_each_models_request_is_read(name: str) -> None:
    asked, prompt = ASKED[name]
    assert INVOKE.prompt(compact(asked)) == prompt


SAID: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "Claude": (
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
        [
            {"type": "message_start", "message": {"role": "assistant", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
            {"type": "content_block_delta", "index": 0, "delta": {"text": "Hel"}},
            {"type": "content_block_delta", "index": 0, "delta": {"text": "lo"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        ],
    ),
    "Nova": (
        {"output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}}},
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Hel"}, "contentBlockIndex": 0}},
            {"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 0}},
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"metadata": {"usage": {"inputTokens": 1}}},
        ],
    ),
    "OpenAI's": (
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}}]},
        [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]},
            {"choices": [{"index": 0, "delta": {"content": "lo"}}]},
        ],
    ),
    "Cohere's chat": (
        {"text": "Hello", "generation_id": "g", "chat_history": [{"message": "Hello"}]},
        [
            {"event_type": "text-generation", "text": "Hel", "is_finished": False},
            {"event_type": "text-generation", "text": "lo", "is_finished": False},
            {"event_type": "stream-end", "response": {"text": "Hello"}, "is_finished": True},
        ],
    ),
    "Cohere's Command": (
        {"id": "g", "generations": [{"text": "Hello"}], "prompt": "Hi"},
        [{"index": 0, "text": "Hel", "is_finished": False},
         {"index": 0, "text": "lo", "is_finished": False}],
    ),
    "Llama": (
        {"generation": "Hello", "prompt_token_count": 1},
        [{"generation": "Hel"}, {"generation": "lo"}],
    ),
    "Mistral": (
        {"outputs": [{"text": "Hello", "stop_reason": "stop"}]},
        [{"outputs": [{"text": "Hel"}]}, {"outputs": [{"text": "lo", "stop_reason": "stop"}]}],
    ),
    "Claude before its messages": (
        {"type": "completion", "completion": "Hello"},
        [{"completion": "Hel"}, {"completion": "lo", "stop_reason": "stop_sequence"}],
    ),
    "Titan": (
        {"inputTextTokenCount": 1, "results": [{"tokenCount": 2, "outputText": "Hello"}]},
        [{"outputText": "Hel", "index": 0}, {"outputText": "lo", "index": 0}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_each_models_stream_and_plain_answer_hold_the_same(name: str) -> None:
    plain, events = SAID[name]
    assert answer(compact(plain)) == streamed(*events) == Answer((Piece("text", "0", "Hello"),))


def test_every_completion_of_jurassic_was_written() -> None:
    body = {"completions": [{"data": {"text": "One"}}, {"data": {"text": "Two"}}]}
    assert answer(compact(body)).texts("text") == ["One", "Two"]


def test_an_event_that_is_not_base64_is_skipped() -> None:
    whole, broken = chunk({"generation": "Hi"}), event("chunk", {"bytes": "a"})
    assert answer(broken + whole).texts("text") == ["Hi"]
