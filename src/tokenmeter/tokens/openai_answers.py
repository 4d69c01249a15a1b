"""What an answer weighs in one of OpenAI's chat formats."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tokenmeter.dialects.content import Answer, Piece, Prompt, ToolCall, Written
from tokenmeter.tokens.families import Family, Length, Weight
from tokenmeter.tokens.openai_formats import PARALLEL, RESPONSES, Format, share_of, to, together

SHOWN: tuple[Written, ...] = ("text", "refusal", "reasoning")


def answers_of(answer: Answer, asked: Prompt) -> list[list[Piece]]:
    """Take the choices apart; a response has one, however many parts it has."""
    choices: dict[str, list[Piece]] = {}
    for part in answer.parts:
        choice = "" if asked.form == RESPONSES else part.key.partition(".")[0]
        choices.setdefault(choice, []).append(part)
    return list(choices.values())


def wrote(parts: list[Piece], asked: Prompt, form: Format, length: Length) -> int:
    """Count one choice."""
    texts = [part for part in parts if part.kind in _texts_of(form)]
    calls = _calls_of(parts)
    as_one = together(calls) if form.parallel and len(calls) > 1 else None
    tokens = sum(form.wrote_text + length(part.text) for part in texts)
    if as_one is not None:
        tokens += PARALLEL + 2 + length(as_one)
    elif form.forced and _is_forced(asked):
        tokens += sum(length(call.arguments) for call in calls)
    else:
        tokens += sum(form.wrote_call + _called(call, length) for call in calls)
    segments = len(texts) + (1 if as_one is not None else len(calls))
    tokens += form.between * max(0, segments - 1)
    hidden = any(part.kind == "hidden" for part in parts)
    if hidden or (form.thinks and asked.form != RESPONSES):
        tokens += form.between + form.wrote_text
    return tokens + _ended(texts[-1].kind if texts and not calls else None, asked, form)


def _texts_of(form: Format) -> tuple[Written, ...]:
    return SHOWN if form.shows else SHOWN[:2]


def _called(call: ToolCall, length: Length) -> int:
    return length(to(call.name)) + length(call.arguments)


def _calls_of(parts: list[Piece]) -> list[ToolCall]:
    arguments = {part.key: part.text for part in parts if part.kind == "arguments"}
    named = [part for part in parts if part.kind == "name"]
    return [ToolCall(part.text, arguments.get(part.key, "")) for part in named]


def _is_forced(asked: Prompt) -> bool:
    """Say whether the answer can only be a call of one function."""
    names = [tool.name for tool in asked.tools]
    required = asked.form == RESPONSES and asked.tool_choice == "required" and len(names) == 1
    return required or asked.tool_choice in names


def _ended(last: str | None, asked: Prompt, form: Format) -> int:
    """Count the end of an answer, and its format; ``last`` is the kind of text that it ends in."""
    tokens = 1 if asked.form == RESPONSES else form.ended
    if last == "refusal":
        tokens += form.refused
    elif last is not None and asked.tools:
        tokens += form.ended_text
    if asked.schema is not None and last is not None:
        tokens += form.formatted_beside_tools if asked.tools else form.formatted
    return tokens


def weighed(tokens: int, answer: Answer, family: Family, length: Length) -> Weight:
    """Weigh an answer, and what is certain of it: all but a last word that may have gone on."""
    sure = sum(length(_but_last_word(text)) for text in _certain(answer, family))
    without = {"other": "other", "hidden": "reasoning"}
    return Weight(
        tokens=tokens,
        error=share_of(tokens, family.output_error),
        least=int(sure * (1 - family.output_worst)),
        without=tuple(dict.fromkeys(without[p.kind] for p in answer.parts if p.kind in without)),
    )


_LINK = re.compile(r"\(?\[[^\]]{0,300}(?:\]\([^)]{0,2000}\)?\)?)?")


def _certain(answer: Answer, family: Family) -> Iterator[str]:
    """Give the texts that the model wrote; what it had searched, it cites by less than a link."""
    asked = answer.asked
    searched = asked is None or asked.elsewhere or any(t.kind != "function" for t in asked.tools)
    kinds = ("refusal", "arguments") if family.reasons else ("refusal", "arguments", "reasoning")
    for part in answer.parts:
        if part.kind == "text":
            yield _LINK.sub("", part.text) if searched else part.text
        elif part.kind in kinds:
            yield part.text


_A_WORD = 40


def _but_last_word(text: str) -> str:
    """Leave out what more text could turn into fewer tokens."""
    at = text.rfind(" ", max(0, len(text) - _A_WORD))
    return text[:at].rstrip() if at >= 0 else text[:-_A_WORD]


def may_hide(answer: Answer, asked: Prompt) -> bool:
    """Say whether there may be reasoning that is not shown; responses say that there was some."""
    if asked.form == RESPONSES:
        return bool(answer.texts("hidden"))
    return asked.reasoning != "none" and not answer.texts("reasoning")
