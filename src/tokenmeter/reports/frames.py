"""Frames in and out, by narwhals: of whichever library of frames is there."""

from __future__ import annotations

from typing import Any, Literal, get_args

from tokenmeter.errors import ConfigurationError, MissingExtraError
from tokenmeter.near import meant
from tokenmeter.reports.values import Result, cast

Backend = Literal["pandas", "polars", "pyarrow"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)


def frame(result: Result, backend: Backend) -> Any:
    """Give the rows of a result as a frame of a library; money is Decimal in it.

    Raises:
        ConfigurationError: There is no such library of frames.
        MissingExtraError: narwhals or that library is not installed.
    """
    if backend not in BACKENDS:
        raise ConfigurationError(f"{backend!r} has no frames: {meant(backend, BACKENDS)}")
    try:
        import narwhals as nw
    except ImportError as missing:
        raise MissingExtraError("narwhals", "report") from missing
    # Through `cast`, because some libraries want amounts of one column to have equally many digits.
    columns = {
        column.name: [cast(value, column.kind) for value in result.column(column.name)]
        if column.kind == "money"
        else list(result.column(column.name))
        for column in result.columns
    }
    try:
        return nw.from_dict(columns, backend=backend).to_native()
    except ImportError as missing:
        raise ConfigurationError(
            f"{backend} is not installed: run  pip install {backend}"
        ) from missing


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
        known: Any = nw.from_native(_whole(frame))
        whole: Any = known.collect() if isinstance(known, nw.LazyFrame) else known
        return whole.to_native() if str(whole.implementation) in BACKENDS else whole.to_arrow()
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
