"""One SQL text for every engine: written for DuckDB, translated by sqlglot, mended where that errs.

Reports use a part of SQL that means the same everywhere: no QUALIFY (its LIMIT moves inside when
it is translated), no integer division, no order of nulls, no aggregate that guesses. What remains
different is in the table of functions below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tokenmeter.errors import ConfigurationError, MissingExtraError
from tokenmeter.near import meant

if TYPE_CHECKING:
    from sqlglot.expressions import Expr as Expression

Mend = Callable[["Expression"], "str | None"]

DIALECTS = ("duckdb", "spark", "clickhouse", "postgres")
"""The engines that a report has SQL for."""

_CLICKHOUSE_AS_OTHERS = (
    # https://clickhouse.com/docs/operations/settings/settings, read 2026-11-23
    "aggregate_functions_null_for_empty = 1",
    "group_by_use_nulls = 1",
    "join_use_nulls = 1",
    "prefer_column_name_to_alias = 1",
    "union_default_mode = 'ALL'",
)


SOURCE = "source_of_events"
"""Stands in a text for what has the columns of events."""


def over(source: str, sql: str, dialect: str) -> str:
    """Give a text about `SOURCE` as an engine reads it about a source of its own.

    The source is text of that dialect, which nobody but its engine has to understand.
    """
    return translated(sql, dialect).replace(SOURCE, source)


def translated(sql: str, dialect: str) -> str:
    """Give a text that was written for DuckDB as another engine reads it.

    Raises:
        ConfigurationError: There is no such dialect.
        MissingExtraError: sqlglot is not installed.
    """
    if dialect not in DIALECTS:
        raise ConfigurationError(f"{dialect!r} is no dialect: {meant(dialect, DIALECTS)}")
    if dialect == "duckdb":
        return sql
    try:
        import sqlglot
    except ImportError as missing:
        raise MissingExtraError("sqlglot", "report") from missing
    tree = sqlglot.parse_one(sql, read="duckdb").transform(_one_by_one)
    if dialect == "clickhouse":
        _name_columns(tree)
        _sign(tree)
    mended = tree.transform(_mended, dialect)
    text: str = mended.sql(dialect=dialect, pretty=True)
    if dialect == "clickhouse":
        text += "\nSETTINGS " + ", ".join(_CLICKHOUSE_AS_OTHERS)
    return text


def _name_columns(tree: Expression) -> None:
    """Name what is selected from a side of a join, which ClickHouse would call ``side.column``."""
    from sqlglot import expressions

    for select in tree.find_all(expressions.Select):
        for column in list(select.expressions):
            if isinstance(column, expressions.Column) and column.table and not column.is_star:
                column.replace(expressions.alias_(column.copy(), column.name, quoted=True))


def _sign(tree: Expression) -> None:
    """Make whole numbers Int64, because there is no type for ones with a sign and ones without."""
    from sqlglot import expressions as e

    numbered = [n for n in tree.find_all(e.Window) if isinstance(n.this, e.RowNumber | e.Rank)]
    counted = [n for n in tree.find_all(e.Count) if not isinstance(n.parent, e.Window)]
    said = [
        n
        for n in tree.find_all(e.Literal)
        if n.is_int and isinstance(n.parent, e.If | e.Case | e.Coalesce | e.Alias | e.Select)
    ]
    for node in (*said, *counted, *numbered):
        node.replace(e.func("toInt64", node.copy()))


def _one_by_one(node: Expression) -> Expression:
    """Make of one of several quantiles that one alone: not every engine makes several at once."""
    from sqlglot import expressions

    if not isinstance(node, expressions.Anonymous) or node.name.upper() != "LIST_EXTRACT":
        return node
    several, place = node.expressions
    at = several.expression.expressions[int(place.name) - 1]
    return expressions.PercentileCont(this=several.this.copy(), expression=at.copy())


def _mended(node: Expression, dialect: str) -> Expression:
    import sqlglot

    kind = type(node).__name__
    mend = _MENDS[dialect].get(node.name.lower() if kind == "Anonymous" else kind)
    text = mend(node) if mend is not None else None
    return node if text is None else sqlglot.parse_one(text, read=dialect)


def _in(dialect: str, node: Expression) -> str:
    """Give a part of a text, itself mended."""
    return node.copy().transform(_mended, dialect).sql(dialect=dialect)


def _quantile(dialect: str, form: str) -> Mend:
    """Make the exact quantile, with the straight line between two values, of an engine."""

    def mend(node: Expression) -> str:
        return form.format(of=_in(dialect, node.this), at=node.expression.sql())

    return mend


def _spark_zone(node: Expression) -> str:
    # from_utc_timestamp, which sqlglot takes, and a cast are right only where the session's zone is
    # UTC: half past two comes twice in one night of most others.
    at, zone = _in("spark", node.this), node.args["zone"].sql(dialect="spark")
    utc = f"TIMESTAMP_NTZ '1970-01-01 00:00:00' + UNIX_MICROS({at}) * INTERVAL '0.000001' SECOND"
    return f"CONVERT_TIMEZONE('UTC', {zone}, {utc})"


def _spark_cast(node: Expression) -> str | None:
    if node.args["to"].sql(dialect="duckdb") != "TIMESTAMPTZ":
        return None
    return f"CAST({_in('spark', node.this)} AS TIMESTAMP_LTZ)"  # TIMESTAMP depends on a setting


def _spark_trunc(node: Expression) -> str:
    unit = node.args["unit"].sql().strip("'")
    return f"TRUNC(CAST({_in('spark', node.this)} AS DATE), '{unit}')"


def _clickhouse_zone(node: Expression) -> str:
    return f"toTimeZone({_in('clickhouse', node.this)}, {node.args['zone'].sql()})"


def _clickhouse_cast(node: Expression) -> str | None:
    kind = node.args["to"].sql(dialect="duckdb")
    of = _in("clickhouse", node.this)
    if kind == "TIMESTAMPTZ":
        return f"parseDateTime64BestEffort({of}, 6, 'UTC')"
    if kind == "DATE":  # toDate32 keeps the zone that toTimeZone gave; CAST keeps it too
        return f"toDate32({of})"
    return None


def _clickhouse_week(node: Expression) -> str | None:
    unit = node.args["unit"].sql().upper().strip("'")
    of = _in("clickhouse", node.this)
    return {"WEEK": f"toMonday({of})", "MONTH": f"toStartOfMonth({of})"}.get(unit)


def _postgres_tag(node: Expression) -> str | None:
    name = node.expressions[0]
    return f"({_in('postgres', node.this)} ->> {name.sql(dialect='postgres')})"


def _clickhouse_tag(node: Expression) -> str:
    of, name = _in("clickhouse", node.this), node.expressions[0].sql(dialect="clickhouse")
    return f"if(mapContains({of}, {name}), {of}[{name}], NULL)"


def _function(dialect: str, form: str) -> Mend:
    """Call a function of one argument as an engine does."""

    def mend(node: Expression) -> str:
        return form.format(of=_in(dialect, node.expressions[0]))

    return mend


_MENDS: Mapping[str, Mapping[str, Mend]] = {
    "spark": {
        "AtTimeZone": _spark_zone,
        "Cast": _spark_cast,
        "DateTrunc": _spark_trunc,
        "TimestampTrunc": _spark_trunc,
        "PercentileCont": _quantile("spark", "PERCENTILE({of}, {at})"),
        "epoch_us": _function("spark", "UNIX_MICROS({of})"),
    },
    "clickhouse": {
        "AtTimeZone": _clickhouse_zone,
        "Bracket": _clickhouse_tag,
        "Cast": _clickhouse_cast,
        "PercentileCont": _quantile("clickhouse", "quantileExactInclusive({at})({of})"),
        "TimestampTrunc": _clickhouse_week,
        "DateTrunc": _clickhouse_week,
        "epoch_us": _function("clickhouse", "toUnixTimestamp64Micro({of})"),
    },
    "postgres": {
        "Bracket": _postgres_tag,
        "epoch_us": _function("postgres", "CAST(EXTRACT(EPOCH FROM {of}) * 1000000 AS BIGINT)"),
    },
}
"""What sqlglot leaves as it is, or takes for something else, by engine and by the node it makes."""
