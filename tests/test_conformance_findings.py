"""What the conformance kit found in our own exporters; a test for each."""

from __future__ import annotations

import io

import pytest

from tokenmeter.exporters.compose import Redact
from tokenmeter.exporters.memory import Memory
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
