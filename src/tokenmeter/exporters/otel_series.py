"""Attribute sets: made once for each kind of call, and not more of them than a limit.

What a program sends to a gateway, and what a gateway answers, are names that anybody may make up.
A metric with one time series for each of them grows without bound; here the first ones have their
own, and all that come later share one, in which every attribute is ``_OTHER``. (Of calls that ended
in an error, metrics that tell them apart have a second such series.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import TagValue, UsageEvent
from tokenmeter.exporters import otel_names as names
from tokenmeter.exporters.otel_measures import More

OTHER = "_OTHER"
"""The value of every attribute of the one series in which the rest is folded."""

Attributes = Mapping[str, TagValue]

ALLOWED = (
    "agent", "conversation", "environment", "region", "server_address", "service", "service_tier",
    "source", "status", "task", "team", "user",
)  # fmt: skip
"""The columns that may become attributes of metrics, where they are allowed by name."""


_ERROR = 4  # where the error stands in the key of a series


class Series:
    """The attributes that one kind of call has, alone and with one more."""

    def __init__(self, attributes: dict[str, TagValue], error: str | None) -> None:
        failed = attributes if error is None else {**attributes, names.ERROR: error}
        self._made: dict[tuple[bool, More], Attributes] = {
            (False, None): attributes,
            (True, None): failed,
        }

    def attributes(self, metric: names.Metric, more: More) -> Attributes:
        """Give the attributes of a measurement."""
        key = (metric.has_error, more)
        found = self._made.get(key)
        if found is None and more is not None:
            found = self._made[key] = {**self._made[metric.has_error, None], more[0]: more[1]}
        return found or {}


class SeriesTable:
    """The series of all calls so far.

    Args:
        allowed: What else becomes an attribute: columns of the event, or ``tag:NAME``.
        limit: How many attribute sets there are before the rest is folded into one.

    Raises:
        ConfigurationError: A column may not be an attribute, or the limit is below 1.
    """

    def __init__(self, allowed: Iterable[str] = (), limit: int = 1_000) -> None:
        if limit < 1:
            raise ConfigurationError(f"series is how many there may be, at least 1; got {limit!r}")
        self._allowed = [(names.named(name), _reader(name)) for name in _checked(allowed)]
        self._limit = limit
        self._lock = threading.Lock()
        self._series: dict[tuple[TagValue | None, ...], Series] = {}
        self._folded: dict[bool, Series] = {}

    def __getitem__(self, event: UsageEvent) -> Series:
        """Give the series that an event belongs to."""
        key: tuple[TagValue | None, ...] = (
            event.operation,
            event.provider,
            event.request_model,
            event.response_model,
            event.error_type,
        )
        if self._allowed:
            key += tuple(read(event) for _, read in self._allowed)
        return self._series.get(key) or self._new(key)

    def after_fork(self) -> None:
        """Forget a lock that may be held by a thread of the parent."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._series)

    def _new(self, key: tuple[TagValue | None, ...]) -> Series:
        with self._lock:
            if len(self._series) < self._limit:
                return self._series.setdefault(key, self._made(key))
            failed = key[_ERROR] is not None
            if failed not in self._folded:
                folded: list[TagValue | None] = [OTHER] * len(key)
                folded[_ERROR] = OTHER if failed else None
                self._folded[failed] = self._made(tuple(folded))
            return self._folded[failed]

    def _made(self, key: tuple[TagValue | None, ...]) -> Series:
        operation, provider, asked, answered, error, *rest = key
        attributes: dict[str, TagValue] = {
            names.OPERATION: operation or "unknown",
            names.PROVIDER: provider or "unknown",
        }
        found = [(names.REQUEST_MODEL, asked), (names.RESPONSE_MODEL, answered)]
        found += zip((name for name, _ in self._allowed), rest, strict=True)
        attributes |= {name: value for name, value in found if value is not None}
        "".join(map(str, (*attributes.values(), error))).encode()  # half a surrogate spoils exports
        return Series(attributes, None if error is None else str(error))


def _checked(allowed: Iterable[str]) -> list[str]:
    if isinstance(allowed, str):
        raise ConfigurationError(
            f"attributes is a list of names, such as ['team', 'tag:project']; got {allowed!r}"
        )
    wanted = list(dict.fromkeys(allowed))
    for name in wanted:
        if name not in ALLOWED and not (name.startswith("tag:") and len(name) > 4):
            raise ConfigurationError(
                f"{name!r} cannot become an attribute of metrics; "
                f"those that can are {', '.join(ALLOWED)} and tag:NAME"
            )
    return wanted


def _reader(name: str) -> Callable[[UsageEvent], TagValue | None]:
    tag = name.removeprefix("tag:")
    if tag != name:
        return lambda event: None if event.tags is None else event.tags.get(tag)
    return lambda event: getattr(event, name)
