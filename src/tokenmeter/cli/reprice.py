"""``tokenmeter reprice``: write a ledger anew, with costs by the prices of each call's day."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tokenmeter.errors import ConfigurationError
from tokenmeter.event import UsageEvent
from tokenmeter.exporters.jsonl_closed import packing_of
from tokenmeter.ledger import Ledger, ledgers
from tokenmeter.prices import Pricing
from tokenmeter.prices.pricing import PRICED
from tokenmeter.prices.sources import GENAI_PRICES, books, checked
from tokenmeter.reports.files import complaints
from tokenmeter.tallies import Tally, money


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "ledgers", nargs="+", type=Path, metavar="LEDGER", help="ledgers or patterns; they stay"
    )
    parser.add_argument(
        "--to",
        required=True,
        type=Path,
        metavar="NEW.jsonl",
        help="the ledger to write; there must be none of that name",
    )
    parser.add_argument(
        "--prices",
        action="append",
        metavar="FILE.toml",
        help=f"a file of prices, or {GENAI_PRICES}; several are asked in their order "
        f"(default: {GENAI_PRICES})",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="price calls again that have a cost; one that the provider itself said always stays",
    )
    parser.set_defaults(command=_command)


class _Sums:
    """What was priced and what was not."""

    def __init__(self) -> None:
        self.events = self.changed = 0
        self.before, self.after = Tally(), Tally()
        self.reasons: Counter[str] = Counter()

    def add(self, old: UsageEvent, new: UsageEvent) -> None:
        self.events += 1
        self.changed += (old.cost_amount, old.cost_currency) != (new.cost_amount, new.cost_currency)
        self.before.sum_up(old)
        self.after.sum_up(new)
        if new.kind == "call" and new.cost_amount is None and new.cost_reason is not None:
            self.reasons[new.cost_reason] += 1

    def __str__(self) -> str:
        """Say it in a line or two."""
        before, after = (money(each.costs) or "no money" for each in (self.before, self.after))
        text = f"{self.events:,} events, {self.changed:,} with another cost: "
        text += f"{before} before, {after} now"
        if self.reasons:
            why = ", ".join(f"{n:,} {reason}" for reason, n in self.reasons.most_common())
            text += f"\n{self.reasons.total():,} without a price: {why}"
        return text


def _command(options: argparse.Namespace) -> int:
    pricing = Pricing(books(checked(options.prices or [GENAI_PRICES], "--prices")))
    pricing.load()
    found = [*ledgers(options.ledgers)]
    _check(found, options.to)
    sums = _Sums()
    part = _part(options.to)
    try:
        with part.open("wb") as file:
            for path in found:
                with Ledger(path) as ledger:
                    for event in ledger:
                        new = pricing.repriced(event, everything=options.all)
                        sums.add(event, new)
                        file.write(_priced(ledger.line, new))
                for complaint in complaints(ledger, path):
                    print(f"tokenmeter: {complaint}", file=sys.stderr)
        options.to.hardlink_to(part)
    except FileExistsError:  # somebody has made one meanwhile
        raise _there_already(options.to) from None
    finally:
        part.unlink(missing_ok=True)
    print(sums)
    return 0


def _priced(line: bytes, event: UsageEvent) -> bytes:
    """Give a line with the cost of an event, and all else that it says, known or not."""
    said = {name: value for name, value in _members(line).items() if name not in PRICED}
    cost = {name: value for name in PRICED if (value := getattr(event, name)) is not None}
    return msgspec.json.encode({**said, **cost}) + b"\n"


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _check(found: Sequence[Path], to: Path) -> None:
    if packing_of(to) or to.suffix.lower() == ".parquet":
        raise ConfigurationError(
            f"--to {to}: what is written is plain JSON lines; name a file that ends in .jsonl"
        )
    if os.path.lexists(to):
        raise _there_already(to)
    for path in found:
        if _is_parquet(path):
            raise ConfigurationError(
                f"{path} is Parquet, and reprice reads JSON lines; write it as such first, in "
                f"duckdb: COPY (FROM '{path}') TO '{path.with_suffix('.jsonl')}' (FORMAT json)"
            )


def _there_already(to: Path) -> ConfigurationError:
    return ConfigurationError(f"--to {to} is there already; name a new file")


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(b"PAR1")) == b"PAR1"


def _part(to: Path) -> Path:
    """Make a file of this run alone beside the new ledger, to become it when it is whole."""
    part = to.with_name(f"{to.name}.{secrets.token_hex(4)}.part")
    try:
        part.touch(exist_ok=False)
    except OSError as exc:
        raise ConfigurationError(f"--to {to} cannot be written: {exc.strerror}") from exc
    return part
