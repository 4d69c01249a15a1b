"""The bodies of urllib3's responses, observed where their caller reads them.

That is in the public methods of ``HTTPResponse`` that read or close. The hooks on them stand on the
class and look up whether a response is one of a call; nothing is set on a response. The other ways
do harm: a hook in its ``__dict__`` keeps it alive in a cycle or outlives it (in
``request(...).read()`` nothing else holds it), a subclass put under it changes its type, and
``_fp`` is private and shows the framing of chunks.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tokenmeter.call import Call, Headers
from tokenmeter.guard import Guard
from tokenmeter.wire.body import BATCH, StreamReader
from tokenmeter.wire.layer import Send

LIBRARY = "urllib3"
PLACE = "the urllib3 seam"


class Head(NamedTuple):
    """What a response says before its body."""

    http_status: int
    headers: Headers
    cached: bool = False


def take(call: Call, head: Head, body: bytes, encoding: str | None) -> None:
    """Read a body that is in memory, with the content encoding that is left on it."""
    if encoding is None:
        call.answered(head.http_status, head.headers, body, cached=head.cached)
    else:
        _start(call, head, encoding).chunks.append(body)
        call.exhausted()


def follow(call: Call, head: Head, response: Any, guard: Guard) -> None:
    """Observe the body of a response that its caller is still to read."""
    if isinstance(response, sys.modules[LIBRARY].HTTPResponse):
        _bodies[id(response)] = _Body(call, head, response, guard)
    else:
        call.lost(head.http_status)


def encoding_left(response: Any, *, decoded: bool) -> str | None:
    """Give the content encoding that urllib3 leaves on what it hands out, if any."""
    encoding: str = response.headers.get("content-encoding", "")
    undone = {name.strip().lower() for name in encoding.split(",")} & {*response.CONTENT_DECODERS}
    return encoding if encoding and not (decoded and undone) else None


def _start(call: Call, head: Head, encoding: str | None) -> StreamReader:
    return call.streaming(head.http_status, head.headers, encoding, cached=head.cached)


_bodies: dict[int, _Body] = {}
"""The bodies that are still to be read, by the ``id`` of their responses, which live as long:
a subclass of urllib3's response need not be hashable (that of requests-cache is not)."""


class _Body:
    """The body of one response; dropping that unread ends the call."""

    __slots__ = (
        "_call",
        "_direct",
        "_head",
        "_reader",
        "_response",
        "_room",
        "busy",
        "guard",
        "noting",
    )

    def __init__(self, call: Call, head: Head, response: Any, guard: Guard) -> None:
        key = id(response)

        def gone(_: object) -> None:
            _bodies.pop(key, None)
            call.dropped()

        self.busy = False  # one of the hooked methods runs
        self.noting = False  # and its hook takes what it gives, so that no hook beneath does
        self.guard = guard
        self._response = weakref.ref(response, gone)
        self._call = call
        self._head = head
        self._reader = _start(call, head, None)
        self._direct: bool | None = None  # whether what is handed out is what the network gave
        self._room = 0  # so that the first chunk takes the longer way

    def during(self, response: Any, notes: bool, read: Callable[[], Any]) -> Any:
        """Read for the caller; what urllib3 closes meanwhile is not closed by the caller."""
        outer = self.busy, self.noting
        self.busy, self.noting = True, self.noting or notes
        try:
            return read()
        except StopIteration:
            raise
        except BaseException as exc:
            self.guard.run(PLACE, self._raised, response, exc)
            raise
        finally:
            self.busy, self.noting = outer

    def took(self, response: Any, data: bytes | None, *, decoded: Any, last: bool) -> None:
        """Take the next bytes, which may be the last."""
        if self._direct is None:
            self._direct = self._begin(response, decoded)
        if data:
            self._reader.chunks.append(data)
            self._room -= len(data)
            if self._room < 0:
                self._call.first()
                self._reader.scan()
                self._room = BATCH
        if last or (self._direct and _at_end(response)):
            self.ended(response)

    def _begin(self, response: Any, decoded: Any) -> bool:
        """Prepare for what the first read shows: whether urllib3 undoes the encoding."""
        left = encoding_left(response, decoded=bool(decoded))
        if left is not None:
            self._reader = _start(self._call, self._head, left)
        return left is not None or "content-encoding" not in response.headers

    def ended(self, response: Any) -> None:
        """Close the call of a body that was read to its end."""
        self._end(response, self._call.exhausted)

    def let_go(self, response: Any) -> None:
        """Close the call of a body that was closed: by its reader, or by the finaliser of files."""
        finalising = getattr(response, "_finalizing", False)  # set by Python itself
        self._end(response, self._call.dropped if finalising else self._call.released)

    def _raised(self, response: Any, exc: BaseException) -> None:
        """Close the call, unless the body can still be read: a wrong argument ends nothing."""
        if _at_end(response) or type(exc).__name__ == "DecodeError":
            self._end(response, functools.partial(self._call.interrupted, exc))

    def _end(self, response: Any, end: Callable[[], None]) -> None:
        if _bodies.pop(id(response), None) is not None:
            end()
            HOOKS.settle()


