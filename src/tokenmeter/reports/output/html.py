"""A result as HTML."""

from __future__ import annotations

import html
from typing import TextIO

from tokenmeter.reports.values import Result


def fragment(result: Result) -> str:
    """Give a result as a part of a page."""
    return f"<pre>{html.escape(str(result))}</pre>"


def write(result: Result, out: TextIO) -> None:
    """Write a page."""
    out.write(fragment(result))
