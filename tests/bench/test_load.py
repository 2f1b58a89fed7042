"""The standard load is what its name says, and the same for the same seed."""

from tests.bench.figure import Figure
from tests.bench.load import METERS, NAMES, SCHEMA, Plan, day

SHORT = Plan(10, 3, 2)


def test_a_scan_of_the_load_is_20_meters_with_34_points():
    first, second = day("shop-monday", "coarse", SHORT)
    assert (METERS, len(set(NAMES)), len(first)) == (20, 34, 60)
    assert {len(record.values) for record in first} == {len(SCHEMA[0].points)} == {34}
    assert [record.seq for record in first + second] == list(range(1, 121))


def test_the_same_seed_gives_the_same_load_and_another_seed_another_one():
    assert list(day("a", "fine", SHORT)) == list(day("a", "fine", SHORT))
    assert list(day("a", "fine", SHORT)) != list(day("b", "fine", SHORT))


def test_counters_of_the_load_never_fall():
    place = NAMES.index("energy_active_import_total")
    grid = [record.values[place] for records in day("shop-sunday", "coarse", SHORT)
            for record in records if record.stream == 0]
    assert grid == sorted(grid)


def test_a_figure_above_its_bound_is_a_miss():
    assert Figure("a", 0.5, "bytes", 0.5, "L2").is_good
    assert not Figure("a", 0.51, "bytes", 0.5, "L2").is_good
