"""What one request of a caller becomes where urllib3 sends it: a call, and one more for each retry.

urllib3 tries again inside its ``urlopen``, by calling that once more with what it has tried so far
in the public ``Retry.history``. Knows neither how requests are hooked nor how bodies are read.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tokenmeter.call import Call, Headers
from tokenmeter.wire.asides import Aside
from tokenmeter.wire.layer import Opener

_UNSENT = {
    "ClosedPoolError",
    "ConnectTimeoutError",
    "EmptyPoolError",
    "HostChangedError",
    "InvalidProxyURL",
    "InvalidSchema",
    "InvalidURL",
    "LocationParseError",
    "LocationValueError",
    "NameResolutionError",
    "NewConnectionError",
    "ProxyError",  # raised before the proxy has connected
    "ProxySchemeUnknown",
    "ResponseError",  # too many redirects, or too many refusals
    "SSLCertVerificationError",
    "TooManyRedirects",
    "URLSchemeUnknown",
}
"""Exceptions of urllib3 and requests that mean: no model has seen a whole request."""

_RETRY_COUNT = "x-stainless-retry-count"
"""Request header in which the SDKs that Stainless generates number their attempts from 0."""

_REFUSALS = re.compile(r"too many (\d{3}) error responses")
"""What urllib3 says when a status was to be retried once too often; no attribute has it."""


class Request(NamedTuple):
    """What a seam needs to know of a request."""

    method: str
    host: str
    path: str
    body: object
    headers: Headers | None
    aside: Aside | None = None


class Exchange:
    """What one request of a caller becomes; ``call`` is the attempt that is made now."""

    __slots__ = ("_past", "_request", "_retries", "call", "in_flight", "meter")

    def __init__(self, meter: Opener, request: Request, call: Call) -> None:
        self.in_flight = True
        self.meter = meter
        self.call = call
        self._request = request
        self._past = 0  # what was in urllib3's history when it last tried
        self._retries = 0

    def tried(self, retries: Any) -> None:
        """Take note that urllib3 tries, perhaps again; a redirect is no new attempt."""
        history: Any = getattr(retries, "history", ())
        last = history[-1] if len(history) > self._past else None
        self._past = len(history)
        if last is not None and not last.redirect_location:
            self._try_again(last)

    def _try_again(self, last: Any) -> None:
        request = self._request
        following = self.meter.open(request.method, request.host, request.path, request.aside)
        if following is None:  # the meter was disabled meanwhile
            return
        call = self.asked()
        if last.status is None:
            _fail(call, last.error)
        else:
            call.answered(last.status, {}, b"", cached=False)
        self.call = following
        self._retries += 1

    def asked(self) -> Call:
        """Say what was asked; gives the call."""
        body, headers = self._request.body, self._request.headers
        said = None if headers is None else headers.get(_RETRY_COUNT)
        self.call.asked(_in_memory(body), str(self._retries) if self._retries else said)
        return self.call

    def failed(self, exc: BaseException) -> None:
        """Close a call that got no response."""
        _fail(self.asked(), exc)


def _fail(call: Call, exc: BaseException) -> None:
    error = _beneath(exc)
    refusal = _REFUSALS.search(str(error)) if type(error).__name__ == "ResponseError" else None
    if refusal is not None:
        call.answered(int(refusal[1]), {}, b"", cached=False)
    else:
        call.failed(error, unsent=any(type(e).__name__ in _UNSENT for e in (error, *error.args)))


def _beneath(exc: BaseException) -> BaseException:
    """Find the error that urllib3, or requests in turn, has wrapped into one of its own."""
    wraps = type(exc).__name__ == "MaxRetryError" or type(exc).__module__.startswith("requests.")
    wrapped = getattr(exc, "reason", None) or next(iter(exc.args), None)
    return _beneath(wrapped) if wraps and isinstance(wrapped, Exception) else exc


def _in_memory(body: object) -> bytes | None:
    """Give a body that is there already; files, iterables and the like are not ours to read."""
    if isinstance(body, str):
        return body.encode(errors="replace")
    return bytes(body) if isinstance(body, bytes | bytearray) else None
