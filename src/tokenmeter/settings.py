"""The settings of a meter: one value, checked once; and where each of them comes from.

Code beats the environment, which beats the file. Code says them to any meter; the environment and
the file are read for the default meter alone, by ``configure()``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypedDict, cast

import msgspec

from tokenmeter.baggage import ALLOWED
from tokenmeter.dialects import Dialect, own
from tokenmeter.errors import ConfigurationError
from tokenmeter.exporters import Exporter, Given
from tokenmeter.exporters import checked as exporter_checked
from tokenmeter.exporters.named import Named, placed
from tokenmeter.near import meant
from tokenmeter.prices.sources import Given as PricesGiven
from tokenmeter.prices.sources import Source as PriceSource
from tokenmeter.prices.sources import checked as prices_checked
from tokenmeter.providers import checked as providers_checked
from tokenmeter.pseudonyms import Keys, Pseudonyms
from tokenmeter.pseudonyms import checked as pseudonyms_checked
from tokenmeter.sources import NO, YES, Found, found
from tokenmeter.tokens.tokenizers import Tokenizer
from tokenmeter.tokens.tokenizers import checked as tokenizers_checked
from tokenmeter.who import Resolver
from tokenmeter.who import checked as resolvers_checked

DISABLED = "TOKENMETER_DISABLED"
"""The environment variable that switches metering off, with ``1``."""

ESTIMATES = "TOKENMETER_ESTIMATES"
"""The environment variable that switches estimates off, with ``0``, where code does not say."""

CODE = "code"


class Options(TypedDict, total=False):
    """What can be set of a meter beside its exporters; what is ``None`` is not said.

    Attributes:
        providers: Hosts of one's own and the provider they are, ``{"llm.corp": "openai"}``.
        dialects: Wire formats of one's own; they come before ours, and before those that
            installed packages bring by the entry-point group ``tokenmeter.dialects``.
        estimates: Whether what no provider reported is estimated, and marked so. Yes, unless the
            environment says ``TOKENMETER_ESTIMATES=0``.
        tokenizers: Functions of a text and a model's name that count for models, by pattern of
            their names: ``{"my-model*": count}``.
        exact_streams: Whether a stream is asked for its usage where the caller did not ask, and
            what comes in addition is taken out before the caller sees it.
        baggage: What may travel to and from other programs beside ids: ``"user"``, ``"team"``,
            ``"tags"``. Nothing, unless it is said.
        user: What finds out whose a call is where no block says it: a function of nothing that
            gives a name or ``None``, a name (``"asgi"``, ``"ci"``, ``"git"``, ``"jupyter"``,
            ``"os"``, ``"request"``), or a list of these, tried in order.
        trace_unattributed: Whether the function that made a call is noted where nobody claims it;
            see `Meter.unattributed`.
        pseudonyms: A key, at least 16 bytes, with which the names of people are made pseudonyms
            before any event is seen; or keys by name, of which the last is the current one; or the
            path of a file of them. A ``str`` is a key, never a path.
        prices: What says what calls cost: ``"genai-prices"`` (a package, the extra ``prices``), the
            path of a TOML file of one's own, an object that finds prices, or a list of these, of
            which the first that has a price says it. Nothing, unless it is said.
        wait_for_prices: Whether configuring waits until prices are loaded, which takes one or two
            seconds. Yes, unless it is said; else calls that end before get their cost a little
            later, in the worker, and are exported then.
    """

    providers: Mapping[str, str] | None
    dialects: Iterable[Dialect] | None
    estimates: bool | None
    tokenizers: Mapping[str, Tokenizer] | None
    exact_streams: bool | None
    baggage: Iterable[str] | None
    user: str | Resolver | Iterable[str | Resolver] | None
    trace_unattributed: bool | None
    pseudonyms: Keys | None
    prices: PricesGiven | Iterable[PricesGiven] | None
    wait_for_prices: bool | None


class Setting(NamedTuple):
    """A setting in force.

    Attributes:
        name: Its name.
        value: What it is, without what may be secret: of an exporter the names of its options.
        origin: Where it comes from: ``"default"``, ``"code"``, a variable, or a file and its key.
    """

    name: str
    value: str
    origin: str


class Settings(msgspec.Struct, frozen=True):
    """The settings of a meter, all checked; see `Options`.

    Args:
        origins: Where those come from that are not the default ones.

    >>> Settings().given({"exporters": ["memory"]}).exporters
    (memory,)
    """

    exporters: tuple[Named | Exporter, ...] = ()
    providers: Mapping[str, str] = {}
    dialects: tuple[Dialect, ...] = ()
    estimates: bool = True
    tokenizers: Mapping[str, Tokenizer] = {}
    exact_streams: bool = False
    baggage: tuple[str, ...] = ()
    user: tuple[str | Resolver, ...] = ()
    trace_unattributed: bool = False
    pseudonyms: Pseudonyms | None = None
    prices: tuple[PriceSource, ...] = ()
    wait_for_prices: bool = True
    origins: Mapping[str, str] = {}

    def given(self, options: Mapping[str, Any]) -> Settings:
        """Give these settings with what code says; ``None`` says nothing.

        Raises:
            ConfigurationError: A setting cannot be used.
            TypeError: There is no such setting.
        """
        for name in options.keys() - _CHECKS:
            raise TypeError(f"there is no setting {name!r}; {meant(name, _CHECKS, 'settings')}")
        said = {name: value for name, value in options.items() if value is not None}
        values = {name: _CHECKS[name](value, name) for name, value in said.items()}
        return self._with(values, dict.fromkeys(said, CODE))

    def read(self) -> Settings:
        """Give these settings with what the environment and the file say where code does not.

        What has not changed since it was read stays the same object.

        Raises:
            ConfigurationError: A variable or a key of the file cannot be used.
        """
        by_code = {name for name, origin in self.origins.items() if origin == CODE}
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for name, source in found(by_code).items():
            value, now = _read(name, source), getattr(self, name)
            values[name], origins[name] = now if value == now else value, source.place
        return self._with(values, origins)

    def check(self) -> None:
        """Check that exporters which are named could be made, without making them.

        Raises:
            ConfigurationError: There is no such exporter, or an option does not fit.
        """
        for exporter in self.exporters:
            if isinstance(exporter, Named):
                exporter.factory()

    def keeping(self, wanted: Callable[[Named | Exporter], bool]) -> Settings:
        """Give these settings with the exporters that are wanted, as if code had said so."""
        kept = tuple(filter(wanted, self.exporters))
        if kept == self.exporters:
            return self
        return self._with({"exporters": kept}, {"exporters": CODE})

    def without_exporters(self) -> Settings:
        """Give these settings as they are when the exporters have ended."""
        left = {name: at for name, at in self.origins.items() if name != "exporters"}
        return msgspec.structs.replace(self, exporters=(), origins=left)

    def described(self) -> list[Setting]:
        """Say what is in force and where it comes from, without what may be secret."""
        return [
            Setting(name, _shown(getattr(self, name)), self.origins.get(name, "default"))
            for name in _CHECKS
        ]

    def _with(self, values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
        return msgspec.structs.replace(self, **values, origins={**self.origins, **origins})


def of_process() -> Settings:
    """Give the settings of a meter of which nobody has said anything.

    The switch that has less done is read here, so that it works without ``configure()`` as well.
    """
    if os.environ.get(ESTIMATES, "").lower() in NO:
        return Settings(estimates=False, origins={"estimates": ESTIMATES})
    return Settings()


def is_disabled() -> bool:
    """Say whether the environment switches metering off."""
    return os.environ.get(DISABLED, "").lower() in YES


def _read(name: str, source: Found) -> object:
    if name == "exporters":  # of which each has a place of its own
        return _exporters(source.value, source.place)
    with placed(source.place):
        return _CHECKS[name](source.value, name)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_name(item)}" for key, item in cast("Any", value).items())
    return ", ".join(map(_name, cast("Iterable[object]", value)))


def _kind(given: object) -> str:
    return f"an object of type {type(given).__qualname__}"


def _name(item: object) -> str:
    if isinstance(item, str | Named):
        return str(item)
    return str(getattr(item, "__name__", type(item).__qualname__))


def _exporters(given: object, place: str) -> tuple[Named | Exporter, ...]:
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise ConfigurationError(
            f"{place} is a list, such as ['jsonl:usage.jsonl']; got {_kind(given)}"  # pyright: ignore
        )
    listed = cast("Iterable[Given]", given)
    return tuple(exporter_checked(one, f"{place}[{n}]") for n, one in enumerate(listed))


def _dialects(given: object, _place: str) -> tuple[Dialect, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"dialects is a list, such as [Acme()]; got {given!r}")
    return tuple(map(own.checked, cast("Iterable[object]", given)))


def _switch(name: str) -> Callable[[object, str], bool]:
    def checked(given: object, _place: str) -> bool:
        if not isinstance(given, bool):
            raise ConfigurationError(f"{name} is true or false; got {given!r}")
        return given

    return checked


def _baggage(given: object, place: str) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{place} is a list, such as ['team']; got {given!r}")
    names = tuple(cast("Iterable[str]", given))
    for name in names:
        if name not in ALLOWED:
            raise ConfigurationError(
                f"{place}: {name!r} cannot be allowed; {meant(str(name), ALLOWED)}"
            )
    return names


_CHECKS: dict[str, Callable[[Any, str], object]] = {
    "exporters": _exporters,
    "providers": lambda given, _: providers_checked(given),
    "dialects": _dialects,
    "estimates": _switch("estimates"),
    "tokenizers": lambda given, _: tokenizers_checked(given),
    "exact_streams": _switch("exact_streams"),
    "baggage": _baggage,
    "user": resolvers_checked,
    "trace_unattributed": _switch("trace_unattributed"),
    "pseudonyms": lambda given, _: pseudonyms_checked(given),
    "prices": prices_checked,
    "wait_for_prices": _switch("wait_for_prices"),
}
