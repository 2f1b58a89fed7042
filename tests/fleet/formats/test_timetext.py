"""Times as people and commands write them: UTC only, quarter hours, and no guessing."""

import pytest

from fleet.errors import ReportError
from fleet.formats import timetext

JUNE_MS = 1_780_272_000_000         # 2026-06-01T00:00:00Z, tests/fleet/maker.py


def test_a_moment_is_written_in_utc_to_the_second():
    assert timetext.moment(JUNE_MS + 1999) == "2026-06-01 00:00:01 UTC"
    assert timetext.rfc3339(JUNE_MS + 1999) == "2026-06-01T00:00:01Z"


@pytest.mark.parametrize(("text", "at_ms"), [
    ("2026-06-01T00:00:00Z", JUNE_MS), ("2026-06-01T00:15:00+00:00", JUNE_MS + 900_000)])
def test_a_quarter_hour_is_read_back(text, at_ms):
    assert timetext.parse_quarter(text) == at_ms


@pytest.mark.parametrize(("text", "words"), [
    ("yesterday", "is not a time"), ("2026-06-01T00:00:00", "is not UTC"),
    ("2026-06-01T02:00:00+02:00", "is not UTC"),
    ("2026-06-01T00:07:00Z", "try 2026-06-01T00:00:00Z")])
def test_any_other_time_is_refused_with_what_to_write(text, words):
    with pytest.raises(ReportError, match=words):
        timetext.parse_quarter(text)


def test_a_time_of_any_zone_is_one_moment():
    assert timetext.utc_ms("2026-06-01T02:00:00+02:00") == JUNE_MS


def test_a_day_begins_at_midnight_utc_and_is_written_like_a_date():
    assert timetext.parse_day("2026-06-01") == JUNE_MS
    with pytest.raises(ReportError, match="write it like 2026-06-01"):
        timetext.parse_day("1 June")
