"""Columns as a data frame of whatever library is installed, through narwhals."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, get_args

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
