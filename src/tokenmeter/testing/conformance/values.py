"""Events as they may come: odd, large, bare, full. Each arrives, or is counted as failed, alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from tokenmeter.event import UsageEvent
from tokenmeter.testing.conformance.given import BEGAN, bare, event, events, new_id
from tokenmeter.testing.conformance.rig import BrokenError, Check, Rig, promise
from tokenmeter.testing.conformance.trial import Trial, backed, ident, in_line_and_not

MEGABYTE = 1_000_000

_FULL: dict[str, Any] = {
    "provider": "openai", "operation": "chat", "request_model": "gpt-5", "stream": True,
    "attempt": 1, "server_address": "api.openai.com", "region": "eu", "source": "wire",
    "key_id": "k-1", "response_model": "gpt-5-2026", "response_id": "resp_1",
    "finish_reasons": ("stop", "length"), "service_tier": "flex", "cached": False,
    "status": "completed", "http_status": 200, "error_type": "none", "duration_s": 1.25,
    "time_to_first_chunk_s": 0.125, "input_tokens": 100, "output_tokens": 50,
    "cache_read_tokens": 10, "cache_write_tokens": 20, "cache_write_5m_tokens": 15,
    "cache_write_1h_tokens": 5, "reasoning_tokens": 7, "input_text_tokens": 60,
    "input_audio_tokens": 30, "input_image_tokens": 10, "output_text_tokens": 40,
    "output_audio_tokens": 6, "output_image_tokens": 4, "other_counts": {"searches": 3},
    "input_provenance": "reported", "output_provenance": "partial", "output_tokens_max": 60,
    "cost_amount": Decimal("0.001234567"), "cost_currency": "USD", "cost_reason": "priced",
    "price_source": "list", "price_version": "1", "price_date": "2026-11-01", "user": "ada",
    "user_origin": "explicit", "team": "kernels", "task": "T-1", "agent": "planner/researcher",
    "run_id": "r-2", "parent_run_id": "r-1", "depth": 2, "conversation": "c-1",
    "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
    "tags": {"text": "a", "number": 1, "share": 0.5, "flag": True}, "service": "api",
    "environment": "prod", "host": "h", "pid": 1234, "fingerprint": "f-1", "evidence": "ci",
    "reference": "#1", "estimator": "tiktoken", "input_tokens_error": 1, "output_tokens_error": 2,
}  # fmt: skip
"""Every column but the identity; a test holds it to the columns that there are."""


def all_columns(rig: Rig) -> None:
    """An event with every column set."""
    _taken(rig, bare(**_FULL))


def only_identity(rig: Rig) -> None:
    """An event of which nothing is known but that there was one."""
    _taken(rig, bare())


def outcomes_and_runs(rig: Rig) -> None:
    """Events that are no calls."""
    outcome = bare(kind="outcome", task="T-1", status="accepted", evidence="ci", reference="#7")
    run = bare(kind="run", run_id="r-2", parent_run_id="r-1", depth=1, agent="a", duration_s=0.0)
    _taken(rig, outcome, run)


def decimal_costs(rig: Rig) -> None:
    """Money to nine places, large, small and nothing; no float in between."""
    amounts = ("0.000000001", "123456789.123456789", "0.1", "0", "0.300000000", "1E-9", "12")
    _taken(rig, *(event(cost_amount=Decimal(each), cost_currency="USD") for each in amounts))


def zero_is_not_unknown(rig: Rig) -> None:
    """Zero is a measurement, false is an answer, an empty map is nothing."""
    _taken(rig, event(input_tokens=0, cached=False, attempt=0, duration_s=0.0), event(tags={}))


def large_numbers(rig: Rig) -> None:
    """Counts that no 32-bit number and no float holds: taken or failed, alone."""
    for count in (2**31, 2**53 + 1, 2**63 - 1):
        _alone(rig, event(input_tokens=count, tags={"count": count}))


def unicode(rig: Rig) -> None:
    """Letters of all planes, and what is invisible: taken or failed, alone."""
    for text in (
        "ñ",
        "汉字",
        "👩‍👩‍👧",
        "\U0010ffff",
        "\u202eright",
        "e\u0301",
        "\ufeff",
        "'\"\\;--%s{}",
    ):
        _alone(rig, event(user=text, tags={text: text}))


def control_characters(rig: Rig) -> None:
    """NUL, newlines, escapes: taken or failed, alone."""
    for text in ("a\0b", "a\nb", "a\r\nb", "\u2028", "\x1b[31m", "\t", ""):
        _alone(rig, event(user=text, tags={"text": text}))


def lone_surrogates(rig: Rig) -> None:
    """What is no Unicode at all, and cannot be encoded: taken or failed, alone."""
    for text in ("\ud83d", "a\udc80b"):
        _alone(rig, event(user=text))
        _alone(rig, event(tags={text: text}))


def huge_tags(rig: Rig) -> None:
    """A tag of a megabyte, and a thousand tags: taken or failed, alone."""
    _alone(rig, event(tags={"text": "x" * MEGABYTE}))
    _alone(rig, event(tags={f"tag {n}": n for n in range(1_000)}))


def clock_going_backwards(rig: Rig) -> None:
    """The order is that of export, whatever the clock says; and the clock may say anything."""
    days = (0, -1, -400, 0, 0, -20_000, 36_500)
    for exporter in in_line_and_not(rig):
        with Trial(rig, exporter) as trial:
            trial.export(event(BEGAN + timedelta(days=n)) for n in days)
            trial.check_all_once()
            trial.check_order(trial.given)


def ids_that_repeat(rig: Rig) -> None:
    """An answer that was fetched twice has one id: its neighbours arrive, and it does, once."""
    first, second, last = events(3)
    with Trial(rig, backed(rig.make(), retry_s=0)) as trial:
        trial.export([first, second, second, last])
        trial.flush()
        trial.export([second])
        trial.flush()
        found = Counter(map(ident, trial.arrived()))
        most = 1 if rig.idempotent else 3
        promise(
            found[first.event_id] == found[last.event_id] == 1 <= found[second.event_id] <= most,
            f"was given one id three times, and it arrived {found[second.event_id]} times, its "
            f"neighbours {found[first.event_id]} and {found[last.event_id]} times",
            f"the neighbours once, and itself at least once and at most {most} times",
            "let a repeated event_id change nothing, also within one batch",
        )


def _taken(rig: Rig, *wanted: UsageEvent) -> None:
    """Check that events arrive, in line and in the background."""
    for exporter in in_line_and_not(rig, retry_s=0):
        with Trial(rig, exporter) as trial:
            trial.export(_copies(*wanted))
            trial.check_all_once()


def _alone(rig: Rig, odd: UsageEvent) -> None:
    """Check that an event is taken or counted as failed, and that its neighbours arrive."""
    try:
        _between_plain_ones(rig, odd)
    except BrokenError as exc:
        raise BrokenError(f"{exc}\nthe odd one: {_described(odd)}") from None


def _described(odd: UsageEvent) -> str:
    said = {"user": odd.user, "input_tokens": odd.input_tokens, "tags": odd.tags}
    return f"{said!a:.200}"


def _between_plain_ones(rig: Rig, odd: UsageEvent) -> None:
    for exporter in in_line_and_not(rig, retry_s=0):
        with Trial(rig, exporter) as trial:
            before, after = events(2)
            trial.export([before, *_copies(odd), after])
            trial.flush()
            trial.check_arrived([before, after])
            trial.check_once(trial.arrived())
            account = trial.account()
            promise(
                account.exported + account.filtered + account.failed == 3,
                f"was given an odd event between two plain ones, and its account is {account}",
                "the odd one exported or failed, and the plain ones exported",
                "raise RejectedError(events=[…]) for what the sink can never take",
            )


def _copies(*wanted: UsageEvent) -> Iterator[UsageEvent]:
    """Give the same events with ids of their own."""
    return (msgspec.structs.replace(each, event_id=new_id()) for each in wanted)


CHECKS: tuple[Check, ...] = (
    all_columns,
    only_identity,
    outcomes_and_runs,
    decimal_costs,
    zero_is_not_unknown,
    large_numbers,
    unicode,
    control_characters,
    lone_surrogates,
    huge_tags,
    clock_going_backwards,
    ids_that_repeat,
)
