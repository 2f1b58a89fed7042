"""The battery's live content over a restart: carried when sound and young, else assumed again."""

import json

import pytest

from gateway.core.reading import CLOCK_NTP, CLOCK_UNKNOWN, ClockState
from gateway.ledger.flows.inventory import Inventory
from gateway.live import battery_checkpoint

CLOCK = ClockState(CLOCK_NTP, 0, 1_790_000_000_000, 20)
HELD = Inventory(5000.0, 250.0, {"pv": 4000.0, "unknown": 1000.0}, assumed=True)


def carried(tmp_path, ticks_ms=60_000, config="c0ffee", **changes):
    """Return what a start finds that comes ticks_ms after HELD was kept, with changes in it."""
    kept = battery_checkpoint.checkpoint(HELD, CLOCK.anchor_utc_ms) | changes
    file = tmp_path / "status.json"
    file.write_text(json.dumps({"config": "c0ffee", "battery": kept}))
    return battery_checkpoint.read(file, config, CLOCK, ticks_ms)


def test_what_was_kept_a_minute_ago_is_carried_whole(tmp_path):
    assert carried(tmp_path) == HELD


def test_a_quarter_hour_is_the_most_that_is_bridged(tmp_path):
    assert carried(tmp_path, ticks_ms=900_000) == HELD
    assert carried(tmp_path, ticks_ms=900_001) is None
    assert carried(tmp_path, ticks_ms=-1) is None


def test_another_configuration_starts_anew(tmp_path):
    assert carried(tmp_path, config="beef") is None


def test_another_serial_number_changes_nothing_that_is_configured(tmp_path):
    kept = battery_checkpoint.checkpoint(HELD, CLOCK.anchor_utc_ms)
    file = tmp_path / "status.json"
    file.write_text(json.dumps({"config": "beef", "configured": "c0ffee", "battery": kept}))
    assert battery_checkpoint.read(file, "c0ffee", CLOCK, 60_000) == HELD
    assert battery_checkpoint.read(file, "beef", CLOCK, 60_000) is None


@pytest.mark.parametrize("changes", [
    {"energy_wh": -1.0}, {"energy_wh": 4990.0}, {"carbon_g": "much"}, {"origins_wh": [1]},
    {"origins_wh": {"pv": float("nan")}}, {"utc_ms": "now"}, {"energy_wh": None}])
def test_what_cannot_be_is_not_believed(tmp_path, changes):
    assert carried(tmp_path, **changes) is None


def test_without_a_file_or_a_clock_nothing_is_carried(tmp_path):
    assert battery_checkpoint.read(tmp_path / "none.json", "c0ffee", CLOCK, 0) is None
    (tmp_path / "status.json").write_text("not a status")
    assert battery_checkpoint.read(tmp_path / "status.json", "c0ffee", CLOCK, 0) is None
    assert carried(tmp_path) is not None
    unknown = CLOCK._replace(source=CLOCK_UNKNOWN)
    assert battery_checkpoint.read(tmp_path / "status.json", "c0ffee", unknown, 0) is None


def test_nothing_is_kept_of_a_battery_nobody_has_read():
    assert battery_checkpoint.checkpoint(None, CLOCK.anchor_utc_ms) is None
    assert battery_checkpoint.checkpoint(HELD, None) is None
