"""Claude: what its models read and write beside the text itself.

Documented, read 2026-11-22: what the system prompt weighs that comes with tools
(https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview; for Claude 3 its older
versions, for 4.5 and later that of 2026), bash and the text editor (their pages beside it), the
longest answers (https://platform.claude.com/docs/en/about-claude/models/overview), and that the
thinking of Claude 4 and later is shown as a summary and billed whole
(https://platform.claude.com/docs/en/build-with-claude/extended-thinking).

Empirical, fitted on recorded exchanges after all text was counted by `ctok` (see `claude`): what
stands around messages, answers, tools, their calls and results. These constants are the same in
nearly all of those exchanges, so they are the vendor's template and no averages. The system prompt
of tools changed in 2026 for models that were there already (Sonnet 4.5 had 313 and 315); the
newer one is counted.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple, cast

from tokenmeter.dialects.content import (
    Answer,
    Image,
    Message,
    Other,
    Part,
    Prompt,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from tokenmeter.tokens import claude
from tokenmeter.tokens.families import Family, Length, Weight
from tokenmeter.tokens.plain import unweighed, weight


class Template(NamedTuple):
    """What stands around the text, in tokens.

    Args:
        prompt: Around a prompt of one message.
        turn: Around each further message.
        answer: Around an answer.
        call: Around a call of a tool in an answer.
        calls: Around all calls of an answer; the vendor writes it where a call is forced.
        value: Around each argument of a call.
        round: Around a call and its result, in a prompt.
        thinking: For a budget of thinking.
        thought: Around thinking that is shown.
    """

    prompt: int = 7
    turn: int = 3
    answer: int = 3
    call: int = 15
    calls: int = 15
    value: int = 15
    round: int = 43
    thinking: int = 29
    thought: int = 8


OLD = Template()
NEW = Template(prompt=6, turn=2, answer=2, call=14, calls=13, value=13, round=32, thinking=0)
OPUS_4_7 = NEW._replace(prompt=46, answer=4)
LEGACY = OLD._replace(prompt=9, answer=5)

ADAPTIVE = 17
"""For adaptive thinking of a model that also takes a budget."""

A_TOOL, A_DESCRIPTION, A_CHOSEN_TOOL, A_SCHEMA = 2, 4, 5, 128
"""For a tool, for its description, for its name where it must be called, for a format that the
answer must have."""

A_PART, A_QUOTE = 1, 11
"""For each further text in a message; in an answer, where texts with and without a citation
follow each other."""

OWN = {"bash": 245, "text_editor": 700, "memory": 1060, "computer": 735}
"""Tools with a schema of the vendor's own. That of memory is empirical, the others documented."""

A_LETTER_OF_SEALED, SEALED = 0.19, 250
"""Tokens for each character of a signature above its least length: what was thought is in it,
encrypted. Empirical, on thinking that was shown whole and on reported numbers of it."""

SLACK = 3
"""By how many tokens the end of a text that was cut off can be counted too high."""


class Claude:
    """Count Claude's template and all texts."""

    def __init__(self, template: Template, auto: int, forced: int) -> None:
        """Take the template, and the weight of the tools' system prompt by the choice of a tool."""
        self.template, self.auto, self.forced = template, auto, forced

    def read(self, prompt: Prompt, family: Family, length: Length) -> Weight:
        """Weigh what a request gives the model to read."""
        texts = sum(map(length, prompt.texts)) + prompt.ids
        parts = [part for message in prompt.messages for part in message.parts]
        tokens = texts + self._around(prompt) + self._tools(prompt, length)
        tokens += sum([self._part(part, length) for part in parts])
        without = (*prompt.elsewhere, *(name for part in parts for name in unweighed(part)))
        return weight(tokens, family.input_error, family.output_worst, without)

    def _around(self, prompt: Prompt) -> int:
        """Weigh what stands around the messages."""
        said = [message for message in prompt.messages if message.role != "system"]
        turns = sum([one.role != next_.role for one, next_ in pairwise(said)])
        turns -= len(said) > 1 and said[-1].role == "assistant"  # it begins the answer
        texts = sum([_texts(message) - 1 for message in said if message.parts])
        return (
            self.template.prompt
            + self.template.turn * turns
            + A_PART * (max(0, texts) + len(said) - 1 - turns)
            + self._thinking(prompt.reasoning)
        )

    def _thinking(self, reasoning: str | None) -> int:
        if reasoning is None or reasoning == "none" or not self.template.thinking:
            return 0
        return self.template.thinking if reasoning.isdigit() else ADAPTIVE

    def _tools(self, prompt: Prompt, length: Length) -> int:
        tokens = 0
        if prompt.tools:
            free = prompt.tool_choice in (None, "auto", "none")
            named = not free and prompt.tool_choice != "required"
            tokens += (self.auto if free else self.forced) + A_CHOSEN_TOOL * named
            tokens += sum([_tool(tool, length) for tool in prompt.tools])
        if prompt.schema is not None:
            tokens += A_SCHEMA + length(_json(prompt.schema.parameters))
        return tokens

    def _part(self, part: Part, length: Length) -> int:
        match part:
            case Text():
                return length(part.text)
            case ToolCall():
                names, values = _arguments(part.arguments)
                around = self.template.round // 2 + self.template.value * len(names)
                return around + length(part.name) + sum(map(length, (*names, *values)))
            case ToolResult():
                return self.template.round // 2 + sum([self._part(p, length) for p in part.parts])
            case Thought() | Image() | Other():
                return 0

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds."""
        texts, thought = answer.texts("text"), self._thought(answer, length)
        tokens = sum(map(length, texts)) + A_QUOTE * max(0, len(texts) - 1)
        calls = self._calls(answer, length)
        number = self.template.answer + tokens + calls + thought
        shown = tokens + calls
        if thought and not family.reasons:
            shown += thought
        without = ["reasoning"] if thought and family.reasons else []
        without += ["other"] if answer.texts("other") else []
        found = weight(number, family.output_error, 0, without)
        least = max(0, int(shown * (1 - family.output_worst)) - SLACK)
        return Weight(found.tokens, found.error, least, found.without)

    def _calls(self, answer: Answer, length: Length) -> int:
        names = answer.texts("name")
        if not names:
            return 0
        around = self.template.call * len(names) + 1 + self._forced(answer)
        written = sum(map(length, names))
        for said in answer.texts("arguments"):
            keys, values = _arguments(said)
            around += self.template.value * len(keys)
            written += sum(map(length, (*keys, *values)))
        return around + written

    def _forced(self, answer: Answer) -> int:
        """Weigh what the model writes before a call, where it was free to make none."""
        choice = answer.tool_choice
        if choice in (None, "auto", "none"):
            return self.template.calls
        return 0 if choice == "required" else -A_CHOSEN_TOOL

    def _thought(self, answer: Answer, length: Length) -> int:
        """Weigh what the model thought: as it is shown, or by the size of what is sealed."""
        shown = {p.key: length(p.text) for p in answer.parts if p.kind == "reasoning"}
        sealed = {p.key: _sealed(p.text) for p in answer.parts if p.kind == "hidden"}
        thoughts = [shown.get(key) or sealed.get(key, 0) for key in {**shown, **sealed}]
        return sum([self.template.thought + thought for thought in thoughts])


def _texts(message: Message) -> int:
    return sum([isinstance(part, Text) for part in message.parts]) or 1


def _sealed(text: str) -> int:
    return max(0, round(A_LETTER_OF_SEALED * (len(text) - SEALED)))


def _tool(tool: Tool, length: Length) -> int:
    """Weigh a tool as it stands in the prompt: JSON with spaces."""
    for kind, tokens in OWN.items():
        if tool.kind.startswith(kind):
            return tokens
    said = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    known = {name: value for name, value in said.items() if value is not None}
    return length(_json(known)) + A_TOOL + A_DESCRIPTION * bool(tool.description)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _arguments(said: str) -> tuple[list[str], list[str]]:
    """Give the names and the values of a call's arguments, which are no JSON to the model."""
    try:
        given: Any = json.loads(said or "{}")
    except (ValueError, RecursionError):  # it was cut off
        return [], [said]
    if not isinstance(given, dict):
        return [], [said]
    values = cast("dict[str, Any]", given)
    return list(values), [v if isinstance(v, str) else _json(v) for v in values.values()]


