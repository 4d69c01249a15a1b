"""Charts as inline SVG, which every browser shows offline and every printer prints.

Drawn by hand, because the libraries that draw for browsers load scripts from elsewhere, or bring
megabytes of them into each page. Which chart a result has is said in `choosing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from html import escape
from itertools import pairwise
from math import floor, log10
from typing import NamedTuple
from unicodedata import east_asian_width

COLOURS = ("#0072b2", "#d17b00", "#009e73", "#b8608f", "#3d9bd0", "#8a8a8a")
"""After Okabe and Ito (https://jfly.uni-koeln.de/color/, read 2026-11-23): people who see few
colours tell them apart. Darkened until each has a contrast of 3 to both white and near black."""

WIDTH = 760
_ROW, _BAR, _LABEL = 26, 16, 230
_HEIGHT, _BASE, _TOP, _WIDEST = 260, 224, 24, 90
_DIGIT = 6.9  # pixels of a character of 12, as wide fonts have it


class Series(NamedTuple):
    """One colour of a chart: a value for each of its labels, ``None`` where nobody knows it."""

    name: str
    values: Sequence[float | None]


class Figure(NamedTuple):
    """What a chart shows.

    Attributes:
        title: What it is of.
        labels: Names of bars, or days of ISO.
        series: One, or several that are stacked.
        say: Writes a value at a bar.
        axis: Writes a value at an axis.
        marks: Values to compare with, one for each label; empty: none.
        has_rest: Whether the last label is all others: its bar is cut where it is longer than the
            rest of the chart, so that it does not make all others small.
    """

    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    say: Callable[[float], str]
    axis: Callable[[float], str]
    marks: Sequence[float | None] = ()
    has_rest: bool = False

    def known(self, at: int) -> list[float | None]:
        """Give what is stacked at one label."""
        return [one.values[at] for one in self.series]

    def sum(self, at: int) -> float:
        """Give the height of a stack."""
        return sum(value or 0 for value in self.known(at))

    def said(self, at: int) -> str:
        """Write the height of a stack; it is a question mark where nothing of it is known."""
        return "?" if all(value is None for value in self.known(at)) else self.say(self.sum(at))


def ticks(largest: float, about: int = 5) -> list[float]:
    """Give round values from zero to one that is not below the largest.

    >>> ticks(87), ticks(0.3), ticks(0)
    ([0.0, 20.0, 40.0, 60.0, 80.0, 100.0], [0.0, 0.1, 0.2, 0.3], [0.0, 1.0])
    """
    if largest <= 0:
        return [0.0, 1.0]
    power = 10.0 ** floor(log10(largest / about))
    step = next(s for s in (1, 2, 5, 10) if largest / (s * power) <= about + 1e-9) * power
    count = int(-(-largest // step)) if largest % step > step * 1e-9 else round(largest / step)
    return [float(f"{n * step:.12g}") for n in range(count + 1)]


def shortened(text: str, pixels: float) -> str:
    """Leave out the middle of a text that is too long; both of its ends tell names apart.

    >>> shortened("a.very.long.name.of.a.task", 90)
    'a.very…a.task'
    """
    if _pixels(text) <= pixels:
        return text
    head, tail = text[:-1], text[1:]
    while _pixels(head) + _pixels(tail) + _DIGIT > pixels and head:
        head, tail = (head[:-1], tail) if len(head) >= len(tail) else (head, tail[1:])
    return f"{head}…{tail}"


def _pixels(text: str) -> float:
    return sum(12.5 if east_asian_width(char) in "WF" else _DIGIT for char in text)


def bars(figure: Figure) -> str:
    """Draw a bar to the right for each label."""
    left = min(_LABEL, max(map(_pixels, figure.labels), default=0)) + 10
    right = max((_pixels(figure.said(at)) for at in range(len(figure.labels))), default=0) + 12
    steps = ticks(_largest(figure), 5)
    end = WIDTH - right
    scale = (end - left) / steps[-1]
    bottom = len(figure.labels) * _ROW + 6
    parts = [*_vertical_grid(figure, steps, left, scale, bottom)]
    for at in range(len(figure.labels)):
        parts += _bar(figure, at, left, scale, end)
    return _svg(figure, bottom + 22, parts)


def _bar(figure: Figure, at: int, left: float, scale: float, end: float) -> Iterator[str]:
    label, y, x = figure.labels[at], at * _ROW + 5, left
    yield f"<g><title>{escape(_told(figure, at))}</title>"
    yield _text(left - 8, y + 12, escape(shortened(label, _LABEL)), "end")
    if left + figure.sum(at) * scale > end + 1:
        yield from _cut(left, y, end)
        x = end
    else:
        for index, value in enumerate(figure.known(at)):
            if value:
                yield _rect(x, y, value * scale, _BAR, index)
                x += value * scale
    mark = figure.marks[at] if figure.marks else None
    if mark is not None:
        place = left + mark * scale
        yield (
            f'<rect x="{place - 1.5:.1f}" y="{y - 3}" width="3" height="{_BAR + 6}" '
            f'fill="currentColor"/>'
        )
        x = max(x, place)
    yield f"{_text(x + 6, y + 12, escape(figure.said(at)), 'start')}</g>"


def _cut(left: float, y: float, end: float) -> Iterator[str]:
    """Draw a bar that is longer than the chart, with a gap that says so."""
    middle, low = (left + end) / 2, y + _BAR
    shapes = (
        (left, y, middle - 2, y, middle - 8, low, left, low),
        (middle + 8, y, end, y, end, low, middle + 2, low),
    )
    for shape in shapes:
        points = " ".join(f"{number:.1f}" for number in shape)
        yield f'<polygon points="{points}" fill="{COLOURS[-1]}"/>'


def _vertical_grid(
    figure: Figure, steps: list[float], left: float, scale: float, bottom: float
) -> Iterator[str]:
    room = scale * (steps[1] - steps[0])
    every = 2 if max(_pixels(figure.axis(step)) for step in steps) + 8 > room else 1
    for step in steps[::every]:
        x = left + step * scale
        yield _line(x, 0, x, bottom)
        yield _text(x, bottom + 15, escape(figure.axis(step)), "middle", is_quiet=True)


def columns(figure: Figure) -> str:
    """Draw a column for each day, week or month, at its place in time."""
    days = [date.fromisoformat(label).toordinal() for label in figure.labels]
    apart = min((b - a for a, b in pairwise(days)), default=1)
    steps = ticks(_largest(figure), 4)
    left = max(_pixels(figure.axis(step)) for step in steps) + 12
    day = (WIDTH - left) / (days[-1] - days[0] + apart)
    places = [left + (at - days[0]) * day for at in days]
    scale = (_BASE - _TOP) / steps[-1]
    parts = [*_horizontal_grid(figure, steps, left, scale), *_dates(days, apart, left, day)]
    for at, x in enumerate(places):
        parts += _column(figure, at, x, day * apart, scale)
    return _svg(figure, _HEIGHT, parts)


def lines(figure: Figure) -> str:
    """Draw a line for each series over time, of what cannot be stacked; marks are a dashed one."""
    days = [date.fromisoformat(label).toordinal() for label in figure.labels]
    apart = min((b - a for a, b in pairwise(days)), default=1)
    known = [value for one in (*figure.series, Series("", figure.marks)) for value in one.values]
    steps = ticks(max((value for value in known if value is not None), default=0), 4)
    left = max(_pixels(figure.axis(step)) for step in steps) + 12
    day, scale = (WIDTH - left) / (days[-1] - days[0] + apart), (_BASE - _TOP) / steps[-1]
    places = [left + (at - days[0] + apart / 2) * day for at in days]
    parts = [*_horizontal_grid(figure, steps, left, scale), *_dates(days, apart, left, day)]
    if figure.marks:
        y = _BASE - (figure.marks[0] or 0) * scale
        parts.append(
            f'<line x1="{left:.1f}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}" '
            f'stroke="currentColor" stroke-dasharray="6 4"/>'
        )
    for index, one in enumerate(figure.series):
        parts += _track(figure, one, index, places, scale)
    return _svg(figure, _HEIGHT, parts)


def _track(
    figure: Figure, one: Series, index: int, places: Sequence[float], scale: float
) -> Iterator[str]:
    points = [
        (x, _BASE - value * scale, value)
        for x, value in zip(places, one.values, strict=True)
        if value is not None
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    colour = COLOURS[index]
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, y, value in points:
        told = escape(f"{one.name} {figure.say(value)}")
        dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">'
        yield f"{dot}<title>{told}</title></circle>"


def _column(figure: Figure, at: int, x: float, wide: float, scale: float) -> Iterator[str]:
    gap = max(min(wide * 0.2, 8), wide - _WIDEST)
    y = float(_BASE)
    yield f"<g><title>{escape(_told(figure, at))}</title>"
    for index, value in enumerate(figure.known(at)):
        if value:
            y -= value * scale
            yield _rect(x + gap / 2, y, wide - gap, value * scale, index)
    said = figure.said(at)
    if _pixels(said) < wide - 2:
        yield _text(x + wide / 2, y - 5, escape(said), "middle")
    yield "</g>"


def _horizontal_grid(
    figure: Figure, steps: list[float], left: float, scale: float
) -> Iterator[str]:
    for step in steps:
        y = _BASE - step * scale
        yield _line(left, y, WIDTH, y)
        yield _text(left - 6, y + 4, escape(figure.axis(step)), "end", is_quiet=True)


def _dates(days: list[int], apart: int, left: float, day: float) -> Iterator[str]:
    """Write so many days below the axis as have room, each below its column."""
    every = max(1, -(-round(_DIGIT * 11) // max(1, round(apart * day))))
    last = -WIDTH * 1.0
    for at in days[::every]:
        half, middle = _DIGIT * 5, left + (at - days[0] + apart / 2) * day
        middle = min(max(middle, half), WIDTH - half)
        if middle - last >= _DIGIT * 11:
            yield _text(middle, _BASE + 18, str(date.fromordinal(at)), "middle", is_quiet=True)
            last = middle


def _largest(figure: Figure) -> float:
    shown = len(figure.labels) - figure.has_rest
    sums = [figure.sum(at) for at in range(shown)]
    return max([*sums, *(mark or 0 for mark in figure.marks)], default=0)


def _told(figure: Figure, at: int) -> str:
    parts = [
        f"{one.name} {figure.say(one.values[at] or 0)}" for one in figure.series if one.values[at]
    ]
    whole = f"{figure.labels[at]}: {figure.said(at)}"
    return f"{whole} ({', '.join(parts)})" if len(figure.series) > 1 else whole


def _svg(figure: Figure, height: float, parts: list[str]) -> str:
    described = "; ".join(_told(figure, at) for at in range(min(5, len(figure.labels))))
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" xmlns="http://www.w3.org/2000/svg" font-size="12" '
        f'font-family="system-ui, sans-serif"><title>{escape(figure.title)}</title>'
        f"<desc>{escape(described)}</desc>{''.join(parts)}</svg>"
    )


def _rect(x: float, y: float, width: float, height: float, series: int) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" '
        f'height="{max(height, 0.5):.1f}" fill="{COLOURS[series]}"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f'stroke-opacity="0.18"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, *, is_quiet: bool = False) -> str:
    opacity = ' fill-opacity="0.75"' if is_quiet else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor"{opacity}>'
        f"{text}</text>"
    )


def legend(figure: Figure, mark: str = "") -> str:
    """Say which colour is what; nothing where there is one only and nothing to compare with."""
    if len(figure.series) < 2 and not figure.marks:
        return ""
    keys = [
        f'<span><svg width="11" height="11" aria-hidden="true"><rect width="11" height="11" '
        f'fill="{COLOURS[at]}"/></svg> {escape(one.name)}</span>'
        for at, one in enumerate(figure.series)
    ]
    if figure.marks:
        keys.append(
            '<span><svg width="11" height="14" aria-hidden="true"><rect x="4" width="3" '
            f'height="14" fill="currentColor"/></svg> {escape(mark)}</span>'
        )
    return f'<p class="tm-legend">{" ".join(keys)}</p>'
