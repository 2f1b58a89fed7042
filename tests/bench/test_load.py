"""The standard load is what its name says, and the same for the same seed."""

from tests.bench.figure import Figure
from tests.bench.load import METERS, NAMES, SCHEMA, scans


def test_a_step_of_the_load_is_one_scan_of_each_of_20_meters_with_34_points():
    records = scans(seed=1, steps=3)
    assert (METERS, len(set(NAMES)), len(records)) == (20, 34, 60)
    assert {len(record.values) for record in records} == {len(SCHEMA[0].points)} == {34}
    assert [record.seq for record in records] == list(range(1, 61))


def test_the_same_seed_gives_the_same_load_and_another_seed_another_one():
    assert scans(seed=7, steps=2) == scans(seed=7, steps=2) != scans(seed=8, steps=2)


def test_a_figure_above_its_bound_is_a_miss():
    assert Figure("a", 0.5, "bytes", 0.5, "L2").is_good
    assert not Figure("a", 0.51, "bytes", 0.5, "L2").is_good
