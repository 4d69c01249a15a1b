"""Say how good the estimates are: ``python estimates.py CORPUS [--only REGEX] [--worst N]``.

CORPUS is a directory of recorded interactions. What the provider reported is hidden, the exchange
is estimated from the request and the answer alone, and the two are compared, for input and output.
What was fitted was fitted on some source repositories (``FITTED``) and is judged on all others.
"""

import argparse
import json
import re
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from recorded import Record, body_of, has_usage, load, reading_of, route_of, truths_of

from tokenmeter.dialects.content import Answer, Image, Other, Part, Prompt, ToolResult
from tokenmeter.tokens import estimates
from tokenmeter.wire.body import pieces

FITTED = {
    "charmbracelet/fantasy",
    "pydantic/pydantic-ai",
    "tmc/langchaingo",
    "traceloop/openllmetry",
    "traceloop/openllmetry-js",
}
"""Source repositories on which whatever is empirical was fitted; the others judge it."""


class Point(NamedTuple):
    """One side of one exchange: what was reported, and what is estimated."""

    id: str
    judged: bool
    side: str
    provider: str
    endpoint: str
    family: str
    kind: str
    true: int
    tokens: int
    error: int
    least: int
    without: tuple[str, ...]

    @property
    def off(self) -> int:
        return abs(self.tokens - self.true)

    @property
    def relative(self) -> float:
        return self.off / max(self.true, 1)


def points(record: Record) -> Iterator[Point]:
    """Estimate one record, both sides as far as it can be done."""
    route = route_of(record)
    if route is None or not has_usage(record):
        return
    reading = reading_of(record)
    asked = record["request_body"]
    model = (reading.model if reading else None) or route.model
    model = model or (asked.get("model") if isinstance(asked, dict) else None)
    prompt = None if asked is None else route.dialect.prompt(json.dumps(asked).encode())
    answer = Answer.of(pieces(route.dialect, body_of(record)))
    true = truths_of(record)[0]

    def point(side: str, kind: str, truth: int, estimate: estimates.Estimate) -> Point:
        return Point(
            record["id"], record["source_repo"] not in FITTED, side, record["provider"],
            record["endpoint"] + (" stream" if record["streaming"] else " plain"),
            estimate.family.name, kind, truth, *_weight(estimate),
        )  # fmt: skip

    if prompt is not None and true.input is not None:
        yield point("input", kind_of_prompt(prompt), true.input, estimates.of_prompt(prompt, model))
    if answer.parts and true.output is not None and route.dialect.counts_output:
        kind = kind_of_answer(answer, true.reasoning or 0)
        yield point("output", kind, true.output, estimates.of_answer(answer, model))


def _weight(estimate: estimates.Estimate) -> tuple[int, int, int, tuple[str, ...]]:
    weight = estimate.weight
    return weight.tokens, weight.error, weight.least, weight.without


def kind_of_prompt(prompt: Prompt) -> str:
    """Say what makes a prompt hard to weigh."""
    parts = [part for message in prompt.messages for part in _flat(message.parts)]
    if prompt.elsewhere or any(isinstance(part, Other) for part in parts):
        return "other"
    if any(isinstance(part, Image) for part in parts):
        return "images"
    return "tools" if prompt.tools or prompt.schema else "text"


def _flat(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, ToolResult):
            yield from _flat(part.parts)


def kind_of_answer(answer: Answer, reasoning: int) -> str:
    """Say what makes an answer hard to weigh."""
    if reasoning or answer.texts("hidden", "reasoning"):
        return "reasoning"
    if answer.texts("other"):
        return "other"
    return "tools" if answer.texts("name") else "text"


HEAD = ("n", "exact", "within 1 %", "within 3", "median", "95 %", "bias", "above least")


def summary(found: list[Point]) -> tuple[str, ...]:
    """Put a group of points into one row, in the order of ``HEAD``."""
    n, relative = len(found), sorted(point.relative for point in found)

    def share(true: Iterable[bool]) -> str:
        return f"{100 * sum(true) / n:.1f} %"

    return (
        str(n),
        share(p.off == 0 for p in found),
        share(p.relative <= 0.01 for p in found),
        share(p.off <= 3 for p in found),
        f"{100 * statistics.median(relative):.1f} %",
        f"{100 * relative[min(n - 1, int(0.95 * n))]:.1f} %",
        f"{100 * statistics.median((p.tokens - p.true) / max(p.true, 1) for p in found):+.1f} %",
        share(p.least <= p.true for p in found),
    )


def tables(found: list[Point], by: tuple[str, ...]) -> Iterator[str]:
    """Give a table of each side, in Markdown."""
    for side in ("input", "output"):
        groups: dict[tuple[str, ...], list[Point]] = defaultdict(list)
        for point in found:
            if point.side == side:
                where = "judged" if point.judged else "fitted"
                groups[(*(getattr(point, name) for name in by), where)].append(point)
        yield f"\n## {side.capitalize()}\n"
        yield "| " + " | ".join((*by, "repositories", *HEAD)) + " |"
        yield "|" + "---|" * (len(by) + 1) + "---:|" * len(HEAD)
        for key in sorted(groups):
            yield "| " + " | ".join((*key, *summary(groups[key]))) + " |"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("corpus", type=Path)
    options.add_argument("--ids", default="", help="records whose id matches")
    options.add_argument("--only", default="", help="endpoints that match")
    options.add_argument("--family", default="", help="families that match")
    options.add_argument("--by", default="family,kind", help="columns of the table")
    options.add_argument("--worst", type=int, default=0, help="list so many of the worst")
    options.add_argument("--fitted", action="store_true", help="list only what may be fitted on")
    given = options.parse_args()
    found, failed = [], Counter[str]()
    for record in load(given.corpus, given.ids):
        if re.search(given.only, record["endpoint"]):
            try:
                found += points(record)
            except Exception as exc:
                failed[f"{record['endpoint']}: {exc!r}"] += 1
    found = [p for p in found if re.search(given.family, p.family)]
    print("\n".join(tables(found, tuple(given.by.split(",")))))
    listed = [p for p in found if p.off and not (given.fitted and p.judged)]
    for point in sorted(listed, key=lambda p: -p.relative)[: given.worst]:
        print(point)
    for what, times in failed.items():
        print(f"FAILED {times} times: {what}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
