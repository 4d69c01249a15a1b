"""``tokenmeter doctor``: what is metered, what cannot be, and what was not understood."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tokenmeter import Meter, diagnose
from tokenmeter.diagnosis import Library
from tokenmeter.testing import ModelServer


def client(meter: Meter, body: object, status: int = 200) -> httpx.Client:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    return meter.wrap(httpx.Client(transport=transport))


def seen(meter: Meter) -> list[tuple[str, str, int | None]]:
    return [tuple(found) for found in diagnose(meter).not_understood]


def test_a_path_of_a_known_host_that_no_format_fits_is_named_without_its_query() -> None:
    meter = Meter()
    for _ in range(3):
        client(meter, {}).post("https://api.openai.com/v1/dreams?key=secret")
    assert seen(meter) == [("api.openai.com", "/v1/dreams", None)]


def test_what_is_no_call_of_a_model_is_not_named() -> None:
    meter = Meter()
    for path in ("/v1/files", "/v1/messages/count_tokens", "/v1/batches", "/v1/threads/t/messages"):
        client(meter, {}).post(f"https://api.openai.com{path}")
    client(meter, {}).get("https://api.openai.com/v1/dreams")
    client(meter, {}).post("https://example.org/v1/dreams")
    assert seen(meter) == []


def test_an_answer_in_no_known_format_is_named_and_counted_and_an_error_is_not() -> None:
    meter = Meter()
    for body, status in (("hi", 200), ({"x": 1}, 200), ({"error": {}}, 500)):
        client(meter, body, status).post("http://llm.test/v1/chat/completions", json={"model": "m"})
    assert seen(meter) == [("llm.test", "/v1/chat/completions", 2)]


def test_what_is_remembered_is_bounded() -> None:
    meter = Meter()
    for n in range(300):
        client(meter, {}).post(f"https://api.openai.com/v1/dreams/{n}")
        client(meter, {}).post(f"https://api.openai.com/{n}/chat/completions")
    assert len(seen(meter)) == 200


def test_a_subclass_that_bypasses_send_is_named_and_one_that_calls_it_is_not() -> None:
    class Bypassing(httpx.Client):
        def send(self, request: Any, **kwargs: Any) -> Any:
            return self._send_handling_auth(request, **kwargs)

    class Calling(httpx.AsyncClient):
        async def send(self, request: Any, **kwargs: Any) -> Any:
            return await super().send(request, **kwargs)

    names = [found.what for found in diagnose(Meter()).blind]
    assert any(name.endswith("Bypassing") for name in names)
    assert not any(name.endswith("Calling") for name in names)
    del Bypassing, Calling


def test_an_imported_library_that_has_no_seam_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [found.what for found in diagnose(Meter()).blind]
    monkeypatch.setitem(sys.modules, "pycurl", ModuleType("pycurl"))
    (found,) = [f for f in diagnose(Meter()).blind if f.what not in before]
    assert (found.what, found.instead) == (
        "pycurl",
        "decorate the function that calls it with @tokenmeter.metered",
    )


PROJECT = Path(__file__).parent.parent / "pyproject.toml"
GROUPS = tomllib.loads(PROJECT.read_text())["dependency-groups"]
PINNED = [
    pinned.split("==")
    for name, group in GROUPS.items()
    if name.startswith("sdks-")
    for pinned in group
    if "==" in pinned
]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


@pytest.mark.parametrize("library", [*diagnose().stacks, *diagnose().sdks], ids=lambda it: it.name)
def test_the_versions_that_are_called_tested_are_those_of_the_tests(library: Library) -> None:
    oldest, _, newest = library.tested.partition(" to ")
    pins = [numbers(version) for name, version in PINNED if name == library.name]
    assert not pins or numbers(oldest) == min(pins)
    if library.version is not None:
        assert numbers(newest or oldest) <= numbers(library.version)
        assert numbers(newest or oldest)[0] == numbers(library.version)[0]


def doctor(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "tokenmeter", "doctor", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_says_what_is_installed_and_imports_none_of_it(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--format", "json")
    found = json.loads(done.stdout)
    versions = {sdk["name"]: sdk["version"] for sdk in found["sdks"]}
    assert versions["openai"] is not None
    assert not any(sdk["imported"] for sdk in (*found["sdks"], *found["stacks"]))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_runs_a_program_and_says_what_was_not_understood(tmp_path: Path) -> None:
    with ModelServer() as server:
        lines = (
            "import sys, httpx, openai",
            f"openai.OpenAI(base_url={server.openai_url!r}, api_key='k').models.list",
            (
                "httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))"
                ".post('https://api.anthropic.com/v1/dreams')"
            ),
            "print(sys.argv)",
            "sys.exit(3)",
        )
        (tmp_path / "program.py").write_text("\n".join(lines))
        done = doctor(tmp_path, "--format", "json", "program.py", "--deep")
    assert (done.returncode, done.stdout) == (3, "['program.py', '--deep']\n")
    found = json.loads(done.stderr)
    assert found["not_understood"] == [["api.anthropic.com", "/v1/dreams", None]]
    assert {s["name"] for s in found["stacks"] if s["imported"]} >= {"httpx"}
    table = doctor(tmp_path, "program.py").stderr
    assert "no wire format is known for this path" in " ".join(table.split())
    assert list(tmp_path.glob("*.jsonl")) == []


def test_the_command_says_what_is_set_and_where_and_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMETER_EXPORTERS", "jsonl:secret.jsonl")
    (tmp_path / "tokenmeter.toml").write_text("exact_streams = true\nestimates = false\n")
    monkeypatch.setenv("TOKENMETER_ESTIMATES", "1")
    done = doctor(tmp_path, "--format", "json")
    found = json.loads(done.stdout)
    assert found["settings"] == [
        ["exporters", "jsonl:…", "TOKENMETER_EXPORTERS"],
        ["providers", "", "default"],
        ["dialects", "", "default"],
        ["estimates", "true", "TOKENMETER_ESTIMATES"],
        ["tokenizers", "", "default"],
        ["exact_streams", "true", "tokenmeter.toml: exact_streams"],
        ["baggage", "", "default"],
        ["user", "", "default"],
        ["trace_unattributed", "false", "default"],
        ["pseudonyms", "", "default"],
        ["prices", "", "default"],
        ["wait_for_prices", "true", "default"],
    ]
    assert ["stdout", "tokenmeter"] in found["exporters"]
    assert "secret" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["tokenmeter.toml"]


def test_the_command_says_what_is_wrong_with_the_settings_after_the_rest(tmp_path: Path) -> None:
    (tmp_path / "tokenmeter.toml").write_text('exporters = [{name = "jsonl", pth = "secret"}]')
    done = doctor(tmp_path, "--format", "json")
    assert json.loads(done.stdout)["settings"][0] == [
        "exporters",
        "jsonl (pth)",
        "tokenmeter.toml: exporters",
    ]
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(
        "tokenmeter: tokenmeter.toml: exporters[0].pth: the exporter 'jsonl' has no option 'pth'; "
        "did you mean 'path'? Known options are "
    )
