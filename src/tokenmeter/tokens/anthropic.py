"""Claude: what its models read and write beside the text itself.

Read 2026-11-23, if not said otherwise:

- What the system prompt weighs that comes with tools: of Claude 3
  https://docs.anthropic.com/en/docs/tool-use-pricing-and-tokens; 346 and 313, and what the vendor's
  own tools weigh, https://claudecodeguides.com/claude-tool-use-cost-calculator-guide/ and
  https://claudecodeguides.com/claude-text-editor-tool-700-token-overhead/. The other numbers are
  ascribed to https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview, of which no
  copy could be read: nothing but recorded exchanges speaks for them.
- The longest answers: the pages of the models since 4.6 (so
  https://platform.claude.com/docs/en/models/opus-4-6/overview), the table of litellm 1.109 for
  those before. Claude 3.7 could be told to write 131,071 tokens on Bedrock
  (https://git.drupalcode.org/project/localgov_publications_importer/-/work_items/3577651). Batches
  may be longer, and are no streams. What nobody knows yet has no bound.
- That the thinking of Claude 4 and later is shown as a summary, and that limits are of the whole:
  https://platform.claude.com/docs/en/build-with-claude/extended-thinking.

Empirical, fitted on recorded exchanges after all text was counted by `ctok` (see `claude`): what
stands around messages, answers, tools, their calls and results. These constants are the same in
nearly all of those exchanges, so they are the vendor's template and no averages. The system prompt
of tools changed in 2026 for models that were there already (Sonnet 4.5 had 313 and 315); the
newer one is counted.
"""

from __future__ import annotations

import functools
import json
import math
import re
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
from tokenmeter.tokens import claude, images
from tokenmeter.tokens.families import Family, Length, Weight


class Template(NamedTuple):
    """What stands around the text, in tokens.

    Args:
        prompt: Around a prompt of one message.
        turn: Around each further message.
        answer: Around an answer.
        call: Around a call of a tool in an answer.
        calls: Before the calls of an answer, where none is forced.
        value: Around each argument of a call.
        round: Around a call and its result, in a prompt.
        thinking: Where thinking is asked for, without tools.
        thought: Around thinking that is shown.
        keeps_thoughts: Whether thoughts are read again after a further question.
        summarises: Whether thinking is shown as a summary.
        version: The vocabulary.
        sight: A model that sees images like it.
    """

    prompt: int = 7
    turn: int = 3
    answer: int = 3
    call: int = 16
    calls: int = 14
    value: int = 15
    round: int = 43
    thinking: int = 29
    thought: int = 8
    keeps_thoughts: bool = False
    summarises: bool = True
    version: str = claude.OLD
    sight: str = "claude-sonnet-4"


OLD = Template()
FIRST = OLD._replace(summarises=False)
LATE = OLD._replace(thinking=0, keeps_thoughts=True)
_SINCE_4_7 = LATE._replace(version=claude.NEW, sight="claude-opus-5")
NEW = _SINCE_4_7._replace(prompt=6, turn=2, answer=2, call=15, calls=12, value=13, round=32)
OPUS_4_7 = NEW._replace(prompt=46, answer=4)
LEGACY = FIRST._replace(prompt=9, answer=5)

A_TOOL, A_DESCRIPTION, A_CHOSEN_TOOL, A_SCHEMA = 2, 4, 5, 124
"""For a tool, for its description, for its name where it must be called, for a format that the
answer must have."""

A_PART, A_QUOTE, A_ROUND_OF_MANY, AN_IMAGE = 1, 11, 22, 3
"""For each further text in a message; in an answer, where texts with and without a citation
follow each other; for the results of more than one call in a message; for an image."""

OWN = {"bash": 245, "text_editor": 700, "memory": 1060, "computer": 735}
"""Tools with a schema of the vendor's own. That of memory is empirical, the others published."""

A_BEGUN_CALL, A_BEGUN_NAME = 1, 3
"""What a model need not write of a call that is forced, of one of a certain tool beside its name:
the answer begins with it
(https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use)."""

A_LETTER_OF_SEALED, SEALED = 0.19, 250
"""Tokens for each character of a signature above its least length: what was thought is in it,
encrypted. Empirical, on thinking that was shown whole and on reported numbers of it."""

ROUNDING, OF_A_NAMED = 4, 0.25
"""How far an estimate can be off beside its share, and the share of a call of a certain tool."""

INPUT_WORST, OUTPUT_WORST = 0.45, 0.1 if claude.IS_EXACT else 0.45
"""Share by which an estimate is ever too high: an input also by an older system prompt of tools."""

