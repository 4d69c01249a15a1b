"""Prices of one's own, in a TOML file: what was negotiated, what runs at home, what is named anew.

A file says nothing of what it does not name; then the next book is asked. Of several entries that
fit the first one holds. ``docs/prices.md`` shows all that can stand in one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from tokenmeter.errors import ConfigurationError
from tokenmeter.near import meant
from tokenmeter.prices.books import Asked, Factor, NoPrice, Origin
from tokenmeter.prices.rates import Price, Rates, Step, compiled
from tokenmeter.prices.tiers import is_usual
from tokenmeter.prices.units import UNITS

_OTHERS = {
    "audio_hours": "audio_seconds",
    "thousand_pages": "pages",
    "thousand_rerank_searches": "rerank_searches",
    "thousand_web_searches": "web_searches",
    "thousand_calls": "calls",
}
_PRICES: Mapping[str, str] = {
    **{name.removesuffix("_tokens"): name for name in UNITS if name.endswith("_tokens")},
    **_OTHERS,
}
"""What a price is called in a file: tokens by the million."""

_WHERE = ("provider", "model", "tier", "from", "until")
_TABLES: Mapping[str, tuple[str, ...]] = {
    "models": ("provider", "model", "is", "of"),
    "discounts": (*_WHERE, "factor"),
    "prices": (*_WHERE, "between", "above", *_PRICES),
}


class _Entry(NamedTuple):
    """When an entry of a file holds, and what it then says."""

    provider: str
    model: str
    tier: str | None
    start: date
    end: date
    says: Rates | Factor | tuple[str | None, str]

    def fits(self, asked: Asked) -> bool:
        """Say whether it holds for what was asked."""
        return (
            fnmatchcase(asked.provider, self.provider)
            and fnmatchcase(asked.model, self.model)
            and self.start <= asked.day < self.end
        )

    def is_for(self, tier: str | None) -> bool:
        """Say whether it is for this tier; without one it is for the usual one."""
        if self.tier is None:
            return is_usual(tier)
        return tier is not None and tier.lower() == self.tier


class _Text(NamedTuple):
    """What stands in a file, and where something in it is wrong."""

    path: Path
    text: str

    def text_of(self, table: Mapping[str, Any], key: str) -> str | None:
        value = table.get(key)
        if value is not None and not isinstance(value, str):
            raise self.error(None, 0, key, f"is a text; got {value!r}")
        return value

    def only(
        self, given: Mapping[str, Any], known: Sequence[str], at: Callable[[str], str]
    ) -> None:
        for key in given:
            if key not in known:
                raise ConfigurationError(f"{at(key)}: {meant(key, known, 'keys')}")

    def error(self, table: str | None, n: int, key: str, said: str) -> ConfigurationError:
        return ConfigurationError(f"{self.at(table, n, key)} {said}")

    def at(self, table: str | None, n: int, key: str) -> str:
        """Say where a key stands: the file, the line, the table and the key."""
        name = key if table is None else f"{table}[{n}].{key}"
        return f"prices: {self.path}, line {self._line(table, n, key)}: {name}"

    def _line(self, table: str | None, n: int, key: str) -> int:
        """Find the line of a key, or of the table where it would stand; tomllib does not tell."""
        lines = self.text.splitlines()
        header = re.compile(rf"\s*\[\[\s*{table}\s*\]\]")
        name = re.escape(key)
        wanted = re.compile(rf"\s*[\"']?{name}[\"']?\s*[=.]|\s*\[\[?.*\b{name}\s*\]")
        headers = [at for at, line in enumerate(lines) if header.match(line)]
        first = headers[n] if table is not None and n < len(headers) else -1
        for at in range(first + 1, len(lines)):
            if table is not None and re.match(r"\s*\[\[?\s*\w+\s*\]", lines[at]):
                break
            if wanted.match(lines[at]):
                return at + 1
        return max(first, 0) + 1


class PriceFile:
    """Find prices in a file; read once, when it is made.

    Raises:
        ConfigurationError: It cannot be read, or something in it cannot be used; the message names
            its line and key.
    """

    def __init__(self, path: Path) -> None:
        import hashlib
        import tomllib

        try:
            data = path.read_bytes()
            self._text = _Text(path, data.decode())
            table = tomllib.loads(self._text.text, parse_float=Decimal)
        except OSError as exc:
            said = exc.strerror or type(exc).__name__
            raise ConfigurationError(f"prices: {path} cannot be read: {said}") from exc
        except UnicodeDecodeError:
            raise ConfigurationError(f"prices: {path} is no text in UTF-8") from None
        except tomllib.TOMLDecodeError as exc:
            raise ConfigurationError(f"prices: {path} is no TOML: {exc}") from None
        self.__name__ = str(path)
        self._text.only(table, ("version", "currency", *_TABLES), partial(self._text.at, None, 0))
        self.origin = Origin(
            path.name,
            self._text.text_of(table, "version") or hashlib.sha256(data).hexdigest()[:12],
            self._text.text_of(table, "currency") or "USD",
        )
        self._entries = {name: list(self._entries_of(table, name)) for name in _TABLES}

    def __eq__(self, other: object) -> bool:
        """Say whether it is the same file with the same prices."""
        return isinstance(other, PriceFile) and self._text == other._text

    def __hash__(self) -> int:
        """Go by what is in it."""
        return hash(self._text)

    def find(self, asked: Asked, /) -> Sequence[Rates] | Factor | Asked | NoPrice:
        """Give what the file says; see `tokenmeter.prices.Book`."""
        for entry in self._entries["models"]:
            if entry.fits(asked):
                provider, model = cast("tuple[str | None, str]", entry.says)
                named = asked._replace(provider=provider or asked.provider, model=model)
                if named != asked:
                    return named
        fitting = [entry for entry in self._entries["prices"] if entry.fits(asked)]
        own = [e for e in fitting if e.is_for(asked.tier)] or [e for e in fitting if not e.tier]
        rates = [cast("Rates", entry.says) for entry in own]
        if rates:
            until = next((n for n, each in enumerate(rates, 1) if each.between is None), None)
            return rates[:until]
        for entry in self._entries["discounts"]:
            if entry.fits(asked) and (entry.tier is None or entry.is_for(asked.tier)):
                return cast("Factor", entry.says)
        return NoPrice("unknown_model")

    # -- reading it --------------------------------------------------------------------------------

    def _entries_of(self, table: Mapping[str, Any], name: str) -> Iterator[_Entry]:
        listed = table.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(e, dict) for e in listed):  # pyright: ignore
            raise self._text.error(
                None, 0, name, f"is a list of tables: write [[{name}]] before each"
            )
        for n, entry in enumerate(cast("list[dict[str, Any]]", listed)):
            self._text.only(entry, _TABLES[name], partial(self._text.at, name, n))
            yield self._entry(_Reader(self._text, name, n, entry))

    def _entry(self, said: _Reader) -> _Entry:
        tier = said.text("tier")
        return _Entry(
            provider=said.text("provider") or "*",
            model=said.text("model", needed=True) or "",
            tier=None if is_usual(tier) else str(tier).lower(),
            start=said.day("from") or date.min,
            end=said.day("until") or date.max,
            says=getattr(self, f"_{said.name}")(said),
        )

    def _models(self, said: _Reader) -> tuple[str | None, str]:
        return said.text("of"), said.text("is", needed=True) or ""

    def _discounts(self, said: _Reader) -> Factor:
        factor = said.number("factor")
        if factor is None:
            raise said.error("factor", "is missing: 0.85 takes 15 % off")
        return Factor(factor, self.origin)

    def _prices(self, said: _Reader) -> Rates:
        prices: dict[str, Price] = {}
        for key, unit in _PRICES.items():
            price = said.number(key)
            if price is not None:
                prices[unit] = price
        if not prices:
            raise said.error("model", "has no price: give input and output, in money per million")
        for unit in prices:
            whole = UNITS[unit].within[-1] if UNITS[unit].within else unit
            if whole not in prices:
                part, needed = (_called(each) for each in (unit, whole))
                raise said.error(part, f"is a price of a part: give {needed}, too")
        for size, others in said.above():
            for unit, price in others.items():
                if unit not in prices:
                    raise said.error("above", f"has {_called(unit)}, which has no price below it")
                first = prices[unit]
                steps = first if isinstance(first, tuple) else (Step(0, first),)
                prices[unit] = (*steps, Step(size, price))
        for_tier = not is_usual(said.text("tier"))
        return compiled(prices, self.origin, for_tier=for_tier, between=said.between())


class _Reader:
    """One entry of a file, read key by key."""

    def __init__(self, text: _Text, name: str, n: int, entry: Mapping[str, Any]) -> None:
        self.name = name
        self._text, self._n, self._entry = text, n, entry

    def error(self, key: str, said: str) -> ConfigurationError:
        return self._text.error(self.name, self._n, key, said)

    def text(self, key: str, *, needed: bool = False) -> str | None:
        value = self._entry.get(key)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or not value:
            raise self.error(key, f"is a text; got {value!r}" if value else "is missing")
        return value

    def number(self, key: str) -> Decimal | None:
        return self._number(key, self._entry.get(key))

    def _number(self, key: str, value: object) -> Decimal | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.error(key, f"is a number; got {value!r}")
        number = Decimal(value)
        if not number.is_finite() or number < 0:
            raise self.error(key, f"is a number of money, 0 or more; got {value}")
        return number

    def day(self, key: str) -> date | None:
        value = self._entry.get(key)
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        raise self.error(key, f"is a day, such as 2026-01-31; got {value!r}")

    def between(self) -> tuple[time, time] | None:
        value = self._entry.get("between")
        if value is None:
            return None
        if (
            not isinstance(value, list)
            or len(cast("list[object]", value)) != len(("from", "to"))
            or not all(isinstance(each, time) for each in cast("list[object]", value))
        ):
            raise self.error("between", f"is two times in UTC: [16:30:00, 00:30:00]; got {value!r}")
        start, end = cast("list[time]", value)
        return start, end

    def above(self) -> list[tuple[int, dict[str, Decimal]]]:
        """Give the prices by the size of the input, in order."""
        listed = self._entry.get("above", [])
        if not isinstance(listed, list) or not all(isinstance(e, dict) for e in listed):  # pyright: ignore
            raise self.error(
                "above", "is a list of tables: [[prices.above]] with tokens and prices"
            )
        found: list[tuple[int, dict[str, Decimal]]] = []
        for step in cast("list[dict[str, Any]]", listed):
            self._text.only(step, ("tokens", *_PRICES), partial(self._text.at, self.name, self._n))
            tokens = step.get("tokens")
            if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
                raise self.error("tokens", f"is how much input is more than; got {tokens!r}")
            prices = {
                unit: number
                for key, unit in _PRICES.items()
                if (number := self._number(key, step.get(key))) is not None
            }
            found.append((tokens, prices))
        return sorted(found, key=lambda step: step[0])


def _called(unit: str) -> str:
    """Give what a price is called in a file."""
    return next(key for key, each in _PRICES.items() if each == unit)
