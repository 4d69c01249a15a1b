"""A result as HTML."""

from __future__ import annotations

import html

from tokenmeter.reports.values import Result


def fragment(result: Result) -> str:
    """Give a result as a part of a page."""
    return f"<pre>{html.escape(str(result))}</pre>"
