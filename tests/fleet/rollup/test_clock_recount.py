"""Whatever the wall clock does, the offline verifier counts the energy that the report states.

The cases are those of test_clock_steps.py; the verifier follows docs/formats.md 10.4 and 11 and
shares no code with the fleet.
"""

import pytest

from tests.fleet.maker import ORIGIN_MS
from tests.fleet.rollup.test_clock_steps import (
    HOUR_MS,
    POWERS_W,
    STEPS,
    UNKNOWN,
    at,
    counted_h,
    deliver,
    rtc,
)
from tests.support import evidence_world as forge

DAY = ORIGIN_MS - 2 * HOUR_MS, ORIGIN_MS + 24 * HOUR_MS


def recounted(folder, key, period=DAY):
    """Return (the verifier's Bundle, {role: Wh}) of a period."""
    found = forge.checked(forge.bundle(folder, "shop", key, period))
    lines = [one.split(": ") for one in found.proven if one.startswith("energy      of all, ")]
    return found, {one[0].split("of all, ")[1]: float(one[1].split(" Wh")[0]) for one in lines}


@pytest.mark.parametrize("name", STEPS)
def test_the_recount_agrees_with_the_report_and_with_the_counters(name, ingest, gateway, tmp_path,
                                                                  receipt_key):
    deliver(ingest, gateway, STEPS[name])
    found, roles = recounted(tmp_path, receipt_key)
    assert found.faults == []
    for role, watts in POWERS_W.items():
        assert roles[role] == pytest.approx(watts * counted_h(name), abs=2), role


@pytest.mark.parametrize("name", ["back 20 min", "forward 1 h, back 1 h",
                                  "to and fro within minutes", "RTC 2 h ahead, NTP after 1 h"])
def test_the_recount_agrees_hour_by_hour(name, ingest, gateway, tmp_path, receipt_key):
    deliver(ingest, gateway, STEPS[name])
    sums = 0
    for start in range(ORIGIN_MS, ORIGIN_MS + 7 * HOUR_MS, HOUR_MS):
        found, roles = recounted(tmp_path, receipt_key, (start, start + HOUR_MS))
        assert found.faults == [], (start - ORIGIN_MS) / HOUR_MS
        sums += roles.get("grid_import", 0)
    assert sums > 720 * 5


@pytest.mark.parametrize("pieces", [
    [(3, UNKNOWN), (2, rtc(HOUR_MS)), (3, at())],       # both are dated by the network's time
    [(2, rtc(HOUR_MS)), (2, at()), (2, at(300, 1, 900)), (2, at())],        # holdover stays
    [(2, rtc(HOUR_MS)), (2, UNKNOWN), (4, rtc(HOUR_MS))]])      # nothing better ever comes
def test_what_an_rtc_dated_is_placed_as_the_fleet_places_it(pieces, ingest, gateway, tmp_path,
                                                            receipt_key):
    deliver(ingest, gateway, pieces)
    found, roles = recounted(tmp_path, receipt_key)
    assert found.faults == []
    assert roles["grid_import"] == pytest.approx(720 * 1.75, abs=2)


def test_a_bundle_brings_the_batch_that_gave_others_their_time(ingest, gateway, tmp_path,
                                                               receipt_key):
    deliver(ingest, gateway, [(20, UNKNOWN), (2, at())])
    found, roles = recounted(tmp_path, receipt_key, (ORIGIN_MS, ORIGIN_MS + HOUR_MS))
    assert found.faults == [] and roles["grid_import"] == pytest.approx(720, abs=2)
    assert len(found.parts) == 21 and not any("no data" in one for one in found.assumed)
