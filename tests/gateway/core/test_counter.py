"""Runs on both interpreters: counters advance, roll over, are reset or jump."""

from gateway.core import counter
from tests.support.resample import resample

# prev, cur, modulus, limit, status, counts (docs/accounting.md section 3, vectors S001 to S006)
CASES = (
    (120450, 120975, 4294967296, 5250, "ok", 525),
    (4294967100, 300, 4294967296, 5250, "rollover", 496),
    (999990, 12, 1000000, 52, "rollover", 22),
    (812345, 20, 1000000, 52, "reset", None),
    (1000, 90000, 4294967296, 5250, "jump", None),
    (777, 777, 4294967296, 5250, "ok", 0),
    (0, 5250, 4294967296, 5250, "ok", 5250),
    (0, 5251, 4294967296, 5250, "jump", None),
    (999999, 0, 1000000, 0, "reset", None),
)


def test_a_register_advances_rolls_over_is_reset_or_jumps():
    for prev, cur, modulus, limit, status, counts in CASES:
        assert counter.difference(prev, cur, modulus, limit) == (status, counts), (prev, cur)


def test_the_limit_is_rated_power_times_time_times_one_point_zero_five():
    rate = counter.counts_per_hour(20000, 1000)
    assert rate == 20000
    assert counter.limit_counts(rate, 900000) == 5250
    assert counter.counts_per_hour(20000, 100000) == 200
    assert counter.limit_counts(200, 900000) == 52


def test_counts_per_hour_round_up_so_that_rated_power_is_never_refused():
    assert counter.counts_per_hour(1001, 1000000) == 2


def test_the_value_at_a_boundary_lies_on_the_line_between_its_neighbours():
    assert counter.interpolate((1767225510, 5000), (1767225750, 5096), 1767225600) == 5036000
    assert counter.interpolate((0, 0), (3, 1), 1) == 333
    assert counter.interpolate((0, 0), (3, 1), 2) == 667
    assert counter.interpolate((0, 0), (2000, 1), 1) == 1     # 0.5 milli is rounded up
    assert counter.exact((0, 7), (3, 8), 1) == (22, 3)


def test_resampling_gives_every_boundary_and_never_extrapolates():
    readings = [(0, 0), (840, 700), (1020, 880), (1900, 1760), (2800, 2660)]
    assert resample(readings, [0, 900, 1800, 2700]) == [0, 760000, 1660000, 2560000]
    assert resample(readings, [-1, 2800, 2801]) == [None, 2660000, None]
    assert resample([], [0]) == [None]
    assert resample([(5, 9)], [4, 5]) == [None, 9000]
