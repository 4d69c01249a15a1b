"""The runs of a file as a value: shown as text and HTML, and given as a frame."""

from __future__ import annotations

from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import pytest

from tokenmeter import ConfigurationError, MissingExtraError
from tokenmeter.frames import BACKENDS, frame
from tokenmeter.notebook.experiments import Experiments
from tokenmeter.notebook.records import Plain
from trials import record

FILE = Path("/kept/runs.jsonl")
RUNS = (
    record(
        1, params={"t": 0.5}, calls=2, attempts=2, input_tokens=2000, costs={"USD": Decimal("0.5")},
        scores={"accuracy": 0.75},
    ),
    record(2, status="unfinished", costs=None, duration_s=None, calls=None, attempts=None),
    record(3, name="<i>v2</i>", status="failed", error_type="ValueError", attempts=1, unpriced=1,
           input_tokens=1),
)  # fmt: skip


def test_they_are_shown_as_text_with_what_is_unknown_as_a_question() -> None:
    title, head, *rows, unfinished, kept = str(Experiments(RUNS, FILE)).splitlines()
    assert title == "experiments"
    assert head.split() == [
        "began", "(UTC)", "experiment", "params", "scores", "status", "calls", "input", "output",
        "cost", "seconds", "numbers", "are",
    ]  # fmt: skip
    assert [row.split()[2:] for row in rows] == [
        ["v1", "t=0.5", "accuracy=0.75", "completed", "2", "2,000", "0", "0.5", "USD", "1.00",
         "reported"],
        ["v1", "unfinished", "?", "?", "?", "?", "?", "unknown"],
        ["<i>v2</i>", "failed:", "ValueError", "0", "1", "0", "no", "price", "1.00", "reported,",
         "1", "retried"],
    ]  # fmt: skip
    assert unfinished == "unfinished: the run goes on, or its process was killed"
    assert kept == "kept in /kept/runs.jsonl"


def test_they_are_shown_as_html_that_names_cannot_break() -> None:
    shown = Experiments(RUNS, FILE)._repr_html_()
    assert "&lt;i&gt;v2" in shown
    assert "<i>" not in shown
    assert "<svg" in shown


def test_a_view_has_the_latest_runs_and_says_so() -> None:
    many = Experiments(tuple(record(n) for n in range(53)), FILE, skipped=2)
    assert len(many.table().rows) == 50
    assert many.table().notes == (
        "3 earlier runs are not shown",
        "2 lines of the file could not be read",
        "kept in /kept/runs.jsonl",
    )


def test_no_runs_are_shown_as_none() -> None:
    assert str(Experiments((), FILE)).splitlines()[-1] == "no runs in /kept/runs.jsonl"


@pytest.mark.parametrize("backend", [name for name in BACKENDS if find_spec(name)])
def test_a_frame_has_a_row_for_each_and_money_is_exact(backend: str) -> None:
    import narwhals

    rows = narwhals.from_native(Experiments(RUNS, FILE).to_frame(backend)).rows(named=True)
    assert [row["name"] for row in rows] == ["v1", "v1", "<i>v2</i>"]
    assert rows[0]["cost.USD"] == Decimal("0.5")
    assert rows[0]["input_tokens"] == 2000
    assert (rows[0]["param.t"], rows[0]["score.accuracy"]) == (0.5, 0.75)


@pytest.mark.parametrize("backend", [name for name in BACKENDS if find_spec(name)])
def test_a_parameter_of_several_types_is_floats_or_text_in_a_frame(backend: str) -> None:
    import narwhals

    tried: list[dict[str, Plain]] = [
        {"t": 0, "how": 0.7, "on": True}, {"t": 0.7, "how": "default", "on": 1}, {"t": 1}
    ]  # fmt: skip
    runs = tuple(record(n, params=params) for n, params in enumerate(tried))
    rows = narwhals.from_native(Experiments(runs, FILE).to_frame(backend)).rows(named=True)
    assert [row["param.t"] for row in rows] == [0.0, 0.7, 1.0]
    assert [row["param.how"] for row in rows[:2]] == ["0.7", "default"]
    assert [row["param.on"] for row in rows[:2]] == ["True", "1"]


def test_a_frame_of_no_runs_has_no_rows() -> None:
    assert len(Experiments((), FILE).to_frame("pandas")) == 0


def test_a_comparison_gives_a_row_for_each_group_and_measure() -> None:
    given = Experiments(RUNS[:1], FILE).compare().to_frame("pandas")
    assert given[given.measure == "USD"].to_dict("records") == [
        {"name": "v1", "measure": "USD", "runs": 1, "n": 1, "median": 0.5, "mean": 0.5, "low": 0.5,
         "high": 0.5}
    ]  # fmt: skip


def test_a_frame_of_another_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'dask'.*pandas, polars, pyarrow"):
        frame({"a": [1]}, "dask")


@pytest.mark.parametrize(
    ("missing", "said"), [("narwhals", "narwhals"), ("pandas", "pip install pandas")]
)
def test_what_is_not_installed_is_said_with_the_command(
    monkeypatch: pytest.MonkeyPatch, missing: str, said: str
) -> None:
    monkeypatch.setattr(
        "tokenmeter.frames.find_spec",
        lambda name: None if name == missing else find_spec(name),
    )
    with pytest.raises(MissingExtraError, match=said):
        frame({"a": [1]}, "pandas")


def test_a_picture_without_matplotlib_is_answered_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tokenmeter.notebook.plots.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"tokenmeter\[plot\]"):
        Experiments(RUNS, FILE).compare().plot()


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_a_picture_has_a_panel_for_each_measure_and_a_bar_for_each_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    from matplotlib import pyplot

    runs = (record(1, calls=2), record(2, calls=4), record(3, name="$v_2$", calls=1))
    axes = Experiments(runs, FILE).compare().plot("calls", "seconds")
    assert [ax.get_title(loc="left") for ax in axes] == ["calls", "seconds"]
    assert [patch.get_width() for patch in axes[0].patches] == [3, 1]
    axes[0].figure.canvas.draw()
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["v1", r"\$v_2\$"]
    pyplot.close("all")
