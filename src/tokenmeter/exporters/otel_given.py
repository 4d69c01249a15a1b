"""Recording into the MeterProvider of a program; and what both ways of delivery have in common.

When an event is recorded it is handed over: what OpenTelemetry does with it is up to the provider,
which says nothing about it, so `exported` means *handed to OpenTelemetry* here.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from tokenmeter.errors import BusyError, ConfigurationError
from tokenmeter.exporters.otel_names import CONVENTIONS
from tokenmeter.sinks import Account

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider


class Delivery(Protocol):
    """Where measurements go, and what is known of their arrival."""

    def meter(self) -> Meter:
        """Give what makes the instruments; again after a fork."""
        ...

    def send(self, records: list[Any]) -> None:
        """Send log records; raises where they did not arrive."""
        ...

    def recorded(self, events: int) -> None:
        """Take note that so many events have been recorded."""
        ...

    def unwanted(self, events: int) -> None:
        """Take note of events that nobody wants: OpenTelemetry is switched off."""
        ...

    def account(self) -> Account:
        """Say what became of the events that were recorded."""
        ...

    def flush(self, timeout: float) -> bool:
        """Have everything recorded so far arrive; false where it did not in time."""
        ...

    def close(self, timeout: float) -> None:
        """Make an end."""
        ...

    def after_fork(self) -> None:
        """Begin anew in a forked child."""
        ...


def scope() -> dict[str, Any]:
    """Say who measures, and by which conventions."""
    from tokenmeter import __version__

    return {
        "name": "tokenmeter",
        "version": __version__,
        "attributes": {"tokenmeter.conventions": CONVENTIONS},
    }


class Given:
    """The provider that was given, else the one that the program made the global one."""

    def __init__(self, meter_provider: MeterProvider | None, logger_provider: Any = None) -> None:
        if meter_provider is not None and not hasattr(meter_provider, "get_meter"):
            raise ConfigurationError(
                f"meter_provider is a MeterProvider of OpenTelemetry; got {meter_provider!r}"
            )
        self._provider = meter_provider
        self._logger_provider = logger_provider
        self.after_fork()

    def _current(self) -> MeterProvider:
        from opentelemetry import metrics

        return self._provider or metrics.get_meter_provider()

    def meter(self) -> Meter:
        """Give the meter of the provider.

        Raises:
            BusyError: There is no provider yet, so that what is recorded would be lost.
        """
        provider = self._current()
        if type(provider).__name__ == "_ProxyMeterProvider":
            raise BusyError(
                "OpenTelemetry has no MeterProvider: call opentelemetry.metrics."
                "set_meter_provider(…), or configure(exporters=['otlp']) instead of 'otel'"
            )
        return provider.get_meter(**scope())

    def send(self, records: list[Any]) -> None:
        """Hand log records to the logger provider."""
        from opentelemetry import _logs

        logger = (self._logger_provider or _logs.get_logger_provider()).get_logger(**scope())
        for record in records:
            logger.emit(record)

    def recorded(self, events: int) -> None:
        """Take note that so many events have been recorded."""
        with self._lock:
            self._recorded += events

    def unwanted(self, events: int) -> None:
        """Take note of events that the provider, switched off, does not want."""
        with self._lock:
            self._unwanted += events

    def account(self) -> Account:
        """Say how many events were handed over."""
        with self._lock:
            return Account(
                captured=self._recorded + self._unwanted,
                exported=self._recorded,
                filtered=self._unwanted,
            )

    def flush(self, timeout: float) -> bool:
        """Have the provider flush, where it can; what it says of the end cannot be relied on."""
        flush = getattr(self._current(), "force_flush", None)
        if flush is None:
            return True
        return timeout > 0 and bool(flush(timeout_millis=timeout * 1_000))

    def close(self, timeout: float) -> None:
        """Leave the provider to whoever made it."""

    def after_fork(self) -> None:
        """Begin a new account."""
        self._lock = threading.Lock()
        self._recorded = self._unwanted = 0
