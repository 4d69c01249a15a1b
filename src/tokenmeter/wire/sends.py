"""A seam on a method ``send`` of some library's client: one piece of logic for both colours."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from tokenmeter.call import Call
from tokenmeter.guard import Guard
from tokenmeter.wire.asides import Aside
from tokenmeter.wire.claim import claim
from tokenmeter.wire.exact import ExactStreams
from tokenmeter.wire.layer import Layer, Opener, Send, land
from tokenmeter.wire.steps import Steps, run, run_async


class Sending(NamedTuple):
    """What is about to be sent, as the caller of ``send`` said it."""

    call: Call
    request: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    is_async: bool


class Asked(Protocol):
    """An exchange in which a stream is asked for its usage; see `tokenmeter.wire.exact`."""

    def sending(self, send: Send) -> Steps:
        """Send what asks, and give the response."""
        ...

    def handing_over(self, response: Any) -> Steps:
        """Give the response as the caller is to have it."""
        ...


class Way(NamedTuple):
    """What is special about a library.

    Args:
        place: The seam's name in the log.
        target: Gives the method, the host and the path of a request; ``None``: it asks no model.
        failed: Closes the call of a request that got no response.
        observe: Reads a response, or begins to observe it; the flag says whether it is async.
        ask: Begins to ask a stream for its usage; ``None``: the request goes as it is, or always.
        aside: Takes the headers that are meant for us out of a request; ``None``: none can be.
    """

    place: str
    target: Callable[[Any], tuple[str, str, str] | None]
    failed: Callable[[Call, Any, BaseException], object]
    observe: Callable[[Call, Any, Any, bool], object]
    ask: Callable[[ExactStreams, Any, Sending], Asked | None] | None = None
    aside: Callable[[Any, Guard], Aside | None] | None = None


class _Sends(Layer):
    """A layer on ``send``."""

    def __init__(self, meter: Opener, way: Way) -> None:
        super().__init__(meter)
        self._way, self._target, self._aside = way, way.target, way.aside

    def _begin(self, request: Any) -> Call | None:
        """Open a call for a request, or ``None`` to pass through.

        What is meant for us never leaves, whatever becomes of the request.
        """
        take = self._aside
        aside = None if take is None else take(request, self.meter.guard)
        holder = claim.get()  # as `passes` says, on the path of every call
        if not self.active or (holder is not None and holder.in_flight):
            return None
        target = self._target(request)
        return None if target is None else self.meter.open(*target, aside)

    def _sender(self, args: tuple[Any, ...]) -> Any:
        """Give the client that sends."""
        return args[0]

    def _ask(self, sending: Sending) -> Asked | None:
        """Begin to ask for the usage, or ``None`` to send the request as it is."""
        exact, ask, guard = self.meter.exact, self._way.ask, self.meter.guard
        if exact is None or ask is None:
            return None
        return guard.run(self._way.place, ask, exact, self._sender(sending.args), sending)

    def _metered(self, send: Send, *, is_async: bool) -> Send:
        """Give a ``send`` that meters what goes through it, of the same colour and signature."""
        meter, guard, begin, ask = self.meter, self.meter.guard, self._begin, self._ask
        place, _, failed, observe, *_ = self._way

        def sync_send(*args: Any, **kwargs: Any) -> Any:
            request = args[-1] if "request" not in kwargs and args else kwargs.get("request")
            call = guard.run(place, begin, request)
            if call is None:
                return send(*args, **kwargs)
            asked = None
            if meter.exact is not None:
                asked = ask(Sending(call, request, args, kwargs, is_async))
            token = claim.set(call)
            try:
                response = send(*args, **kwargs) if asked is None else run(asked.sending(send))
            except BaseException as exc:
                land(call, token)
                guard.run(place, failed, call, request, exc)
                raise
            land(call, token)
            if not guard.done(place, observe, call, request, response, is_async):
                guard.run(place, call.lost, None)
            return response if asked is None else run(asked.handing_over(response))

        async def async_send(*args: Any, **kwargs: Any) -> Any:
            request = args[-1] if "request" not in kwargs and args else kwargs.get("request")
            call = guard.run(place, begin, request)
            if call is None:
                return await send(*args, **kwargs)
            asked = None
            if meter.exact is not None:
                asked = ask(Sending(call, request, args, kwargs, is_async))
            token = claim.set(call)
            try:
                response = await (
                    send(*args, **kwargs) if asked is None else run_async(asked.sending(send))
                )
            except BaseException as exc:
                land(call, token)
                guard.run(place, failed, call, request, exc)
                raise
            land(call, token)
            if not guard.done(place, observe, call, request, response, is_async):
                guard.run(place, call.lost, None)
            return response if asked is None else await run_async(asked.handing_over(response))

        return async_send if is_async else sync_send


class ClientSends(_Sends):
    """A layer on ``send`` of one client, which is held weakly, so that it dies as it would."""

    def __init__(self, meter: Opener, way: Way, client: Any, *, is_async: bool) -> None:
        super().__init__(meter, way)
        self._client = weakref.ref(client)
        self._before: Send | None = client.__dict__.get("send")
        original: Send = self._before or client.__class__.send
        metered = self._metered(self._before or self._class_send, is_async=is_async)
        self._hook: Send = functools.wraps(original)(metered)
        client.send = self._hook

    def _sender(self, args: tuple[Any, ...]) -> Any:  # noqa: ARG002
        return self._client()

    def _class_send(self, *args: Any, **kwargs: Any) -> Any:
        client = self._client()
        if client is None:
            raise ReferenceError("the HTTP client is gone; only its send method was kept")
        send: Send = client.__class__.send
        return send(client, *args, **kwargs)

    def undo(self) -> None:
        """Take the hook off, or leave it passing through when somebody patched over it."""
        self.active = False
        client = self._client()
        if client is None or client.__dict__.get("send") is not self._hook:
            return
        if self._before is None:
            del client.send
        else:
            client.send = self._before


class ClassSends(_Sends):
    """A layer on ``send`` of a class of one library: of all its clients, early and late."""

    def __init__(
        self, meter: Opener, way: Way, library: ModuleType, name: str, *, is_async: bool
    ) -> None:
        super().__init__(meter, way)
        make = functools.partial(self._metered, is_async=is_async)
        self.undo = self.patch(library, f"{name}.send", make)
