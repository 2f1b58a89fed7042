"""Each law against numbers worked out by hand or known from elsewhere."""

from datetime import UTC, datetime
from math import asin, degrees

import pytest

from simulator.physics import battery, cabinet, grid, lighting, load, pv, sun, weather

LFP = battery.BatteryModel(10000.0, 5000.0, 0.96, 0.95, 5.0, 0.1, 0.9)
CABINET = cabinet.Enclosure(90000.0, 9.0, 24.0, 4.0, 1500.0, 35.0)


def elevation_deg(latitude, longitude, *moment):
    return degrees(asin(sun.position(latitude, longitude,
                                     datetime(*moment, tzinfo=UTC).timestamp()).sin_elevation))


def test_the_midsummer_sun_stands_61_degrees_over_berlin_at_noon():
    # 90 - 52.5 + 23.44; solar noon there is at 11:08 UTC
    assert elevation_deg(52.5, 13.4, 2026, 6, 21, 11, 8) == pytest.approx(60.94, abs=0.7)


def test_the_midwinter_sun_stands_14_degrees_over_berlin_at_noon():
    assert elevation_deg(52.5, 13.4, 2026, 12, 21, 11, 5) == pytest.approx(14.06, abs=0.7)


def test_the_morning_sun_stands_in_the_east_and_the_evening_sun_in_the_west():
    for hour, east in ((6, True), (17, False)):
        place = sun.position(52.5, 13.4, datetime(2026, 6, 21, hour, tzinfo=UTC).timestamp())
        assert (place.azimuth_rad < 0) is east


def test_the_sun_has_a_place_at_the_pole_and_on_the_equator():
    for latitude in (-89.0, 0.0, 89.0):
        for hour in range(24):
            place = sun.position(latitude, 0.0, datetime(2026, 3, 20, hour, tzinfo=UTC).timestamp())
            assert -1.0 <= place.sin_elevation <= 1.0


def test_there_is_no_light_at_night_and_about_a_kilowatt_at_the_zenith():
    assert sun.clear_sky_w_m2(-0.2) == 0.0
    assert sun.clear_sky_w_m2(1.0) == pytest.approx(1037.0, abs=2.0)


def test_an_overcast_sky_lets_a_quarter_of_the_light_through():
    assert sun.clouded_w_m2(800.0, 1.0) == pytest.approx(200.0)
    assert sun.clouded_w_m2(800.0, 0.0) == 800.0


def test_a_panel_gives_its_peak_power_in_test_conditions_and_less_when_hot():
    assert pv.dc_w(8000.0, 1000.0, 25.0, -0.004) == pytest.approx(8000.0)
    assert pv.dc_w(8000.0, 1000.0, 50.0, -0.004) == pytest.approx(7200.0)
    assert pv.cell_c(20.0, 800.0, 45.0) == pytest.approx(45.0)


def test_the_inverter_sleeps_without_light_and_never_gives_more_than_its_rating():
    assert pv.ac_w(0.0, 8000.0) == 0.0
    assert pv.ac_w(10.0, 8000.0) == 0.0                    # less than its own use
    assert pv.ac_w(4000.0, 8000.0) == pytest.approx(4000 - 8000 * (0.005 + 0.005 + 0.00375))
    assert pv.ac_w(9500.0, 8000.0) == 8000.0


def test_the_battery_keeps_to_its_power_limit_in_both_directions():
    assert battery.allowed_w(LFP, 5000.0, 25.0, 9000.0, 1.0) == 5000.0
    assert battery.allowed_w(LFP, 5000.0, 25.0, -9000.0, 1.0) == -5000.0


def test_the_battery_stops_at_its_state_of_charge_limits():
    assert battery.allowed_w(LFP, 1000.0, 25.0, 2000.0, 1.0) == 0.0
    assert battery.allowed_w(LFP, 9000.0, 25.0, -2000.0, 1.0) == 0.0
    # 0.2 Wh of room below the upper limit in one second: 0.2 * 3600 / 0.96 W
    assert battery.allowed_w(LFP, 8999.8, 25.0, -2000.0, 1.0) == pytest.approx(-750.0)


