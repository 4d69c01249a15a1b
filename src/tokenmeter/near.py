"""What somebody probably meant who wrote a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable


def meant(name: str, known: Iterable[str], what: str = "names") -> str:
    """Say which known name is near, and all of them.

    >>> meant("jsnol", ["jsonl", "memory"])
    "did you mean 'jsonl'? Known names are jsonl, memory"
    >>> meant("", [])
    'known names are none'
    """
    from difflib import get_close_matches

    names = sorted(set(known))
    near = get_close_matches(name, names, n=1)
    question = f"did you mean {near[0]!r}? Known" if near else "known"
    return f"{question} {what} are {', '.join(names) or 'none'}"
