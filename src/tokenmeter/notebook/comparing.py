"""Comparing the runs of experiments: the middle and the range of each measure, by name.

Only what is wholly known is compared: money where every call of a run has a price, tokens where no
call has unknown ones. How many runs that leaves out is said, never filled in.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.frames import Backend, by_column, frame
from tokenmeter.near import meant
from tokenmeter.notebook.plots import Mark, plotted
from tokenmeter.notebook.records import Record
from tokenmeter.notebook.tables import (
    Bar,
    Cell,
    Figure,
    Number,
    Table,
    as_html,
    as_text,
    rounded,
    shortened,
)
from tokenmeter.tallies import EXACT
from tokenmeter.wording import counted

ENOUGH = 3
"""Runs below which a range says nothing about what is chance."""


class Spread(NamedTuple):
    """What several runs say of one measure.

    Attributes:
        n: How many runs of which it is known.
        median: The one in the middle.
        mean: The sum by the number.
        low: The lowest one.
        high: The highest one.
    """

    n: int
    median: Number
    mean: Number
    low: Number
    high: Number

    @classmethod
    def of(cls, values: Sequence[Any]) -> Spread:
        """Sum some numbers up, one at least."""
        with localcontext(EXACT):
            middle, mean = statistics.median(values), statistics.mean(values)
        return cls(len(values), middle, mean, min(values), max(values))


class Group(msgspec.Struct, frozen=True):
    """The runs of one name, or of one value of a parameter.

    Args:
        name: It.
        runs: How many completed runs there are, which are compared.
        left_out: How many others, by how they ended.
        inexact: How many of the compared runs have calls that are estimated, known in part,
            unknown or without a price, by what they are.
        spreads: What they say, by measure; a measure that is known of no run is missing.
    """

    name: str
    runs: int
    left_out: Mapping[str, int]
    inexact: Mapping[str, int]
    spreads: Mapping[str, Spread]


class Comparison(msgspec.Struct, frozen=True):
    """Groups of runs side by side; the first one is what the others are compared with.

    Args:
        by: What they were grouped by: ``"name"`` or a parameter.
        groups: Them.
        measures: What is compared: calls, tokens, money by currency, seconds, scores, and money for
            one of each score.
    """

    by: str
    groups: tuple[Group, ...]
    measures: tuple[str, ...]

    def to_frame(self, backend: Backend | None = None) -> Any:
        """Give a frame with a row for each group and measure, numbers as floats.

        Raises:
            ConfigurationError: There is no such backend.
            MissingExtraError: narwhals is not installed, or no library for frames is.
        """
        return frame(by_column(list(self._rows())), backend)

    def plot(self, *measures: str) -> Any:
        """Draw the medians and ranges with matplotlib; gives the axes, one for each measure.

        Args:
            measures: Which; all, unless given.

        Raises:
            ConfigurationError: There is no such measure, or no run has completed.
            MissingExtraError: matplotlib is not installed.
        """
        for measure in measures:
            if measure not in self.measures:
                advice = meant(measure, self.measures, "measures")
                raise ConfigurationError(f"nothing is known of {measure!r}; {advice}")
        if not self.measures:
            raise ConfigurationError("there is nothing to draw: no run has completed")
        return plotted({measure: self._marks(measure) for measure in measures or self.measures})

    def _marks(self, measure: str) -> list[Mark]:
        found = [(group.name, group.spreads.get(measure)) for group in self.groups]
        return [Mark(name, at.median, at.low, at.high) for name, at in found if at is not None]

    def table(self) -> Table:
        """Give what it shows."""
        names = [f"{shortened(g.name)} ({counted(g.runs, 'run')})" for g in self.groups]
        rows = tuple((name, *self._cells(name)) for name in self.measures)
        return Table(
            f"by {self.by}: median (lowest to highest)", ("", *names), rows, tuple(self._notes())
        )

    def _cells(self, measure: str) -> Iterator[Cell]:
        spreads = [group.spreads.get(measure) for group in self.groups]
        longest = max((float(spread.high) for spread in spreads if spread), default=0.0)
        for group, spread in zip(self.groups, spreads, strict=True):
            if spread is None:
                yield Figure("?")
            else:
                texts = (_range(spread, group.runs), _difference(spreads[0], spread))
                yield Figure(" · ".join(filter(None, texts)), _bar(spread, longest))

    def _notes(self) -> Iterator[str]:
        for group in self.groups:
            yield from _remarks(group)
        few = [shortened(group.name) for group in self.groups if group.runs < ENOUGH]
        if few:
            yield f"too few runs to tell a difference from chance (fewer than {ENOUGH}): " + (
                ", ".join(few)
            )
        if len(self.groups) > 1:
            yield (
                f"%: median against {shortened(self.groups[0].name)}; ~: it may be chance, "
                f"because the ranges overlap or runs are fewer than {ENOUGH}"
            )

    def _rows(self) -> Iterator[dict[str, object]]:
        for group in self.groups:
            for measure in self.measures:
                spread = group.spreads.get(measure)
                numbers = [None] * 4 if spread is None else [float(each) for each in spread[1:]]
                yield {
                    self.by: group.name,
                    "measure": measure,
                    "runs": group.runs,
                    "n": 0 if spread is None else spread.n,
                    **dict(zip(Spread._fields[1:], numbers, strict=True)),
                }

    __str__ = as_text
    __repr__ = as_text
    _repr_html_ = as_html


def compared(runs: Sequence[Record], names: Sequence[str], by: str) -> Comparison:
    """Group runs and compare the groups.

    Raises:
        ConfigurationError: There is no run of such a name, or no run has the parameter.
    """
    for name in names:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"compare() takes names as text, such as 'v1'; got {name!r}")
    if not runs:
        raise ConfigurationError("there are no runs to compare; name their file: experiments(FILE)")
    found: dict[str, list[Record]] = {}
    for run in runs:
        key = run.name if by == "name" else _param(run, by)
        if key is not None:
            found.setdefault(key, []).append(run)
    if not found:
        known = {"name", *(key for run in runs for key in run.params)}
        raise ConfigurationError(f"no run has {by!r}; {meant(by, sorted(known), 'names')}")
    for name in names:
        if name not in found:
            raise ConfigurationError(f"no run has {by} {name!r}; {meant(name, list(found), by)}")
    currencies = sorted({currency for run in runs for currency in run.costs or ()})
    groups = tuple(_group(name, found[name], currencies) for name in names or found)
    return Comparison(by, groups, tuple(_worth_showing(groups)))


def _worth_showing(groups: Sequence[Group]) -> Iterator[str]:
    """Give the measures, without those that are often nothing, where they are."""
    for measure in dict.fromkeys(measure for group in groups for measure in group.spreads):
        highest = [group.spreads[measure].high for group in groups if measure in group.spreads]
        if measure not in _OFTEN_NOTHING or any(highest):
            yield measure


_OFTEN_NOTHING = {"failed attempts", "cached tokens", "reasoning tokens"}


def _param(run: Record, key: str) -> str | None:
    return str(run.params[key]) if key in run.params else None


def _group(name: str, runs: Sequence[Record], currencies: Sequence[str]) -> Group:
    done = [run for run in runs if run.status == "completed"]
    left_out = Counter[str](run.status for run in runs if run.status != "completed")
    values: dict[str, list[Number]] = {}
    for run in done:
        for measure, value in _measured(run, currencies).items():
            values.setdefault(measure, []).append(value)
    inexact = {what: sum(bool(getattr(run, what)) for run in done) for what in _INEXACT}
    inexact["unmetered"] = sum(run.costs is None for run in done)
    spreads = {measure: Spread.of(each) for measure, each in values.items()}
    return Group(name, len(done), left_out, {k: n for k, n in inexact.items() if n}, spreads)


_INEXACT = {
    "estimated": "with estimated tokens",
    "partial": "with tokens of which only a lower bound is known",
    "unknown": "with calls of unknown tokens, whose tokens and money are not compared",
    "unpriced": "with calls that have no price, whose money is not compared",
}

_UNMETERED = "while metering was switched off, of whose calls nothing is known"


_MEASURES = frozenset((
    "calls", "failed attempts", "input tokens", "output tokens", "cached tokens",
    "reasoning tokens", "seconds",
))  # fmt: skip
"""What is measured of each run; a score of such a name is ``score.NAME``."""


def _measured(run: Record, currencies: Sequence[str]) -> dict[str, Number]:
    """Give what is wholly known of a run, by measure."""
    values: dict[str, Number | None] = {"calls": run.calls, "failed attempts": run.failed}
    if not run.unknown:
        values |= {"input tokens": run.input_tokens, "output tokens": run.output_tokens}
        values |= {"cached tokens": run.cache_read_tokens, "reasoning tokens": run.reasoning_tokens}
    costs = _whole_costs(run, currencies)
    values |= {**costs, "seconds": run.duration_s}
    taken = {*_MEASURES, *currencies}
    for score, value in run.scores.items():
        name = f"score.{score}" if score in taken else score
        values[name] = value
        for currency, amount in costs.items() if value > 0 else ():
            values[f"{currency} for 1 {name}"] = EXACT.divide(amount, Decimal(str(value)))
    return {name: value for name, value in values.items() if value is not None}


def _whole_costs(run: Record, currencies: Sequence[str]) -> dict[str, Decimal]:
    """Give the money of a run, if all of it is known; it may be none of a currency."""
    if run.costs is None or run.unknown or run.unpriced:
        return {}
    return {currency: run.costs.get(currency, Decimal(0)) for currency in currencies}


def _remarks(group: Group) -> Iterator[str]:
    name = shortened(group.name)
    if group.left_out:
        others = ", ".join(f"{n} {status}" for status, n in group.left_out.items())
        yield f"{name}: not compared are runs that did not complete ({others})"
    for what, n in group.inexact.items():
        yield f"{name}: {counted(n, 'run')} of {group.runs} {_INEXACT.get(what, _UNMETERED)}"


def _range(spread: Spread, runs: int) -> str:
    text = rounded(spread.median)
    if spread.low != spread.high:
        text += f" ({rounded(spread.low)} to {rounded(spread.high)})"
    return text if spread.n == runs else f"{text}, of {spread.n}"


def _difference(base: Spread | None, other: Spread) -> str:
    if base is None or base is other or base.median <= 0:
        return ""
    percent = (float(other.median) / float(base.median) - 1) * 100
    apart = float(other.low) > float(base.high) or float(other.high) < float(base.low)
    same = base[2:] == other[2:] and base.low == base.high
    sure = min(base.n, other.n) >= ENOUGH and (apart or same)
    return f"{'' if sure else '~ '}{percent:+,.0f} %".replace("-", "\N{MINUS SIGN}")


def _bar(spread: Spread, longest: float) -> Bar | None:
    if longest <= 0 or spread.low < 0:
        return None
    return Bar(
        float(spread.median) / longest, float(spread.low) / longest, float(spread.high) / longest
    )
