"""What a report gives: columns of a kind, rows, their total, and what is true of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from tokenmeter.frames import Backend

Kind = Literal["name", "count", "money", "seconds", "share", "number", "day", "time", "flag"]
"""What a column holds: texts; whole numbers; Decimal in the currency of the report; seconds; a
share from 0 to 1; any other number; a day as ISO text; a time in UTC; true or false."""

Value = str | int | float | Decimal | bool | datetime | None
Row = tuple[Value, ...]

_SMALLEST = Decimal("1e-9")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Column(msgspec.Struct, frozen=True):
    """One column of a result.

    Args:
        name: Its name in JSON, CSV and frames.
        kind: What it holds.
        heading: What stands above it in a table for people.
        is_quiet: Whether such a table may leave it out where it is zero or unknown everywhere.
        is_detail: Whether such a table always leaves it out.
        is_optional: Whether no value means that there is nothing to say, and not that a sum is
            unknown.
        same_as: The name of another column; where both are equal in each row, such a table leaves
            this one out.
    """

    name: str
    kind: Kind
    heading: str = ""
    is_quiet: bool = False
    is_detail: bool = False
    is_optional: bool = False
    same_as: str = ""

    @property
    def title(self) -> str:
        """What stands above it."""
        return self.heading or self.name.replace("_", " ")


def cast(values: Iterable[Any], kind: Kind) -> list[Value]:
    """Give values of an engine as every engine would.

    >>> cast([Decimal("3")], "count"), cast([3], "money"), cast([float("nan"), 2], "seconds")
    ([3], [Decimal('3.000000000')], [None, 2.0])
    """
    given = list(values)
    types = {*map(type, given)} - {type(None)}
    if types <= _AS_THEY_ARE.get(kind, set()):
        return given
    to = _QUANTIZED if kind == "money" and types == {Decimal} else _CASTS[kind]
    # What is no number, which ClickHouse gives of no values, is not equal to itself.
    return [None if value is None or value != value else to(value) for value in given]  # noqa: PLR0124


def _day(value: date | str) -> str | None:
    text = str(value)
    if text[4:5] != "-" or "BC" in text:  # some engines know years that Python does not
        return None
    return text[:10]


def _money(value: Any) -> Decimal:
    return (value if isinstance(value, Decimal) else Decimal(str(value))).quantize(_SMALLEST)


def _time(value: Any) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=int(value))
    except OverflowError:
        return None


_CASTS: Mapping[Kind, Callable[[Any], Value]] = {
    "name": str,
    "count": int,
    "money": _money,
    "seconds": float,
    "share": float,
    "number": float,
    "day": _day,
    "time": _time,
    "flag": lambda value: bool(int(value)),  # some engines write whole numbers as text
}


_QUANTIZED = methodcaller("quantize", _SMALLEST)
_AS_THEY_ARE: Mapping[Kind, set[type]] = {"name": {str}, "count": {int}}
"""Of which types values of a kind need no cast, which is quicker to see than to make."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of everything that a report is about.

    Counts are of attempts in the period, unless they say something else. An attempt is *countable*
    where a provider had something to count: it did not fail before its answer.

    Args:
        attempts: Exchanges with a provider, retries included.
        countable: Those of them that have something to count.
        input_tokens: What is known of them; ``None`` where nothing is.
        output_tokens: Likewise.
        cost_amount: What is priced, in the currency of the report.
        estimated: Countable attempts with a side that was estimated.
        partial: Countable attempts with a side of which only a part is known.
        unknown: Countable attempts with a side that nobody knows.
        unpriced: Countable attempts that are in no amount.
        other_currencies: How many of these are priced in which other currency.
        unattributed: Attempts without user, team, task, agent and conversation.
        first: When the first of them began; ``None`` where there is none.
        last: When the last of them began.
        outcomes: Statements about tasks up to the end of the period.
        ahead: Events that are later than the clock of the reader.
        newer: Events of a schema that is newer than this version.
    """

    attempts: int = 0
    countable: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_amount: Decimal | None = None
    estimated: int = 0
    partial: int = 0
    unknown: int = 0
    unpriced: int = 0
    other_currencies: Mapping[str, int] = {}
    unattributed: int = 0
    first: datetime | None = None
    last: datetime | None = None
    outcomes: int = 0
    ahead: int = 0
    newer: int = 0

    @property
    def coverage(self) -> float | None:
        """The share of countable attempts of which nothing is unknown."""
        return None if not self.countable else 1 - self.unknown / self.countable

    def share(self, name: str) -> float | None:
        """Give the share of countable attempts (of all, for ``unattributed``) that a count is."""
        whole = self.attempts if name == "unattributed" else self.countable
        count: int = getattr(self, name)
        return count / whole if whole else None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a report gives.

    Shows itself: as a table when printed, as HTML in a notebook.

    Args:
        name: Which report it is.
        title: What it is about, for people.
        columns: Its columns.
        rows: Its rows, in its order; each value is of the kind of its column, ``None`` is unknown.
        total: The total of all rows, with ``None`` where a column has none; ``None``: no total.
        facts: What is true of everything that it is about.
        currency: The currency of amounts.
        zone: The time zone of days, weeks and months.
        since: The beginning of the period; ``None``: from the first call.
        until: Its end; ``None``: up to the last.
        rules: Version of the rules by which it counts.
        notes: What a reader must know: why there are no ranks, what was left out.
        damage: What of the ledgers is no event or was there twice, with its place.
        names: How many columns, from the left, say what a row is about.
        only: Values that calls had to have, by the name of a column.
        chart: The column that a page has a chart of; empty: the first of money, or else the first
            count, and tokens by kind; ``None``: it has no chart, because one would rank people.
        aim: What the charted column is to come to, where there is a target.
        before: What it is compared with, where it is.
        currencies: Those that calls are priced in, where they are several and nobody said which.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: Row | None
    facts: Facts
    currency: str
    zone: str
    since: datetime | None
    until: datetime | None
    rules: int
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    names: int = 1
    only: Mapping[str, str] = {}
    chart: str | None = ""
    aim: float | None = None
    before: Result | None = None
    currencies: tuple[str, ...] = ()

    def column(self, name: str) -> tuple[Value, ...]:
        """Give the values of a column, row by row.

        Raises:
            KeyError: There is no such column.
        """
        at = self.index(name)
        return tuple(row[at] for row in self.rows)

    def index(self, name: str) -> int:
        """Say which column has a name.

        Raises:
            KeyError: There is no such column.
        """
        for at, column in enumerate(self.columns):
            if column.name == name:
                return at
        raise KeyError(name)

    def records(self) -> Iterator[dict[str, Value]]:
        """Give the rows as mappings."""
        names = [column.name for column in self.columns]
        return (dict(zip(names, row, strict=True)) for row in self.rows)

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Give the rows as a frame of ``pandas``, ``polars`` or ``pyarrow``, money as Decimal.

        Args:
            backend: Which library; ``None``: the one that the program has imported, else one that
                is installed.

        Raises:
            ConfigurationError: There is no such library of frames.
            MissingExtraError: narwhals is not installed, or no library of frames is.
        """
        from tokenmeter.frames import frame

        # Through `cast`: some libraries want amounts of one column to have equally many digits.
        columns: dict[str, Sequence[Value]] = {
            column.name: self.column(column.name) for column in self.columns
        }
        columns |= {
            column.name: cast(columns[column.name], "money")
            for column in self.columns
            if column.kind == "money"
        }
        return frame(columns, backend)

    def __str__(self) -> str:
        from tokenmeter.reports.output.table import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from tokenmeter.reports.output.html import fragment

        return fragment(self)


def rows_of(columns: Sequence[Column], found: Iterable[Sequence[Any]]) -> tuple[Row, ...]:
    """Give what an engine found as every engine would."""
    every = zip(zip(*found, strict=True), columns, strict=False)  # of no rows there is no column
    return tuple(zip(*(cast(values, column.kind) for values, column in every), strict=True))
