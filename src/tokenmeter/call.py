"""The life of one call: opened where it is made, closed once, whatever ends it.

A call knows neither an HTTP library nor a vendor. A seam tells it what happens to the exchange;
when it is closed it says one `UsageEvent`. This is the path of every call, so it makes few objects.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec.structs import astuple

from tokenmeter.answers import Answers
from tokenmeter.attribution import block
from tokenmeter.dialects import UNREADABLE, Asked, Dialect, Reading
from tokenmeter.dialects.fields import decode
from tokenmeter.estimating import Bytes, Evidence, Kept, Room, filled, wanted
from tokenmeter.event import HOST, NOTHING, SCHEMA, Cost, Provenance, UsageEvent, timestamp
from tokenmeter.guard import Guard
from tokenmeter.ids import EventIds, derived_id
from tokenmeter.pending import Pending
from tokenmeter.providers import Route
from tokenmeter.status import ABANDONED, COMPLETED, End, end_by
from tokenmeter.surroundings import Place, span_context, span_ids
from tokenmeter.tokens.tokenizers import Tokenizers
from tokenmeter.unattributed import Counter, is_nobodys, place
from tokenmeter.watching import Watcher, in_force
from tokenmeter.who import Who
from tokenmeter.wire import body as bodies
from tokenmeter.wire.asides import Aside
from tokenmeter.wire.claim import claimed

_ENDED_EARLY = End("failed", "stream_ended_early")


class Reader(Protocol):
    """What was read so far of an answer that comes bit by bit."""

    @property
    def skipped(self) -> int:
        """Parts of it that could not be read."""
        ...

    @property
    def is_event_stream(self) -> bool:
        """Whether its format has a terminal event, so that a missing one means a cut answer."""
        ...

    @property
    def sent(self) -> bool:
        """Whether the model can have been asked at all."""
        ...

    def reading(self) -> Reading:
        """Say what all that has come means."""
        ...


class Headers(Protocol):
    """The headers of a response, whatever library they are of; names are case-insensitive."""

    def get(self, name: str, /) -> str | None:
        """Give the value of a header, or ``None``."""
        ...


class Desk(Protocol):
    """What a call needs of the meter it belongs to."""

    guard: Guard
    ids: EventIds
    pending: Pending
    answers: Answers[Call]
    open_calls: set[Call]
    room: Room
    estimates: bool
    tokenizers: Tokenizers
    pid: int
    place: Place
    who: Who | None
    traces: bool
    unclaimed: Counter
    now_ns: Callable[[], int]
    timer_s: Callable[[], float]

    def unread(self, route: Route) -> None:
        """Note that a model's answer was in no format that this route knows."""
        ...

    def emit(self, event: UsageEvent, watchers: tuple[Watcher, ...]) -> None:
        """Hand a finished event to everybody."""
        ...


