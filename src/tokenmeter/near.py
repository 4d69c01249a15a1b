"""What somebody probably meant who wrote a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Give the known name that is near.

    >>> nearest("jsnol", ["jsonl", "memory"])
    'jsonl'
    """
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, sorted(known), n=1)), None)


def meant(name: str, known: Iterable[str], what: str = "names") -> str:
    """Say which known name is near, and all of them.

    >>> meant("jsnol", ["jsonl", "memory"])
    "did you mean 'jsonl'? Known names are jsonl, memory"
    >>> meant("", [])
    'known names are none'
    """
    names = sorted(set(known))
    near = nearest(name, names)
    question = "known" if near is None else f"did you mean {near!r}? Known"
    return f"{question} {what} are {', '.join(names) or 'none'}"
