"""Calls to be priced, for the tests of prices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tokenmeter import UsageEvent
from tokenmeter.prices import Book, Pricing

NOON = datetime(2026, 11, 1, 12, 0, 0, 1, tzinfo=UTC)


def call(**columns: Any) -> UsageEvent:
    """Give a call of gpt-4o with 1000 + 100 tokens on 2026-11-01, but for what is said."""
    said: dict[str, Any] = {
        "kind": "call",
        "event_id": "0",
        "schema": 1,
        "ts": NOON,
        "provider": "openai",
        "response_model": "gpt-4o",
        "input_tokens": 1000,
        "output_tokens": 100,
        "input_provenance": "reported",
        "output_provenance": "reported",
        "status": "completed",
    }
    return UsageEvent(**said | columns)


def loaded(*books: Book) -> Pricing:
    """Give what prices by these books, which are there."""
    pricing = Pricing(lambda: books)
    pricing.load()
    return pricing
