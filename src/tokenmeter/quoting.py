"""Names and texts of SQL, as each engine reads them that we ask, and files as DuckDB does."""

from __future__ import annotations

import glob
from pathlib import Path

from tokenmeter.errors import ConfigurationError


def quoted(name: str) -> str:
    """Give a name in SQL.

    >>> print(quoted('a "b" c'))
    "a ""b"" c"
    """
    return '"' + name.replace('"', '""') + '"'


def text(value: object) -> str:
    """Give a text in SQL.

    >>> print(text("it's"))
    'it''s'
    """
    return "'" + str(value).replace("'", "''") + "'"


def whole(path: Path) -> str:
    """Give the name of a file as DuckDB says it: from the root, without a way back in it."""
    return str(path.absolute().parent.resolve() / path.name)


def file(path: Path) -> str:
    """Give one file in SQL of DuckDB, to which a name is a pattern, and ``~`` the home.

    Raises:
        ConfigurationError: DuckDB would read another file: in a pattern a backslash ends a folder.

    >>> print(file(Path("/logs/u[1].jsonl")))
    '/logs/u[[]1].jsonl'
    """
    name = whole(path)
    if "\\" in name and glob.has_magic(name):
        raise ConfigurationError(
            f"{name} has a backslash and one of *?[; give it another name, because DuckDB would "
            "look for another file"
        )
    return text(glob.escape(name))
