"""A result as one JSON object: every column, exact, with all that is true of it."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO

import msgspec

from tokenmeter.reports.output.words import SHARES
from tokenmeter.reports.values import Column, Facts, Result, Row, Value


def write(result: Result, out: TextIO) -> None:
    """Write one object.

    An amount is a text of decimal digits, as it is in a ledger, because most programs read a JSON
    number as a binary fraction; ``null`` is unknown.
    """
    has_all = (getattr(out, "encoding", None) or "utf-8").lower().startswith("utf")
    json.dump(record(result), out, indent=2, ensure_ascii=not has_all, allow_nan=False)
    out.write("\n")


def record(result: Result) -> dict[str, Any]:
    """Give a result as that object."""
    before = {} if result.before is None else {"before": _frame(result.before)}
    return {
        **_frame(result),
        **before,
        "columns": [_column(column, result.currency) for column in result.columns],
        "names": result.names,
        "rows": [_row(result, row) for row in result.rows],
        "total": None if result.total is None else _row(result, result.total),
        "notes": result.notes,
        "damage": result.damage,
    }


def _frame(result: Result) -> dict[str, Any]:
    return {
        "report": result.name,
        "title": result.title,
        "rules": result.rules,
        "time_zone": result.zone,
        "period": {"since": exact(result.since), "until": exact(result.until)},
        "only": dict(result.only),
        "currency": result.currency,
        "facts": _facts(result.facts),
    }


def _facts(facts: Facts) -> dict[str, Any]:
    counts = {name: exact(value) for name, value in msgspec.structs.asdict(facts).items()}
    shares = {name: facts.share(name) for name in SHARES}
    return counts | {"coverage": facts.coverage, "shares": shares}


def _column(column: Column, currency: str) -> dict[str, str | None]:
    units = {"money": currency, "seconds": "s", "share": "1", "number": "1"}
    return {"name": column.name, "kind": column.kind, "unit": units.get(column.kind)}


def _row(result: Result, row: Row) -> dict[str, Any]:
    names = (column.name for column in result.columns)
    return {name: exact(value) for name, value in zip(names, row, strict=True)}


def exact(value: Value) -> str | int | float | bool | None:
    """Give a value without any loss: an amount as digits, a time in UTC.

    >>> exact(Decimal("3.500000000")), exact(Decimal("1E+3")), exact(None)
    ('3.5', '1000', None)
    """
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
