"""An exporter that keeps every promise, and many that break one each; for the conformance kit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from tokenmeter.errors import RejectedError
from tokenmeter.event import UsageEvent
from tokenmeter.sinks import Account

Events = Sequence[UsageEvent]
Write = Callable[[Events], None]

NEVER = threading.Event()
"""What those wait for that hang; set when the tests are over, because some are still there."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UsageEvent).decode


class Shelf:
    """The sink: a file of lines, and a mark for each event in it; it can fail and hang.

    There is no lock in it that a fork could find closed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lines"
        self._marks = folder / "marks"
        self._marks.mkdir(exist_ok=True)
        self.path.touch()

    def add(self, events: Events) -> None:
        """Take events in their order, each once."""
        lines = [(each, _encode(each)) for each in events]
        self._there()
        self._write([line for each, line in lines if self._mark(each)])

    def add_again(self, events: Events) -> None:
        """Take events, also those that are here."""
        self._there()
        self._write(list(map(_encode, events)))

    def add_all_or_none(self, events: Events) -> None:
        """Take events unless one of them is here, or twice among them."""
        names = [each.event_id for each in events]
        if len(set(names)) < len(names) or any((self._marks / name).exists() for name in names):
            raise ValueError("one of them is here")
        self.add(events)

    def events(self) -> list[UsageEvent]:
        return list(map(_decode, self.path.read_bytes().splitlines()))

    @contextlib.contextmanager
    def outage(self, how: Literal["fails", "hangs"]) -> Iterator[None]:
        flag = self.path.with_suffix(f".{how}")
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()

    def _there(self) -> None:
        if self.path.with_suffix(".fails").exists():
            raise ConnectionError("the shelf is gone")
        pause = threading.Event()
        while self.path.with_suffix(".hangs").exists():
            pause.wait(0.005)

    def _mark(self, event: UsageEvent) -> bool:
        try:
            (self._marks / event.event_id).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _write(self, lines: list[bytes]) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(b"".join(line + b"\n" for line in lines))


class Store:
    """Keep every promise."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def __call__(self, event: UsageEvent) -> None:
        self._shelf.add([event])

    def batch(self, events: Events) -> None:
        good, bad = [], []
        for each in events:
            (good if _is_unicode(each) else bad).append(each)
        self._shelf.add(good)
        if bad:
            raise RejectedError("no Unicode", bad)


def _is_unicode(event: UsageEvent) -> bool:
    try:
        return bool(_encode(event))
    except UnicodeEncodeError:
        return False


class Batches:
    """Write batches in a way of one's own; single events are batches of one."""

    def __init__(self, write: Write, **members: Any) -> None:
        self._write = write
        self.__dict__.update(members)

    def __call__(self, event: UsageEvent) -> None:
        self._write([event])

    def batch(self, events: Events) -> None:
        self._write(events)


class Calls:
    """Write single events in a way of one's own; there are no batches."""

    def __init__(self, write: Write, **members: Any) -> None:
        self._write = write
        self.__dict__.update(members)

    def __call__(self, event: UsageEvent) -> None:
        self._write([event])


# What breaks order or number


def drops_the_last_of_a_batch(shelf: Shelf) -> Any:
    return Batches(lambda events: shelf.add(events[:-1] if len(events) > 1 else events))


def swaps_the_order(shelf: Shelf) -> Any:
    return Batches(lambda events: shelf.add(events[::-1]))


def drops_what_comes_at_once(shelf: Shelf) -> Any:
    busy = threading.Lock()

    def write(events: Events) -> None:
        if busy.acquire(blocking=False):
            shelf.add(events)
            busy.release()

    return Calls(write)


def counts_without_a_lock(shelf: Shelf) -> Any:
    sent = [0]

    def write(events: Events) -> None:
        before = sent[0]
        shelf.add(events)
        sent[0] = before + len(events)

    return Calls(write, account=lambda: Account(sent[0], sent[0]))


def cannot_take_nothing(shelf: Shelf) -> Any:
    return Batches(lambda events: shelf.add([events[0], *events[1:]]))


def ends_the_others(shelf: Shelf) -> Any:
    """Have one connection for all, and whoever closes closes it."""
    connections.setdefault(shelf, True)

    def write(events: Events) -> None:
        if not connections[shelf]:
            raise ConnectionError("somebody closed the connection")
        shelf.add(events)

    return Calls(write, close=lambda: connections.update({shelf: False}))