class Call:
    """One exchange in flight.

    A seam calls `answered` or `failed` once the request is over; for a streamed body `streaming`
    (or `reads`, with a reader of its own), then `first` and one or more of `exhausted`,
    `interrupted`, `released` and `dropped`, in any order and from any thread: the first one that
    ends the call closes it.
    """

    __slots__ = (
        "_asked",
        "_attempt",
        "_attribution",
        "_cached",
        "_desk",
        "_evidence",
        "_first_s",
        "_headers",
        "_http_status",
        "_kept",
        "_made_at",
        "_once",
        "_reader",
        "_request",
        "_route",
        "_span",
        "_started_s",
        "_ts_ns",
        "_watchers",
        "in_flight",
    )

    def __init__(self, desk: Desk, route: Route, aside: Aside | None = None) -> None:
        self._desk = desk
        self._route = route
        here = block.get()
        who = here.attribution if aside is None else aside.over(here.attribution)
        self._attribution = who if desk.who is None else desk.who.resolved(who)
        self._made_at = place() if desk.traces and is_nobodys(self._attribution) else None
        self._watchers = in_force.get()
        self._span = span_context(here.span)
        self._once = [None]
        self._asked = _NOTHING
        self._attempt: int | None = None
        self._http_status: int | None = None
        self._cached: bool | None = None
        self._first_s: float | None = None
        self._headers: Headers | None = None
        self._reader: Reader | None = None
        self._request: bytes | None = None
        self._kept: Kept | None = None
        self._evidence: Evidence | None = None
        self.in_flight = True
        self._ts_ns = desk.now_ns()
        self._started_s = desk.timer_s()

    @property
    def route(self) -> Route:
        """Where the exchange goes."""
        return self._route

    def asked(self, body: bytes | None, attempt: str | None) -> None:
        """Read the request, as far as it is in memory."""
        if attempt is not None and attempt.isascii() and attempt.isdigit():
            self._attempt = int(attempt)
        if body:
            dialect = self._route.dialect
            self._asked = self._desk.guard.run(dialect.name, _asked, dialect, body) or _NOTHING
            self._request = body
            if self._desk.who is not None and self._desk.who.reads_requests:
                self._desk.guard.run(dialect.name, self._said_by, self._desk.who, body)

    def _said_by(self, who: Who, body: bytes) -> None:
        """Take over whom the request says it is for."""
        if body.startswith(b"--"):
            return  # a multipart upload, perhaps of megabytes
        try:
            said = self._route.dialect.whom(body)
        except msgspec.DecodeError:
            return  # not JSON: somebody else's format
        self._attribution = who.requested(self._attribution, said)

    def about(self, asked: Asked, evidence: Evidence) -> None:
        """Take what was asked from a seam that knows it without reading a request."""
        self._asked, self._evidence = asked, evidence

    def failed(self, exc: BaseException, *, unsent: bool) -> None:
        """Close a call that got no response."""
        self._close(end_by(exc)._replace(unsent=unsent), UNREADABLE)

    def answered(self, http_status: int, headers: Headers, body: bytes, *, cached: bool) -> None:
        """Close a call whose whole body is in memory."""
        self._http_status, self._cached = http_status, cached or None
        self._headers = headers
        dialect = self._route.dialect
        reading = self._desk.guard.run(dialect.name, bodies.read, dialect, body) or UNREADABLE
        end = COMPLETED
        if reading.status is None and reading.recognised and not body.startswith(b"{"):
            end, reading = _missing_end(reading)  # an event stream that was read as a whole
        self._close(end, reading, body)

    def lost(self, http_status: int | None) -> None:
        """Close a call whose response is of a kind that nobody can observe."""
        self._http_status = http_status
        self._close(COMPLETED, UNREADABLE)

    def streaming(
        self, http_status: int, headers: Headers, content_encoding: str | None, *, cached: bool
    ) -> bodies.StreamReader:
        """Begin to read a body that is still to come, in the encoding that its bytes have."""
        self._http_status, self._cached = http_status, cached or None
        self._headers = headers
        desk = self._desk
        self._kept = kept = Kept(desk.room) if desk.estimates else None
        reader = bodies.StreamReader(
            self._route.dialect, content_encoding, desk.guard, None if kept is None else kept.add
        )
        self.reads(reader)
        return reader

    def reads(self, reader: Reader) -> None:
        """Have a reader say at the end what the answer was; until then the call is open."""
        self._reader = reader
        self._desk.open_calls.add(self)
        self._desk.pending.start()

    def watched_by(self, watcher: Watcher) -> bool:
        """Say whether the call was made where this watcher watches."""
        return watcher in self._watchers

    def first(self) -> bool:
        """Note that the first chunk has come, and say whether it is; again changes nothing."""
        if self._first_s is not None:
            return False
        self._first_s = self._desk.timer_s()
        return True

    def exhausted(self) -> None:
        """Close a stream that was read to its end."""
        self._end_stream(COMPLETED)

    def interrupted(self, exc: BaseException) -> None:
        """Close a stream whose reading raised."""
        self._end_stream(end_by(exc))

    def released(self) -> None:
        """Close a stream that its reader let go of.

        That may happen in a finaliser: of a generator, which shows as a `GeneratorExit`, or of
        anything while an exporter runs in this thread. Then the worker closes it.
        """
        if isinstance(sys.exception(), GeneratorExit) or claimed():
            self.dropped()
        else:
            self._end_stream(ABANDONED)

    def dropped(self) -> None:
        """Have the worker close a stream; safe in a finaliser."""
        if self._once:
            self._desk.pending.put(self._let_go)

    def disown(self) -> None:
        """Make sure that this call never says anything: its event belongs to a parent process."""
        self._once.clear()

    def _let_go(self) -> None:
        self._end_stream(ABANDONED)

    def _end_stream(self, end: End) -> None:
        if self._once:
            self._desk.guard.run("closing a stream", self._close_stream, end)

    def _close_stream(self, end: End) -> None:
        reader = self._reader
        if reader is None:
            return
        reading = self._desk.guard.run(self._route.dialect.name, reader.reading) or UNREADABLE
        if reader.skipped:
            self._desk.guard.count("unreadable parts of streams", reader.skipped)
        if not reader.sent:
            end = end._replace(unsent=True)
        if end is COMPLETED and reader.is_event_stream and reading.status is None:
            end, reading = _missing_end(reading)
        self._close(end, reading)

    def _close(self, end: End, reading: Reading, body: bytes | None = None) -> None:
        try:
            self._once.pop()  # one atomic step: whoever comes second finds nothing
        except IndexError:
            return
        if self._reader is not None:
            self._desk.open_calls.discard(self)
        maker: Call | None = self
        known = self._route.known_host or self._recognised(reading)
        if self._headers is not None and self._route.dialect.headers:
            reading = self._headed(reading, self._headers)
        if reading.background or self._route.fetches:
            reading = self._awaited(reading)
            maker = self._maker(reading)
        if not reading.recognised:
            self._unread()
        known = known or reading.recognised
        if maker is not None and known and not reading.counted:
            if is_nobodys(maker._attribution):
                self._desk.unclaimed.count(maker._made_at)
            self._say(self._event(end, reading, maker), reading, body, maker)
        if self._kept is not None:
            self._kept.clear()
        self._request = self._kept = self._evidence = None

    def _say(self, event: UsageEvent, reading: Reading, body: bytes | None, maker: Call) -> None:
        """Hand the event on, at once or when the worker has estimated what nobody reported."""
        desk, watchers = self._desk, maker._watchers
        is_wanted = desk.estimates and wanted(event)
        evidence = self._found(reading, event, body, maker) if is_wanted else None
        if evidence is None or not evidence.says_something:
            desk.emit(event, watchers)
            return
        held = _size(evidence)
        if not desk.room.take(held):
            desk.guard.count(_NO_ROOM)
            desk.emit(event, watchers)
            return

        def estimate(*, concede: bool = False) -> None:
            estimated = event
            if not concede:
                estimated = filled(event, evidence, desk.tokenizers, desk.guard)
            desk.room.give(held)
            desk.emit(estimated, watchers)

        takers = [getattr(watcher, "defer", None) for watcher in reversed(watchers)]
        deferred = any(defer(estimate) for defer in takers if defer is not None)
        if not deferred and not desk.pending.later(estimate):
            desk.guard.count("estimates left out: too many are pending")
            estimate(concede=True)

    def _found(
        self, reading: Reading, event: UsageEvent, body: bytes | None, maker: Call
    ) -> Evidence | None:
        """Give what there is to estimate from; nothing where the answer was no model's."""
        if self._evidence is not None:
            return self._evidence
        parts, share = ([body] if body else []), 1.0
        if self._kept is not None and self._kept.seen:
            parts, share = self._kept.parts, self._kept.size / self._kept.seen
        foreign = event.status == "completed" and parts and not reading.recognised
        if not share:
            self._desk.guard.count(_NO_ROOM)
        if foreign or not share:
            return None
        route, failed = self._route, reading.status == "failed"
        return Bytes(route.dialect, maker._request, parts, share, route.known_host, failed)

    def _unread(self) -> None:
        """Note an answer that was to be read and is in no known format."""
        answered = self._http_status is not None and not self._refused()
        if answered and not self._route.dialect.media:
            self._desk.unread(self._route)

    def _headed(self, reading: Reading, headers: Headers) -> Reading:
        """Add what the headers say that the dialect wants."""
        dialect = self._route.dialect
        said = {name: headers.get(name) for name in dialect.headers}
        return self._desk.guard.run(dialect.name, dialect.headed, reading, said) or reading

    def _recognised(self, reading: Reading) -> bool:
        """Judge an exchange with an unknown host: by its answer, or by what it asked for one."""
        if reading.recognised or (self._asked.model or self._route.model) is None:
            return reading.recognised
        return reading is UNREADABLE or self._refused()

    def _refused(self) -> bool:
        return self._http_status is not None and not 200 <= self._http_status < 300

    def _awaited(self, reading: Reading) -> Reading:
        """Know an answer that is still being made: by the request, where the answer is silent."""
        unfinished = reading.status is None and (self._asked.background or self._route.fetches)
        return msgspec.structs.replace(reading, pending=True) if unfinished else reading

    def _maker(self, reading: Reading) -> Call | None:
        """Give whose call an answer that can be fetched again is; ``None``: nobody's, now."""
        answers, answer_id = self._desk.answers, self._answer_id(reading)
        if answer_id is None:
            return None  # it was counted when it was made
        if not reading.pending:
            return answers.take(answer_id, self)
        if not self._route.fetches:
            self._reader = self._headers = None  # it is remembered for whom it was, not what came
            answers.created(answer_id, self)
        return None

    def _answer_id(self, reading: Reading) -> str | None:
        """Give the id of an answer that can be fetched again: the same in every process."""
        if not reading.background or reading.response_id is None:
            return None
        return derived_id(str(self._route.provider), reading.response_id)

    def _event(self, end: End, reading: Reading, maker: Call) -> UsageEvent:
        """Make the event; by position, in the order of the schema, because names cost thrice."""
        desk, route, asked = self._desk, self._route, maker._asked
        http_status, started_s, first_s = self._http_status, maker._started_s, maker._first_s
        status, error_type = reading.status or end.status, reading.error_type or end.error_type
        usage, refused = reading.usage, self._refused()
        if refused or self._cached or end.unsent:
            sides, usage = _NONE, NOTHING
        else:
            sides = self._provenance(reading)
        if refused:
            status, error_type = "failed", reading.error_type or str(http_status)
        *who, tags = astuple(maker._attribution)
        columns: list[Any] = [
            "call",
            (reading.background and self._answer_id(reading)) or desk.ids(maker._ts_ns),
            SCHEMA,
            timestamp(maker._ts_ns),
            # call
            route.provider,
            route.operation,
            asked.model or route.model or reading.model,
            self._streams() if asked.stream is None else asked.stream,
            maker._attempt,
            route.host,
            reading.region or route.region,
            route.source,
            None,  # key_id
            # answer
            reading.model or (route.served if reading.recognised and not refused else None),
            reading.response_id,
            reading.finish_reasons,
            reading.service_tier,
            self._cached,
            # end
            status,
            http_status,
            error_type,
            # time
            int((desk.timer_s() - started_s) * 1e6) / 1e6,
            None if first_s is None else int((first_s - started_s) * 1e6) / 1e6,
            # tokens
            *astuple(usage),
            *sides,
            None,  # output_tokens_max
            *(_UNPRICED if reading.cost is None or sides is _NONE else astuple(reading.cost)),
            # who
            *who,
            *span_ids(maker._span),
            tags,
            # where
            *desk.place,
            HOST,
            desk.pid,
        ]
        return UsageEvent(*columns)

    def _streams(self) -> bool:
        """Say whether a stream was asked for, where the request does not."""
        said = self._route.stream
        return self._reader is not None and self._reader.is_event_stream if said is None else said

    def _provenance(self, reading: Reading) -> tuple[Provenance, Provenance]:
        """Say for input and output where the number of an answer comes from."""
        usage = reading.usage
        dialect = self._route.dialect
        read: Provenance = "unknown" if usage.input_tokens is None else "reported"
        if read == "reported" and not (reading.final or reading.input_final):
            read = "partial"
        if not dialect.counts_output:
            return (read if dialect.counts_input else "none"), "none"
        if usage.output_tokens is None:
            return read, "unknown"
        return read, "reported" if reading.final else "partial"


_NO_ROOM = "estimates left out for want of room"


def _size(evidence: Evidence) -> int:
    """Give the bytes that an estimate holds on to until it is made."""
    if not isinstance(evidence, Bytes):
        return 0
    return len(evidence.request or b"") + sum(map(len, evidence.parts))


_NONE: tuple[Provenance, Provenance] = ("none", "none")
_NOTHING = Asked()
_UNPRICED = (None,) * len(Cost.__struct_fields__)


def _asked(dialect: Dialect, body: bytes) -> Asked:
    if body.startswith(b"--"):
        return _NOTHING  # a multipart upload, perhaps of megabytes
    try:
        return decode(dialect.request, body)
    except msgspec.DecodeError:
        return _NOTHING  # not JSON: somebody else's format


def _missing_end(reading: Reading) -> tuple[End, Reading]:
    """Judge an event stream that ended without its terminal event.

    Some servers send none: a finish reason makes such an answer whole, else it was cut short.
    """
    if reading.finish_reasons:
        return COMPLETED, msgspec.structs.replace(reading, final=True)
    return _ENDED_EARLY, reading
