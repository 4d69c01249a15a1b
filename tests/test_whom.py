"""Whom requests say they are for, in each vendor's own fields."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter.dialects.anthropic_complete import AnthropicComplete
from tokenmeter.dialects.anthropic_messages import AnthropicMessages
from tokenmeter.dialects.bedrock_converse import BedrockConverse
from tokenmeter.dialects.cohere import CohereChat, CohereEmbed
from tokenmeter.dialects.gemini import Gemini
from tokenmeter.dialects.gemini_interactions import GeminiInteractions
from tokenmeter.dialects.mistral_conversations import MistralConversations
from tokenmeter.dialects.openai_chat import OpenAIChat
from tokenmeter.dialects.openai_embeddings import OpenAIEmbeddings
from tokenmeter.dialects.openai_media import OpenAIMedia
from tokenmeter.dialects.openai_responses import OpenAIResponses
from tokenmeter.dialects.openai_runs import OpenAIRuns

FREE = {"team": "search", "task": "T-1", "other": "x"}
NAMES = {"team": "search", "task": "T-1"}

SAID: list[tuple[Any, dict[str, Any], dict[str, str]]] = [
    (OpenAIChat, {"user": "ada"}, {"user": "ada"}),
    (OpenAIChat, {"safety_identifier": "s-1"}, {"user": "s-1"}),
    (OpenAIChat, {"user": "ada", "safety_identifier": "s-1"}, {"user": "ada"}),
    (OpenAIChat, {"metadata": FREE | {"user_id": "u-1"}}, {"user": "u-1"} | NAMES),
    (OpenAIChat, {"metadata": {"user": "u-1", "conversation": "c"}},
     {"user": "u-1", "conversation": "c"}),
    (OpenAIResponses, {"conversation": "conv_1"}, {"conversation": "conv_1"}),
    (OpenAIResponses, {"conversation": {"id": "conv_1"}}, {"conversation": "conv_1"}),
    (OpenAIEmbeddings, {"user": "ada"}, {"user": "ada"}),
    (OpenAIMedia, {"user": "ada"}, {"user": "ada"}),
    (OpenAIRuns, {"metadata": {"user": "ada"}}, {"user": "ada"}),
    (AnthropicMessages, {"metadata": {"user_id": "u-1"}}, {"user": "u-1"}),
    (AnthropicComplete, {"metadata": {"user_id": "u-1"}}, {"user": "u-1"}),
    (Gemini, {"labels": FREE}, NAMES),
    (GeminiInteractions, {"labels": FREE}, NAMES),
    (BedrockConverse, {"requestMetadata": FREE | {"user": "ada"}}, {"user": "ada"} | NAMES),
    (MistralConversations, {"metadata": FREE}, NAMES),
    (CohereChat, {"conversation_id": "c-1"}, {"conversation": "c-1"}),
    (CohereEmbed, {"user": "ada"}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "request_", "names"), SAID)
def test_a_request_says_whom_it_is_for(dialect: Any, request_: Any, names: Any) -> None:
    body = json.dumps({"model": "m", "messages": []} | request_).encode()
    assert dialect().whom(body) == names


@pytest.mark.parametrize(
    "odd",
    [{"user": 7}, {"user": ""}, {"user": None}, {"metadata": "x"}, {"metadata": {"user": {}}},
     {"conversation": 7}, {"conversation": {"id": 7}}, {"labels": [1]}],
)  # fmt: skip
def test_what_is_no_name_is_left_out(odd: dict[str, Any]) -> None:
    body = json.dumps(odd | {"safety_identifier": "s-1"}).encode()
    assert OpenAIResponses().whom(body) == {"user": "s-1"}


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        OpenAIChat().whom(b"hello")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
FIELDS = ("user", "safety_identifier", "metadata", "labels", "conversation", "requestMetadata")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_whatever_stands_in_a_request_names_are_text(request_: dict[str, Any]) -> None:
    names = OpenAIResponses().whom(json.dumps(request_).encode())
    assert all(isinstance(name, str) and name for name in names.values())
