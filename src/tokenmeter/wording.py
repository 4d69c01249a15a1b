"""How a number of things is said."""

from __future__ import annotations


def counted(number: int, noun: str, verb: str = "") -> str:
    """Say how many there are of something, and that they are or have it.

    >>> counted(1, "row"), counted(2000, "row"), counted(1, "row", "are"), counted(0, "row", "have")
    ('1 row', '2,000 rows', '1 row is', '0 rows have')
    """
    if number == 1:
        return f"1 {noun} {_SINGULAR[verb]}".rstrip()
    return f"{number:,} {noun}s {verb}".rstrip()


_SINGULAR = {"": "", "are": "is", "have": "has"}
