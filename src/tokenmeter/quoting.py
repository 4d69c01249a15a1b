"""Names and texts of SQL, as each engine reads them that we ask."""

from __future__ import annotations


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
