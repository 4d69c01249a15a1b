"""Providers and wire formats of one's own: ten lines, checked when they are registered."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import tokenmeter
from tokenmeter import ConfigurationError, Meter, Usage, UsageEvent
from tokenmeter.dialects import Dialect, Reading, own
from wires import chat


class Acme(Dialect):
    name = "acme_generate"
    path = "/models/(?P<model>[^/]+)/generate"
    provider = "acme"
    answer = msgspec.json.Decoder(dict[str, int])

    def reading(self, body: dict[str, int]) -> Reading:
        usage = Usage(input_tokens=body["read"], output_tokens=body["made"])
        return Reading(recognised=True, usage=usage, status="completed", final=True)


def answering(body: object) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=body)))


def counted(meter: Meter, events: list[UsageEvent], url: str, body: object) -> dict[str, Any]:
    meter.wrap(answering(body)).post(url, json={})
    (event,) = events
    events.clear()
    return {
        "provider": event.provider,
        "model": event.request_model,
        "tokens": (event.input_tokens, event.output_tokens),
        "provenance": (event.input_provenance, event.output_provenance),
    }


def test_a_dialect_of_ones_own_counts_on_any_host() -> None:
    events: list[UsageEvent] = []
    meter = Meter([events.append], dialects=[Acme()])
    assert counted(
        meter, events, "http://acme.test/models/big/generate", {"read": 5, "made": 3}
    ) == {
        "provider": "acme",
        "model": "big",
        "tokens": (5, 3),
        "provenance": ("reported", "reported"),
    }


def test_a_dialect_of_ones_own_comes_before_ours_and_configure_takes_it_back() -> None:
    class Mine(Acme):
        path = "/chat/completions"

    events: list[UsageEvent] = []
    meter = Meter([events.append])
    url = "http://llm.corp/v1/chat/completions"
    assert counted(meter, events, url, chat())["provider"] == "openai_compatible"
    meter.configure(dialects=[Mine()], providers={"llm.corp": "corp"})
    both = {"read": 1, "made": 2}
    assert counted(meter, events, url, both)["tokens"] == (1, 2)
    meter.configure(exporters=[events.append])
    assert counted(meter, events, url, both)["provider"] == "corp"
    meter.configure(dialects=[])
    assert counted(meter, events, url, chat())["provider"] == "corp"
    assert meter.guard.failures == {}


def lacking(**members: Any) -> object:
    return type("Broken", (Acme,), members)()


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (17, "derives from tokenmeter.dialects.Dialect; got 17"),
        (Acme, r"got the class Acme: give Acme\(\)"),
        (lacking(name=""), "name must be a name"),
        (lacking(path=""), "path must be a regular expression"),
        (lacking(path="(("), "path must be a regular expression"),
        (lacking(answer=None), "answer must be a msgspec.json.Decoder"),
        (lacking(marks=["x"]), "marks must be a tuple of bytes"),
        (lacking(headers="x"), "headers must be a tuple of strings"),
        (lacking(operation=None), "operation must be OpenTelemetry's name"),
        (lacking(reading=Dialect.reading), "reading must be written"),
        (lacking(path="", marks=None), "path must be .*; marks must be"),
    ],
)
def test_what_is_no_dialect_is_refused_and_what_is_missing_is_named(given: Any, names: str) -> None:
    events: list[UsageEvent] = []
    meter = Meter([events.append])
    with pytest.raises(ConfigurationError, match=names):
        meter.configure(exporters=[], dialects=[given])
    meter.record(tokenmeter.UsageEvent(kind="call", event_id="1", schema=1, ts=None))  # type: ignore[arg-type]
    assert len(events) == 1, "what was refused changed nothing"


def test_dialects_are_a_list() -> None:
    for given in ("acme", 17, Acme()):
        with pytest.raises(ConfigurationError, match="dialects is a list"):
            Meter(dialects=given)  # type: ignore[arg-type]


# What packages bring

PACKAGE = """
import msgspec
from tokenmeter import Usage
from tokenmeter.dialects import Dialect, Reading

class Acme(Dialect):
    name = "acme_generate"
    path = "/v1/generate"
    provider = "acme"
    answer = msgspec.json.Decoder(dict[str, int])

    def reading(self, body):
        return Reading(recognised=True, usage=Usage(input_tokens=body["read"]), status="completed")

class Half(Dialect):
    name = "half"

raise_at_import = None
"""

PROGRAM = """
import httpx
from tokenmeter import Meter
events = []
meter = Meter([events.append])
transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"read": 7}))
meter.wrap(httpx.Client(transport=transport)).post("http://h.test/v1/generate", json={})
print([(e.provider, e.input_tokens) for e in events], sorted(meter.guard.failures))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Give a folder that has a package which brings three dialects, two of them broken."""
    (tmp_path / "acme_meter.py").write_text(PACKAGE)
    (tmp_path / "acme_broken.py").write_text("raise RuntimeError('secret')")
    info = tmp_path / "acme_meter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-meter\nVersion: 1.0\n")
    points = """
        [tokenmeter.dialects]
        acme = acme_meter:Acme
        half = acme_meter:Half
        broken = acme_broken:Any
    """
    (info / "entry_points.txt").write_text(textwrap.dedent(points))
    return tmp_path


def test_an_installed_package_brings_its_dialect_and_a_broken_one_harms_nobody(site: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(site)!r})\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[('acme', 7)] ['the dialect broken']"
    assert "the dialect half (acme_meter:Half) is left out: Half is no dialect: path must" in (
        done.stderr
    )
    assert "secret" not in done.stderr


def test_a_class_and_an_object_can_be_brought(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    brought: list[Callable[[], object] | object] = [Acme, Acme()]
    for n, found in enumerate(brought):
        monkeypatch.setattr(EntryPoint, "load", lambda _self, found=found: found)
        dialect = own.load(EntryPoint(f"acme{n}", "x:y", own.ENTRY_POINTS))
        assert isinstance(dialect, Acme)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