connections: dict[Shelf, bool] = {}


def is_not_idempotent(shelf: Shelf) -> Any:
    return Batches(shelf.add_again)


def takes_a_batch_whole_or_not(shelf: Shelf) -> Any:
    return Batches(shelf.add_all_or_none)


# What keeps events to itself


class Buffer:
    """Keep events until somebody flushes, with the accounts of a liar or of an honest one."""

    def __init__(
        self, shelf: Shelf, *, account: bool = True, boasts: bool = False, closes: bool = True,
        flushes: bool = True, loses: bool = False, forgets: bool = True,
    ) -> None:  # fmt: skip
        self._shelf, self._boasts, self._closes = shelf, boasts, closes
        self._flushes, self._loses, self._forgets = flushes, loses, forgets
        self._kept: list[UsageEvent] = []
        self._sent = 0
        self._lock = threading.Lock()
        if account:
            self.account = self._account

    def __call__(self, event: UsageEvent) -> None:
        with self._lock:
            self._kept.append(event)

    def flush(self) -> None:
        if not self._flushes:
            return
        with contextlib.nullcontext() if self._loses else self._lock:
            kept = list(self._kept)
            self._shelf.add(kept)
            self._sent += len(kept)
            self._kept.clear()

    def close(self) -> None:
        if self._closes:
            self.flush()

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        if self._forgets:
            self._kept, self._sent = [], 0

    def _account(self) -> Account:
        with self._lock:
            kept = len(self._kept)
            sent = self._sent + (kept if self._boasts else 0)
            return Account(self._sent + kept, sent, pending=self._sent + kept - sent)


def keeps_without_an_account(shelf: Shelf) -> Any:
    return Buffer(shelf, account=False)


def says_exported_too_early(shelf: Shelf) -> Any:
    return Buffer(shelf, boasts=True)


def loses_what_comes_while_it_flushes(shelf: Shelf) -> Any:
    return Buffer(shelf, loses=True)


def does_not_deliver_when_closed(shelf: Shelf) -> Any:
    return Buffer(shelf, closes=False)


def never_delivers_by_itself(shelf: Shelf) -> Any:
    return Buffer(shelf, flushes=False)


def keeps_what_the_parent_had(shelf: Shelf) -> Any:
    buffer = Buffer(shelf, forgets=False)
    buffer._shelf = _Again(shelf)  # type: ignore[assignment]
    return buffer


class _Again:
    def __init__(self, shelf: Shelf) -> None:
        self.add = shelf.add_again


def keeps_until_it_is_closed(shelf: Shelf) -> Any:
    return Buffer(shelf)


# What cannot bear a value


def _changed(shelf: Shelf, change: Callable[[UsageEvent], dict[str, Any]]) -> Any:
    """Write events as they are but for some columns."""
    replace = msgspec.structs.replace
    return Batches(lambda events: shelf.add([replace(e, **change(e)) for e in events]))


def loses_a_column(shelf: Shelf) -> Any:
    return _changed(shelf, lambda event: {"fingerprint": None})


def has_money_as_a_float(shelf: Shelf) -> Any:
    return _changed(
        shelf,
        lambda e: {"cost_amount": e.cost_amount and type(e.cost_amount)(float(e.cost_amount))},
    )


def takes_zero_for_unknown(shelf: Shelf) -> Any:
    return _changed(shelf, lambda event: {"input_tokens": event.input_tokens or None})


def wants_a_provider(shelf: Shelf) -> Any:
    return Batches(lambda events: shelf.add([e for e in events if str.lower(e.provider)]))  # type: ignore[arg-type]


def knows_calls_only(shelf: Shelf) -> Any:
    return Batches(lambda events: shelf.add([e for e in events if e.kind == "call"]))


def _refuses_whole_batches(shelf: Shelf, refused: Callable[[UsageEvent], object]) -> Any:
    """Raise for a batch because of one event in it, without saying that it was that one."""

    def write(events: Events) -> None:
        if any(map(refused, events)):
            raise ValueError("there is something in it")
        shelf.add(events)

    return Batches(write)


def has_numbers_of_32_bits(shelf: Shelf) -> Any:
    return _refuses_whole_batches(shelf, lambda e: (e.input_tokens or 0) >= 2**31)


