"""Pictures of comparisons, with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from tokenmeter.errors import MissingExtraError
from tokenmeter.notebook.tables import Number, shortened


class Mark(NamedTuple):
    """A bar of a panel, and the range over it."""

    name: str
    median: Number
    low: Number
    high: Number


def plotted(panels: Mapping[str, Sequence[Mark]]) -> list[Any]:
    """Draw a panel of bars for each measure; give their axes, of one figure of pyplot.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib, which draws,", "plot")
    pyplot = import_module("matplotlib.pyplot")
    size = (6, 0.6 + sum(0.6 + 0.35 * len(marks) for marks in panels.values()))
    _, axes = pyplot.subplots(
        len(panels), squeeze=False, figsize=size, layout="constrained",
        gridspec_kw={"height_ratios": [len(marks) + 1 for marks in panels.values()]},
    )  # fmt: skip
    for ax, (measure, marks) in zip(axes[:, 0], panels.items(), strict=True):
        _draw(ax, measure, marks)
    return list(axes[:, 0])


def _draw(ax: Any, measure: str, marks: Sequence[Mark]) -> None:
    medians = [float(mark.median) for mark in marks]
    below = [float(mark.median) - float(mark.low) for mark in marks]
    above = [float(mark.high) - float(mark.median) for mark in marks]
    # A name may hold a $, with which matplotlib begins a formula.
    names = [shortened(mark.name).replace("$", r"\$") for mark in marks]
    ax.barh(range(len(marks)), medians, xerr=[below, above], capsize=3)
    ax.set_yticks(range(len(marks)), names)
    ax.invert_yaxis()
    ax.set_title(measure.replace("$", r"\$"), loc="left", fontsize="medium")
