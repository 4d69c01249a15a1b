"""What reports group calls by, and the SQL that says it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.near import meant
from tokenmeter.quoting import quoted, text
from tokenmeter.reports.scope import Scope, readable
from tokenmeter.reports.values import Column, Kind

TAG = "tag:"
"""What stands before the name of a tag to make it a column."""

_PLAIN = (
    "user", "team", "task", "agent", "conversation", "provider", "request_model",
    "response_model", "operation", "status", "error_type", "service", "environment", "host",
    "region", "service_tier", "source", "server_address", "run_id", "trace_id", "estimator",
    "price_source", "cost_currency", "cost_reason", "evidence", "reference", "user_origin",
    "input_provenance", "output_provenance",
)  # fmt: skip

_DATES = {"day": "DAY", "week": "WEEK", "month": "MONTH"}

# A failed attempt knows only the requested name: grouping by it keeps both in one row.
_MADE = {"model": "COALESCE(request_model, response_model)"}

NAMES = (*_PLAIN[:5], *_DATES, "provider", "model", *_PLAIN[6:])
"""What calls can be grouped by, besides tags."""


class Key(msgspec.Struct, frozen=True):
    """One thing to group by.

    Args:
        name: As it was asked for.
        sql: What it is, over the columns of events.
        column: The column of the result.
    """

    name: str
    sql: str
    column: Column

    @property
    def quoted(self) -> str:
        """Its name in SQL."""
        return quoted(self.name)

    @property
    def nothing(self) -> str:
        """What it is where there is no value, in SQL."""
        return f"CAST(NULL AS {'DATE' if self.column.kind == 'day' else 'VARCHAR'})"


def keys(names: Iterable[str], scope: Scope) -> tuple[Key, ...]:
    """Give what to group by.

    Raises:
        ConfigurationError: There is no such column, or one is named twice.
    """
    found = tuple(_key(name.strip(), scope) for name in names)
    if len({key.name for key in found}) < len(found):
        raise ConfigurationError(f"each column is named once; got {[key.name for key in found]}")
    return found


def group(name: str, scope: Scope) -> Key:
    """Give what people are compared by.

    Raises:
        ConfigurationError: There is no such column, or it is a time, which all of them have.
    """
    (key,) = keys([name], scope)
    if key.column.kind == "day":
        raise ConfigurationError(
            f"a {key.name} is nobody's: name who is compared, such as user, team or {TAG}NAME, and "
            f"say with since and until of which time"
        )
    return key


def only(scope: Scope) -> str:
    """Give the condition that calls have the values that a scope asks for."""
    parts = [f"{_key(name, scope).sql} = {text(value)}" for name, value in scope.only.items()]
    return "".join(f" AND {part}" for part in parts)


def _key(name: str, scope: Scope) -> Key:
    kind: Kind = "day" if name in _DATES else "name"
    return Key(name, _sql(name, scope), Column(name, kind))


def _sql(name: str, scope: Scope) -> str:
    if name.startswith(TAG) and name != TAG:
        return f"tags[{text(readable(name.removeprefix(TAG)))}]"
    if name in _DATES:
        return date(_DATES[name], scope)
    if name in _PLAIN:
        return quoted(name)
    try:
        return _MADE[name]
    except KeyError:
        advice = meant(name, [*NAMES, f"{TAG}NAME"], "columns")
        raise ConfigurationError(f"there is no column {name!r}: {advice}") from None


def date(unit: str, scope: Scope, ts: str = "ts") -> str:
    """Give the first day of the day, week or month of a time, in the zone of the report."""
    local = f"{ts} AT TIME ZONE {text(scope.zone)}"
    return (
        f"CAST({local} AS DATE)"
        if unit == "DAY"
        else f"CAST(DATE_TRUNC('{unit}', {local}) AS DATE)"
    )
