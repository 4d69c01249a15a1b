"""The life of one call: opened where it is made, closed once, whatever ends it.

A call knows neither an HTTP library nor a vendor. A seam tells it what happens to the exchange;
when it is closed it says one `UsageEvent`.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import msgspec

from tokenmeter import attribution
from tokenmeter.answers import Answers
from tokenmeter.dialects import UNREADABLE, Asked, Reading
from tokenmeter.event import SCHEMA, Attribution, Provenance, Status, Usage, UsageEvent
from tokenmeter.guard import Guard
from tokenmeter.ids import EventIds, derived_id
from tokenmeter.pending import Pending
from tokenmeter.providers import Route
from tokenmeter.wire import body as bodies
from tokenmeter.wire.claim import claimed

Watcher = Callable[[UsageEvent], object]

HOST = socket.gethostname()

_watchers: ContextVar[tuple[Watcher, ...]] = ContextVar("tokenmeter_watchers", default=())
_NOTHING = Usage()
_ABANDONING = {"CancelledError", "Cancelled", "GeneratorExit", "KeyboardInterrupt", "SystemExit"}
"""Exceptions by which a caller leaves, by name: asyncio and trio are not imported for them."""


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Show the events of the calls made inside to the watcher."""
    outer = _watchers.get()
    _watchers.set((*outer, watcher))
    try:
        yield
    finally:
        _watchers.set(tuple(w for w in _watchers.get() if w is not watcher))


def watchers() -> tuple[Watcher, ...]:
    """Give the watchers in force here."""
    return _watchers.get()


class Maker(NamedTuple):
    """Who makes a call, when: taken where the call is made, kept wherever it is read."""

    attribution: Attribution
    watchers: tuple[Watcher, ...]
    ts_ns: int
    started_s: float


class End(NamedTuple):
    """How a call ended, as the seam saw it."""

    status: Status
    error_type: str | None = None
    unsent: bool = False  # nothing reached the provider, so nothing can have been used


class Desk(Protocol):
    """What a call needs of the meter it belongs to."""

    guard: Guard
    ids: EventIds
    pending: Pending
    answers: Answers[Maker]
    open_calls: set[Call]
    pid: int

    def now_ns(self) -> int:
        """Give the time in nanoseconds since 1970."""
        ...

    def timer_s(self) -> float:
        """Give a monotonic time in seconds."""
        ...

    def emit(self, event: UsageEvent, watchers: tuple[Watcher, ...]) -> None:
        """Hand a finished event to everybody."""
        ...


def maker(desk: Desk) -> Maker:
    """Take down who is making a call, here and now."""
    return Maker(attribution.current(), _watchers.get(), desk.now_ns(), desk.timer_s())


