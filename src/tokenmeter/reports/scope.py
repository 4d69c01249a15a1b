"""What a report is about: a period, a time zone, a currency, and a choice of calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tokenmeter.errors import ConfigurationError

RULES = 1
"""Version of the rules by which reports count; every result states it. See ``docs/reports.md``."""

USUAL_CURRENCY = "USD"
"""The currency of amounts where nothing says which."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is about.

    Args:
        since: Calls that began at this time or later; ``None``: from the first.
        until: Calls that began before this time; ``None``: up to the last.
        zone: The time zone of days, weeks and months, an IANA name. It is that of the report and
            not of whoever reads it.
        currency: The currency of amounts; ``None``: that of most people; of most calls, where
            none names anybody. What was priced in another one counts as unpriced.
        only: Values that calls must have, by the name of a column.
    """

    since: datetime | None = None
    until: datetime | None = None
    zone: str = "UTC"
    currency: str | None = None
    only: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        at_home = zone(self.zone)
        for name in ("since", "until"):
            at = getattr(self, name)
            if at is not None and at.tzinfo is None:
                raise ConfigurationError(
                    f"{name} is a time with a zone, such as datetime(2026, 11, 1, tzinfo=UTC); "
                    f"got {at!r}"
                )
            try:  # also the day before an end, by which a period is named
                _ = at and at.astimezone(UTC) and at.astimezone(at_home) - _SHORTEST[name]
            except OverflowError:
                raise _beyond(f"{name} {at}") from None
        for each in (text for condition in self.only.items() for text in condition):
            readable(each)
        if self.since and self.until and self.since >= self.until:
            raise ConfigurationError(
                f"a period ends after it begins; got since {self.since} and until {self.until}"
            )

    def before(self) -> Scope:
        """Give the period of the same length that ends where this one begins.

        Raises:
            ConfigurationError: This one has no beginning or no end.
        """
        if self.since is None or self.until is None:
            raise ConfigurationError(
                "a period is compared with the one before it where it has a beginning and an end: "
                "say since and until"
            )
        # By the clock on the wall, so that days are whole where one of them has 23 or 25 hours.
        first, end = (at.astimezone(zone(self.zone)) for at in (self.since, self.until))
        try:
            since = (first - (end - first)).astimezone(UTC)
        except OverflowError:
            raise _beyond(f"the period before {first}, as long as that to {end},") from None
        return msgspec.structs.replace(self, since=since, until=self.since)


_SHORTEST = {"since": timedelta(), "until": timedelta(days=1)}


def _beyond(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} is beyond the calendar, which has the years 1 to 9999; leave it out where there "
        "is no limit"
    )


def readable(name: str) -> str:
    """Give a name of a column, a value or a file that queries can hold.

    Raises:
        ConfigurationError: It has bytes that are no UTF-8, or halves of a character.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{name!r} is no text in UTF-8, and reports read nothing else; give it in UTF-8, and a "
            "file another name"
        ) from None
    return name


def zone(name: str) -> ZoneInfo:
    """Give a time zone by its IANA name.

    Raises:
        ConfigurationError: There is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"there is no time zone {name!r}; use an IANA name such as UTC or Europe/Berlin"
        ) from None


def local(at: datetime, name: str) -> datetime:
    """Give a time by the clock of a zone; by that of UTC where it is beyond the calendar there."""
    try:
        return at.astimezone(zone(name))
    except OverflowError:
        return at.astimezone(UTC)


def moment(text: str, name: str, *, is_end: bool = False) -> datetime:
    """Read a day or a time as a command line says it; a day begins at midnight of the zone.

    Args:
        text: ``2026-11-01``, or a time of ISO 8601; one without a zone is in that of the report.
        name: The time zone of the report.
        is_end: Whether it ends a period: a day is in it then.

    Raises:
        ConfigurationError: It is neither.

    >>> moment("2026-11-30", "UTC", is_end=True).isoformat()
    '2026-12-01T00:00:00+00:00'
    """
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=is_end)
            return datetime.combine(day, time(), zone(name)).astimezone(UTC)
        if not _TIME.search(text):  # Python takes 20261101 and 2026-W44 for midnights
            raise ValueError(text)
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=zone(name))).astimezone(UTC)
    except OverflowError:
        raise _beyond(text) from None
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is neither a day such as 2026-11-01 nor a time such as 2026-11-01T12:00Z"
        ) from None


_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile("[Tt ]")
