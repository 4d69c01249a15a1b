"""Times as trackers write them.

Read 2026-11-23: GitHub, GitLab and Jira's REST API say ISO 8601 with a zone. Jira's CSV has the
format and the zone of whoever exported it, ``09/Oct/25 1:42 PM`` where nobody changed it, and says
no zone (https://confluence.atlassian.com/adminjiraserver/configuring-the-look-and-feel-938847074.html).
Linear's CSV has ISO 8601, or what JavaScript prints:
``Wed May 13 2026 11:21:41 GMT+0000 (GMT+00:00)``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import NoReturn

EXPECTED = "a time such as 2026-11-23T10:00:00Z or 23/Nov/26 10:00 AM, or --at-format"

_ISO = re.compile(r"\d{4}-\d")
_NAME_OF_ZONE = re.compile(r"\s*\([^)]*\)$")
_FORMATS = (
    "%d/%b/%y %I:%M %p",
    "%d/%b/%Y %I:%M %p",
    "%d/%b/%y %H:%M",
    "%a %b %d %Y %H:%M:%S GMT%z",
)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownTimeError(ValueError):
    """Say what could stand where something stands that is no time."""


def time_of(text: str, zone: tzinfo | None = None, form: str | None = None) -> datetime:
    """Read a time.

    Args:
        text: What is written.
        zone: The zone of a time that says none.
        form: How it is written, as in `datetime.strptime`; ``None``: in one of the known ways.

    Raises:
        UnknownTimeError: It is no time, it says no zone and none is given, or it is before 1970,
            which is how some programs write that there is none.

    >>> time_of("2026-07-20T11:00:00.000+0000").isoformat()
    '2026-07-20T11:00:00+00:00'
    >>> time_of("09/Oct/25 1:42 PM", UTC).isoformat()
    '2025-10-09T13:42:00+00:00'
    """
    found = _read(text, form)
    if found.utcoffset() is None:
        if zone is None:
            raise UnknownTimeError("a time with its zone; say --timezone where there is none")
        found = found.replace(tzinfo=zone)
    if found < _FIRST:
        raise UnknownTimeError("a time since 1970")
    return found


def _read(text: str, form: str | None) -> datetime:
    if form is not None:
        return _parsed(text, form) or _unknown(f"a time that is written {form}")
    if _ISO.match(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            _unknown(EXPECTED)
    bare = _NAME_OF_ZONE.sub("", text)
    found = (_parsed(bare, known) for known in _FORMATS)
    return next(filter(None, found), None) or _unknown(EXPECTED)


def _parsed(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def _unknown(expected: str) -> NoReturn:
    raise UnknownTimeError(expected)