def _reading(read: Send, *, at_once: bool) -> Send:
    """Hook a method that gives the next bytes; ``at_once``, all of them when no amount is said."""

    def hook(response: Any, *args: Any, **kwargs: Any) -> Any:
        body = _bodies.get(id(response))
        if body is None or body.noting:
            return read(response, *args, **kwargs)
        data = body.during(response, True, lambda: read(response, *args, **kwargs))
        amount, decoded = _wanted(*args, **kwargs)
        decoded = response.decode_content if decoded is None else decoded
        # Nothing is not the end: before urllib3 2 it may only mean that nothing is decoded yet.
        dry = not data and amount != 0 and _at_end(response)
        last = dry or (at_once and (amount is None or amount < 0))
        body.guard.run(PLACE, body.took, response, data, decoded=decoded, last=last)
        return data

    return hook


def _iterating(iterate: Send, *, notes: bool) -> Send:
    """Hook a generator; one that reads through the other methods only ``notes`` its end."""

    def hook(response: Any, *args: Any, **kwargs: Any) -> Any:
        chunks = iterate(response, *args, **kwargs)
        body = _bodies.get(id(response))
        return chunks if body is None else passed_on(body, response, chunks, *args, **kwargs)

    def passed_on(
        body: _Body, response: Any, chunks: Iterator[bytes], *args: Any, **kwargs: Any
    ) -> Iterator[bytes]:
        amount, decoded = _wanted(*args, **kwargs)
        while True:
            takes = notes and not body.noting
            try:
                chunk = body.during(response, notes, chunks.__next__)
            except StopIteration:
                break
            if takes:
                body.guard.run(PLACE, body.took, response, chunk, decoded=decoded, last=False)
            yield chunk
        if amount != 0:
            body.guard.run(PLACE, body.ended, response)

    return hook


def _at_end(response: Any) -> bool:
    """Say whether no more comes from the network, or the body was closed."""
    return bool(response.closed or response.isclosed())


def _wanted(amt: Any = None, decode_content: Any = None, *_: Any, **__: Any) -> tuple[Any, Any]:
    """Give the first two parameters, which are the same for all methods that read."""
    return amt, decode_content


def _closing(close: Send) -> Send:
    def hook(response: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return close(response, *args, **kwargs)
        finally:
            body = _bodies.get(id(response))
            if body is not None and not body.busy:
                body.guard.run(PLACE, body.let_go, response)

    return hook


class _Hooks:
    """Hooks on classes of urllib3, which stand while somebody needs them or a body is open.

    They are needed and let go of in any thread, and let go of where no lock may be taken; to have
    one twice does no harm.
    """

    def __init__(self, places: dict[tuple[str, str], Callable[[Send], Send]]) -> None:
        self.places = places
        self._needing: weakref.WeakSet[object] = weakref.WeakSet()
        self._standing: dict[tuple[Any, str], tuple[Send, Send]] = {}

    def stand_for(self, somebody: object) -> None:
        """Have the hooks stand for as long as somebody lives."""
        self._needing.add(somebody)
        self._stand()

    def fall_for(self, somebody: object) -> None:
        """Have them stand for somebody no longer."""
        self._needing.discard(somebody)
        self.settle()

    def settle(self) -> None:
        """Take the hooks off when nothing needs them; one that was patched over stays."""
        if self._needed():
            return
        for (owner, name), (before, hook) in list(self._standing.items()):
            if owner.__dict__.get(name) is hook:
                setattr(owner, name, before)
        if self._needed():  # by somebody who came meanwhile
            self._stand()

    def _needed(self) -> bool:
        return bool(self._needing or _bodies)

    def _stand(self) -> None:
        for (kind, name), make in self.places.items():
            owner: Any = getattr(sys.modules.get(LIBRARY), kind, None)
            before = getattr(owner, "__dict__", {}).get(name)
            stands = self._standing.get((owner, name))
            if before is None or (stands is not None and stands[1] in _layers(before)):
                continue
            hook = functools.wraps(before)(make(before))
            self._standing[owner, name] = (before, hook)
            setattr(owner, name, hook)


def _layers(method: Send | None) -> Iterator[Send]:
    """Give a method and what it was patched over, as far as the patches say."""
    while method is not None:
        yield method
        method = getattr(method, "__wrapped__", None)


HOOKS = _Hooks(
    {
        ("HTTPResponse", "read"): functools.partial(_reading, at_once=True),
        ("HTTPResponse", "read1"): functools.partial(_reading, at_once=False),  # since urllib3 2
        ("HTTPResponse", "read_chunked"): functools.partial(_iterating, notes=True),
        ("HTTPResponse", "stream"): functools.partial(_iterating, notes=False),
        ("HTTPResponse", "close"): _closing,
    }
)
