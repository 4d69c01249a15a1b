"""What a client's transport raises, kept as the objects that they are."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

Raised = list[BaseException]


@contextlib.contextmanager
def _noting(raised: Raised) -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        raised.append(exc)
        raise


def keep_what_is_raised(http_client: Any, raised: Raised) -> None:
    """Note every exception that a client's transport raises, also in the body of a response."""
    transport = http_client._transport
    library = sys.modules[_library(http_client)]
    before, before_async = (
        getattr(transport, name, None) for name in ("handle_request", "handle_async_request")
    )

    class NotingStream(library.SyncByteStream, library.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            with _noting(raised):
                yield from self._stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            with _noting(raised):
                async for chunk in self._stream:
                    yield chunk

        def close(self) -> None:
            self._stream.close()

        async def aclose(self) -> None:
            await self._stream.aclose()

    def handle_request(request: Any) -> Any:
        with _noting(raised):
            response = before(request)
        response.stream = NotingStream(response.stream)
        return response

    async def handle_async_request(request: Any) -> Any:
        with _noting(raised):
            response = await before_async(request)
        response.stream = NotingStream(response.stream)
        return response

    transport.handle_request = handle_request
    transport.handle_async_request = handle_async_request


def _library(http_client: Any) -> str:
    roots = (base.__module__.partition(".")[0] for base in type(http_client).__mro__)
    return next(root for root in roots if root.startswith("httpx"))
