"""Settings outside of code: what is found where, and errors that point at it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tokenmeter import ConfigurationError
from tokenmeter.sources import Found, found


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the root of a project, the current folder, in an environment that says nothing."""
    for name in [name for name in os.environ if name.startswith("TOKENMETER_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def said() -> dict[str, tuple[Any, str]]:
    return {name: (source.value, source.place) for name, source in found().items()}


# The environment


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("EXPORTERS", "jsonl:usage.jsonl", ["jsonl:usage.jsonl"]),
        ("EXPORTERS", " jsonl:/a b/u.jsonl , stdout ", ["jsonl:/a b/u.jsonl", "stdout"]),
        ("EXPORTERS", "['jsonl:a,b.jsonl', 'stdout']", ["jsonl:a,b.jsonl", "stdout"]),
        (
            "EXPORTERS",
            '[{name = "webhook", url = "https://h/?a,b", background = {size = 5}}]',
            [{"name": "webhook", "url": "https://h/?a,b", "background": {"size": 5}}],
        ),
        ("EXPORTERS", "jsonl:${HOME}", ["jsonl:${HOME}"]),
        ("EXPORTERS", "[]", []),
        ("PROVIDERS", "llm.corp=openai, ai.corp = anthropic",
         {"llm.corp": "openai", "ai.corp": "anthropic"}),
        ("ESTIMATES", "off", False),
        ("ESTIMATES", "1", True),
        ("EXACT_STREAMS", "YES", True),
        ("EXACT_STREAMS", "0", False),
    ],
)  # fmt: skip
def test_a_variable_says_a_setting(
    variable: str, text: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TOKENMETER_{variable}", text)
    assert found() == {variable.lower(): Found(value, f"TOKENMETER_{variable}")}


@pytest.mark.parametrize("variable", ["EXPORTERS", "PROVIDERS", "ESTIMATES", "CONFIG"])
@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_says_nothing(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TOKENMETER_{variable}", text)
    assert found() == {}


@pytest.mark.parametrize(
    ("variable", "text", "error"),
    [
        ("ESTIMATES", "maybe", ("TOKENMETER_ESTIMATES is one of 1, true, yes, on, or one of 0, "
                               "false, no, off; got 'maybe'")),
        ("PROVIDERS", "llm.corp:openai", ("TOKENMETER_PROVIDERS: write HOST=PROVIDER, with commas "
                                         "between several")),
        ("EXPORTERS", "['a' 'b']", "TOKENMETER_EXPORTERS: this is no list of TOML: Unclosed array"),
        ("CONFIG", "no.toml", ("TOKENMETER_CONFIG: there is no file 'no.toml': name one, or unset "
                              "it")),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named(
    variable: str, text: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TOKENMETER_{variable}", text)
    with pytest.raises(ConfigurationError) as caught:
        found()
    assert str(caught.value) == error


def test_a_variable_that_is_nearly_ours_is_warned_of_and_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("EXPORTER", "SQLITE_PATH", "ESTIMATES", "DISABLED", "EXPERIMENTS"):
        monkeypatch.setenv(f"TOKENMETER_{name}", "1")
    assert said() == {"estimates": (True, "TOKENMETER_ESTIMATES")}
    assert [record.getMessage() for record in caplog.records] == [
        "the variable TOKENMETER_EXPORTER says nothing; did you mean TOKENMETER_EXPORTERS?"
    ]


# The file

FILE = """
exporters = ["stdout"]
estimates = false
"""
EXPECTED = {
    "exporters": (["stdout"], "tokenmeter.toml: exporters"),
    "estimates": (False, "tokenmeter.toml: estimates"),
}


def test_the_file_says_settings_with_their_keys(project: Path) -> None:
    (project / "tokenmeter.toml").write_text(FILE)
    assert said() == EXPECTED


def test_a_table_of_pyproject_does_as_well_and_the_own_file_beats_it(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.tokenmeter]\nexporters = ["memory"]\n')
    assert said() == {"exporters": (["memory"], "pyproject.toml: tool.tokenmeter.exporters")}
    (project / "tokenmeter.toml").write_text(FILE)
    assert said() == EXPECTED


def test_the_variable_beats_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "tokenmeter.toml").write_text(FILE)
    monkeypatch.setenv("TOKENMETER_ESTIMATES", "1")
    assert said() == EXPECTED | {"estimates": (True, "TOKENMETER_ESTIMATES")}


def test_the_file_is_looked_for_as_far_as_the_root_of_the_project_and_not_above(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = project / "src" / "deep"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    (project.parent / "tokenmeter.toml").write_text(FILE)
    assert said() == {}
    (project / "tokenmeter.toml").write_text(FILE)
    assert {place for _, place in said().values()} == {
        f"{project}/tokenmeter.toml: exporters",
        f"{project}/tokenmeter.toml: estimates",
    }
    (project / "src" / "tokenmeter.toml").write_text("estimates = true")
    assert said() == {"estimates": (True, f"{project}/src/tokenmeter.toml: estimates")}
    (inner / "pyproject.toml").write_text("")
    assert said() == {}


def test_outside_of_a_project_only_the_current_folder_is_looked_at(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".git").rmdir()
    inner = project / "inner"
    inner.mkdir()
    (project / "tokenmeter.toml").write_text(FILE)
    assert said() == EXPECTED
    monkeypatch.chdir(inner)
    assert said() == {}


def test_a_current_folder_that_is_gone_has_no_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = project / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert found() == {}
    monkeypatch.chdir(project)


def test_a_variable_names_the_file_and_the_null_device_is_an_empty_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "tokenmeter.toml").write_text("estimates = false")
    other = project / "etc" / "meter.toml"
    other.parent.mkdir()
    other.write_text("exact_streams = true")
    monkeypatch.setenv("TOKENMETER_CONFIG", str(other))
    assert said() == {"exact_streams": (True, f"{other}: exact_streams")}
    monkeypatch.setenv("TOKENMETER_CONFIG", "/dev/null")
    assert said() == {}


def test_the_fault_of_another_tools_table_is_not_ours(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.ruff\n")
    assert said() == {}


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("tokenmeter.toml", "exporters = [\n'stdout'\nestimates = 1",
         "tokenmeter.toml: Unclosed array (at line 3, column 1)"),
        ("tokenmeter.toml", "exporter = ['stdout']",
         ("tokenmeter.toml: exporter: there is no such setting; did you mean 'exporters'? "
         "Known settings are baggage, estimates, exact_streams, exporters, prices, "
         "providers, pseudonyms, trace_unattributed, user, wait_for_prices")),
        ("pyproject.toml", "[tool.tokenmeter]\ncolour = 1",
         ("pyproject.toml: tool.tokenmeter.colour: there is no such setting; "
         "known settings are baggage, estimates, exact_streams, exporters, prices, "
         "providers, pseudonyms, trace_unattributed, user, wait_for_prices")),
        ("pyproject.toml", "[tool]\ntokenmeter = 1",
         "pyproject.toml: tool.tokenmeter is a table of settings"),
        ("tokenmeter.toml", "\udcff", "tokenmeter.toml cannot be read: it is not UTF-8"),
        ("tokenmeter.toml/x", "", "tokenmeter.toml cannot be read: Is a directory"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_named_with_its_key_or_its_line(
    name: str, text: str, error: str, project: Path
) -> None:
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError) as caught:
        found()
    assert str(caught.value) == error


def test_a_host_may_be_written_with_bare_dots(project: Path) -> None:
    text = '[providers]\nllm.corp = "openai"\n"ai.corp" = "anthropic"\n127.0.0.1 = "mine"\n'
    (project / "tokenmeter.toml").write_text(text)
    hosts = {"llm.corp": "openai", "ai.corp": "anthropic", "127.0.0.1": "mine"}
    assert said() == {"providers": (hosts, "tokenmeter.toml: providers")}


def test_a_secret_is_put_where_the_file_names_its_variable(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "p$a${x}ss")
    text = """
exporters = ["db:postgres://u:${DB_PASSWORD}@h", {name = "w", headers = {k = ["$${A} $B"]}, n = 1}]
"""
    (project / "tokenmeter.toml").write_text(text)
    [values] = [value for value, _ in said().values()]
    assert values == [
        "db:postgres://u:p$a${x}ss@h",
        {"name": "w", "headers": {"k": ["${A} $B"]}, "n": 1},
    ]


def test_a_variable_that_is_not_set_is_named_with_its_key_and_only_where_it_counts(
    project: Path,
) -> None:
    (project / "tokenmeter.toml").write_text('[[exporters]]\nname = "w"\nheaders = {key = "${NO}"}')
    with pytest.raises(ConfigurationError) as caught:
        found()
    assert str(caught.value) == (
        "tokenmeter.toml: exporters[0].headers.key: the environment variable 'NO' is not set; "
        "set it, or write $${NO} for these very characters"
    )
    assert found(without={"exporters"}) == {}


PAGE = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("text", re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
def test_the_files_of_the_documentation_can_be_read(
    text: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILL_TOKEN", "secret")
    name = "pyproject.toml" if "tool.tokenmeter" in text else "tokenmeter.toml"
    (project / name).write_text(text)
    assert "exporters" in found()
