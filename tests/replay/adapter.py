"""The adapter through which the replay driver meters recorded calls with tokenmeter.

The driver calls ``setup`` once, then for every recorded call ``reset``, the real SDK, ``collect``.
``TOKENMETER_SEAM`` chooses the seam: ``instrument`` (the default: every client in the process),
``wrap`` (each client that the driver makes), or ``both`` at once, which must count the same.
"""

import gc
import os

import tokenmeter
from tokenmeter.exporters.memory import Memory

SDKS = (
    *("openai", "anthropic", "groq", "together", "mistral"),
    *("google", "bedrock", "cohere", "ollama"),
)
EXTRA = {"instrumented": dict.fromkeys(SDKS, True), "usage_keys": {}}
SEAM = os.environ.get("TOKENMETER_SEAM", "instrument")
MEMORY = Memory()


def setup() -> None:
    tokenmeter.configure(exporters=[MEMORY])
    if SEAM in ("instrument", "both"):
        tokenmeter.instrument()


def reset() -> None:
    MEMORY.clear()


def collect() -> list[dict[str, object]]:
    tokenmeter.flush()
    if not MEMORY.events:  # an SDK that drops a stream without closing it leaves that to the
        gc.collect()  # garbage collector
        tokenmeter.flush()
    return [row(event) for event in MEMORY.events]


def row(event: tokenmeter.UsageEvent) -> dict[str, object]:
    """Give what the provider reported, and nothing that tokenmeter estimated."""
    usage = event.usage
    input_tokens = usage.input_tokens if event.input_provenance == "reported" else None
    output_tokens = usage.output_tokens if event.output_provenance == "reported" else None
    known = input_tokens is not None and output_tokens is not None
    return {
        "model": event.response_model,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": usage.total_tokens if known else None,
        "cache_read": cache_read_of(usage),
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
        "status": event.status,
        "provider": event.provider,
    }


def cache_read_of(usage: tokenmeter.Usage) -> int | None:
    """Give what came from the cache, also where it is no part of the input that is billed."""
    if usage.cache_read_tokens is not None:
        return usage.cache_read_tokens
    return (usage.other_counts or {}).get("cached_tokens")


if SEAM in ("wrap", "both"):
    wrap = tokenmeter.wrap
