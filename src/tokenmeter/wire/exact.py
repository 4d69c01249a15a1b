"""Exact streams: asking for the usage of a stream where its caller did not, unnoticed.

Which requests are changed, and which hosts are not asked again. Knows neither an HTTP library nor a
vendor's field: the dialect changes the body, the library's seam sends it and hands the answer over
without the one event that came in addition.

A request is changed only when nothing vouches for its bytes (a signature or a digest in its
headers) and its body is JSON in memory. It then asks for an uncompressed answer
(``accept-encoding: identity``): a compressed body is never changed, so the event could not be taken
out of it, while the events that a caller gets are the same whether they travelled compressed or
not. A server that compresses all the same has its body passed on as it is, with the one event in
it, and is not asked again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tokenmeter.guard import Guard
from tokenmeter.providers import REPORTING, Route
from tokenmeter.wire.cutter import Cutter

REFUSALS = frozenset({400, 404, 406, 415, 422})
"""Statuses that may be about what was added to a request.

404 is how a gateway may say that nobody behind it knows a parameter (OpenRouter's "No endpoints
found that support …", https://github.com/lastmile-ai/mcp-agent/issues/237, read 2026-11-22).
"""

_VOUCHED = re.compile(
    r"^x-amz-|signature|digest|md5|sha-?256|hmac|idempotency|^(content|transfer)-encoding$"
)
"""Headers of a request whose bytes must stay: signed, summed up, encoded, or sent only once."""

_BEARERS = ("", "bearer", "basic", "token", "api-key", "key")
"""Schemes of ``authorization`` that sign nothing; others may."""

_REMEMBERED = 1000


class ExactStreams:
    """Say what to send instead of a request, and remember the hosts that refuse it."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self._refusing: dict[str | None, None] = {}

    def asking(self, route: Route, headers: Mapping[str, str], body: bytes) -> bytes | None:
        """Give the body that also asks for the usage; ``None``: the request is sent as it is."""
        if route.provider in REPORTING or route.host in self._refusing:
            return None
        if not _is_json(headers) or _is_vouched_for(headers):
            return None
        try:
            return route.dialect.asking(body)
        except msgspec.DecodeError:
            return None  # not JSON: somebody else's format

    def cutter(self, route: Route) -> Cutter:
        """Give what takes the additional event out of an answer."""
        guard, dialect = self.guard, route.dialect
        return Cutter(
            lambda data: guard.run(dialect.name, dialect.is_extra, data), dialect.ordinary
        )

    def refused(self, host: str | None) -> None:
        """Ask this host no more."""
        if len(self._refusing) < _REMEMBERED:
            self._refusing[host] = None


def _is_json(headers: Mapping[str, str]) -> bool:
    return "json" in headers.get("content-type", "").lower()


def _is_vouched_for(headers: Mapping[str, str]) -> bool:
    scheme = headers.get("authorization", "").partition(" ")[0].lower()
    return scheme not in _BEARERS or any(_VOUCHED.search(name.lower()) for name in headers)
