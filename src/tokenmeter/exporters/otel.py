"""Metrics of OpenTelemetry: into the MeterProvider of a program, or by OTLP with one of our own.

What an event adds to which metric is in `otel_measures`, what they are called in `otel_names`. No
span is made here, so a call that an SDK traces already is never traced twice.
"""

from __future__ import annotations

import inspect
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenmeter.errors import ConfigurationError, RejectedError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters import otel_names as names
from tokenmeter.exporters.otel_given import Delivery, Given
from tokenmeter.exporters.otel_measures import Measure, More, measures
from tokenmeter.exporters.otel_own import Own
from tokenmeter.exporters.otel_records import context, log_record
from tokenmeter.exporters.otel_series import Series, SeriesTable
from tokenmeter.sinks import Account, Stats

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

WAIT_S = 5.0


class _Plan(NamedTuple):
    """What to record of one event, and where it happened."""

    where: Any
    series: Series
    measured: list[Measure]
    record: Any


class Otel:
    """Record events as OpenTelemetry metrics; by name ``"otel"``, ``"otel:current"``.

    Counts that a vendor reported go to the metrics of the GenAI conventions, what was estimated or
    is a lower bound to ``tokenmeter.estimated.*``, what nobody knows to
    ``tokenmeter.calls.unmetered``. See docs/opentelemetry.md for every name.

    It works in batches, so that a caller waits for none of it: by name it comes in `Background`.

    Args:
        profile: Which metrics: ``current`` ones, ``legacy`` ones, or ``both``.
        meter_provider: Where they go; ``None``: the global provider of the program.
        endpoint: The base URL of an OTLP receiver, such as ``http://localhost:4318``: then a
            provider of its own is set up; empty: where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says.
            ``None``: nothing is set up.
        headers: What requests to that endpoint carry in addition.
        timeout_s: How long a request may take; ``None``: as the environment says, else 10 seconds.
        interval_s: Seconds between two exports; ``None``: as the environment says, else 60.
        attributes: What else becomes an attribute of metrics: columns such as ``team``, and
            ``tag:NAME``. A user and a task never do unless they are named here.
        series: How many attribute sets there may be; the rest is one set in which each is
            ``_OTHER``.
        strict: Whether counts that are not there add 0 to the current counters, with modality
            ``unknown``, as the convention says.
        exemplars: Whether durations carry the trace that their call was in, as an example.
        logs: Whether each event is sent as a log record too, whole.
        logger_provider: Where those go; ``None``: the global one, or the same endpoint.

    Raises:
        ConfigurationError: An option cannot be used.
        MissingExtraError: An endpoint is given and the extra ``otlp`` is not installed.
    """

    in_background = True

    def __init__(  # noqa: PLR0913 - each is a setting of its own, by name
        self,
        profile: str = "both",
        *,
        meter_provider: MeterProvider | None = None,
        endpoint: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        interval_s: float | None = None,
        attributes: Iterable[str] = (),
        series: int = 1_000,
        strict: bool = False,
        exemplars: bool = True,
        logs: bool = False,
        logger_provider: Any = None,
    ) -> None:
        if profile not in names.PROFILES:
            raise ConfigurationError(
                f"the profile of 'otel' is one of {', '.join(names.PROFILES)}; got {profile!r}"
            )
        self._wanted = names.PROFILES[profile]
        self._table = SeriesTable(attributes, series)
        self._strict, self._exemplars, self._logs = strict, exemplars, logs
        self._delivery: Delivery
        if endpoint is None:
            _refuse("endpoint", headers=headers, timeout_s=timeout_s, interval_s=interval_s)
            self._delivery = Given(meter_provider, logger_provider)
        else:
            _refuse("none", meter_provider=meter_provider, logger_provider=logger_provider)
            given = None if headers is None else dict(headers)
            self._delivery = Own(endpoint, given, timeout_s, interval_s, series)
        self._instruments: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._stats: Stats | None = None

    def __call__(self, event: UsageEvent) -> None:
        """Record one event; see `batch`."""
        self.batch([event])

    def batch(self, events: Sequence[UsageEvent]) -> None:
        """Record several events.

        Whatever can fail comes first, so that a batch which is handed over again adds up once.

        Raises:
            BusyError: OpenTelemetry has no provider yet.
            ConnectionError: Log records did not arrive.
            RejectedError: These events hold what cannot be measured; the others were recorded.
        """
        with self._lock:
            self._instruments = instruments = self._instruments or self._made()
        if not instruments:
            self._delivery.unwanted(len(events))
            return
        odd: list[UsageEvent] = []
        plans = [plan for event in events if (plan := self._plan(event, odd)) is not None]
        if self._logs and plans:
            self._delivery.send([plan.record for plan in plans])
        self._record(plans, instruments)
        self._delivery.recorded(len(plans))
        if odd:
            raise RejectedError("an event holds what cannot be measured", odd)

    def _plan(self, event: UsageEvent, odd: list[UsageEvent]) -> _Plan | None:
        """Say what to record of an event; one that was made by hand may hold anything."""
        try:
            return _Plan(
                context(event if self._exemplars else None),
                self._table[event],
                measures(event, self._wanted, strict=self._strict),
                log_record(event) if self._logs else None,
            )
        except (ArithmeticError, AttributeError, TypeError, ValueError):
            odd.append(event)
            return None

    def _record(self, plans: list[_Plan], instruments: dict[str, Any]) -> None:
        """Record histograms one by one; what is counted is added up first, which costs less."""
        nowhere, sums = context(None), defaultdict[tuple[str, Series, More], float](int)
        for where, series, measured, _ in plans:
            for name, amount, more in measured:
                if name in names.COUNTERS:
                    sums[name, series, more] += amount
                else:
                    metric = names.METRICS[name]
                    led = where if metric.unit == "s" else nowhere  # an exemplar has its cost
                    instruments[name].record(amount, series.attributes(metric, more), led)
        for (name, series, more), amount in sums.items():
            instruments[name].add(amount, series.attributes(names.METRICS[name], more))

    def _made(self) -> dict[str, Any]:
        """Make the instruments, of the provider there is now; none where it is switched off."""
        from opentelemetry.metrics import NoOpMeter

        meter, made = self._delivery.meter(), dict[str, Any]()
        if isinstance(meter, NoOpMeter):
            return made
        for name, metric in names.METRICS.items():
            if name == names.EVENTS:
                meter.create_observable_up_down_counter(
                    name, [self._observed], metric.unit, metric.description
                )
            elif metric.buckets is None:
                made[name] = meter.create_counter(name, metric.unit, metric.description)
            elif metric.profiles & self._wanted:
                made[name] = meter.create_histogram(
                    name,
                    metric.unit,
                    metric.description,
                    explicit_bucket_boundaries_advisory=list(metric.buckets),
                )
        return made

    # -- what became of the events

    def watch(self, stats: Stats) -> None:
        """Send the accounts of a meter along, as the metric ``tokenmeter.events``."""
        self._stats = stats

    def _observed(self, _options: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        accounts: Mapping[str, Mapping[str, int]] = {} if self._stats is None else self._stats()
        for exporter, account in accounts.items():
            for state in Account._fields if exporter != "guard" else ():
                said = {names.EXPORTER: exporter, names.STATE: state}
                yield Observation(account.get(state, 0), said)

    def account(self) -> Account:
        """Say what became of the events that were recorded.

        With an endpoint, an event is exported when the receiver took the export that holds it. With
        the provider of a program, it is when it was handed to OpenTelemetry, which says no more.
        """
        return self._delivery.account()

    def flush(self, timeout: float = WAIT_S) -> bool:
        """Export what was recorded; false where it did not arrive in that many seconds."""
        return self._delivery.flush(timeout)

    def close(self, timeout: float = WAIT_S) -> None:
        """Export for the last time; a provider of the program stays open."""
        self._stats = None
        self._delivery.close(timeout)

    def after_fork(self) -> None:
        """Begin anew in a forked child: what was recorded so far is the parent's."""
        self._instruments = {}
        self._lock = threading.Lock()
        self._table.after_fork()
        self._delivery.after_fork()


def otlp(endpoint: str = "", **options: Any) -> Otel:
    """Send metrics by OTLP over HTTP; by name ``"otlp"`` or ``"otlp:http://collector:4318"``.

    Args:
        endpoint: The base URL of the receiver; empty: what ``OTEL_EXPORTER_OTLP_ENDPOINT`` says,
            else ``http://localhost:4318``.
        options: Those of `Otel`.

    Raises:
        ConfigurationError: An option cannot be used.
        MissingExtraError: The extra ``otlp`` is not installed.
    """
    known = set(inspect.signature(Otel).parameters) - {"endpoint"}
    if unknown := sorted(options.keys() - known):
        raise ConfigurationError(
            f"'otlp' has no option {unknown[0]!r}; it has {', '.join(sorted(known))}"
        )
    return Otel(endpoint=endpoint, **options)


otlp.in_background = True  # type: ignore[attr-defined] # pyright: ignore


def _refuse(when: str, **options: object) -> None:
    """Refuse options that say nothing beside the others."""
    for name, value in options.items():
        if value is not None:
            wanted = "only beside endpoint" if when == "endpoint" else "not beside endpoint"
            raise ConfigurationError(f"'otel' takes {name} {wanted}")