def _families() -> Iterator[Family]:
    for name, models, rules, most, version, reasons in _MODELS:
        new = version == claude.NEW
        yield Family(
            name=name,
            models=models,
            rules=rules,
            vocabulary=claude.ESTIMATOR,
            length=functools.partial(claude.length, version=version),
            input_error=0.2 if new else 0.12,
            output_error=0.25 if new else 0.15,
            output_worst=0.4,
            max_output=most,
            reasons=reasons,
        )


_MODELS: Iterable[tuple[str, str, Claude, int, str, bool]] = (
    ("claude-4.8", r"claude-(\w+-)?4[.-]8(?!\d)", Claude(NEW, 290, 410), 128_000, claude.NEW, True),
    ("claude-4.7", r"claude-(\w+-)?4[.-]7(?!\d)", Claude(OPUS_4_7, 675, 804), 128_000, claude.NEW, True),
    ("claude-4.6", r"claude-(\w+-)?4[.-]6(?!\d)", Claude(OLD, 497, 589), 128_000, claude.OLD, True),
    ("claude-4.5", r"claude-(\w+-)?4[.-]5(?!\d)", Claude(OLD, 496, 588), 64_000, claude.OLD, True),
    ("claude-4", r"claude-((\w+-)?4(?!\d)|sonnet-4|opus-4)", Claude(OLD, 313, 315), 64_000, claude.OLD, True),
    ("claude-3.7", r"claude-(\w+-)?3[.-]7", Claude(OLD, 346, 313), 128_000, claude.OLD, False),
    ("claude-3.5-haiku", r"claude-(3[.-]5-haiku|haiku-3[.-]5)", Claude(OLD, 264, 355), 8192, claude.OLD, False),
    ("claude-3.5-june", r"claude-3[.-]5-sonnet.*20240620", Claude(OLD, 294, 261), 8192, claude.OLD, False),
    ("claude-3.5", r"claude-(\w+-)?3[.-]5", Claude(OLD, 346, 313), 8192, claude.OLD, False),
    ("claude-3-opus", r"claude-(3-opus|opus-3)", Claude(OLD, 530, 281), 4096, claude.OLD, False),
    ("claude-3-sonnet", r"claude-(3-sonnet|sonnet-3)", Claude(OLD, 159, 235), 4096, claude.OLD, False),
    ("claude-3-haiku", r"claude-(\w+-)?3", Claude(OLD, 264, 340), 4096, claude.OLD, False),
    ("claude-2", r"claude-(instant|v?[12](?!\d))", Claude(LEGACY, 346, 313), 4096, claude.OLD, False),
    ("claude-sonnet-5", r"claude-(sonnet-5|5-sonnet)", Claude(NEW, 354, 474), 128_000, claude.NEW, True),
    ("claude-5", r"claude", Claude(NEW, 286, 406), 128_000, claude.NEW, True),
)  # fmt: skip
"""The last is the newest generation, which also stands in for those that nobody knows yet."""

FAMILIES: tuple[Family, ...] = tuple(_families())
