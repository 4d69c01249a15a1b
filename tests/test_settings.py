"""Settings: code beats the environment beats the file; what is wrong is refused where it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import priced
import tokenmeter
from tokenmeter import ConfigurationError, Meter
from tokenmeter.dialects import Dialect
from tokenmeter.exporters.jsonl import Jsonl
from tokenmeter.exporters.memory import Memory
from tokenmeter.exporters.stdout import Stdout
from tokenmeter.prices import Asked, NoPrice
from tokenmeter.settings import Setting, Settings, of_process


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty current folder, a default meter and an environment that say nothing."""
    for name in [name for name in os.environ if name.startswith("TOKENMETER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("tokenmeter.meter._default", None)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    tokenmeter.shutdown()


def kinds(meter: Meter) -> list[type]:
    return [type(sink.exporter) for sink in meter._sinks]


def origins(meter: Meter) -> dict[str, str]:
    return {s.name: s.origin for s in meter.settings.described() if s.origin != "default"}


class Flat:
    """A book that knows nobody."""

    def find(self, _asked: Asked, /) -> NoPrice:
        return NoPrice("unknown_provider")


FLAT = Flat()


def write_prices(project: Path) -> None:
    for name, amount in (("variable", 2), ("file", 3)):
        said = f'[[prices]]\nmodel = "*"\ninput = {amount}\noutput = {amount}\n'
        (project / f"{name}.toml").write_text(said)


def price(meter: Meter) -> Decimal | None:
    assert meter.pricing is not None
    return meter.pricing.priced(priced.call()).cost_amount


# Which wins

SAYS: dict[str, dict[str, Any]] = {
    "exporters": {"code": ["memory"], "variable": "stdout", "file": "['jsonl:u.jsonl']"},
    "providers": {"code": {"a": "code"}, "variable": "a=variable", "file": "{a = 'file'}"},
    "estimates": {"code": True, "variable": "no", "file": "true"},
    "exact_streams": {"code": False, "variable": "yes", "file": "false"},
    "baggage": {"code": ["team"], "variable": "user", "file": "['tags']"},
    "user": {"code": "os", "variable": "ci,git", "file": "['jupyter']"},
    "trace_unattributed": {"code": False, "variable": "yes", "file": "false"},
    "prices": {"code": FLAT, "variable": "variable.toml", "file": "['file.toml']"},
    "wait_for_prices": {"code": True, "variable": "no", "file": "true"},
}
MEANT: dict[str, dict[str, Callable[[Meter], object]]] = {
    "exporters": {
        "code": lambda meter: kinds(meter) == [Memory],
        "variable": lambda meter: kinds(meter) == [Stdout],
        "file": lambda meter: kinds(meter) == [Jsonl],
    },
    "providers": {
        "code": lambda meter: meter.settings.providers == {"a": "code"},
        "variable": lambda meter: meter.settings.providers == {"a": "variable"},
        "file": lambda meter: meter.settings.providers == {"a": "file"},
    },
    "estimates": {
        "code": lambda meter: meter.estimates,
        "variable": lambda meter: not meter.estimates,
        "file": lambda meter: meter.estimates,
    },
    "exact_streams": {
        "code": lambda meter: meter.exact is None,
        "variable": lambda meter: meter.exact is not None,
        "file": lambda meter: meter.exact is None,
    },
    "baggage": {
        "code": lambda meter: meter.settings.baggage == ("team",),
        "variable": lambda meter: meter.settings.baggage == ("user",),
        "file": lambda meter: meter.settings.baggage == ("tags",),
    },
    "user": {
        "code": lambda meter: meter.settings.user == ("os",) and meter.who is not None,
        "variable": lambda meter: meter.settings.user == ("ci", "git"),
        "file": lambda meter: meter.settings.user == ("jupyter",),
    },
    "trace_unattributed": {
        "code": lambda meter: not meter.traces,
        "variable": lambda meter: meter.traces,
        "file": lambda meter: not meter.traces,
    },
    "prices": {
        "code": lambda meter: price(meter) is None and meter.settings.prices == (FLAT,),
        "variable": lambda meter: price(meter) == Decimal("0.0022"),
        "file": lambda meter: price(meter) == Decimal("0.0033"),
    },
    "wait_for_prices": {
        "code": lambda meter: meter.settings.wait_for_prices,
        "variable": lambda meter: not meter.settings.wait_for_prices,
        "file": lambda meter: meter.settings.wait_for_prices,
    },
}


@pytest.mark.parametrize("name", SAYS)
@pytest.mark.parametrize(
    "said_by",
    [("code",), ("variable",), ("file",), ("code", "variable"), ("code", "file"),
     ("variable", "file"), ("code", "variable", "file")],
    ids="+".join,
)  # fmt: skip
def test_code_beats_the_environment_which_beats_the_file(
    name: str, said_by: tuple[str, ...], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_prices(project)
    variable = f"TOKENMETER_{name.upper()}"
    if "file" in said_by:
        (project / "tokenmeter.toml").write_text(f"{name} = {SAYS[name]['file']}")
    if "variable" in said_by:
        monkeypatch.setenv(variable, SAYS[name]["variable"])
    said: dict[str, Any] = {name: SAYS[name]["code"]} if "code" in said_by else {}
    meter = tokenmeter.configure(**said)
    winner = next(by for by in ("code", "variable", "file") if by in said_by)
    assert MEANT[name][winner](meter)
    places = {"code": "code", "variable": variable, "file": f"tokenmeter.toml: {name}"}
    assert origins(meter) == {name: places[winner]}


def test_what_code_said_once_stays_whatever_the_environment_says_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meter = tokenmeter.configure(exporters=["memory"])
    monkeypatch.setenv("TOKENMETER_EXPORTERS", "stdout")
    assert kinds(tokenmeter.configure(estimates=False)) == [Memory]
    assert origins(meter) == {"exporters": "code", "estimates": "code"}


def test_what_was_read_and_has_not_changed_is_not_made_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_EXPORTERS", "memory")
    meter = tokenmeter.configure()
    [sink] = meter._sinks
    assert tokenmeter.configure(estimates=False)._sinks == (sink,)
    monkeypatch.setenv("TOKENMETER_EXPORTERS", "memory,stdout")
    assert kinds(tokenmeter.configure()) == [Memory, Stdout]
    assert sink not in meter._sinks


def test_after_its_end_a_meter_is_configured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMETER_EXPORTERS", "memory")
    meter = tokenmeter.configure()
    tokenmeter.shutdown()
    assert kinds(meter) == []
    assert kinds(tokenmeter.configure()) == [Memory]


def test_a_meter_of_ones_own_is_what_its_code_says(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_EXPORTERS", "nonsense")
    (project / "tokenmeter.toml").write_text("nonsense")
    meter = Meter([Memory()])
    assert kinds(meter.configure(exact_streams=True)) == [Memory]


# Nothing is read at import, and nothing before configure()


def python(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_nothing_is_read_before_something_is_configured(project: Path) -> None:
    (project / "tokenmeter.toml").write_text("nonsense")
    code = (
        "import tokenmeter\n"
        "with tokenmeter.tally(): tokenmeter.wrap(__import__('httpx').Client())\n"
        "tokenmeter.instrument()()\n"
    )
    environment = os.environ | {"TOKENMETER_EXPORTERS": "nonsense"}
    done = python(code, environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(project.iterdir()) == [project / "tokenmeter.toml"]
    code = "import tokenmeter\ntokenmeter.configure()\n"
    done = python(code, environment)
    assert done.stderr.splitlines()[-1] == (
        "tokenmeter.errors.ConfigurationError: tokenmeter.toml: Expected '=' after a key in a "
        "key/value pair (at end of document)"
    )


# What is wrong


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("exporters = 'memory'", ("exporters is a list, such as ['jsonl:usage.jsonl']; got an "
                                 "object of type str")),
        ("exporters = ['memory', 'jsnol:x']",
         "exporters[1]: there is no exporter 'jsnol'; did you mean 'jsonl'? Known names are "),
        ("[[exporters]]\nname = 'memory'\n[[exporters]]\nname = 'memory'\nbackground.full = 'x'",
         "exporters[1].background.full: "),
        ("[[exporters]]\nname = 'memory'\nbackground = {sise = 3}",
         "exporters[0].background.sise: background has no option 'sise'; did you mean 'size'? "),
        ("[[exporters]]\nname = 'jsonl'\npath = '${NOWHERE}'",
         "exporters[0].path: the environment variable 'NOWHERE' is not set"),
        ("exporters = [7]", "exporters[0]: an exporter is a name such as"),
        ("providers = 'x'", "providers: providers maps a host to a provider's name"),
        ("providers.llm.corp = 7", ("providers: providers maps a host to a provider's name, both "
                                   "non-empty strings, such as {'llm.corp': 'openai'}; got "
                                   "'llm.corp': 7")),
        ("estimates = 'no'", "estimates: estimates is true or false; got 'no'"),
        ("baggage = ['users']",
         "baggage: baggage: 'users' cannot be allowed; did you mean 'user'? Known names are "),
        ("user = ['os', 'gti']",
         "user: user[1]: there is no resolver 'gti'; did you mean 'git'? Known names are "),
        ("exact_streams = 1", "exact_streams: exact_streams is true or false; got 1"),
        ("tokenizers = {}", "tokenizers: there is no such setting; known settings are "),
    ],
)  # fmt: skip
def test_a_wrong_setting_of_the_file_is_pointed_at_and_changes_nothing(
    text: str, error: str, project: Path
) -> None:
    meter = tokenmeter.configure(providers={"a": "b"})
    before = meter.settings
    (project / "tokenmeter.toml").write_text(text)
    is_overridden = text.startswith("providers")
    with pytest.raises(ConfigurationError) as caught:
        Settings().read() if is_overridden else tokenmeter.configure()
    assert str(caught.value).startswith(f"tokenmeter.toml: {error}")
    assert meter.settings is before


def test_a_wrong_setting_of_the_environment_is_pointed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMETER_EXPORTERS", "memory,jsonl")
    with pytest.raises(ConfigurationError, match=r"^TOKENMETER_EXPORTERS\[1\]: the exporter"):
        tokenmeter.configure()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"estimates": "no"}, "estimates is true or false; got 'no'"),
        ({"exact_streams": 1}, "exact_streams is true or false; got 1"),
        ({"exporters": 7}, "exporters is a list, such as"),
        ({"exporters": {"name": "memory"}}, "exporters is a list, such as"),
        ({"providers": ["a"]}, "providers maps a host to a provider's name"),
        ({"dialects": "acme"}, "dialects is a list, such as"),
        ({"tokenizers": len}, "tokenizers is a mapping of patterns"),
    ],
)
def test_a_wrong_setting_of_code_is_refused(wrong: dict[str, Any], error: str) -> None:
    meter = Meter()
    before = meter.settings
    with pytest.raises(ConfigurationError, match=error):
        meter.configure(**wrong)
    with pytest.raises(ConfigurationError, match=error):
        Meter(**wrong)
    assert meter.settings is before


