"""Predictions on figures worked out by hand; both interpreters."""

from gateway.core.predict import LEG, MINUS_LEG, PRODUCT, RATIO, SUM, plan, predict
from gateway.core.reading import Point


def test_totals_are_the_sum_of_their_phases():
    points = (Point(11, 0, ""), Point(12, 0, ""), Point(13, 0, ""))
    target = Point(14, 0, "")
    assert predict(SUM, points, target, ((1, -5), (2, 0), (3, 7))) == [6, 2]


def test_apparent_power_is_voltage_times_current_rounded_half_up():
    points = (Point(1, -1, ""), Point(7, -2, ""))
    # 230.0 V x 1.00 A = 230.0; 230.1 x 0.05 = 11.505; 1.0 V x 0.50 A = 0.5 and -0.5
    columns = ((2300, 2301, 10, 10), (100, 5, 50, -50))
    assert predict(PRODUCT, points, Point(15, 0, ""), columns) == [230, 12, 1, 0]
    assert predict(PRODUCT, points, Point(15, -1, ""), columns) == [2300, 115, 5, -5]


def test_reactive_power_is_the_leg_of_the_power_triangle():
    points = (Point(15, 0, ""), Point(11, 0, ""))
    # 3-4-5; sqrt(8) = 2.83; sqrt(7) = 2.65; nothing below zero; far from the root before
    columns = ((5, 3, 4, 3, 5000000000000), (3, 1, 3, 4, 3000000000000))
    assert predict(LEG, points, Point(19, 0, ""), columns) == [4, 3, 3, 0, 4000000000000]
    assert predict(MINUS_LEG, points, Point(19, 0, ""), columns) == [
        -4, -3, -3, 0, -4000000000000]


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
                   (Point(1, 0, ""), Point(7, 0, ""), Point(15, -1, "")),
                   (Point(11, 0, ""), Point(15, 0, ""), Point(23, 1, ""))):
        assert max([step[1] for step in plan(points)]) == 0, points


def test_the_second_rule_serves_single_phase_meters():
    points = (Point(1, -1, ""), Point(7, -2, ""), Point(18, 0, ""), Point(14, 0, ""),
              Point(22, 0, ""))
    assert plan(points) == ((0, 0, ()), (1, 0, ()), (3, 0, ()), (2, PRODUCT, (0, 1)),
                            (4, LEG, (2, 3)))
