"""What surrounds a call and is known by OpenTelemetry: its span, the service, the environment.

OpenTelemetry is not imported here: where nobody else has imported it, there is no span.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

NO_SPAN: tuple[None, None] = (None, None)


class RemoteSpan(NamedTuple):
    """A span of another thread or process: as much of it as its ids, which are numbers here."""

    trace_id: int
    span_id: int
    trace_flags: int = 0
    is_valid: bool = True


def remote_span(span: Any) -> RemoteSpan | None:
    """Give the ids of a span, to be taken elsewhere; ``None`` where there is none.

    >>> remote_span(None)
    """
    if span is None or not span.is_valid:
        return None
    return RemoteSpan(span.trace_id, span.span_id, int(span.trace_flags))


def span_context(remote: Any = None) -> Any:
    """Give the context of the current span, or else ``remote``; called for each call, so cheap.

    ``remote`` is the span of another process from which this was called.
    """
    trace = sys.modules.get("opentelemetry.trace")
    current = getattr(trace, "get_current_span", None)  # absent while the module is imported
    if current is None:
        return remote
    here = current().get_span_context()
    return here if remote is None or here.is_valid else remote


def span_ids(span: Any) -> tuple[str, str] | tuple[None, None]:
    """Give the ids of a trace and a span in hexadecimal digits, as W3C writes them.

    >>> span_ids(None)
    (None, None)
    """
    if span is None or not span.is_valid:
        return NO_SPAN
    return f"{span.trace_id:032x}", f"{span.span_id:016x}"


class Place(NamedTuple):
    """Where a process stands.

    Attributes:
        service: The service that it belongs to.
        environment: For example ``production``.
    """

    service: str | None = None
    environment: str | None = None


def place(environ: Mapping[str, str]) -> Place:
    """Read what environment variables of OpenTelemetry say of this process.

    ``OTEL_SERVICE_NAME`` is before ``service.name`` in ``OTEL_RESOURCE_ATTRIBUTES`` (OpenTelemetry
    specification, *Resource SDK*, read 2026-11-23); of the environment the older name is known too.

    >>> place({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop,deployment.environment=test"})
    Place(service='shop', environment='test')
    """
    pairs = (pair.partition("=") for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    said = {name.strip(): unquote(value.strip()) for name, _, value in pairs}
    service = environ.get("OTEL_SERVICE_NAME") or said.get("service.name")
    current, older = said.get("deployment.environment.name"), said.get("deployment.environment")
    return Place(service or None, current or older or None)