def test_a_setting_that_there_is_not_is_a_type_error_with_the_nearest_one() -> None:
    for call in (tokenmeter.configure, Meter, Meter().configure):
        with pytest.raises(TypeError, match="no setting 'estimate'; did you mean 'estimates'"):
            call(estimate=False)  # type: ignore[call-arg]


def test_what_is_none_is_not_said() -> None:
    nothing: dict[str, Any] = dict.fromkeys(SAYS)
    assert Meter().configure(**nothing).settings == Settings()


# What is in force


def words(text: str, model: str | None) -> int:
    return len(text.split())


def test_what_is_in_force_is_described_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMETER_EXACT_STREAMS", "1")
    meter = tokenmeter.configure(
        exporters=[{"name": "jsonl", "path": "secret"}, "jsonl:secret", print, Memory()],
        providers={"LLM.corp": "openai", "b": "c"},
        tokenizers={"m*": words},
    )
    assert meter.settings.described() == [
        Setting("exporters", "jsonl (path), jsonl:…, print, Memory", "code"),
        Setting("providers", "llm.corp=openai, b=c", "code"),
        Setting("dialects", "", "default"),
        Setting("estimates", "true", "default"),
        Setting("tokenizers", "m*=words", "code"),
        Setting("exact_streams", "true", "TOKENMETER_EXACT_STREAMS"),
        Setting("baggage", "", "default"),
        Setting("user", "", "default"),
        Setting("trace_unattributed", "false", "default"),
        Setting("pseudonyms", "", "default"),
        Setting("prices", "", "default"),
        Setting("wait_for_prices", "true", "default"),
    ]