def knows_latin_1_only(shelf: Shelf) -> Any:
    return _refuses_whole_batches(shelf, lambda e: any(ord(c) > 255 for c in e.user or ""))


def cannot_bear_nul(shelf: Shelf) -> Any:
    return _refuses_whole_batches(shelf, lambda e: "\0" in (e.user or ""))


def encodes_a_batch_at_once(shelf: Shelf) -> Any:
    return Batches(shelf.add)


def drops_what_is_large(shelf: Shelf) -> Any:
    return Batches(lambda events: shelf.add([e for e in events if len(str(e.tags)) < 65_536]))


def sorts_by_time(shelf: Shelf) -> Any:
    return Batches(lambda events: shelf.add(sorted(events, key=lambda e: e.ts)))


# What cannot bear a sink that fails or hangs


def swallows_errors(shelf: Shelf) -> Any:
    def write(events: Events) -> None:
        with contextlib.suppress(ConnectionError):
            shelf.add(events)

    return Batches(write)


def flushes_for_ever(shelf: Shelf) -> Any:
    return Batches(shelf.add, flush=lambda: NEVER.wait(60))


def flushes_under_the_lock_of_sending(shelf: Shelf) -> Any:
    lock = threading.Lock()

    def write(events: Events) -> None:
        with lock:
            shelf.add(events)

    def flush() -> None:
        with lock:
            pass

    return Batches(write, flush=flush)


def counts_under_the_lock_of_sending(shelf: Shelf) -> Any:
    lock, sent = threading.Lock(), [0]

    def write(events: Events) -> None:
        with lock:
            shelf.add(events)
            sent[0] += len(events)

    def account() -> Account:
        with lock:
            return Account(sent[0], sent[0])

    return Batches(write, account=account)


# What does not end well


def can_be_closed_once(shelf: Shelf) -> Any:
    connection = ["open"]
    return Batches(shelf.add, close=connection.pop)


def must_see_an_event_to_close(shelf: Shelf) -> Any:
    opened: dict[str, bool] = {}

    def write(events: Events) -> None:
        opened["yes"] = True
        shelf.add(events)

    return Batches(write, close=lambda: opened["yes"])


def says_nothing_after_its_end(shelf: Shelf) -> Any:
    closed: list[bool] = []

    def write(events: Events) -> None:
        if not closed:
            shelf.add(events)

    return Batches(write, close=lambda: closed.append(True))


def remembers_the_number_of_its_file(shelf: Shelf) -> Any:
    number = os.open(shelf.path.with_suffix(".log"), os.O_WRONLY | os.O_CREAT)
    closed: list[None] = []

    def write(events: Events) -> None:
        os.write(number, b"a line\n")
        shelf.add(events)

    def close() -> None:
        if not closed:
            closed.append(os.close(number))

    return Calls(write, close=close)


def keeps_its_file(shelf: Shelf) -> Any:
    number = os.open(shelf.path, os.O_RDONLY)
    return Batches(shelf.add, close=lambda: number)


# What cannot bear forks and ends


def resends_the_last_batch_at_its_end(shelf: Shelf) -> Any:
    last: list[Events] = []
    parent = os.getpid()

    def write(events: Events) -> None:
        last[:] = [events]
        shelf.add_again(events)

    def close() -> None:
        if os.getpid() != parent:
            shelf.add_again(last[0])

    return Batches(write, close=close)


def resends_what_the_parent_sent(shelf: Shelf) -> Any:
    last: list[UsageEvent] = []

    def write(events: Events) -> None:
        shelf.add_again(events)
        last.extend(events)

    return Batches(write, after_fork=lambda: shelf.add_again(last))


def has_a_lock_that_outlives_the_fork(shelf: Shelf) -> Any:
    lock = threading.Lock()

    def write(events: Events) -> None:
        with lock:
            shelf.add(events)

    return Calls(write)


def wants_the_loop(shelf: Shelf) -> Any:
    def write(events: Events) -> None:
        try:
            asyncio.get_running_loop().call_later(60, shelf.add, events)
        except RuntimeError:
            shelf.add(events)

    return Calls(write)


def waits_for_a_worker_that_has_ended(shelf: Shelf) -> Any:
    closed: list[bool] = []

    def write(events: Events) -> None:
        if closed:
            NEVER.wait(60)
        shelf.add(events)

    return Calls(write, close=lambda: closed.append(True))
