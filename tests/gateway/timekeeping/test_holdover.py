"""Drift of a clock nobody sets, against the figures of the data sheets (MAX6902, DS3231)."""

import itertools

import pytest

from gateway.timekeeping.holdover import CRYSTAL, Holdover, Oscillator, drift_ms, ppm_bound

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS


def true_ppm(temperature_c, curvature, turnover_c, tolerance_ppm):
    """Return what one crystal of the data sheet does at its own temperature."""
    return tolerance_ppm - curvature * (temperature_c - turnover_c) ** 2


@pytest.mark.parametrize("air_c", [-40, -25, -10, 0, 10, 25, 40, 55, 70])
def test_no_crystal_within_its_data_sheet_drifts_more_than_is_declared(air_c):
    warmer_k = (-5, 0, 10, 20)                      # the board warms itself
    for own_k, curvature, turnover_c, tolerance_ppm in itertools.product(
            warmer_k, (0.030, 0.035, 0.040), (20, 25, 30), (-20, 20)):
        ppm = true_ppm(air_c + own_k, curvature, turnover_c, tolerance_ppm)
        assert abs(ppm) <= ppm_bound(CRYSTAL, air_c)


def test_a_week_without_a_source_at_minus_forty_is_declared_at_least_as_bad_as_it_is():
    true_s = 7 * 12.8 + 7 * 86_400 * 20e-6          # 12.8 s a day by curve, 20 ppm by tolerance
    assert 100 < true_s < 110                       # the target of the reliability table
    assert drift_ms(CRYSTAL, -40.0, WEEK_MS) / 1000 >= true_s
    assert 2.1 <= drift_ms(Oscillator(3.5), -40.0, WEEK_MS) / 1000 <= 2.5


def test_seventy_degrees_cost_at_least_six_seconds_a_day():
    assert drift_ms(CRYSTAL, 70.0, DAY_MS) >= 6_100


@pytest.mark.parametrize("nonsense", [None, float("nan"), 850.0, -127.0 * 2])
def test_without_a_usable_thermometer_the_worst_is_declared(nonsense):
    assert ppm_bound(CRYSTAL, nonsense) >= max(ppm_bound(CRYSTAL, t) for t in range(-40, 71))


def test_the_bound_grows_with_the_temperatures_it_passed_and_a_sync_ends_it():
    held = Holdover()
    assert held.bound_ms is None
    held.advance(1_000, 20.0)
    assert held.bound_ms is None                    # time passing does not make a time known
    held.synced(1_000, 50)
    cold = Holdover()
    cold.synced(1_000, 50)
    for hour in range(1, 25):
        held.advance(1_000 + hour * 3_600_000, 25.0)
        cold.advance(1_000 + hour * 3_600_000, -40.0)
    assert 50 + 86_400 * 0.020 <= held.bound_ms < cold.bound_ms
    held.synced(90_000_000, 20)
    assert held.bound_ms in (20, 21)


def test_ticks_that_do_not_move_or_go_back_change_nothing():
    held = Holdover()
    held.synced(5_000, 100)
    before = held.bound_ms
    held.advance(5_000, -40.0)
    held.advance(1_000, -40.0)
    assert held.bound_ms == before
