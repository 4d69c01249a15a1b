"""Times as trackers write them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenmeter.importing.times import EXPECTED, UnknownTimeError, time_of

NOON = datetime(2025, 10, 9, 13, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2025-10-09T13:42:00Z",
        "2025-10-09T15:42:00.000+0200",
        "2025-10-09 13:42:00+00:00",
        "2025-10-09 13:42",
        "09/Oct/25 1:42 PM",
        "09/Oct/2025 1:42 PM",
        "09/Oct/25 13:42",
        "Thu Oct 09 2025 13:42:00 GMT+0000 (GMT+00:00)",
        "Thu Oct 09 2025 15:42:00 GMT+0200 (Central European Summer Time)",
    ],
)
def test_a_time_is_read_in_each_way_that_trackers_write(text: str) -> None:
    assert time_of(text, UTC) == NOON


def test_a_time_without_a_zone_needs_one_and_summer_time_is_known() -> None:
    assert time_of("09/Oct/25 3:42 PM", ZoneInfo("Europe/Berlin")) == NOON
    with pytest.raises(UnknownTimeError, match="its zone; say --timezone"):
        time_of("09/Oct/25 3:42 PM")


def test_a_time_may_be_written_in_a_way_of_ones_own() -> None:
    assert time_of("9.10.2025 13.42", UTC, "%d.%m.%Y %H.%M") == NOON
    with pytest.raises(UnknownTimeError, match="a time that is written %d"):
        time_of("2025-10-09T13:42:00Z", UTC, "%d.%m.%Y %H.%M")


@pytest.mark.parametrize("text", ["", "soon", "1760017320", "2025-13-01", "10/09/2025", "20251009"])
def test_what_is_no_time_or_could_be_two_is_none(text: str) -> None:
    with pytest.raises(UnknownTimeError) as unknown:
        time_of(text, UTC)
    assert str(unknown.value) == EXPECTED


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+02:00", "1969-12-31"]
)
def test_a_time_before_1970_is_how_programs_write_that_there_is_none(text: str) -> None:
    with pytest.raises(UnknownTimeError, match="a time since 1970"):
        time_of(text, UTC)


@settings(deadline=None)
@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)),
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_what_python_writes_is_read_back(ts: datetime, zone: timezone) -> None:
    assert time_of(ts.replace(tzinfo=zone).isoformat()) == ts.replace(tzinfo=zone)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_time_or_is_refused(text: str) -> None:
    with contextlib.suppress(UnknownTimeError):
        assert time_of(text, UTC).tzinfo is not None
