"""The read planner: fewest bytes within the device's limits."""

from drivers.planner import ReadLimits, WantedRegisters, plan, split
from gateway.core.errors import ConfigError

LOOSE = ReadLimits(125, 125, 1, (), 23)


def floats(addresses):
    """Return wanted floats at addresses, keyed by them."""
    return [WantedRegisters(4, address, 2, address) for address in addresses]


def shapes(spans):
    """Return (address, count) of spans."""
    return [(span.address, span.counts[0]) for span in spans]


def test_near_points_share_a_request_and_far_ones_do_not():
    assert shapes(plan(floats((0, 6, 12)), LOOSE)) == [(0, 14)]
    assert shapes(plan(floats((0, 342)), LOOSE)) == [(0, 2), (342, 2)]


def test_a_hole_is_read_over_only_if_that_costs_less_than_a_request():
    # a hole of n registers costs 2n bytes, a request 23
    assert shapes(plan(floats((0, 13)), LOOSE)) == [(0, 15)]            # 22 bytes
    assert shapes(plan(floats((0, 14)), LOOSE)) == [(0, 2), (14, 2)]    # 24 bytes


def test_holes_and_lengths_stay_within_the_limits():
    assert shapes(plan(floats((0, 6)), ReadLimits(125, 3, 1, (), 23))) == [(0, 2), (6, 2)]
    spans = plan(floats(range(0, 200, 2)), ReadLimits(80, 10, 2, (), 23))
    assert [span.counts[0] <= 80 for span in spans] == [True, True, True]
    assert sum([len(span.wanted) for span in spans]) == 100


def test_every_point_is_read_exactly_once_and_lies_inside_its_span():
    wanted = floats((0, 2, 4, 30, 52, 56, 70, 72, 74, 342, 344))
    spans = plan(wanted, ReadLimits(80, 40, 2, (), 80))
    assert sorted([one.key for span in spans for one in span.wanted]) == [w.key for w in wanted]
    for span in spans:
        for one in span.wanted:
            assert span.address <= one.address
            assert one.address + one.width <= span.address + span.counts[0]


def test_functions_are_never_mixed_in_one_request():
    wanted = [WantedRegisters(3, 0, 1, "a"), WantedRegisters(4, 1, 1, "b")]
    assert [(s.function, s.address) for s in plan(wanted, LOOSE)] == [(3, 0), (4, 1)]


def test_allowed_spans_are_kept():
    limits = ReadLimits(125, 125, 1, ((0, 9), (10, 19)), 23)
    assert shapes(plan(floats((6, 10)), limits)) == [(6, 2), (10, 2)]


def test_odd_addresses_are_refused_where_the_device_takes_pairs():
    for wanted in (floats((1,)), [WantedRegisters(4, 0, 1, 0)]):
        try:
            plan(wanted, ReadLimits(80, 40, 2, (), 23))
        except ConfigError as error:
            assert "multiples of 2" in str(error)
            continue
        raise AssertionError(wanted)


def test_a_span_may_stretch_over_a_known_point_to_vary_its_length():
    limits = ReadLimits(80, 40, 2, (), 23)
    known = floats((0, 2, 4))
    assert plan(floats((0, 2)), limits, known)[0].counts == (4, 6)
    assert plan(floats((0, 2, 4)), limits, known)[0].counts == (6,)
    assert plan(floats((0, 2)), ReadLimits(4, 40, 2, (), 23), known)[0].counts == (4,)


def test_a_refused_span_is_cut_between_points():
    span = plan(floats((0, 2, 4)), LOOSE)[0]
    assert shapes(split(span, LOOSE)) == [(0, 2), (2, 4)]
    assert split(split(span, LOOSE)[0], LOOSE)[0].wanted[0].key == 0
