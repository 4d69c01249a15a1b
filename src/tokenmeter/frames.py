"""Data frames, out and in, through narwhals: of whatever library of them is there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, cast, get_args

from tokenmeter.errors import ConfigurationError, MissingExtraError
from tokenmeter.near import meant

Backend = Literal["pandas", "polars", "pyarrow"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
"""What a frame can be, in the order in which it is looked for."""


def frame(columns: Mapping[str, Sequence[object]], backend: Backend | None = None) -> Any:
    """Give columns as a frame; money is Decimal in it.

    Args:
        columns: The values by name of the column.
        backend: Which library; ``None``: the one that the program has imported, else one that is
            installed.

    Raises:
        ConfigurationError: There is no such backend.
        MissingExtraError: narwhals is not installed, or no backend is.
    """
    chosen = _chosen(backend)
    if find_spec("narwhals") is None:
        raise MissingExtraError("narwhals, which makes the frame,", "report")
    return import_module("narwhals").from_dict(dict(columns), backend=chosen).to_native()


def _chosen(backend: Backend | None) -> str:
    if backend is not None and backend not in BACKENDS:
        raise ConfigurationError(f"{backend!r} has no frames: {meant(backend, BACKENDS)}")
    wanted = BACKENDS if backend is None else (backend,)
    used = [name for name in wanted if name in sys.modules]
    for name in used or wanted:
        if find_spec(name) is not None:
            return name
    raise MissingExtraError(
        f"a library for data frames ({' or '.join(wanted)}, for example pip install {wanted[0]})",
        "report",
    )


def by_column(
    rows: Sequence[Mapping[str, object]], names: Sequence[str] = ()
) -> dict[str, list[object]]:
    """Give rows as columns: these names first, then others in the order of their appearance.

    >>> by_column([{"a": 1}, {"b": 2}])
    {'a': [1, None], 'b': [None, 2]}
    """
    every = dict.fromkeys([*names, *(name for row in rows for name in row)])
    return {name: [row.get(name) for row in rows] for name in every}


def alike(column: Sequence[object]) -> Sequence[object]:
    """Give a column with values of one type: floats of several kinds of numbers, or else texts.

    >>> alike([0, 0.7, None]), alike([0.7, "default"])
    ([0.0, 0.7, None], ['0.7', 'default'])
    """
    kinds = {type(value) for value in column if value is not None}
    if len(kinds) < 2:
        return column
    made: type[float] | type[str] = float if kinds == {int, float} else str
    return [None if value is None else made(cast("Any", value)) for value in column]


def native(frame: object) -> Any:
    """Give a frame as DuckDB reads it: of pandas, Polars or pyarrow as it is, all others as Arrow.

    Raises:
        ConfigurationError: It is no frame, or pyarrow is needed and not installed.
    """
    try:
        import narwhals as nw
    except ImportError:
        return frame  # what DuckDB knows itself needs nothing else
    try:
        known = nw.from_native(_whole(frame))
        whole = known.collect() if isinstance(known, nw.LazyFrame) else known
        is_known = str(whole.implementation) in BACKENDS
        return whole.to_native() if is_known else cast("Any", whole).to_arrow()
    except ImportError as missing:
        raise ConfigurationError(
            f"a frame of {type(frame).__module__} is read by pyarrow, which is not installed: run  "
            f"pip install pyarrow"
        ) from missing
    except TypeError:
        raise ConfigurationError(
            f"{type(frame).__name__} is no frame; expected one of pandas, Polars, pyarrow or "
            f"another library that narwhals knows, or names of files"
        ) from None


def _whole(frame: Any) -> Any:
    """Read a stream of Arrow to its end, because a report reads it more than once."""
    if hasattr(frame, "read_all") and hasattr(frame, "__arrow_c_stream__"):
        return frame.read_all()
    return frame
