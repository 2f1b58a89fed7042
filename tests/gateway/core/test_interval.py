"""Runs on both interpreters: quarter hours from counters and gauges."""

from gateway.core.interval import (
    ESTIMATED,
    MEASURED,
    MISSING,
    QUARTER_MS,
    CounterRules,
    CounterTrack,
    Delta,
    parts,
    rebuild,
)

MINUTE = 60000
RULES = CounterRules(1000000, 20000, 30000, 0)


def feed(track, readings):
    """Return all that a track closes on the readings."""
    closed = []
    for utc_ms, value in readings:
        closed += track.add(utc_ms, value)
    return closed


def test_readings_on_both_boundaries_give_an_exact_delta():
    closed = feed(CounterTrack(RULES), [(0, 100), (QUARTER_MS, 350), (2 * QUARTER_MS, 700)])
    assert closed == [Delta(0, QUARTER_MS, 250000, MEASURED, 0),
                      Delta(QUARTER_MS, QUARTER_MS, 350000, MEASURED, 0)]


def test_a_boundary_between_two_readings_is_interpolated_and_its_error_bounded():
    readings = [(0, 0), (QUARTER_MS - 5000, 100), (QUARTER_MS + 5000, 110),
                (2 * QUARTER_MS, 200)]
    closed = feed(CounterTrack(RULES), readings)
    assert closed == [Delta(0, QUARTER_MS, 105000, MEASURED, 5000),
                      Delta(QUARTER_MS, QUARTER_MS, 95000, MEASURED, 5000)]


def test_the_quarter_hour_of_the_first_reading_is_missing_not_guessed():
    closed = feed(CounterTrack(RULES), [(10 * MINUTE, 5), (QUARTER_MS, 9)])
    assert closed == [Delta(0, QUARTER_MS, None, MISSING, 0)]


def test_a_counter_that_survives_a_long_gap_is_spread_and_called_estimated():
    closed = feed(CounterTrack(RULES), [(0, 0), (3 * QUARTER_MS - MINUTE, 1000),
                                        (3 * QUARTER_MS, 1040)])
    assert [c.quality for c in closed] == [ESTIMATED, ESTIMATED, ESTIMATED]
    assert sum(c.delta_milli for c in closed) == 1040000


def test_a_reset_costs_its_quarter_hour_and_no_other():
    closed = feed(CounterTrack(RULES), [
        (0, 500000), (QUARTER_MS, 500100), (QUARTER_MS + MINUTE, 7),
        (2 * QUARTER_MS, 50), (3 * QUARTER_MS, 90)])
    assert [c.delta_milli for c in closed] == [100000, None, 40000]
    assert closed[1].quality == MISSING


def test_a_reset_across_a_boundary_costs_both_quarter_hours():
    closed = feed(CounterTrack(RULES), [
        (0, 500000), (QUARTER_MS - 1000, 500100), (QUARTER_MS + 1000, 7),
        (2 * QUARTER_MS, 50), (3 * QUARTER_MS, 90)])
    assert [c.delta_milli for c in closed] == [None, None, 40000]


def test_a_rollover_is_not_seen_in_the_delta():
    closed = feed(CounterTrack(RULES), [(0, 999900), (QUARTER_MS, 50)])
    assert closed[0].delta_milli == 150000


def test_an_older_or_equal_time_is_ignored_and_counted():
    track = CounterTrack(RULES)
    assert feed(track, [(5000, 1), (5000, 2), (4000, 0)]) == []
    assert track.ignored == 2


def test_one_count_more_than_rated_power_is_rounding_not_a_jump():
    slow = CounterRules(1000000, 360, 900000, 0)        # one count in ten seconds
    closed = feed(CounterTrack(slow), [(0, 0), (890000, 90), (900000, 92)])
    assert closed[0].delta_milli == 92000
    closed = feed(CounterTrack(slow), [(0, 0), (890000, 90), (900000, 93)])
    assert closed[0].delta_milli is None


def test_a_clock_that_leaps_over_months_claims_nothing_and_ends_at_once():
    closed = feed(CounterTrack(RULES), [(0, 0), (QUARTER_MS * 2000000, 5)])
    assert closed == [Delta(0, QUARTER_MS, None, MISSING, 0)]


def test_parts_of_two_batches_in_any_order_rebuild_the_deltas_of_the_stream():
    readings = [(t * 10000, t * 7) for t in range(400)]
    whole = feed(CounterTrack(RULES), readings)
    assert len(whole) == 4
    for cut in (1, 17, 90, 91, 200, 399):
        found = parts(readings[cut:], RULES) + parts(readings[:cut], RULES)
        assert rebuild(found, RULES) == whole, cut
        assert rebuild(found + found[:2], RULES) == whole, cut


def test_a_reset_inside_a_part_is_remembered_even_if_the_value_grew_back():
    readings = [(0, 500), (MINUTE, 520), (2 * MINUTE, 3), (14 * MINUTE, 600),
                (QUARTER_MS, 640), (2 * QUARTER_MS, 700)]
    found = parts(readings, RULES)
    assert found[0].broken == 1
    assert rebuild(found, RULES) == feed(CounterTrack(RULES), readings)
    assert rebuild(found, RULES)[0].quality == MISSING
