"""An exporter by name: what was asked for, and how it is made of that.

A factory is called with the argument or the options that the user gave, after they were held
against its signature. No value of an option is ever shown: it may be a secret.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, NamedTuple

from tokenmeter.endings import END_S
from tokenmeter.errors import ConfigurationError
from tokenmeter.exporters import Exporter
from tokenmeter.exporters.factories import Factory, find
from tokenmeter.guard import Guard, blaming
from tokenmeter.near import meant

Options = Mapping[str, Any]

_OPTIONS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Named(NamedTuple):
    """An exporter as it was asked for by name.

    Attributes:
        name: Its name.
        arguments: What stood behind the colon of ``"name:argument"``; at most one.
        options: What else stood in a table.
        background: The options of its `Background`, or whether it has one; ``None``: as its
            factory says.
        place: Where it was asked for, for errors: ``"tokenmeter.toml: exporters[1]"``.
    """

    name: str
    arguments: tuple[str, ...]
    options: Options
    background: bool | Options | None
    place: str

    def __repr__(self) -> str:
        """Say what was asked for, without any value.

        >>> named("jsonl:usage.jsonl"), named({"name": "webhook", "url": "https://u:p@h"})
        (jsonl:…, webhook (url))
        """
        names = [*self.options, *([] if self.background is None else ["background"])]
        return self.name + ":…" * len(self.arguments) + (f" ({', '.join(names)})" if names else "")

    def factory(self) -> Factory:
        """Give what makes it, if it could be called as the user asked.

        Raises:
            ConfigurationError: There is no such exporter, or an option does not fit.
        """
        with placed(self.place):
            factory = find(self.name)
        what = f"the exporter {self.name!r}"
        _check(factory, what, self.arguments, self.options, self.place)
        if isinstance(self.background, Mapping):
            place = _under(self.place, "background")
            _check(_wrapper(), "background", ("an exporter",), self.background, place)
        return factory

    def made(self) -> Exporter:
        """Make it.

        Raises:
            ConfigurationError: There is no such exporter, or it cannot be made of these options.
        """
        factory = self.factory()
        failed = wrong(self.place, f"the exporter {self.name!r} cannot be made")
        with blaming(str(failed)), placed(self.place, self.options):
            exporter = factory(*self.arguments, **self.options)
        if not callable(exporter):
            kind = type(exporter).__qualname__
            raise ConfigurationError(f"{failed}: its factory gives no callable but a {kind}")
        wanted: bool = getattr(factory, "in_background", False)
        given = wanted if self.background is None else self.background
        return exporter if given is False else self._wrapped(exporter, given)

    def _wrapped(self, exporter: Exporter, given: Options | bool) -> Exporter:
        from tokenmeter.sinks import Sink

        options: Options = given if isinstance(given, Mapping) else {}
        with contextlib.ExitStack() as undo:
            undo.callback(Sink(exporter, Guard()).close, END_S)
            with placed(_under(self.place, "background"), options):
                wrapped = _wrapper()(exporter, **options)
            undo.pop_all()
        return wrapped


def named(given: str | Options, place: str = "") -> Named:
    """Read ``"name:argument"``, or a table that has a ``name``.

    Raises:
        ConfigurationError: A table has no name, or its ``background`` is no table.
    """
    if isinstance(given, str):
        name, colon, argument = given.partition(":")
        return Named(name, (argument,) if colon else (), {}, None, place)
    options = {str(key): value for key, value in given.items()}
    called, background = options.pop("name", None), options.pop("background", None)
    if not isinstance(called, str):
        raise wrong(
            place,
            f"an exporter as a table has a name, such as "
            f"{{'name': 'jsonl', 'path': 'usage.jsonl'}}; got a table of {_some(options)}",
        )
    if not isinstance(background, bool | Mapping | None):
        raise wrong(
            _under(place, "background"),
            f"background is a table of options, or true or false; "
            f"got an object of type {type(background).__name__}",
        )
    return Named(called, (), options, background, place)


def wrong(place: str, message: str) -> ConfigurationError:
    """Give the error that says where something is wrong."""
    return ConfigurationError(f"{place}: {message}" if place else message)


@contextlib.contextmanager
def placed(place: str, options: Iterable[str] = ()) -> Generator[None]:
    """Say where something stands whose check says what is wrong with it.

    The check of a value does not know its key; if it names one of the ``options``, that is it.
    """
    try:
        yield
    except ConfigurationError as exc:
        about = [name for name in options if re.search(rf"\b{re.escape(name)}\b", str(exc))]
        key = place if len(about) != 1 else _under(place, *about)
        raise wrong(key, str(exc)) from exc.__cause__


def _wrapper() -> Callable[..., Exporter]:
    from tokenmeter.exporters.background import Background

    return Background


def _check(
    factory: Factory, what: str, arguments: tuple[object, ...], options: Options, place: str
) -> None:
    """Hold arguments and options against the signature of what they are for."""
    try:
        signature = inspect.signature(factory)
    except ValueError:  # what is written in C may have none
        return
    try:
        signature.bind(*arguments, **options)
    except TypeError:
        takes = [p for p in signature.parameters.values() if p.kind in _OPTIONS][len(arguments) :]
        raise _misfit(what, takes, options, place) from None


def _misfit(
    what: str, takes: list[inspect.Parameter], options: Options, place: str
) -> ConfigurationError:
    """Say what does not fit: an option that there is not, one that is missing, an argument."""
    names = [p.name for p in takes if not p.name.startswith("_")]
    for option in options:
        if option not in names:
            said = f"{what} has no option {option!r}; {meant(option, names, 'options')}"
            return wrong(_under(place, option), said)
    for p in takes:
        if p.default is p.empty and p.name not in options:
            return wrong(place, f"{what} needs {p.name!r}, an option or what is behind the colon")
    return wrong(place, f"{what} takes no argument: write its name alone")


def _under(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _some(options: Iterable[str]) -> str:
    return ", ".join(map(repr, options)) or "nothing"
