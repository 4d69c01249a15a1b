"""A person in a line of a ledger: gone without a trace, and nothing else is touched."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter import ConfigurationError, UsageEvent
from tokenmeter.erasing.person import NOTHING, Found, Person
from tokenmeter.pseudonyms import checked, pseudonym

KEY = "the first key of the test"
ADA, ZOE = "ada@example.com", "Zoë"


def event(**more: Any) -> UsageEvent:
    facts: dict[str, Any] = {
        "kind": "call",
        "event_id": "1" * 32,
        "schema": 1,
        "ts": datetime(2026, 11, 23, 12, tzinfo=UTC),
        "input_tokens": 7,
    }
    return UsageEvent(**facts | more)


def written(what: UsageEvent, *, foreign: bool = False) -> bytes:
    """Write an event as we do, or as another program may."""
    line = msgspec.json.encode(what)
    return (json.dumps(json.loads(line)).encode() if foreign else line) + b"\n"


def read(line: bytes) -> UsageEvent:
    return msgspec.json.decode(line, type=UsageEvent)


names = st.sampled_from([ADA, ZOE, "bob", 'a"b\\c', "\x00\x1f", "ü", "é", "😀", ""]) | st.text()
tags = st.none() | st.dictionaries(
    st.sampled_from(["by", "user", "tier"]), names | st.integers() | st.booleans(), min_size=1
)
events = st.builds(
    event,
    user=st.none() | names,
    user_origin=st.sampled_from([None, "explicit", "baggage"]),
    team=st.sampled_from([None, "platform", '"user":"x"']),
    tags=tags,
    duration_s=st.none() | st.floats(0, 1e9),
)


@settings(deadline=None, max_examples=300)
@given(events, names.filter(bool), st.booleans())
def test_what_is_left_is_the_event_without_the_person(
    what: UsageEvent, name: str, foreign: bool
) -> None:
    line = written(what, foreign=foreign)
    found = Person([name], tags=["by", "no such tag"]).found(line)

    def is_person(value: object) -> bool:
        return isinstance(value, str) and unicodedata.normalize(
            "NFC", value
        ) == unicodedata.normalize("NFC", name)

    is_user = is_person(what.user)
    by = (what.tags or {}).get("by")
    said = str(by).lower() if isinstance(by, bool) else by if by is None else str(by)
    mine = {"by"} if is_person(said) else set[str]()  # as in tables, where tags are texts
    assert found.events == (is_user or bool(mine))
    if not found.events:
        assert found.lines == ()
        return
    left = {tag: value for tag, value in (what.tags or {}).items() if tag not in mine}
    for line_left, origin in zip(found.lines, ["erased", None], strict=False):
        assert read(line_left) == msgspec.structs.replace(
            what,
            user=None if is_user else what.user,
            user_origin=origin if is_user else what.user_origin,
            tags=left or None,
        )
        assert line_left.count(b"\n") == 1
    assert len(found.lines[-1]) <= len(line)


def test_what_is_not_about_the_person_stays_byte_by_byte() -> None:
    line = (
        b'{"kind":"call", "event_id":"7","schema":1,"ts":"2026-11-23T12:00:00Z","user":"ada",'
        b'"cost_amount":"0.10","duration_s":1.50,"later":{"a": [1, 2]},'
        b'"tags":{"n": 1.0,"by":"ada"}}\n'
    )
    left = (
        b'{"kind":"call","event_id":"7","schema":1,"ts":"2026-11-23T12:00:00Z",'
        b'"cost_amount":"0.10","duration_s":1.50,"later":{"a": [1, 2]},"tags":{"n":1.0}'
    )
    lines = (left + b',"user_origin":"erased"}\n', left + b"}\n")
    assert Person(["ada"], tags=["by"]).found(line).lines == lines


def test_somebody_elses_event_with_the_person_in_a_tag_loses_the_tag_alone() -> None:
    line = written(event(user="bob", user_origin="explicit", tags={"by": ADA}))
    left = written(event(user="bob", user_origin="explicit"))
    assert Person([ADA], tags=["by"]).found(line) == Found((left,), 1)
    assert Person([ADA]).found(line) == Found(elsewhere=True)


@pytest.mark.parametrize(
    "spelled", [unicodedata.normalize("NFC", ZOE), unicodedata.normalize("NFD", ZOE)]
)
@pytest.mark.parametrize(
    "named", [unicodedata.normalize("NFC", ZOE), unicodedata.normalize("NFD", ZOE)]
)
def test_a_person_is_the_same_however_the_name_is_spelled(spelled: str, named: str) -> None:
    assert Person([named]).found(written(event(user=spelled))).events == 1
    assert Person([named]).found(written(event(task=spelled))).elsewhere


def test_pseudonyms_under_all_keys_are_the_person() -> None:
    person = Person([ADA], checked({"p1": KEY, "p2": KEY * 2}))
    for name in (ADA, pseudonym(ADA, KEY), pseudonym(ADA, KEY * 2, "p2")):
        assert person.found(written(event(user=name))).events == 1
    assert person.found(written(event(user=pseudonym("bob", KEY)))) == NOTHING


def test_a_whole_event_leaves_an_empty_line() -> None:
    assert Person([ADA], whole=True).found(written(event(user=ADA))) == Found((b"\n",), 1)


TORN = b'{"kind":"call","event_id":"2","user":"ada@example.com","te'


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (TORN + b"\n", Found((b"\n",))),
        (TORN + written(event()), Found((written(event()),))),
        (TORN.replace(b"ada", b"bob") + b"\n", NOTHING),
        (b"\n", NOTHING),
        (b"", NOTHING),
        (b'{"note":"ada@example.com"}\n', Found(elsewhere=True)),
        (b'# "ada@example.com"\n', Found(elsewhere=True)),
        (b"\xff\xfe\n", NOTHING),
    ],
)
def test_what_a_killed_process_left_goes_and_what_is_no_line_of_ours_is_said(
    line: bytes, found: Found
) -> None:
    assert Person([ADA]).found(line) == found


def test_an_event_behind_a_torn_one_is_an_event() -> None:
    torn = TORN.replace(b"ada", b"bob")
    found = Person([ADA]).found(torn + written(event(user=ADA)))
    assert found.lines[0] == torn + written(event(user_origin="erased"))
    assert Person([ADA], whole=True).found(torn + written(event(user=ADA))).lines == (torn + b"\n",)
    both = Person([ADA]).found(TORN + written(event(user=ADA)))
    assert both.lines[0] == written(event(user_origin="erased"))
    assert both.events == 1


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_a_line(noise: bytes) -> None:
    line = noise.replace(b"\n", b"") + b"\n"
    assert Person([ADA]).found(line).events == 0


@pytest.mark.parametrize("name", ["", "\udcff"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="a person has a name; got "):
        Person([ADA, name])


def test_nobody_is_shown() -> None:
    assert repr(Person([ADA])) == "<Person of 1 names>"
