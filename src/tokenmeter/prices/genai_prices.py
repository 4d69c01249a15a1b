"""The book of prices that comes as a package: genai-prices, with the extra ``prices``.

Its snapshot is read as it was installed; its updater, which would fetch another one, is never
started. A model is looked up once a day that is asked for, and what is found becomes `Rates`;
the package itself takes some 300 microseconds for every amount.

Package and data: https://github.com/pydantic/genai-prices (version 0.2.3, read 2026-11-23).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from importlib import import_module, metadata
from typing import Any, NamedTuple, cast

from tokenmeter.errors import MissingExtraError
from tokenmeter.prices.books import Asked, NoPrice, Origin
from tokenmeter.prices.rates import Price, Rates, Step, compiled
from tokenmeter.prices.sources import GENAI_PRICES

PROVIDERS: Mapping[str, str] = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "github_copilot": "github-copilot",
    "meta_llama": "meta",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "voyage": "voyageai",
    "x_ai": "x-ai",
}
"""What the package calls a provider, where it is not our name."""

UNITS: Mapping[str, str] = {
    "input_mtok": "input_tokens",
    "cache_read_mtok": "cache_read_tokens",
    "cache_write_mtok": "cache_write_tokens",
    "cache_write_5m_mtok": "cache_write_5m_tokens",
    "cache_write_1h_mtok": "cache_write_1h_tokens",
    "input_text_mtok": "input_text_tokens",
    "input_audio_mtok": "input_audio_tokens",
    "input_image_mtok": "input_image_tokens",
    "input_video_mtok": "input_video_tokens",
    "cache_audio_read_mtok": "cache_read_audio_tokens",
    "cache_image_read_mtok": "cache_read_image_tokens",
    "output_mtok": "output_tokens",
    "output_reasoning_mtok": "reasoning_tokens",
    "output_text_mtok": "output_text_tokens",
    "output_audio_mtok": "output_audio_tokens",
    "output_image_mtok": "output_image_tokens",
    "output_video_mtok": "output_video_tokens",
    "output_citation_mtok": "citation_tokens",
    "audio_hours": "audio_seconds",
    "input_audio_hours": "audio_seconds",
    "input_document_kpages": "pages",
    "rerank_searches_kcount": "rerank_searches",
    "web_searches_kcount": "web_searches",
    "requests_kcount": "calls",
}
"""What the package has a price of, and what we call it."""

_NOT_READ = {
    "input_annotated_document_kpages",  # whether pages were annotated is in the request alone
    "storage_searches_kcount",  # no vendor reports how many there were
}

_WHISPER = ("whisper-large-v3", "whisper-large-v3-turbo")
_LEAST = {"audio_seconds": 10}
"""Groq bills ten seconds at least: https://groq.com/pricing (read in the package's source)."""

