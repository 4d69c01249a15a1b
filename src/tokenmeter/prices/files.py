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

_LARGEST, _PLACES = 12, 20
"""How large a price may be, as a power of ten, and how many decimal places it may have: with more
it is a slip, and amounts would be no longer exact."""

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
        """Find the line of a key, or of the table where it would stand; tomllib does not tell.

        A key ``above[1].input`` is looked for in that step, where steps are tables of their own.
        """
        lines = self.text.splitlines()
        first = -1
        end = len(lines)
        if table is not None:
            first, end = _within(lines, _header(table), n, -1, end)
        step = _STEP.fullmatch(key)
        if step is not None:
            key = "above"
            inner = _within(lines, _header(f"{table}.above"), int(step[1]), first, end)
            if inner[0] > first:
                (first, end), key = inner, step[2]
        name = re.escape(key)
        wanted = re.compile(rf"\s*[\"']?{name}[\"']?\s*[=.]|\s*\[\[?.*\b{name}\s*\]")
        for at in range(first + 1, end):
            if table is not None and _ANY_HEADER.match(lines[at]) and not wanted.match(lines[at]):
                break
            if wanted.match(lines[at]):
                return at + 1
        return max(first, 0) + 1


_STEP = re.compile(r"above\[(\d+)\]\.(.+)")
_ANY_HEADER = re.compile(r"\s*\[\[?\s*[\w\"'][^=,]*\]\s*(#.*)?$")


def _header(name: str) -> re.Pattern[str]:
    """Give what begins a table of a list of tables."""
    dotted = r"\s*\.\s*".join(rf"[\"']?{part}[\"']?" for part in name.split("."))
    return re.compile(rf"\s*\[\[\s*{dotted}\s*\]\]")


def _within(
    lines: Sequence[str], header: re.Pattern[str], n: int, first: int, end: int
) -> tuple[int, int]:
    """Give the lines of the n-th such table between two, or those two where there is none."""
    headers = [at for at in range(first + 1, end) if header.match(lines[at])]
    if n >= len(headers):
        return first, end
    return headers[n], headers[n + 1] if n + 1 < len(headers) else end


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
            self._text = _Text(path, data.decode("utf-8-sig"))
            table = tomllib.loads(self._text.text, parse_float=Decimal)
        except OSError as exc:
            said = exc.strerror or type(exc).__name__
            raise ConfigurationError(f"prices: {path} cannot be read: {said}") from exc
        except UnicodeDecodeError:
            raise ConfigurationError(f"prices: {path} is no text in UTF-8") from None
        except tomllib.TOMLDecodeError as exc:
            raise ConfigurationError(f"prices: {path} is no TOML: {exc}") from None
        except (ValueError, ArithmeticError, RecursionError) as exc:  # of a number, or of many [
            raise ConfigurationError(
                f"prices: {path} cannot be read: a number is too long, or lists are nested too "
                f"deeply ({type(exc).__name__})"
            ) from None
        self.__name__ = str(path)
        self._text.only(table, ("version", "currency", *_TABLES), partial(self._text.at, None, 0))
        self.origin = Origin(
            path.name,
            self._text.text_of(table, "version") or hashlib.sha256(data).hexdigest()[:12],
            self._currency(table),
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

    def _currency(self, table: Mapping[str, Any]) -> str:
        currency = self._text.text_of(table, "currency")
        if currency is not None and not currency.strip():
            raise self._text.error(
                None, 0, "currency", 'is empty; write it as "EUR", or leave it out'
            )
        return currency or "USD"

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
        start, end = said.days()
        return _Entry(
            provider=said.text("provider") or "*",
            model=said.text("model", needed=True) or "",
            tier=None if is_usual(tier) else str(tier).lower(),
            start=start,
            end=end,
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
        exponent = cast("int", number.as_tuple().exponent)
        if number and number > 10**_LARGEST:
            raise self.error(key, f"is a number of money, 10^{_LARGEST} at most")
        if exponent < -_PLACES:
            raise self.error(key, f"is a number of money, of {_PLACES} decimal places at most")
        return number if number else Decimal(0)

    def day(self, key: str) -> date | None:
        value = self._entry.get(key)
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        raise self.error(key, f"is a day, such as 2026-01-31; got {value!r}")

    def days(self) -> tuple[date, date]:
        """Give the first day, and the one before which it ends."""
        start, end = self.day("from") or date.min, self.day("until") or date.max
        if start >= end:
            raise self.error("until", f"is the day before which it ends, after {start}; got {end}")
        return start, end

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
        if start == end:
            raise self.error("between", f"begins and ends at {start}; leave it out for all day")
        return start, end

    def above(self) -> list[tuple[int, dict[str, Decimal]]]:
        """Give the prices by the size of the input, in order."""
        listed = self._entry.get("above", [])
        if not isinstance(listed, list) or not all(isinstance(e, dict) for e in listed):  # pyright: ignore
            raise self.error(
                "above", "is a list of tables: [[prices.above]] with tokens and prices"
            )
        found: dict[int, dict[str, Decimal]] = {}
        for n, step in enumerate(cast("list[dict[str, Any]]", listed)):
            tokens, prices = self._step(step, f"above[{n}].")
            if tokens in found:
                raise self.error(f"above[{n}].tokens", f"is there twice: {tokens}")
            found[tokens] = prices
        return sorted(found.items())

    def _step(self, step: Mapping[str, Any], at: str) -> tuple[int, dict[str, Decimal]]:
        self._text.only(
            step,
            ("tokens", *_PRICES),
            lambda key: self._text.at(self.name, self._n, at + key),
        )
        tokens = step.get("tokens")
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
            raise self.error(f"{at}tokens", f"is how much input is more than; got {tokens!r}")
        prices = {
            unit: number
            for key, unit in _PRICES.items()
            if (number := self._number(at + key, step.get(key))) is not None
        }
        if not prices:
            raise self.error(f"{at}tokens", "has no price beside it")
        for unit in prices:
            if self.number(_called(unit)) is None:
                key = _called(unit)
                raise self.error(at + key, f"has no price below it: give {key} before the steps")
        return tokens, prices


def _called(unit: str) -> str:
    """Give what a price is called in a file."""
    return next(key for key, each in _PRICES.items() if each == unit)
