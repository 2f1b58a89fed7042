"""Readings and clock states; both interpreters."""

from gateway.core.reading import (
    CLOCK_NTP,
    CLOCK_UNKNOWN,
    NO_REPLY,
    REASON_NAMES,
    Absent,
    ClockState,
    utc_ms,
)


def test_reasons_have_the_numbers_that_stand_in_signed_batches():
    assert sorted(REASON_NAMES) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert REASON_NAMES[1] == "no-reply" and REASON_NAMES[7] == "asleep"
    assert REASON_NAMES[8] == "not-kept"


def test_utc_is_the_anchor_plus_the_ticks_since():
    clock = ClockState(CLOCK_NTP, 500, 1795400000000, 20)
    assert utc_ms(clock, 1500) == 1795400001000
    assert utc_ms(clock, 0) == 1795399999500


def test_an_unknown_clock_gives_no_utc():
    assert utc_ms(ClockState(CLOCK_UNKNOWN, 0, 0, 0), 5) is None


def test_a_reason_is_not_a_number_and_equals_no_other_reason():
    assert Absent(NO_REPLY) == Absent(1) != Absent(2)
    assert Absent(1) != 0 and Absent(1) != 1
