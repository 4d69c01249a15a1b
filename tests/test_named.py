"""Exporters by name: what was asked for is held against the factory, and no value is ever shown."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tokenmeter import ConfigurationError, Meter, MissingExtraError, UsageEvent
from tokenmeter import exporters as exporting
from tokenmeter.exporters import Given, exporter
from tokenmeter.exporters.background import Background
from tokenmeter.exporters.named import Named, named

Exported = list[tuple[object, ...]]


class Plain:
    """An exporter that remembers how it was made and ended."""

    made: Exported = []  # noqa: RUF012 - the record of one test
    ended: Exported = []  # noqa: RUF012 - the record of one test

    def __init__(self, first: str = "-", *, level: int = 0) -> None:
        if level < 0:
            raise ConfigurationError("level is 0 or more; got a negative number")
        if level > 9:
            raise OSError(28, f"the secret {first}")
        self.made.append((type(self).__name__, first, level))

    def __call__(self, event: UsageEvent) -> None: ...

    def close(self) -> None:
        self.ended.append((type(self).__name__,))


class Remote:
    in_background = True

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, event: UsageEvent) -> None: ...


class Bare:
    """Takes anything."""

    def __init__(self, *arguments: str, **options: object) -> None:
        self.took = (arguments, options)

    def __call__(self, event: UsageEvent) -> None: ...


def half() -> object:
    return 17


def extra() -> object:
    raise MissingExtraError("psycopg", "postgres")


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType("exporters_of_a_test")
    for thing in (Plain, Remote, Bare, half, extra):
        setattr(module, thing.__name__, thing)
        row = ("exporters_of_a_test", thing.__name__)
        monkeypatch.setitem(exporting._NAMES, thing.__name__.lower(), row)
    monkeypatch.setitem(sys.modules, "exporters_of_a_test", module)
    yield
    Plain.made.clear()
    Plain.ended.clear()


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("plain", ("Plain", "-", 0)),
        ("plain:", ("Plain", "", 0)),
        ("plain:a:b, c", ("Plain", "a:b, c", 0)),
        ({"name": "plain"}, ("Plain", "-", 0)),
        ({"name": "plain", "first": "x", "level": 2}, ("Plain", "x", 2)),
        (types.MappingProxyType({"name": "plain", "level": 3}), ("Plain", "-", 3)),
    ],
)
def test_a_factory_is_called_with_the_argument_or_the_options(
    given: Given, made: tuple[object, ...]
) -> None:
    assert isinstance(exporter(given), Plain)
    assert Plain.made == [made]


def test_a_factory_that_takes_anything_gets_anything() -> None:
    both = [exporter("bare:x"), exporter({"name": "bare", "url": "y", "n": 1})]
    assert [made.took for made in both if isinstance(made, Bare)] == [
        (("x",), {}),
        ((), {"url": "y", "n": 1}),
    ]


def background(given: Given) -> Mapping[str, Any] | None:
    """Give what a Background was made of; ``None``: there is none."""
    made = exporter(given)
    if not isinstance(made, Background):
        return None
    made.close()
    return {"of": type(made.exporter).__name__, "size": made._size}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("remote:u", {"of": "Remote", "size": 50_000}),
        ({"name": "remote", "url": "u", "background": True}, {"of": "Remote", "size": 50_000}),
        ({"name": "remote", "url": "u", "background": {"size": 7}}, {"of": "Remote", "size": 7}),
        ({"name": "remote", "url": "u", "background": False}, None),
        ("plain", None),
        ({"name": "plain", "background": {}}, {"of": "Plain", "size": 50_000}),
        ({"name": "plain", "background": {"size": 7}}, {"of": "Plain", "size": 7}),
    ],
)
def test_what_talks_to_a_network_comes_in_the_background_unless_said_otherwise(
    given: Given, expected: Mapping[str, Any] | None
) -> None:
    assert background(given) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("plaim:secret", "X: there is no exporter 'plaim'; did you mean 'plain'? Known names are"),
        ({"name": "remote"}, "X: the exporter 'remote' needs 'url', an option or what is behind"),
        (
            {"name": "plain", "fist": "secret"},
            (
                "X.fist: the exporter 'plain' has no option 'fist'; did you mean 'first'? "
                "Known options are first, level"
            ),
        ),
        ("half:secret", "X: the exporter 'half' takes no argument: write its name alone"),
        (
            {"name": "half", "x": 1},
            "X.x: the exporter 'half' has no option 'x'; known options are none",
        ),
        ("half", "X: the exporter 'half' cannot be made: its factory gives no callable but a int"),
        ({"name": "plain", "level": -1}, "X.level: level is 0 or more; got a negative number"),
        (
            {"name": "plain", "first": "secret", "level": 10},
            "X: the exporter 'plain' cannot be made: OSError (ENOSPC) at ",
        ),
        (
            {"url": "secret"},
            (
                "X: an exporter as a table has a name, such as {'name': 'jsonl', 'path': "
                "'usage.jsonl'}; got a table of 'url'"
            ),
        ),
        ({}, "X: an exporter as a table has a name, such as"),
        ({"name": None}, "X: an exporter as a table has a name, such as"),
        (
            {"name": "plain", "background": "secret"},
            (
                "X.background: background is a table of options, or true or false; got an object "
                "of type str"
            ),
        ),
        (
            {"name": "plain", "background": {"ful": "block"}},
            (
                "X.background.ful: background has no option 'ful'; did you mean 'full'? Known "
                "options are batch, folder, full, interval_s, retry_s, sigterm, size, wait_s"
            ),
        ),
        ({"name": "plain", "background": {"full": "secrt"}}, "X.background.full: "),
        ({"name": "plain", "background": {"size": -1}}, "X.background.size: "),
        (
            {"name": "plain", "background": {"exporter": 1}},
            "X.background.exporter: background has no option 'exporter'",
        ),
        ({"name": "plain", 7: 1}, "X.7: the exporter 'plain' has no option '7'"),
        (7, "X: an exporter is a name such as 'jsonl:usage.jsonl' or a callable of an event"),
    ],
)
def test_what_does_not_fit_is_refused_and_pointed_at(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        exporting.made(exporting.checked(given, "X"))
    assert str(caught.value).startswith(said)
    assert "secret" not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        exporter(given)
    assert str(caught.value).startswith(said.removeprefix("X").removeprefix(".").removeprefix(": "))


def test_an_extra_that_is_missing_is_said_as_it_is() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'tokenmeter\[postgres\]'"):
        exporter("extra")


def test_no_value_is_shown_of_what_was_asked_for() -> None:
    secrets: list[Any] = [
        "plain:secret",
        {"name": "remote", "url": "secret", "background": {"size": 7}},
    ]
    assert repr([named(given) for given in secrets]) == "[plain:…, remote (url, background)]"
    assert "secret" not in repr(Meter(secrets).settings)


def test_exporters_made_before_a_refused_one_are_closed_and_objects_are_not() -> None:
    mine = Plain()
    with pytest.raises(ConfigurationError, match=r"exporters\[2\]: there is no exporter 'nothing'"):
        Meter(["plain", mine, "nothing"])
    assert Plain.ended == [("Plain",)]


def test_what_was_made_for_a_refused_background_is_closed() -> None:
    with pytest.raises(ConfigurationError):
        exporter({"name": "plain", "background": {"size": -1}})
    assert Plain.ended == [("Plain",)]


def test_a_factory_without_a_signature_is_called_with_what_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(exporting._NAMES, "signed", ("exporters_of_a_test", "signed"))
    monkeypatch.setattr(sys.modules["exporters_of_a_test"], "signed", dict, raising=False)
    with pytest.raises(ConfigurationError, match="cannot be made: its factory gives no callable"):
        exporter({"name": "signed", "a": 1})


def test_two_that_were_asked_for_alike_are_equal() -> None:
    first, second = named({"name": "plain", "level": 1}), named({"name": "plain", "level": 1})
    assert first == second == Named("plain", (), {"level": 1}, None, "")
