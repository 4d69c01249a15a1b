"""Check costs on recorded traffic: ``python prices.py CORPUS [--ids REGEX] [--show N]``.

CORPUS is a directory of recorded interactions. Each becomes an event, as it would where it was
made, and is priced; then genai-prices works out the same by itself, twice: from the numbers of the
event, and from the body that the provider sent, which it reads in its own way. All amounts have to
be equal to the last digit. Where one of the two has no price, the table says why; what has a factor
that genai-prices does not know, for a tier or a region, is counted apart.
"""

import argparse
import json
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from genai_prices import Usage, calc_price, extract_usage
from recorded import Record, body_of, load

from tokenmeter import Meter, UsageEvent
from tokenmeter.dialects.billed import NAMES
from tokenmeter.prices.genai_prices import PROVIDERS, TIERS, UNITS, GenaiPrices
from tokenmeter.prices.pricing import Pricing
from tokenmeter.prices.sources import GENAI_PRICES

FLAVORS = {
    "openai_chat": "chat", "openai_responses": "responses", "openai_embeddings": "embeddings",
    "anthropic_messages": "default", "gemini": "default",
}  # fmt: skip
"""Which of its ways to read a body genai-prices has for a recorded format."""

DIFFERENT = {
    ("unknown_tokens", "zero"), ("unknown_tier", "an amount"), ("unknown_provider", "an amount"),
    ("unknown_provider", "zero"), ("billed_beside", "an amount"),
}  # fmt: skip
"""What we have no price of, and genai-prices has: it takes what nobody knows for zero, a tier that
it does not know for the usual one, a server of one's own for the vendor whose API it speaks, and
leaves out what another model used within the call."""


class Headers(dict[str, str]):
    """The headers of a response; names are case-insensitive."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def event_of(meter: Meter, events: list[UsageEvent], record: Record) -> UsageEvent | None:
    """Give the event that a meter makes of a record; none where it is no call of a model."""
    url = urlsplit(record["path"])
    call = meter.open(record["method"], record["host"], url.path)
    if call is None:
        return None
    request = record["request_body"]
    call.asked(None if request is None else json.dumps(request).encode(), None)
    headers = Headers({k.lower(): v for k, v in (record["response_headers"] or {}).items()})
    call.answered(record["status"], headers, body_of(record), cached=False)
    meter.flush()
    if len(events) != 1:
        events.clear()
        return None
    return events.pop()


def counts_of(event: UsageEvent) -> dict[str, int]:
    """Give what an event counts, by the names of genai-prices."""
    others = event.other_counts or {}
    counts = {}
    for key, name in UNITS.items():
        unit = data_units()[key]
        if unit == "requests":
            continue
        names = NAMES.get(name)
        if names is None:
            count = getattr(event, name)
        else:
            count = next((others[n] for n in names if n in others), None)
        if count is not None:
            counts[unit] = count
    return counts


def data_units() -> dict[str, str]:
    """Give what genai-prices calls a count, by what it calls the price of it."""
    from genai_prices.data_units import unit_data

    return {said["price_key"]: name for name, said in unit_data.items()}


def context_of(event: UsageEvent) -> dict[str, str]:
    tier = event.service_tier
    return {} if tier is None else dict(TIERS.get(tier.lower(), {"service_tier": tier.lower()}))


def oracle(event: UsageEvent) -> Decimal | str:
    """Have genai-prices work out what the numbers of an event cost."""
    try:
        found = calc_price(
            Usage(**counts_of(event)),
            (event.response_model or event.request_model or ""),
            provider_id=PROVIDERS.get(str(event.provider), str(event.provider)),
            genai_request_timestamp=event.ts,
            price_context=context_of(event),
        )
    except (LookupError, ValueError) as exc:
        return type(exc).__name__
    if not any(price is not None for price in vars(found.model_price).values()):
        return "no prices"
    return found.total_price


def from_body(event: UsageEvent, record: Record) -> Decimal | str:
    """Have genai-prices read what was sent, and work out what it cost."""
    flavor = FLAVORS.get(record["format"])
    if flavor is None or record["streaming"] or record["response_encoding"] != "text":
        return "not read"
    provider = PROVIDERS.get(str(event.provider), str(event.provider))
    try:
        found = extract_usage(json.loads(body_of(record)), provider_id=provider, api_flavor=flavor)
        price = found.calc_price(genai_request_timestamp=event.ts, price_context=context_of(event))
    except (AttributeError, LookupError, ValueError) as exc:
        return type(exc).__name__
    return price.total_price


def table(
    equal: Counter[str],
    bodies: Counter[str],
    factors: Counter[str],
    reasons: Counter[tuple[str, str]],
) -> None:
    for provider, n in equal.most_common():
        print(f"{n:6} equal, {bodies[provider]:5} by their bodies, too  {provider}")
    for source, n in factors.most_common():
        print(f"{n:6} not compared: {source}")
    for (ours, theirs), n in reasons.most_common():
        print(f"{n:6} {ours} / {theirs}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--ids", default="")
    parser.add_argument("--show", type=int, default=20)
    args = parser.parse_args()
    book = GenaiPrices()
    pricing = Pricing(lambda: [book])
    pricing.load()
    events: list[UsageEvent] = []
    meter = Meter([events.append], estimates=False)
    equal, bodies, reasons = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    factors, wrong = Counter[str](), list[str]()
    for record in load(args.corpus, args.ids):
        event = event_of(meter, events, record)
        if event is None:
            continue
        cost, theirs, read = pricing.cost(event), oracle(event), from_body(event, record)
        said = f"{record['id']} {event.provider} {event.response_model}, {event.service_tier}"
        if cost is None:
            reasons["nothing was used", ""] += 1
        elif cost.amount is None:
            says = theirs if isinstance(theirs, str) else "an amount" if theirs else "zero"
            reasons[str(cost.reason), says] += 1
            if not isinstance(theirs, str) and (cost.reason, says) not in DIFFERENT:
                wrong.append(f"{said}: {cost.reason}, not {theirs} of {counts_of(event)}")
        elif cost.price_source != GENAI_PRICES:  # it knows no region, and not every tier
            factors[str(cost.price_source)] += 1
        elif cost.amount != theirs:
            wrong.append(f"{said}: {cost.amount}, not {theirs} of {counts_of(event)}")
        else:
            equal[str(event.provider)] += 1
            if isinstance(read, Decimal):
                bodies[str(event.provider)] += cost.amount == read
                if cost.amount != read:
                    wrong.append(
                        f"{said}: {cost.amount}, not {read} by its body; {counts_of(event)}"
                    )
    table(equal, bodies, factors, reasons)
    print(len(wrong))
    for line in wrong[: args.show]:
        print(line)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