TIERS: Mapping[str, Mapping[str, str]] = {
    "batch": {"processing": "batch"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}
"""What the package wants to be told of a tier, where it is more than its name."""


class _Index(NamedTuple):
    """Where the models of a provider stand: those that are meant by a name, and all others."""

    named: Mapping[str, Sequence[int]]
    others: Sequence[int]


class GenaiPrices:
    """Find prices in the installed snapshot.

    Raises:
        MissingExtraError: The package is not installed.
    """

    def __init__(self) -> None:
        try:
            snapshot: Any = import_module("genai_prices.data_snapshot").get_snapshot()
        except ImportError as exc:
            raise MissingExtraError("the prices of models", "prices") from exc
        self._all = snapshot.providers
        self._providers = {provider.id: provider for provider in self._all}
        self._types: Any = import_module("genai_prices.types")
        self._named = {provider.id: self._index(provider.models) for provider in self._all}
        for provider in self._all:
            provider.find_model("")  # has its patterns compiled now, and not in the first call
        self._origin = Origin(GENAI_PRICES, metadata.version(GENAI_PRICES))

    def find(self, asked: Asked, /) -> Sequence[Rates] | NoPrice:
        """Give the rates of a model on a day; see `tokenmeter.prices.Book`."""
        provider: Any = self._providers.get(PROVIDERS.get(asked.provider, asked.provider))
        if provider is None:  # the package guesses, and takes any `openai_compatible` for OpenAI
            return NoPrice("unknown_provider")
        model: Any = self._model(provider, asked.model)
        if model is None:
            return NoPrice("unknown_model")
        is_own = any(each is model for each in provider.models)
        context = self._context(asked.tier if is_own else None)
        found: list[Rates] = []
        for start, end in self._parts(model, asked.day):
            now = datetime.combine(asked.day, start, UTC)
            prices = _read(model.get_prices(now, context), self._types.TieredPrices)
            if not prices:
                return NoPrice("no_price" if prices is None else "unknown_unit")
            rates = compiled(
                prices,
                self._origin,
                for_tier=any(_is_for(variant, context, now) for variant in _variants(model)),
                between=None if start == end else (start, end),
                least=_LEAST if provider.id == "groq" and model.id in _WHISPER else None,
            )
            found.append(rates)
        return found

    def _index(self, models: Sequence[Any]) -> _Index:
        """Sort models into those that have some names and no pattern, and the others."""
        named: defaultdict[str, list[int]] = defaultdict(list)
        others: list[int] = []
        for n, model in enumerate(models):
            clauses: list[Any] = getattr(model.match, "or_", [model.match])
            if all(_is(clause, self._types.ClauseEquals) for clause in clauses):
                for clause in clauses:
                    named[_key(clause.equals)].append(n)
            else:
                others.append(n)
        return _Index(named, others)

    def _model(self, provider: Any, name: str) -> Any:
        """Have the package look among those alone that can be meant: a provider has up to 900."""
        named, others = self._named[provider.id]
        places = sorted({*named.get(_key(name), ()), *others})
        likely = replace(provider, models=[provider.models[n] for n in places])
        return likely.find_model(name, all_providers=self._all)

    def _context(self, tier: str | None) -> Mapping[str, str]:
        if tier is None:
            return {}
        return TIERS.get(tier.lower(), {"service_tier": tier.lower()})

    def _parts(self, model: Any, day: date) -> list[tuple[time, time]]:
        """Give the parts of a day in which prices are the same, as they follow; in UTC."""
        conditions: list[Any] = [*_variants(model)]
        if not isinstance(model.prices, self._types.ModelPrice):
            conditions += model.prices
        limits: list[Any] = [each.constraint for each in conditions]
        starts = {time()}
        for limit in limits:
            if _is(limit, self._types.TimeOfDateConstraint):
                starts |= {_utc(limit.start_time, day), _utc(limit.end_time, day)}
        ordered = sorted(starts)
        return list(zip(ordered, [*ordered[1:], ordered[0]], strict=True))


def _key(name: str) -> str:
    return name.lower().replace("-", "")  # the package tries a date with and without hyphens


def _is(thing: object, kind: type[Any]) -> bool:
    return isinstance(thing, kind)


def _variants(model: Any) -> Sequence[Any]:
    return model.price_variants or ()


def _is_for(variant: Any, context: Mapping[str, str], now: datetime) -> bool:
    """Say whether a variant is what was asked for: then the price is that of the tier."""
    is_active = variant.constraint is None or variant.constraint.active(now)
    return is_active and all(context.get(key) == value for key, value in variant.when.items())


def _utc(at: time, day: date) -> time:
    """Give a time of the day in UTC; one that says no zone is in UTC already."""
    if at.tzinfo is None:
        return at
    return datetime.combine(day, at).astimezone(UTC).time()


def _read(model_price: Any, tiered: type[Any]) -> dict[str, Price] | None:
    """Give the prices by our names; ``None``: there are none; empty: not all are understood."""
    prices: dict[str, Price] = {}
    said = cast("dict[str, Any]", vars(model_price))
    for key, value in said.items():
        if value is None or key in _NOT_READ:
            continue
        unit = UNITS.get(key)
        price = _steps(value) if _is(value, tiered) else value
        if unit is None or prices.setdefault(unit, price) != price:
            return {}
    return prices or None


def _steps(price: Any) -> tuple[Step, ...]:
    return (Step(0, price.base), *(Step(tier.start, tier.price) for tier in price.tiers))
