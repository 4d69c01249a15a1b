"""Results as frames, by narwhals: of whichever library of frames is there."""

from __future__ import annotations

from typing import Any, Literal, get_args

from tokenmeter.errors import ConfigurationError, MissingExtraError
from tokenmeter.near import meant
from tokenmeter.reports.values import Result

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
    columns = {column.name: list(result.column(column.name)) for column in result.columns}
    try:
        return nw.from_dict(columns, backend=backend).to_native()
    except ImportError as missing:
        raise ConfigurationError(
            f"{backend} is not installed: run  pip install {backend}"
        ) from missing
