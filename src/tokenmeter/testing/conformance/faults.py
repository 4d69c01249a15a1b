"""What an exporter promises where its sink is slow, fails, hangs, forgets to answer.

The exporter stands behind `Background`, which tries again, and behind a link that the kit breaks;
with an ``outage`` of the rig it is the sink itself that does.
"""

from __future__ import annotations

from tokenmeter.exporters.background import Background
from tokenmeter.testing.conformance.given import events
from tokenmeter.testing.conformance.link import Fault, Link, fails, held
from tokenmeter.testing.conformance.rig import (
    CannotCheckError,
    Check,
    Outage,
    Rig,
    needs_idempotent,
    promise,
)
from tokenmeter.testing.conformance.trial import Gate, Trial, backed, placed, until

SOON_S = 0.2
"""A deadline that a sink which hangs lets pass."""


def fails_before_anything_was_taken(rig: Rig) -> None:
    """The connection breaks before a batch is sent: it is sent again, and arrives once."""
    _retried(rig, fails(2, share=0))


def fails_after_a_part_was_taken(rig: Rig) -> None:
    """The connection breaks in the middle: what is handed over again arrives once."""
    needs_idempotent(rig)
    _retried(rig, fails(2, share=0.5))


def fails_after_all_was_taken(rig: Rig) -> None:
    """The answer is lost: what is handed over again arrives once."""
    needs_idempotent(rig)
    _retried(rig, fails(2, share=1))


def slow_sink(rig: Rig) -> None:
    """A sink that takes its time: the caller does not wait, what waits is pending, all arrives."""
    gate = Gate()
    with Trial(rig, Background(Link(rig.make(), held(gate)))) as trial:
        trial.export(events(200))
        gate.wait()
        account = trial.account()
        promise(
            account.pending == account.captured == 200,
            f"was given 200 events by a slow link, and its account is {account}",
            "all of them pending",
            "count in account() only what the exporter was given, and as exported what arrived",
        )
        gate.open()
        trial.check_all_once()
        trial.check_order(trial.given)


def flush_keeps_its_deadline(rig: Rig) -> None:
    """While a batch hangs on its way, flush and close come back and say so."""
    gate = Gate()
    with Trial(rig, Background(Link(rig.make(), held(gate)))) as trial:
        trial.export(events(5))
        gate.wait()
        _check_unflushed(trial)
        trial.close(SOON_S)
        gate.open()
        until(
            lambda: not trial.account().pending,
            "has events pending for ever after its sink answered",
            "an end for every event",
            "return or raise when the sink answers",
        )
        trial.join_workers()


def failing_sink(rig: Rig) -> None:
    """A sink that fails: nothing is said to be exported, and with its recovery all goes on."""
    outage = _outage(rig)
    with Trial(rig, placed(rig.make(), retry_s=0)) as trial:
        with outage("fails"):
            trial.export(events(3))
            trial.flush(SOON_S)
            account = trial.account()
            promise(
                not account.exported,
                f"was given 3 events while its sink failed, and its account is {account}",
                "none exported: they are failed, dropped or pending",
                "raise what the sink raises; never swallow an error",
            )
        trial.flush()
        trial.export(after := events(3))
        trial.flush()
        trial.check_arrived(after)


def outage_that_ends(rig: Rig) -> None:
    """What is handed over while the sink fails arrives when it does no more, once, in order."""
    outage = _outage(rig)
    with Trial(rig, backed(rig.make())) as trial:
        with outage("fails"):
            trial.export(events(50))
            promise(
                trial.flush(SOON_S) is False,
                "said that all was flushed while its sink failed",
                "flush() gives False or raises",
                "raise what the sink raises; never swallow an error",
            )
        trial.export(events(50))
        trial.check_all_once()
        trial.check_order(trial.given)


def sink_that_hangs(rig: Rig) -> None:
    """A sink that does not answer: flush keeps its deadline, what is not there is pending."""
    outage = _outage(rig)
    with Trial(rig, backed(rig.make()), uncertain=True) as trial:
        with outage("hangs"):
            trial.export(events(20))
            _check_unflushed(trial)
        until(
            trial.flush,
            "has not delivered what waited for a sink that hung",
            "all of it, once the sink answers again",
            "give every call to the sink a time-out of some seconds",
        )
        if rig.idempotent:
            trial.check_arrived(trial.given)


def close_while_the_sink_hangs(rig: Rig) -> None:
    """A sink that never answers again: close keeps its deadline, and what is lost is counted."""
    outage = _outage(rig)
    with Trial(rig, backed(rig.make()), uncertain=True) as trial:
        with outage("hangs"):
            trial.export(events(20))
            trial.close(SOON_S)
            account = trial.account()
            promise(
                not account.exported,
                f"was closed while its sink hung, and its account is {account}",
                "none exported: they are failed, dropped or pending",
                "return only when the sink has answered",
            )
        until(
            lambda: not trial.account().pending,
            "has events pending for ever after its sink answered",
            "an end for every event",
            "give every call to the sink a time-out of some seconds",
        )
        trial.join_workers()


def _retried(rig: Rig, fault: Fault) -> None:
    with Trial(rig, Background(Link(rig.make(), fault), batch=20)) as trial:
        trial.export(events(50))
        trial.check_all_once()
        trial.check_order(trial.given)


def _check_unflushed(trial: Trial) -> None:
    flushed, account = trial.flush(SOON_S), trial.account()
    promise(
        not flushed and not account.exported and account.lost + account.pending == len(trial.given),
        f"was flushed while its sink hung, said {flushed}, and its account is {account}",
        "False, and nothing exported",
        "return from flush() False when time runs out, and count as exported what has arrived",
    )


def _outage(rig: Rig) -> Outage:
    if rig.outage is None:
        raise CannotCheckError("outage=None: the kit cannot have this sink fail or hang")
    return rig.outage


CHECKS: tuple[Check, ...] = (
    fails_before_anything_was_taken,
    fails_after_a_part_was_taken,
    fails_after_all_was_taken,
    slow_sink,
    flush_keeps_its_deadline,
    failing_sink,
    outage_that_ends,
    sink_that_hangs,
    close_while_the_sink_hangs,
)
