"""Results of reports for tests of how they look."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tokenmeter.reports.values import Column, Facts, Result

FACTS = Facts(
    attempts=41,
    countable=40,
    input_tokens=1_205,
    output_tokens=207,
    cost_amount=Decimal("12.345678900"),
    estimated=2,
    unknown=1,
    unpriced=4,
    unattributed=3,
    first=datetime(2026, 11, 1, 12, tzinfo=UTC),
    last=datetime(2026, 11, 29, 23, 30, tzinfo=UTC),
)
COLUMNS = (
    Column("user", "name"),
    Column("calls", "count"),
    Column("attempts", "count", same_as="calls"),
    Column("failed", "count", is_quiet=True),
    Column("abandoned", "count", is_detail=True),
    Column("input_tokens", "count", "input"),
    Column("output_tokens", "count", "output"),
    Column("cost_amount", "money", "cost"),
    Column("duration_p50_s", "seconds", "p50 s"),
)
ADA = ("ada", 30, 31, 1, 0, 1_200, 200, Decimal("12.3"), 0.842)
NOBODYS = (None, 10, 10, 0, 3, 5, None, Decimal("0.0456789"), None)
TOTAL = (None, 40, 41, 1, 3, 1_205, 207, Decimal("12.3456789"), 0.8)


def result(**changes: Any) -> Result:
    """Give a small result with some of it changed."""
    made: dict[str, Any] = {
        "name": "report",
        "title": "Usage by user",
        "columns": COLUMNS,
        "rows": (ADA, NOBODYS),
        "total": TOTAL,
        "facts": FACTS,
        "currency": "USD",
        "zone": "Europe/Berlin",
        "since": None,
        "until": None,
        "rules": 1,
    }
    return Result(**made | changes)


def named(*users: str | None) -> Result:
    """Give a result with such users."""
    return result(rows=tuple((user, *ADA[1:]) for user in users))


ODD = (
    "[b]markup[/b]",
    "</script><script>alert(1)</script>",
    "two\nlines\rand\ttabs",
    "\x1b[31mred\x1b[0m\x07",
    "ada\u202egro.evil",
    "zero\u200bwidth",
    "a|b*c*`d`",
    ":smile:",
    "=HYPERLINK(1)",
    "שלום",
    "山田太郎" * 8,
    "x" * 200,
    '"quoted" & <b>',
)
"""Names that somebody may have."""
