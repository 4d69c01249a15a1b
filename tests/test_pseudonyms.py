"""Pseudonyms: no name of a person in anything that leaves the meter; keys are shown nowhere."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenmeter
from tokenmeter import ConfigurationError, Meter, UsageEvent, attribute, extract, inject
from tokenmeter.cli import main
from tokenmeter.pseudonyms import checked, pseudonym
from tokenmeter.settings import Settings

KEY, NEW = "the first key of the test", b"the second key of the test"
ADA = pseudonym("ada", KEY)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty current folder, a default meter and an environment that say nothing."""
    for name in [name for name in os.environ if name.startswith("TOKENMETER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("tokenmeter.meter._default", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    yield tmp_path
    tokenmeter.shutdown()


def recorded(**more: Any) -> UsageEvent:
    facts: dict[str, Any] = {"kind": "call", "event_id": "1" * 32, "schema": 1, "ts": NOON}
    return UsageEvent(**facts | more)


ask = tokenmeter.metered(lambda question: {"input_tokens": 1, "output_tokens": 2})


# What it is


def test_a_pseudonym_is_the_first_80_bits_of_the_hmac_of_the_name_in_utf_8() -> None:
    digest = hmac.new(KEY.encode(), "Zoë".encode(), hashlib.sha256).hexdigest()
    assert pseudonym("Zoë", KEY, "k-2") == f"k-2:{digest[:20]}"


def test_white_space_around_a_key_of_text_is_no_part_of_it() -> None:
    assert pseudonym("ada", f" {KEY}\n") == ADA == pseudonym("ada", KEY.encode())


@settings(deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_one_person_has_one_pseudonym_however_unicode_spells_the_name(a: str, b: str) -> None:
    known = checked(KEY)
    assert known.known_as(unicodedata.normalize("NFD", a)) == known.known_as(a)
    same = unicodedata.normalize("NFC", a) == unicodedata.normalize("NFC", b)
    assert (known.known_as(a) == known.known_as(b)) == same


@settings(deadline=None)
@given(st.text(min_size=1))
def test_a_pseudonym_of_a_key_that_is_known_has_none_but_itself(user: str) -> None:
    old, both = checked({"old": KEY}), checked({"old": KEY, "new": NEW})
    before = old.known_as(user)
    assert both.known_as(before) == before
    assert both.every(before) == [before]
    assert both.every(user) == [before, pseudonym(user, NEW, "new")]
    assert both.known_as(user) == pseudonym(user, NEW, "new")


@pytest.mark.parametrize(
    "name",
    ["p1:0123456789abcdef012", "p1:0123456789abcdef01234", "p1:0123456789ABCDEF0123",
     "p2:0123456789abcdef0123", " p1:0123456789abcdef0123", "p1:0123456789abcdef0123\n", "p1:ada"],
)  # fmt: skip
def test_a_name_that_only_looks_like_a_pseudonym_gets_one(name: str) -> None:
    assert checked(KEY).known_as(name) == pseudonym(name, KEY)


def test_a_name_that_cannot_be_written_gets_one_too() -> None:
    assert checked(KEY).known_as("\udcff").startswith("p1:")


# Every event


def test_calls_runs_outcomes_and_recorded_events_have_the_pseudonym_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[UsageEvent] = []
    meter = tokenmeter.configure(
        pseudonyms=KEY, exporters=[seen.append, "jsonl:usage.jsonl", "stdout", "memory"]
    )
    with tokenmeter.tally() as spent, attribute(user="ada", task="T", agent="planner"):
        ask("?")
        tokenmeter.outcome("T", "accepted")
        tokenmeter.record(recorded(user="ada", user_origin="elsewhere"))
    tokenmeter.flush()
    assert [(event.kind, event.user, event.user_origin) for event in seen] == [
        ("call", ADA, "explicit"),
        ("outcome", ADA, "explicit"),
        ("call", ADA, "elsewhere"),
        ("run", ADA, "explicit"),
    ]
    assert {user for user, _, _ in meter.totals.rows()} == {ADA}
    written = (tmp_path / "usage.jsonl").read_text() + capsys.readouterr().out
    written += str(spent.tree()) + repr(spent) + repr(meter.totals.rows())
    assert "ada" not in written
    assert written.count(ADA) >= 4


def test_a_run_that_is_open_when_the_meter_ends_has_the_pseudonym() -> None:
    seen: list[UsageEvent] = []
    meter = Meter([seen.append], pseudonyms=KEY)
    with attribute(user="ada", agent="planner"):
        meter.shutdown()
    assert [(event.kind, event.status, event.user) for event in seen] == [("run", "abandoned", ADA)]


def test_the_event_that_was_handed_over_stays_as_it_is() -> None:
    seen: list[UsageEvent] = []
    mine = recorded(user="ada")
    Meter([seen.append], pseudonyms=KEY).record(mine)
    assert (mine.user, seen[0]) == ("ada", msgspec.structs.replace(mine, user=ADA))


def test_nothing_is_made_of_an_event_without_a_user_or_with_a_known_pseudonym() -> None:
    seen: list[UsageEvent] = []
    meter = Meter([seen.append], pseudonyms={"p1": KEY, "p2": NEW})
    for event in (recorded(), recorded(user=ADA)):
        meter.record(event)
        assert seen.pop() is event


def test_what_no_pseudonym_can_be_made_of_is_nobody_and_is_counted() -> None:
    seen: list[UsageEvent] = []
    meter = Meter([seen.append], pseudonyms=KEY)
    meter.record(recorded(user=["ada"]))
    assert [event.user for event in seen] == [None]
    assert meter.guard.failures == {"a pseudonym": 1}


def test_a_new_key_is_for_new_events_and_the_old_key_still_knows_its_own() -> None:
    seen: list[UsageEvent] = []
    meter = Meter([seen.append], pseudonyms={"k25": KEY})
    meter.record(recorded(user="ada"))
    meter.configure(pseudonyms={"k25": KEY, "k26": NEW})
    meter.record(recorded(user="ada"))
    meter.record(seen[0])
    old, new = pseudonym("ada", KEY, "k25"), pseudonym("ada", NEW, "k26")
    assert [event.user for event in seen] == [old, new, old]


def test_threads_at_once_give_each_person_one_pseudonym() -> None:
    seen: list[UsageEvent] = []
    meter = Meter([seen.append], pseudonyms=KEY)

    def call(user: str) -> None:
        for _ in range(200):
            meter.record(recorded(user=user))

    threads = [threading.Thread(target=call, args=(f"user {n % 3}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {pseudonym(f"user {n}", KEY): 400 for n in range(3)}
    found = [event.user or "" for event in seen]
    assert {user: found.count(user) for user in set(found)} == expected


# Between programs


def test_a_pseudonym_travels_and_never_the_name() -> None:
    seen: list[UsageEvent] = []
    tokenmeter.configure(pseudonyms=KEY, baggage=["user"], exporters=[seen.append])
    with attribute(user="ada"):
        headers, environment = inject({}), tokenmeter.environ_for_child({})
    assert headers == {"baggage": f"tokenmeter.user={ADA.replace(':', '%3A')}"}
    assert environment == {"BAGGAGE": headers["baggage"]}
    tokenmeter.configure(pseudonyms={"p1": KEY, "p2": NEW})
    with extract(headers):  # a service that has a newer key, too
        ask("?")
    assert [(event.user, event.user_origin) for event in seen] == [(ADA, "baggage")]


def test_a_service_without_keys_takes_the_pseudonym_and_one_with_others_makes_its_own() -> None:
    seen: list[UsageEvent] = []
    tokenmeter.configure(baggage=["user"], exporters=[seen.append])
    with extract({"baggage": f"tokenmeter.user={ADA}"}):
        ask("?")
        tokenmeter.configure(pseudonyms={"theirs": NEW})
        ask("?")
    assert [event.user for event in seen] == [ADA, pseudonym(ADA, NEW, "theirs")]


# Where keys come from, and that they are not shown


def keys_file(folder: Path) -> Path:
    path = folder / "keys.toml"
    path.write_text(f'p1 = "{KEY}"\nnew = "{NEW.decode()}"\n')
    return path


@pytest.mark.parametrize("said_by", ["code", "variable", "file"])
def test_keys_come_from_code_a_file_that_a_variable_names_or_variables_that_a_file_names(
    said_by: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    if said_by == "code":
        given["pseudonyms"] = keys_file(project)
    elif said_by == "variable":
        monkeypatch.setenv("TOKENMETER_PSEUDONYMS", str(keys_file(project)))
    else:
        monkeypatch.setenv("OLD", KEY)
        monkeypatch.setenv("NEW", NEW.decode())
        (project / "tokenmeter.toml").write_text('pseudonyms = {p1 = "${OLD}", new = "${NEW}"}')
    meter = tokenmeter.configure(**given)
    assert meter.settings.pseudonyms == checked({"p1": KEY, "new": NEW})
    shown = {s.name: s for s in meter.settings.described()}["pseudonyms"]
    assert shown.value == "p1, new"
    everything = (
        repr(meter.settings) + str(meter.settings.described()) + repr(tokenmeter.diagnose())
    )
    assert "key of the test" not in everything
    before = meter.settings.pseudonyms
    tokenmeter.configure(**given)
    assert said_by == "code" or meter.settings.pseudonyms is before


def test_one_key_in_a_file_is_a_variable_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", KEY)
    (project / "tokenmeter.toml").write_text('pseudonyms = "${SECRET}"')
    assert tokenmeter.configure().settings.pseudonyms == checked(KEY)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("short", "the key 'p1' of pseudonyms has 5 bytes and needs at least 16"),
        ({"a": b"x" * 15}, "the key 'a' of pseudonyms has 15 bytes"),
        ({}, "pseudonyms need a key; got a mapping that is empty"),
        (5, "the key 'p1' of pseudonyms is bytes or a text; got an object of type int"),
        ({"a": [KEY]}, "the key 'a' of pseudonyms is bytes or a text; got an object of type list"),
        ({"A": KEY}, "a key of pseudonyms is called by a small letter .*; got 'A'"),
        ({"a:b": KEY}, "is called by a small letter"),
        ({"": KEY}, "is called by a small letter"),
        ({7: KEY}, "is called by a small letter"),
        ({"a" * 17: KEY}, "is called by a small letter"),
        (Path("there-is-none.toml"), "the file of keys cannot be read: No such file"),
    ],
)
def test_what_is_no_key_is_refused_and_nothing_changes(wrong: Any, error: str) -> None:
    meter = Meter()
    with pytest.raises(ConfigurationError, match=error) as raised:
        meter.configure(pseudonyms=wrong)
    assert meter.settings == Settings()
    assert "key of the test" not in str(raised.value)


def test_the_name_of_a_file_as_a_text_is_no_key(project: Path) -> None:
    (project / "keys-of-our-pseudonyms").write_text("")
    with pytest.raises(ConfigurationError, match=r"for a file of keys give Path\(…\)"):
        Meter(pseudonyms="keys-of-our-pseudonyms")


@pytest.mark.parametrize("text", [f"{KEY}", f'p1 = "{KEY}', "p1 = \xff", f'p1 = "a"\np1 = "{KEY}"'])
def test_a_file_of_keys_that_is_none_is_refused_without_being_quoted(
    text: str, project: Path
) -> None:
    (project / "keys.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="the file of keys is no TOML") as raised:
        checked(project / "keys.toml")
    assert "key of the test" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    "text",
    [f'pseudonyms = "{KEY}"', 'pseudonyms = "keys/of-pseudonyms.toml"', "pseudonyms = 5",
     'pseudonyms = {p1 = "a ${HOME}"}', 'pseudonyms = "$${HOME}"', "pseudonyms = ['${HOME}']"],
)  # fmt: skip
def test_no_key_stands_in_the_file_of_settings(text: str, project: Path) -> None:
    (project / "tokenmeter.toml").write_text(text)
    said = r"^tokenmeter.toml: pseudonyms: keys do not stand in this file; write \$\{VARIABLE\}"
    with pytest.raises(ConfigurationError, match=said) as raised:
        tokenmeter.configure()
    assert "key of the test" not in str(raised.value)


# The command


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["pseudonym", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_prints_all_pseudonyms_of_a_person(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = f"{ADA}\n{pseudonym('ada', NEW, 'new')}\n"
    assert printed(capsys, "ada", "--keys", str(keys_file(project))) == (0, both, "")
    monkeypatch.setenv("TOKENMETER_PSEUDONYMS", "keys.toml")
    assert printed(capsys, "ada", ADA) == (0, f"{both}{ADA}\n", "")


def test_the_command_without_keys_says_where_they_may_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = printed(capsys, "ada")
    assert (code, out) == (2, "")
    assert err == (
        "tokenmeter: there are no keys: name a file with --keys, or set TOKENMETER_PSEUDONYMS\n"
    )


def test_doctor_shows_names_of_keys_and_no_key(project: Path) -> None:
    keys_file(project)
    done = subprocess.run(
        [sys.executable, "-m", "tokenmeter", "doctor", "--format", "json"],
        env={**os.environ, "TOKENMETER_PSEUDONYMS": "keys.toml"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    shown = [s for s in json.loads(done.stdout)["settings"] if s[0] == "pseudonyms"]
    assert shown == [["pseudonyms", "p1, new", "TOKENMETER_PSEUDONYMS"]]
    assert "key of the test" not in done.stdout + done.stderr


def test_what_holds_a_key_does_not_show_it() -> None:
    known = checked("x" * 16)
    assert "xxxx" not in repr(known) + repr(known.known_as) + str(known)
    assert (known == checked({"p1": "x" * 16}), known == checked({"p2": "x" * 16})) == (True, False)