SLACK = 3
"""By how many tokens the end of a text that was cut off can be counted too high."""

_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)
"""A run of one character, of which Claude may have a token of any length."""


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
        tokens += sum([length(thought) for thought in self._thoughts(prompt)])
        without = (*prompt.elsewhere, *(name for part in parts for name in _unweighed(part)))
        certain = tokens - self.template.prompt if "context_management" not in without else 0
        least = certain * (1 - INPUT_WORST)
        return _weight(tokens, family.input_error, least, without)

    def _around(self, prompt: Prompt) -> int:
        """Weigh what stands around the messages."""
        said = [message for message in prompt.messages if message.role != "system"]
        if len(said) > 1 and said[-1].role == "assistant":  # it begins the answer
            said.pop()
        turns = sum([one.role != following.role for one, following in pairwise(said)])
        repeated = max(0, len(said) - 1) - turns
        return (
            self.template.prompt * bool(prompt.messages)
            + self.template.turn * turns
            + A_PART * (repeated + sum(map(_further_texts, said)))
            + A_ROUND_OF_MANY * sum(map(_has_many, said))
            + self.template.thinking * (prompt.reasoning not in (None, "none") and not prompt.tools)
        )

    def _thoughts(self, prompt: Prompt) -> list[str]:
        """Give the thoughts of earlier turns that are read again."""
        asked = [at for at, message in enumerate(prompt.messages) if _is_asked(message)]
        begin = 0 if self.template.keeps_thoughts else max(asked, default=0)
        parts = [part for message in prompt.messages[begin:] for part in message.parts]
        return [part.text for part in parts if isinstance(part, Thought)]

    def _tools(self, prompt: Prompt, length: Length) -> int:
        tokens = 0
        if prompt.tools:
            tokens += self.auto if _is_free(prompt.tool_choice) else self.forced
            tokens += A_CHOSEN_TOOL * _is_named(prompt.tool_choice)
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
            case Image():
                size = images.dimensions(part)
                sight = self.template.sight
                return 0 if size is None else AN_IMAGE + images.claude(size, sight)
            case Thought() | Other():
                return 0

    def wrote(self, answer: Answer, family: Family, length: Length) -> Weight:
        """Weigh what an answer holds."""
        written, thought = list(_written(answer)), self._thought(answer, length)
        tokens = sum(map(length, written)) + self._between(answer) + thought
        hidden = thought and self.template.summarises
        without = ["reasoning"] * bool(hidden) + ["other"] * bool(answer.texts("other"))
        shown = written if hidden else [*written, *answer.texts("reasoning")]
        least = sum([length(_RUN.sub(r"\1", text)) for text in shown]) * (1 - family.output_worst)
        error = OF_A_NAMED if _is_named(answer.tool_choice) else family.output_error
        return _weight(tokens, max(error, 0.3 * bool(thought)), least, without)

    def _between(self, answer: Answer) -> int:
        """Weigh what stands around the texts and the calls of an answer."""
        texts, calls = answer.texts("text"), len(answer.texts("name"))
        values = sum([len(_arguments(said)[0]) for said in answer.texts("arguments")])
        around = self.template.call * calls + self.template.value * values
        begun = self._before(answer) if calls else 0
        return self.template.answer + A_QUOTE * max(0, len(texts) - 1) + around + begun

    def _before(self, answer: Answer) -> int:
        """Weigh what the model writes before its calls; where one is forced, they are begun."""
        if _is_free(answer.tool_choice):
            return self.template.calls + bool(answer.texts("text"))
        return -A_BEGUN_NAME if _is_named(answer.tool_choice) else -A_BEGUN_CALL

    def _thought(self, answer: Answer, length: Length) -> int:
        """Weigh what the model thought: as it is shown, or by the size of what is sealed."""
        shown = {p.key: length(p.text) for p in answer.parts if p.kind == "reasoning"}
        sealed = {p.key: _sealed(p.text) for p in answer.parts if p.kind == "hidden"}
        thoughts = [shown.get(key) or sealed.get(key, 0) for key in {**shown, **sealed}]
        return sum([self.template.thought + thought for thought in thoughts])


def _weight(tokens: int, error: float, least: float, without: Iterable[str]) -> Weight:
    """Make a weight of a number, its error as a share of it, and what is certain."""
    off = ROUNDING + math.ceil(tokens * error)
    return Weight(tokens, off, max(0, int(least) - SLACK), tuple(dict.fromkeys(without)))


