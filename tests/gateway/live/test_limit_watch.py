"""A meter that counts more than its rated_w allows is named while it happens."""

import logging

import pytest

from gateway.config import load as config
from gateway.core import measurand
from gateway.core.reading import Absent, Scan
from gateway.live.limit_watch import LimitWatch
from tests.support.cabinet_folder import EXAMPLE, make_folder

IMPORT = "energy_active_import_total"


@pytest.fixture
def cabinet(tmp_path):
    """The example with a grid meter that may take 1,000 W."""
    text = EXAMPLE.read_text().replace("rated_w = 17000", "rated_w = 1000")
    return config.load(make_folder(tmp_path, text))


def scan(cabinet, at_s, wh):
    """Return a scan of the grid meter that only counts."""
    points = cabinet.schema[0].points
    return Scan(0, at_s * 1000, tuple(
        wh * 10 ** -point.exponent if measurand.BY_ID[point.measurand].name == IMPORT
        else Absent(4) for point in points))


def watched(cabinet, watts, seconds=1800):
    """Return a watch after so long at constant power."""
    watch = LimitWatch(cabinet)
    for at_s in range(0, seconds + 1, 10):
        watch.take([scan(cabinet, at_s, 1000 + watts * at_s // 3600)])
    return watch


@pytest.mark.parametrize(("watts", "is_above"), [(900, False), (1040, False), (1200, True),
                                                 (2500, True), (9000, True)])
def test_a_meter_above_its_limit_is_named_with_what_will_not_be_counted(
        cabinet, caplog, watts, is_above):
    caplog.set_level(logging.WARNING)
    found = watched(cabinet, watts).status()
    assert [one["device"] for one in found] == (["grid"] if is_above else [])
    assert len(caplog.records) == (1 if is_above else 0)
    if is_above:
        assert found[0]["set_aside_wh"] == pytest.approx(watts / 2, rel=0.06)
        assert found[0]["rated_w"] == 1000
        assert found[0]["power_w_max"] == pytest.approx(watts, rel=0.2)
        told = caplog.records[0].getMessage()
        assert "grid" in told and "rated_w = 1000 W plus 5 %" in told and "next: correct" in told


def test_one_impossible_step_is_named_and_a_reset_is_not(cabinet):
    watch = LimitWatch(cabinet)
    for at_s, wh in ((0, 1000), (10, 1001), (20, 51_001), (30, 51_002), (40, 5), (50, 6)):
        watch.take([scan(cabinet, at_s, wh)])
    assert [one["set_aside_wh"] for one in watch.status()] == [pytest.approx(50_000, abs=2)]


def test_a_scan_without_the_counter_changes_nothing(cabinet):
    watch = watched(cabinet, 900)
    watch.take([Scan(0, 1_810_000, (Absent(1),) * len(cabinet.schema[0].points))])
    assert watch.status() == []