def test_a_frozen_battery_is_not_charged_but_may_give():
    assert battery.allowed_w(LFP, 5000.0, -1.0, -2000.0, 1.0) == 0.0
    assert battery.allowed_w(LFP, 5000.0, -1.0, 2000.0, 1.0) == 2000.0
    assert battery.allowed_w(LFP, 5000.0, 5.0, -4000.0, 1.0) == -2500.0
    assert battery.allowed_w(LFP, 5000.0, 55.0, 2000.0, 1.0) == 0.0


def test_a_battery_loses_on_the_way_in_on_the_way_out_and_while_it_waits():
    assert battery.stored_after_wh(LFP, 5000.0, -1000.0, 3600.0) == pytest.approx(5955.0)
    assert battery.stored_after_wh(LFP, 5000.0, 950.0, 3600.0) == pytest.approx(3995.0)
    assert battery.stored_after_wh(LFP, 5000.0, 0.0, 3600.0) == pytest.approx(4995.0)
    assert battery.stored_after_wh(LFP, 1.0, 0.0, 3600.0) == 0.0


def test_what_a_battery_loses_becomes_heat():
    assert battery.heat_w(LFP, -1000.0) == pytest.approx(45.0)
    assert battery.heat_w(LFP, 950.0) == pytest.approx(55.0)


def test_the_cabinet_is_cooled_in_proportion_and_warms_by_its_heat_capacity():
    assert cabinet.cooling_heat_w(CABINET, 24.0) == 0.0
    assert cabinet.cooling_heat_w(CABINET, 26.0) == 750.0
    assert cabinet.cooling_heat_w(CABINET, 40.0) == 1500.0
    assert cabinet.inside_after_c(CABINET, 24.0, 24.0, 900.0, 100.0) == pytest.approx(25.0)
    assert cabinet.cooling_w(CABINET, 900.0, 3.0) == pytest.approx(335.0)


def test_a_cooling_unit_gets_worse_when_it_is_hot_outside():
    assert cabinet.performance(25.0, 38.0) < cabinet.performance(25.0, 15.0) <= 6.0


def test_a_node_draws_idle_power_at_rest_and_full_power_at_work():
    node = load.NodeModel("n", 32, 120.0, 450.0, 0.0, ())
    assert load.node_w(node, 0.0) == 120.0
    assert load.node_w(node, 32.0) == pytest.approx(450.0)
    assert load.node_w(node, 99.0) == pytest.approx(450.0)


def test_a_workload_never_uses_more_than_it_reserved():
    work = load.WorkloadModel("w", 4.0, "flat", 0.9, 1.0, 1.0, 0.5)
    used = [load.cores_used(work, 3, float(t), 1.0) for t in range(0, 5000, 7)]
    assert 0.0 <= min(used) and max(used) <= 4.0
    assert load.tasks_running(work, 1.2) == 3 and load.tasks_running(work, 0.0) == 0


def test_the_shop_is_quiet_when_closed_and_busiest_in_the_middle_of_the_day():
    assert load.busy_share(9.0, 20.0, 8.9) == load.busy_share(9.0, 20.0, 20.0) == 0.0
    assert load.busy_share(9.0, 20.0, 14.5) == 1.0
    assert lighting.lighting_w(300.0, 18.0, (9.0, 20.0), 8.6) == 300.0
    assert lighting.lighting_w(300.0, 18.0, (9.0, 20.0), 21.0) == 18.0


def test_the_grid_gives_what_is_missing_and_takes_what_is_left():
    assert grid.balance_w(1000.0, 1500.0) == 500.0
    assert grid.balance_w(2000.0, 1500.0) == -500.0
    assert all(49.96 < grid.frequency_hz(5, t) < 50.04 for t in range(0, 900, 11))


def test_weather_stays_within_what_weather_can_be():
    for t in range(0, 86400, 600):
        assert 0.0 <= weather.cloud_cover(1, t, 0.9) <= 1.0
    assert weather.cloud_cover(1, 100.0, 0.0) == 0.0
    assert weather.outdoor_c(15.0, 10.0, 6.0, 1.0) == pytest.approx(17.0)
    assert weather.humidity_percent(50.0, 60.0) == 5.0
