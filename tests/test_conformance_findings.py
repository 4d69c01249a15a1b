"""What the conformance kit found in our own exporters; a test for each."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest

from tokenmeter.endings import END_S
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.compose import Redact
from tokenmeter.exporters.memory import Memory
from tokenmeter.exporters.otel_records import attributes
from tokenmeter.exporters.stdout import Stdout
from tokenmeter.testing.conformance.given import event


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\ud83d", "\\ud83d"),
        ("a\u2028b\u202ec", "a\\u2028b\\u202ec"),
        ("Żółw 🐢", "Żółw 🐢"),
    ],
)
def test_stdout_prints_one_line_whatever_a_user_is_called(user: str, shown: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    Stdout(stream)(event(user=user))
    assert raw.getvalue().decode() == (
        f"09:08:07 openai gpt-5: 12 in, 3 out, completed in 1.25 s (user={shown})\n"
    )


def test_redacting_leaves_tags_as_they_are_where_none_of_them_is_redacted() -> None:
    memory = Memory()
    nameless = Redact(memory, "user", "tags.email")
    for tags in ({}, None, {"a": 1}, {"a": 1, "email": "x"}, {"email": "x"}):
        nameless(event(tags=tags))
    assert [each.tags for each in memory.events] == [{}, None, {"a": 1}, {"a": 1}, None]


class Hanging:
    """An exporter that hangs until it is told to go on, and notes how it is closed."""

    def __init__(self) -> None:
        self.called, self.goes_on, self.closed = (threading.Event() for _ in range(3))
        self.timeouts: list[float] = []

    def __call__(self, _event: UsageEvent) -> None:
        self.called.set()
        self.goes_on.wait(60)

    def close(self, timeout: float) -> None:
        self.timeouts.append(timeout)
        self.closed.set()


def test_an_exporter_that_hung_while_it_was_to_be_closed_has_time_to_end_when_it_is_back() -> None:
    exporter = Hanging()
    background = Background(exporter)
    background(event())
    assert exporter.called.wait(60)
    background.close(0)
    exporter.goes_on.set()
    assert exporter.closed.wait(60)
    assert exporter.timeouts == [END_S]


def test_an_event_with_many_tags_keeps_its_identity_in_a_log_record() -> None:
    """The SDK keeps the last 128 attributes of a record."""
    given: dict[str, Any] = {f"tag {n}": n for n in range(1_000)}
    many = event(tags=given, other_counts={"searches": 1})
    kept = dict(list(attributes(many).items())[-128:])
    assert kept["tokenmeter.event_id"] == many.event_id
