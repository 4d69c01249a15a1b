"""Rows as a data frame of whatever library is installed, through narwhals."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tokenmeter.errors import ConfigurationError, MissingExtraError

BACKENDS = ("pandas", "polars", "pyarrow")
"""What a frame can be, in the order in which it is looked for."""


def frame(rows: Sequence[Mapping[str, object]], backend: str | None = None) -> Any:
    """Give rows as a frame; the columns are the names of all rows, in order of appearance.

    Args:
        rows: The rows, by name of the column.
        backend: ``"pandas"``, ``"polars"`` or ``"pyarrow"``; else the one that the program has
            imported, else one that is installed.

    Raises:
        ConfigurationError: There is no such backend.
        MissingExtraError: narwhals is not installed, or no backend is.
    """
    columns = dict.fromkeys(name for row in rows for name in row)
    values = {name: [row.get(name) for row in rows] for name in columns}
    chosen = _chosen(backend)
    if find_spec("narwhals") is None:
        raise MissingExtraError("narwhals, which makes the frame,", "notebook")
    return import_module("narwhals").from_dict(values, backend=chosen).to_native()


def _chosen(backend: str | None) -> str:
    if backend is not None and backend not in BACKENDS:
        raise ConfigurationError(
            f"to_frame(backend=…) is one of {', '.join(BACKENDS)}; got {backend!r}"
        )
    wanted = BACKENDS if backend is None else (backend,)
    used = [name for name in wanted if name in sys.modules]
    for name in used or wanted:
        if find_spec(name) is not None:
            return name
    raise MissingExtraError(
        f"a library for data frames ({' or '.join(wanted)}, for example pip install {wanted[0]})",
        "notebook",
    )
