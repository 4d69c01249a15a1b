"""A result as text for a terminal."""

from __future__ import annotations

from tokenmeter.reports.values import Result


def plain(result: Result) -> str:
    """Give a result as text."""
    heads = "  ".join(column.title for column in result.columns)
    lines = ["  ".join("" if v is None else str(v) for v in row) for row in result.rows]
    return "\n".join([result.title, heads, *lines])