def test_settings_do_not_change_with_what_they_were_made_of() -> None:
    providers, tokenizers = {"a": "b"}, {"m": words}
    dialects: list[Dialect] = []
    settings = Settings().given(
        {"providers": providers, "tokenizers": tokenizers, "dialects": dialects}
    )
    providers.clear()
    tokenizers.clear()
    assert (settings.providers, settings.tokenizers) == ({"a": "b"}, {"m": words})
    with pytest.raises(AttributeError):
        settings.estimates = False  # type: ignore[misc]


@pytest.mark.parametrize(("text", "expected"), [("0", False), ("OFF", False), ("maybe", True)])
def test_the_switch_of_estimates_works_without_configure(
    text: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_ESTIMATES", text)
    assert of_process().estimates is Meter().estimates is expected


NAMED = st.fixed_dictionaries(
    {},
    optional={
        "providers": st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")) | st.none(),
        "estimates": st.booleans() | st.none(),
        "exact_streams": st.booleans() | st.none(),
    },
)


@given(st.lists(NAMED, max_size=4))
def test_each_setting_is_what_was_said_last(said: list[dict[str, Any]]) -> None:
    settings = Settings()
    for options in said:
        settings = settings.given(options)
    last = {n: v for options in said for n, v in options.items() if v is not None}
    assert settings == Settings(**last, origins=dict.fromkeys(last, "code"))
