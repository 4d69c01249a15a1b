"""What OpenAI's models read and write beside the text: the tokens of the chat formats.

Known are the format of the older models (``examples/How_to_count_tokens_with_tiktoken.ipynb`` of
https://github.com/openai/openai-cookbook, and ``chatml.md`` of
https://github.com/openai/openai-python) and that of the open ones (``articles/openai-harmony.md``
of the cookbook; all read 2026-11-23). From these:

- a message is its role, its text and three tokens around them, a name one more; before an answer
  stand three tokens, two for models that reason;
- a call is addressed to ``functions.NAME``, and its result comes from there;
- several calls at once are one call of ``multi_tool_use.parallel`` with all of them as JSON, in
  models before harmony;
- in these models an answer that must be a call of one function begins with its name before the
  model writes anything: the name is read, and only the arguments are written;
- in harmony what is written has a channel: three tokens before each part and three between two of
  them; what an earlier turn said has two more when it is read.

Empirical, as no source says them, fitted on the recordings of the repositories that
``tests/replay/estimates.py`` lists: whether the token that ends an answer is counted (always in
responses; in chat completions where there are tools, or where the answer is a refusal), the other
numbers of `Format`, `PARALLEL`, and what calls that are stored and encrypted reasoning weigh.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from tokenmeter.dialects.content import ToolCall

RESPONSES = "responses"
"""The form of prompts in which OpenAI counts some things otherwise than in chat completions."""

PARALLEL = 8
"""Tokens around several calls at once, beside those of a message."""


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens a chat format has around what is said.

    Args:
        message: Around a message, its role apart.
        name: Beside the name of who speaks.
        start: Before an answer.
        system: Before all messages.
        instructions: Beside the text of the first system message.
        said: Beside what the model said in an earlier turn.
        call: Around a call of an earlier turn, beside its message.
        result: Around the result of a call, beside its message.
        parallel: Whether several calls at once are one.
        forced: Whether a call that is forced begins with the name of its function.
        wrote_text: Before text that is written.
        wrote_call: Around a call that is written.
        between: Between two parts that are written.
        ended: The end of an answer, where it is always counted.
        ended_text: The end of an answer in text where there were tools.
        refused: The end of a refusal.
        thinks: Whether reasoning is begun always, if only to end it, and not reported then.
        shows: Whether reasoning is shown in full.
        formatted: Before an answer that has a format.
        formatted_beside_tools: The same where there were tools too.
    """

    message: int = 3
    name: int = 1
    start: int = 3
    system: int = 0
    instructions: int = 0
    said: int = 0
    call: int = 0
    result: int = 2
    parallel: bool = True
    forced: bool = True
    wrote_text: int = 0
    wrote_call: int = 4
    between: int = 0
    ended: int = 0
    ended_text: int = 1
    refused: int = 1
    thinks: bool = False
    shows: bool = False
    formatted: int = 0
    formatted_beside_tools: int = 4


CHAT = Format()
"""GPT-3.5, GPT-4 Turbo, GPT-4o, GPT-4.1."""

EARLY_CHAT = Format(wrote_call=1, parallel=False)
"""GPT-4."""

FIRST_CHAT = Format(message=4, name=-1, wrote_call=1, parallel=False)
"""GPT-3.5 of March 2023."""

O_SERIES = Format(start=2)
"""The first that reasoned: o1, o3-mini."""

HARMONY = Format(
    start=2,
    said=2,
    call=4,
    result=4,
    parallel=False,
    forced=False,
    wrote_text=3,
    wrote_call=7,
    between=3,
    ended_text=0,
    refused=0,
    formatted=3,
    formatted_beside_tools=3,
)
"""o3, o4-mini, GPT-5.1 and later."""

REASONING = msgspec.structs.replace(HARMONY, thinks=True)
"""GPT-5."""

OPEN = msgspec.structs.replace(HARMONY, system=61, instructions=3, ended=1, shows=True)
"""gpt-oss: with the system message of the published template."""


def _address(name: str) -> str:
    """Give to whom a call goes; a name with a dot says its namespace already."""
    return _OWN.get(name) or (name if "." in name else f"functions.{name}")


def to(name: str) -> str:
    """Write to whom a call goes, as the model does."""
    return f" to={_address(name)}"


_OWN = {"code_interpreter": "python"}
"""Tools of OpenAI's own, and what the model calls them."""


def compact(arguments: str) -> str:
    """Write arguments without spaces, as the model is given them again."""
    try:
        return _json(json.loads(arguments))
    except (ValueError, RecursionError):
        return arguments


def together(calls: Sequence[ToolCall]) -> str | None:
    """Write several calls as one, or give ``None`` where their arguments are no JSON."""
    try:
        uses = [
            {"recipient_name": _address(call.name), "parameters": json.loads(call.arguments)}
            for call in calls
        ]
    except (ValueError, RecursionError):
        return None
    return _json({"tool_uses": uses})


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def share_of(tokens: int, share: float) -> int:
    """Give a share of tokens, in whole ones."""
    return -int(-tokens * share // 1)
