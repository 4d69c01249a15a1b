"""How a result looks: one file for each way, each a function that writes to a text stream."""

from __future__ import annotations

from collections.abc import Mapping

FORMATS: Mapping[str, str] = {
    "table": "tokenmeter.reports.output.table:write",
    "json": "tokenmeter.reports.output.json:write",
    "csv": "tokenmeter.reports.output.csv:write",
    "markdown": "tokenmeter.reports.output.markdown:write",
    "html": "tokenmeter.reports.output.html:write",
}
"""Where each format is, by the name that the command line has for it."""