class Call:
    """One exchange in flight.

    A seam calls `answered` or `failed` once the request is over; for a streamed body then `first`,
    `feed` and one or more of `exhausted`, `interrupted`, `released` and `dropped`, in any order and
    from any thread: the first one that ends the call closes it.
    """

    __slots__ = (
        "_asked",
        "_attempt",
        "_cached",
        "_desk",
        "_first_s",
        "_http_status",
        "_maker",
        "_once",
        "_reader",
        "_route",
        "in_flight",
    )

    def __init__(self, desk: Desk, route: Route) -> None:
        self._desk = desk
        self._route = route
        self._maker = maker(desk)
        self._once = [None]
        self._asked = Asked()
        self._attempt: int | None = None
        self._http_status: int | None = None
        self._cached: bool | None = None
        self._first_s: float | None = None
        self._reader: bodies.StreamReader | None = None
        self.in_flight = True

    def asked(self, body: bytes | None, attempt: str | None) -> None:
        """Read the request, as far as it is in memory."""
        if attempt is not None and attempt.isascii() and attempt.isdigit():
            self._attempt = int(attempt)
        if body:
            try:
                self._asked = self._route.dialect.asked(body)
            except msgspec.DecodeError:
                pass  # not JSON: a multipart body or somebody else's format

    def failed(self, exc: BaseException, *, unsent: bool) -> None:
        """Close a call that got no response."""
        self._close(_end_by(exc)._replace(unsent=unsent), UNREADABLE)

    def answered(self, http_status: int, body: bytes, *, cached: bool) -> None:
        """Close a call whose whole body is in memory."""
        self._http_status, self._cached = http_status, cached or None
        self._close(End("completed"), bodies.read(self._route.dialect, body))

    def lost(self) -> None:
        """Close a call whose response is of a kind that nobody can observe."""
        self._close(End("completed"), UNREADABLE)

    def streaming(
        self, http_status: int, content_encoding: str | None, *, cached: bool
    ) -> bodies.StreamReader:
        """Begin to read a body that is still to come."""
        self._http_status, self._cached = http_status, cached or None
        self._reader = bodies.StreamReader(
            self._route.dialect, content_encoding, self._desk.guard
        )
        self._desk.open_calls.add(self)
        self._desk.pending.start()
        return self._reader

    def first(self) -> None:
        """Note that the first chunk has come."""
        self._first_s = self._desk.timer_s()

    def exhausted(self) -> None:
        """Close a stream that was read to its end."""
        self._end_stream(End("completed"), at_end=True)

    def interrupted(self, exc: BaseException) -> None:
        """Close a stream whose reading raised."""
        self._end_stream(_end_by(exc))

    def released(self) -> None:
        """Close a stream that its reader let go of.

        That may happen in a finaliser: of a generator, which shows as a `GeneratorExit`, or of
        anything while an exporter runs in this thread. Then the worker closes it.
        """
        if isinstance(sys.exception(), GeneratorExit) or claimed():
            self.dropped()
        else:
            self._let_go()

    def dropped(self) -> None:
        """Have the worker close a stream; safe in a finaliser."""
        if self._once:
            self._desk.pending.put(self._let_go)

    def _let_go(self) -> None:
        self._end_stream(End("abandoned"))

    def _end_stream(self, end: End, *, at_end: bool = False) -> None:
        if self._once:
            self._desk.guard.run("closing a stream", self._close_stream, end, at_end=at_end)

    def disown(self) -> None:
        """Make sure that this call never says anything: its event belongs to a parent process."""
        self._once.clear()

    def _close_stream(self, end: End, *, at_end: bool) -> None:
        reader = self._reader
        if reader is None:
            return
        reading = self._desk.guard.run(self._route.dialect.name, reader.reading) or UNREADABLE
        if at_end and reader.is_event_stream and not (reading.status or reading.finish_reasons):
            end = End("failed", "stream_ended_early")
        elif at_end:
            reading = msgspec.structs.replace(reading, final=True)
        if reader.skipped:
            self._desk.guard.count("unreadable parts of streams", reader.skipped)
        self._close(end, reading)

    def _close(self, end: End, reading: Reading) -> None:
        try:
            self._once.pop()  # one atomic step: whoever comes second finds nothing
        except IndexError:
            return
        self._desk.open_calls.discard(self)
        made_by = self._maker
        if reading.background or self._route.fetches:
            answerer = self._answerer(reading)
            if answerer is None:
                return
            made_by = answerer
        if self._route.known_host or self._asked.model is not None or reading.recognised:
            self._desk.emit(self._event(end, reading, made_by), made_by.watchers)

    def _answerer(self, reading: Reading) -> Maker | None:
        """Give whom an answer that can be fetched again is counted for; ``None``: not now."""
        answers, answer_id = self._desk.answers, reading.response_id
        if not reading.background or answer_id is None:
            return None  # it was counted when it was made
        if reading.status is not None:
            return answers.take(answer_id, self._maker)
        if not self._route.fetches:
            answers.created(answer_id, self._maker)
        return None

    def _event(self, end: End, reading: Reading, made_by: Maker) -> UsageEvent:
        route, who = self._route, made_by.attribution
        status, error_type = self._ending(end, reading)
        read, made = self._provenance(end, reading)
        usage = reading.usage if read != "none" else _NOTHING
        now_s, first_s = self._desk.timer_s(), self._first_s
        return UsageEvent(
            kind="call",
            event_id=self._event_id(reading, made_by),
            schema=SCHEMA,
            ts=timestamp(made_by.ts_ns),
            provider=route.provider,
            operation=route.operation,
            request_model=self._asked.model or reading.model,
            stream=self._streams(),
            attempt=self._attempt,
            server_address=route.host,
            region=reading.region,
            source="wire",
            response_model=reading.model,
            response_id=reading.response_id,
            finish_reasons=reading.finish_reasons,
            service_tier=reading.service_tier,
            cached=self._cached,
            status=status,
            http_status=self._http_status,
            error_type=error_type,
            duration_s=round(now_s - made_by.started_s, 6),
            time_to_first_chunk_s=first_s and round(first_s - self._maker.started_s, 6),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_5m_tokens=usage.cache_write_5m_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            input_text_tokens=usage.input_text_tokens,
            input_audio_tokens=usage.input_audio_tokens,
            input_image_tokens=usage.input_image_tokens,
            output_text_tokens=usage.output_text_tokens,
            output_audio_tokens=usage.output_audio_tokens,
            output_image_tokens=usage.output_image_tokens,
            other_counts=usage.other_counts,
            input_provenance=read,
            output_provenance=made,
            user=who.user,
            user_origin=who.user_origin,
            team=who.team,
            task=who.task,
            agent=who.agent,
            run_id=who.run_id,
            parent_run_id=who.parent_run_id,
            depth=who.depth,
            conversation=who.conversation,
            tags=who.tags,
            host=HOST,
            pid=self._desk.pid,
        )

    def _event_id(self, reading: Reading, made_by: Maker) -> str:
        if reading.background and reading.response_id is not None:
            return derived_id(self._route.provider, reading.response_id)
        return self._desk.ids(made_by.ts_ns)

    def _streams(self) -> bool:
        if self._asked.stream is not None:
            return self._asked.stream
        return self._reader is not None and self._reader.is_event_stream

    def _refused(self) -> bool:
        return self._http_status is not None and not 200 <= self._http_status < 300

    def _ending(self, end: End, reading: Reading) -> tuple[Status, str | None]:
        if self._refused():
            return "failed", reading.error_type or str(self._http_status)
        if reading.status is not None:
            return reading.status, reading.error_type
        return end.status, end.error_type

    def _provenance(self, end: End, reading: Reading) -> tuple[Provenance, Provenance]:
        """Say for input and output where their number comes from."""
        if self._cached or end.unsent or self._refused():
            return "none", "none"
        usage = reading.usage
        read: Provenance = "unknown" if usage.input_tokens is None else "reported"
        if not self._route.dialect.counts_output:
            return read, "none"
        if usage.output_tokens is None:
            return read, "unknown"
        return read, "reported" if reading.final else "partial"


def timestamp(ts_ns: int) -> datetime:
    """Give a time in UTC whose text always has six decimals, so that text sorts as time."""
    ts = datetime.fromtimestamp(ts_ns / 1e9, UTC)
    return ts if ts.microsecond else ts.replace(microsecond=1)


def _end_by(exc: BaseException) -> End:
    name = type(exc).__name__
    return End("abandoned") if name in _ABANDONING else End("failed", name)
