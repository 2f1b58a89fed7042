"""Predictions on figures worked out by hand; both interpreters."""

from gateway.core.codec.predict import (
    ANGLE,
    NEIGHBOUR,
    PLANS_MAX,
    RANK,
    RATIO,
    ROOT,
    RULES,
    SUM,
    _plans,
    plan,
    predict,
)
from gateway.core.reading import Point


def test_totals_are_the_sum_of_their_phases():
    points = (Point(11, 0, ""), Point(12, 0, ""), Point(13, 0, ""))
    target = Point(14, 0, "")
    assert predict(SUM, points, target, ((1, -5), (2, 0), (3, 7))) == [6, 2]


def test_apparent_power_is_the_root_of_active_and_reactive_power():
    points, target = (Point(11, 0, ""), Point(19, 0, "")), Point(15, 0, "")
    # 3-4-5; sqrt(8) = 2.83; sqrt(5) = 2.24; nothing; far from the root before
    columns = ((3, -2, 1, 0, -3000000000000), (4, 2, -2, 0, 4000000000000))
    assert predict(ROOT, points, target, columns) == [5, 3, 2, 0, 5000000000000]


def test_current_is_apparent_power_over_voltage_rounded_half_up():
    points, target = (Point(15, 0, ""), Point(1, -1, "")), Point(7, -2, "")
    # 230 VA / 230.0 V = 1.00 A; 500 / 230 = 2.1739; 23 / 240 = 0.0958; 3 / 400 = 0.0075;
    # -3 / 120 = -0.025; no voltage: 10^(0 + 1 + 2)
    columns = ((230, 500, 23, 3, -3, 5), (2300, 2300, 2400, 4000, 1200, 0))
    assert predict(RATIO, points, target, columns) == [100, 217, 10, 1, -2, 1000]


def test_the_angle_is_that_of_reactive_over_active_power():
    points = (Point(14, 0, ""), Point(22, 0, ""))
    # b/a = 0, 1/4, 1, infinite, 4.  90 * .25 * (11 * .25 + 7) / (11 + 3.5 + .6875) = 14.444;
    # 90 * 4 * (44 + 7) / (11 + 56 + 176) = 75.556; negative ones are rounded down
    columns = ((1000, -1000, 70, 0, 1000, 0, 250), (0, 250, 70, 9, -250, 0, 1000))
    assert predict(ANGLE, points, Point(28, -1, ""), columns) == [
        0, 144, 450, 900, -145, 0, 755]
    assert predict(ANGLE, points, Point(28, -2, ""), columns)[1] == 1444


def test_mains_are_those_of_the_meter_before():
    assert plan((Point(1, -1, ""), Point(29, -2, ""))) == (
        (0, NEIGHBOUR, ()), (1, NEIGHBOUR, ()))
    assert predict(NEIGHBOUR, (), Point(1, -1, ""), ((2300, 2310),)) == (2300, 2310)


def test_the_power_factor_is_the_ratio_of_powers():
    points = (Point(11, 0, ""), Point(15, 0, ""))
    columns = ((97, -1, 5, 5, 1), (100, 3, 0, -4, 200))
    assert predict(RATIO, points, Point(23, -2, ""), columns) == [97, -33, 100, 100, 1]
    assert predict(RATIO, points, Point(27, -2, ""), columns) == [9700, -3333, 10000, 10000, 50]


def test_sources_come_before_what_they_predict_wherever_they_stand():
    points = (Point(14, 0, ""), Point(11, 0, ""), Point(12, 0, ""), Point(13, 0, ""))
    assert plan(points) == ((1, 0, ()), (2, 0, ()), (3, 0, ()), (0, SUM, (1, 2, 3)))


def test_a_rule_needs_all_its_sources_with_the_same_item_and_fitting_steps():
    for points in ((Point(11, 0, ""), Point(12, 0, ""), Point(14, 0, "")),
                   (Point(11, 0, ""), Point(12, 0, "x"), Point(13, 0, ""), Point(14, 0, "")),
                   (Point(11, 0, ""), Point(12, -1, ""), Point(13, 0, ""), Point(14, 0, "")),
                   (Point(11, 0, ""), Point(19, -1, ""), Point(15, 0, "")),
                   (Point(14, 0, ""), Point(22, 0, ""), Point(28, 1, "")),
                   (Point(11, 0, ""), Point(15, 0, ""), Point(23, 1, ""))):
        assert max([step[1] for step in plan(points)]) == 0, points


def test_single_phase_meters_have_rules_of_their_own():
    points = (Point(1, -1, ""), Point(7, -2, ""), Point(18, 0, ""), Point(14, 0, ""),
              Point(22, 0, ""))
    assert plan(points) == ((0, NEIGHBOUR, ()), (3, 0, ()), (4, 0, ()), (2, ROOT, (3, 4)),
                            (1, RATIO, (2, 0)))


def test_no_rule_needs_a_source_that_is_coded_after_it():
    for measurand in RULES:
        for _, sources in RULES[measurand]:
            for source in sources:
                assert RANK.get(source, 0) < RANK[measurand], (measurand, source)


def test_plans_of_many_kinds_of_device_are_not_all_kept():
    for i in range(1, 4 * PLANS_MAX):
        assert plan((Point(14, 0, "item %d" % i),)) == ((0, 0, ()),)
        assert len(_plans) <= PLANS_MAX