def _unweighed(part: Part) -> Iterator[str]:
    """Name what a part holds that cannot be weighed here."""
    match part:
        case Image() if images.dimensions(part) is None:
            yield "image"
        case Other():
            yield part.what
        case ToolResult():
            for inner in part.parts:
                yield from _unweighed(inner)
        case _:
            return


def _is_free(choice: str | None) -> bool:
    return choice in (None, "auto", "none")


def _is_named(choice: str | None) -> bool:
    """Say whether one tool was to be called: its name is in the beginning that is given."""
    return not _is_free(choice) and choice != "required"


def _written(answer: Answer) -> Iterator[str]:
    """Give all texts of an answer that the model wrote itself."""
    yield from answer.texts("text")
    if not _is_named(answer.tool_choice):
        yield from answer.texts("name")
    for said in answer.texts("arguments"):
        names, values = _arguments(said)
        yield from (*names, *values)


def _is_asked(message: Message) -> bool:
    return message.role == "user" and any(isinstance(part, Text) for part in message.parts)


def _has_many(message: Message) -> bool:
    return sum([isinstance(part, ToolResult) for part in message.parts]) > 1


def _further_texts(message: Message) -> int:
    return max(0, sum([isinstance(part, Text) for part in message.parts]) - 1)


def _sealed(text: str) -> int:
    return max(0, round(A_LETTER_OF_SEALED * (len(text) - SEALED)))


def _tool(tool: Tool, length: Length) -> int:
    """Weigh a tool as it stands in the prompt: JSON with spaces."""
    for kind, tokens in OWN.items():
        if tool.kind.startswith(kind):
            return tokens
    said = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    known = {name: value for name, value in said.items() if value is not None}
    return length(_json(known)) + A_TOOL + A_DESCRIPTION * (tool.description != "")


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


_HALF, _ONCE, _TWICE = 4096, 64_000, 128_000

_MODELS: tuple[tuple[str, str, Template, tuple[int, int], int | None], ...] = (
    ("claude-4.8", r"claude-(\w+-)?4[.-]8(?!\d)", NEW, (290, 410), _TWICE),
    ("claude-4.7", r"claude-(\w+-)?4[.-]7(?!\d)", OPUS_4_7, (675, 804), _TWICE),
    ("claude-4.6", r"claude-(\w+-)?4[.-]6(?!\d)", LATE, (497, 589), _TWICE),
    ("claude-4.5", r"claude-(\w+-)?4[.-]5(?!\d)", OLD, (496, 588), _ONCE),
    ("claude-4", r"claude-(\w+-)?4(?!\d)", OLD, (313, 315), _ONCE),
    ("claude-3.7", r"claude-(\w+-)?3[.-]7", FIRST, (346, 313), 131_072),
    ("claude-3.5-haiku", r"claude-(3[.-]5-haiku|haiku-3[.-]5)", FIRST, (264, 355), 8192),
    ("claude-3.5-june", r"claude-3[.-]5-sonnet.*20240620", FIRST, (294, 261), 8192),
    ("claude-3.5", r"claude-(\w+-)?3[.-]5", FIRST, (346, 313), 8192),
    ("claude-3-opus", r"claude-(3-opus|opus-3)", FIRST, (530, 281), _HALF),
    ("claude-3-sonnet", r"claude-(3-sonnet|sonnet-3)", FIRST, (159, 235), _HALF),
    ("claude-3-haiku", r"claude-(\w+-)?3", FIRST, (264, 340), _HALF),
    ("claude-2", r"claude-(instant|v?[12](?!\d))", LEGACY, (346, 313), 8191),
    ("claude-sonnet-5", r"claude-(sonnet-5|5-sonnet)", NEW, (354, 474), _TWICE),
    ("claude-5", r"claude-(\w+-)?5(?!\d)|claude-mythos", NEW, (286, 406), _TWICE),
    ("claude", r"claude", NEW, (286, 406), None),
)
"""Name, pattern, template, the tools' system prompt where calls are free and where one is forced,
the longest answer. What nobody knows yet is counted like the newest generation."""


def _family(
    name: str, models: str, template: Template, tools: tuple[int, int], longest: int | None
) -> Family:
    new = template.version == claude.NEW
    return Family(
        name=name,
        models=models,
        rules=Claude(template, *tools),
        estimator=claude.ESTIMATOR,
        length=functools.partial(claude.length, version=template.version),
        input_error=0.2 if new else 0.15,
        output_error=0.15 if new else 0.1,
        output_worst=OUTPUT_WORST,
        max_output=longest,
        reasons=template.summarises,
    )


FAMILIES: tuple[Family, ...] = tuple(_family(*model) for model in _MODELS)
