"""The names of OpenTelemetry: which metrics there are, by profile, and what a column is called.

``current`` are the GenAI conventions of open-telemetry/semantic-conventions-genai at commit
066d4a7f356f (read 2026-11-23); ``legacy`` are those of open-telemetry/semantic-conventions v1.41.0,
which today's dashboards read. Both have stability *development*, so the strings are held here and
not taken from a package that moves. What neither has a name for is ``tokenmeter.*``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

CONVENTIONS = "semantic-conventions-genai 066d4a7f356f, semantic-conventions 1.41.0"
"""What the scope of our metrics says they follow."""

Profile = Literal["both", "current", "legacy"]
PROFILES: dict[str, frozenset[str]] = {
    "both": frozenset({"current", "legacy"}),
    "current": frozenset({"current"}),
    "legacy": frozenset({"legacy"}),
}
_BOTH = PROFILES["both"]
_CURRENT = PROFILES["current"]
_LEGACY = PROFILES["legacy"]

TOKEN_BUCKETS = tuple(4**n for n in range(14))
SECOND_BUCKETS = tuple(round(0.01 * 2**n, 2) for n in range(14))

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
MODALITY = "gen_ai.token.modality"
TOKEN_TYPE = "gen_ai.token.type"
ERROR = "error.type"
PROVENANCE = "tokenmeter.provenance"
CURRENCY = "tokenmeter.cost.currency"
UNKNOWN_SIDE = "tokenmeter.unmetered"
EXPORTER = "tokenmeter.exporter"
STATE = "tokenmeter.state"

INFERENCE = frozenset({"chat", "generate_content", "text_completion"})
"""The operations whose duration is `INFERENCE_DURATION` in the current conventions."""

_USAGE = "gen_ai.client.inference.usage."
INPUT = _USAGE + "input_tokens"
OUTPUT = _USAGE + "output_tokens"
CACHE_READ = _USAGE + "cache_read.input_tokens"
CACHE_WRITE = _USAGE + "cache_write.input_tokens"
REASONING = _USAGE + "reasoning.output_tokens"
INPUT_PER_CALL = "gen_ai.client.inference.operation.input_tokens"
OUTPUT_PER_CALL = "gen_ai.client.inference.operation.output_tokens"
INFERENCE_DURATION = "gen_ai.client.inference.duration"
INFERENCE_FIRST_CHUNK = "gen_ai.client.inference.time_to_first_chunk"
TOKEN_USAGE = "gen_ai.client.token.usage"
DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
UNMETERED = "tokenmeter.calls.unmetered"
ESTIMATED_INPUT = "tokenmeter.estimated.input_tokens"
ESTIMATED_OUTPUT = "tokenmeter.estimated.output_tokens"
COST = "tokenmeter.cost"
EVENTS = "tokenmeter.events"


class Metric(NamedTuple):
    """One instrument.

    Attributes:
        unit: In UCUM, as the conventions write it.
        description: What is counted or measured.
        buckets: The boundaries of a histogram; ``None``: it is a counter.
        has_error: Whether a call that ended in an error says so in ``error.type``.
        profiles: In which profiles it is.
    """

    unit: str
    description: str
    buckets: tuple[float, ...] | None = None
    has_error: bool = False
    profiles: frozenset[str] = _BOTH


_T, _S = "{token}", "s"
METRICS: dict[str, Metric] = {
    INPUT: Metric(_T, "Input tokens, cached input included.", profiles=_CURRENT),
    OUTPUT: Metric(_T, "Output tokens, reasoning included.", profiles=_CURRENT),
    CACHE_READ: Metric(_T, "Input tokens read from the provider's cache.", profiles=_CURRENT),
    CACHE_WRITE: Metric(_T, "Input tokens written to the provider's cache.", profiles=_CURRENT),
    REASONING: Metric(_T, "Output tokens spent on reasoning.", profiles=_CURRENT),
    INPUT_PER_CALL: Metric(
        _T, "Input tokens of each call.", TOKEN_BUCKETS, has_error=True, profiles=_CURRENT
    ),
    OUTPUT_PER_CALL: Metric(
        _T, "Output tokens of each call.", TOKEN_BUCKETS, has_error=True, profiles=_CURRENT
    ),
    INFERENCE_DURATION: Metric(
        _S, "Duration of each inference.", SECOND_BUCKETS, has_error=True, profiles=_CURRENT
    ),
    INFERENCE_FIRST_CHUNK: Metric(
        _S, "Time to the first chunk of a stream.", SECOND_BUCKETS, profiles=_CURRENT
    ),
    TOKEN_USAGE: Metric(
        _T, "Input and output tokens of each call.", TOKEN_BUCKETS, profiles=_LEGACY
    ),
    DURATION: Metric(_S, "Duration of each operation.", SECOND_BUCKETS, has_error=True),
    FIRST_CHUNK: Metric(_S, "Time to the first chunk of a stream.", SECOND_BUCKETS),
    UNMETERED: Metric("{call}", "Calls of which a count is unknown."),
    ESTIMATED_INPUT: Metric(_T, "Input tokens that nobody reported: estimates, lower bounds."),
    ESTIMATED_OUTPUT: Metric(_T, "Output tokens that nobody reported: estimates, lower bounds."),
    COST: Metric("{currency}", "What calls cost, in the currency that the attribute names."),
    EVENTS: Metric("{event}", "What became of the events, by exporter."),
}
"""Every metric; all but the last are recorded of calls, the last is observed."""

COUNTERS = frozenset(name for name, metric in METRICS.items() if metric.buckets is None)

COLUMNS = {
    "operation": OPERATION,
    "provider": PROVIDER,
    "request_model": REQUEST_MODEL,
    "response_model": RESPONSE_MODEL,
    "stream": "gen_ai.request.stream",
    "server_address": "server.address",
    "response_id": "gen_ai.response.id",
    "finish_reasons": "gen_ai.response.finish_reasons",
    "error_type": ERROR,
    "http_status": "http.response.status_code",
    "time_to_first_chunk_s": "gen_ai.response.time_to_first_chunk",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "input_text_tokens": "gen_ai.usage.text.input_tokens",
    "input_image_tokens": "gen_ai.usage.image.input_tokens",
    "input_audio_tokens": "gen_ai.usage.audio.input_tokens",
    "output_text_tokens": "gen_ai.usage.text.output_tokens",
    "output_image_tokens": "gen_ai.usage.image.output_tokens",
    "output_audio_tokens": "gen_ai.usage.audio.output_tokens",
    "conversation": "gen_ai.conversation.id",
    "user": "user.id",
    "service": "service.name",
    "environment": "deployment.environment.name",
    "host": "host.name",
    "pid": "process.pid",
}
"""What the conventions call a column; any other column is ``tokenmeter.`` and its own name."""


def named(column: str) -> str:
    """Give the name of a column as an attribute.

    >>> named("user"), named("team"), named("tag:project")
    ('user.id', 'tokenmeter.team', 'tokenmeter.tag.project')
    """
    return COLUMNS.get(column) or "tokenmeter." + column.replace(":", ".")
