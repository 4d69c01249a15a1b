"""Exporters that packages bring: found by name, loaded when asked for, never one for another."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tokenmeter import ConfigurationError
from tokenmeter.exporters import exporter
from tokenmeter.exporters.factories import Available, available, find

MODULE = """
made = []

class Kept:
    def __init__(self, path="-"):
        self.path = path

    def __call__(self, event):
        made.append(event)

number = 17
"""


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def install(self, package: str, points: dict[str, str], module: str = MODULE) -> None:
        name = package.replace("-", "_")
        (self._folder / f"{name}.py").write_text(module)
        info = self._folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "\n".join(f"{n} = {value}" for n, value in points.items())
        (info / "entry_points.txt").write_text(f"[tokenmeter.exporters]\n{textwrap.dedent(lines)}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    return Site(tmp_path)


def test_a_package_brings_an_exporter_by_its_name(site: Site) -> None:
    site.install("acme-kept", {"kept": "acme_kept:Kept"})
    made = exporter("kept:here")
    assert type(made).__module__ == "acme_kept"
    assert vars(made) == {"path": "here"}
    assert vars(exporter({"name": "kept", "path": "there"})) == {"path": "there"}


def test_available_are_ours_and_those_of_packages_and_none_of_them_is_loaded(site: Site) -> None:
    ours = available()
    site.install("acme-broken", {"wide": "acme_broken:X"}, "raise RuntimeError('loaded')")
    assert {found.package for found in ours} == {"tokenmeter"}
    assert {"jsonl", "memory", "stdout"} <= {found.name for found in ours}
    assert available() == [*ours, Available("wide", "acme-broken 1.0")]


@pytest.mark.parametrize(
    ("value", "module", "said"),
    [
        ("acme:no_such", MODULE, "cannot be loaded: AttributeError at "),
        ("no_such_module:X", MODULE, "cannot be loaded: ModuleNotFoundError at "),
        ("acme:Kept", "raise RuntimeError('secret')", "cannot be loaded: RuntimeError at "),
        (
            "acme:number",
            MODULE,
            (
                "is no factory: an entry point names a class or a function that makes an exporter; "
                "got an object of type int"
            ),
        ),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_named_with_its_package(
    site: Site, value: str, module: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(__import__("sys").modules, "acme", raising=False)
    site.install("acme", {"kept": value}, module)
    with pytest.raises(ConfigurationError) as caught:
        find("kept")
    assert str(caught.value).startswith(f"the exporter 'kept' of acme 1.0, {value}, {said}")
    assert "secret" not in str(caught.value)


def test_a_name_that_two_packages_bring_is_refused_naming_both(site: Site) -> None:
    site.install("acme-one", {"kept": "acme_one:Kept"})
    site.install("acme-two", {"kept": "acme_two:Kept", "other": "acme_two:Kept"})
    with pytest.raises(ConfigurationError) as caught:
        find("kept")
    assert str(caught.value) == (
        "the exporter 'kept' is brought by acme-one 1.0 and acme-two 1.0: uninstall all but one, "
        "or hand over in code an object of the one that you mean"
    )
    assert find("other").__module__ == "acme_two"


def test_a_package_cannot_take_the_name_of_one_of_ours(site: Site) -> None:
    site.install("acme", {"jsonl": "acme:Kept"})
    with pytest.raises(
        ConfigurationError, match=r"'jsonl' is brought by tokenmeter and acme 1\.0:"
    ):
        find("jsonl")
    assert find("memory").__name__ == "Memory"


def test_what_a_package_brings_is_among_the_known_names(site: Site) -> None:
    site.install("acme", {"kafka": "acme:Kept"})
    with pytest.raises(ConfigurationError, match=r"'kafk'; did you mean 'kafka'\? .*kafka, memory"):
        find("kafk")
