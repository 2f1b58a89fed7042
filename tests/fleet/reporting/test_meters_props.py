"""The stated bound of a meter's energy holds, whatever the counter did between readings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.reporting import meters


@st.composite
def truths(draw):
    """Return (readings, at_ms, the true count then) of a counter that never falls."""
    steps = draw(st.lists(st.tuples(st.integers(1, 10**7), st.integers(0, 10**6)), min_size=2,
                          max_size=12))
    at_ms, count, course = draw(st.integers(0, 10**9)), draw(st.integers(0, 10**9)), []
    for dt_ms, counts in steps:
        at_ms, count = at_ms + dt_ms, count + counts
        course.append((at_ms, count))
    seen = draw(st.integers(1, len(course) - 1))
    at_ms, truth = course[draw(st.integers(0, seen))]
    readings = [one for place, one in enumerate(course)
                if place in (0, len(course) - 1) or (draw(st.booleans()) and one[0] != at_ms)]
    return readings, at_ms, truth


@given(truths())
def test_the_truth_at_a_boundary_lies_within_the_bound(case):
    readings, at_ms, truth = case
    found = meters.boundary(readings, at_ms, 0)
    assert abs(found.counts - truth) <= found.bound_counts


@pytest.mark.parametrize("truth", [100, 200])
def test_a_counter_that_jumps_at_once_or_at_last_is_still_within_the_bound(truth):
    found = meters.boundary([(0, 100), (1000, 200)], 100, 0)
    assert found.counts == 110 and abs(found.counts - truth) <= found.bound_counts


def test_a_time_that_no_readings_enclose_has_no_value():
    assert meters.boundary([(10, 1), (20, 2)], 9, 0) is None
    assert meters.boundary([(10, 1), (20, 2)], 21, 0) is None
