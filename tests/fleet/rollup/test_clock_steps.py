"""Whatever the wall clock does within a boot, all energy that the counters counted is booked."""

import pytest

from fleet.formats.registry import Registry
from fleet.reporting import report
from fleet.store import incidents
from fleet.store.reader import StoreReader, open_reader
from gateway.core.reading import CLOCK_NTP, CLOCK_RTC, CLOCK_UNKNOWN, ClockState
from tests.fleet.maker import ORIGIN_MS
from tests.support.work import work_of

HOUR_MS = 3_600_000
LAST_S = 8 * 3600 - 10          # ticks of the last of eight hours' readings
POWERS_W = {"grid_import": 720, "it": 540, "cooling": 180, "lighting": 360, "other": 360,
            "battery_charge": 720, "pv": 1440}


def at(shift_ms=0, source=CLOCK_NTP, uncertainty_ms=50):
    """Return a clock that places tick 0 shift_ms after the origin."""
    return ClockState(source, 0, ORIGIN_MS + shift_ms, uncertainty_ms)


def rtc(shift_ms):
    """Return a real-time clock's state: wrong by up to ten hours."""
    return at(shift_ms, CLOCK_RTC, 36_000_000)


UNKNOWN = ClockState(CLOCK_UNKNOWN, 0, 0, 0)
MINUTE_MS = 60_000
# What the clock does: [(quarter hours, clock), ...].
STEPS = {
    "none": [(32, at())],
    "back 1 h": [(16, at()), (16, at(-HOUR_MS))],
    "back 20 min": [(16, at()), (16, at(-20 * MINUTE_MS))],
    "back 12 s": [(16, at()), (16, at(-12_000))],
    "back 1 s": [(16, at()), (16, at(-1000))],
    "back 7 s, eight times": [(4, at(-7000 * n)) for n in range(8)],
    "forward 1 h": [(16, at()), (16, at(HOUR_MS))],
    "forward 1 h, back 1 h": [(8, at()), (8, at(HOUR_MS)), (16, at())],
    "to and fro within minutes": [(1, at(n % 2 * -400_000)) for n in range(32)],
    "RTC 1 h ahead, NTP after 30 min": [(2, rtc(HOUR_MS)), (30, at())],
    "RTC 2 h ahead, NTP after 1 h": [(4, rtc(2 * HOUR_MS)), (28, at())],
    "RTC 1 h behind, NTP after 30 min": [(2, rtc(-HOUR_MS)), (30, at())],
    "RTC of 1970, NTP after 2 h": [(8, ClockState(CLOCK_RTC, 0, 5000, 9_000_000)), (24, at())],
    "unknown for 2 h, then NTP": [(8, UNKNOWN), (24, at())],
}


def counted_h(name):
    """Return the hours up to the end of the last quarter hour that has a reading after it."""
    last = STEPS[name][-1][1]
    shift_s = (last.anchor_utc_ms - ORIGIN_MS) // 1000
    return ((LAST_S + shift_s) // 900 * 900 - shift_s) / 3600


def deliver(ingest, gateway, pieces, order=list):
    """Deliver batches of a quarter hour each."""
    sealed = [gateway.seal(clock=clock) for count, clock in pieces for _ in range(count)]
    for one in order(sealed):
        assert ingest.process_one("shop-1", one).code == "admit"


def energies(data, from_ms=ORIGIN_MS - 2 * HOUR_MS, to_ms=ORIGIN_MS + 24 * HOUR_MS):
    """Return the energies of a period, Wh by role, and the meters' rows."""
    device = report.cabinet_of(Registry(data).sites(), "shop")
    with open_reader(data) as reader:
        found = report.build(reader, report.ReportRequest(device, None, from_ms, to_ms))
    return found["energy_wh"], found["meters"]


@pytest.mark.parametrize("name", STEPS)
def test_a_days_energy_is_what_the_counters_counted(name, ingest, gateway, tmp_path):
    deliver(ingest, gateway, STEPS[name])
    check_energy(name, tmp_path)


@pytest.mark.parametrize("order", [lambda sealed: sealed[16:] + sealed[:16],
                                   lambda sealed: sealed[::-1]], ids=["newest first", "turned"])
@pytest.mark.parametrize("name", ["back 20 min", "RTC 2 h ahead, NTP after 1 h"])
def test_the_order_of_arrival_changes_nothing(name, order, ingest, gateway, tmp_path):
    deliver(ingest, gateway, STEPS[name], order)
    check_energy(name, tmp_path)


def check_energy(name, tmp_path):
    """Compare a day's report with what the counters counted."""
    roles, meters = energies(tmp_path)
    for role, watts in POWERS_W.items():
        # Registers count whole watt-hours, and IT is two of them.
        assert roles[role] == pytest.approx(watts * counted_h(name), abs=2), role
    for meter in meters:
        true_wh = POWERS_W["grid_import"] * counted_h(name)
        if (meter["device"], meter["measurand"]) == ("grid", "energy_active_import_total"):
            assert abs(meter["energy_wh"] - true_wh) <= meter["bound_wh"] < true_wh


@pytest.mark.parametrize("name", ["back 1 h", "back 20 min", "forward 1 h, back 1 h",
                                  "to and fro within minutes"])
def test_reports_of_hours_add_up_to_the_day_where_the_clock_was_set(name, ingest, gateway,
                                                                    tmp_path):
    deliver(ingest, gateway, STEPS[name])
    last_ms = StoreReader(tmp_path).span_ms("shop-1")[1]
    parts = [energies(tmp_path, start, start + HOUR_MS)[0]["grid_import"]
             for start in range(ORIGIN_MS, last_ms, HOUR_MS)]
    assert len(parts) >= 7
    assert sum(parts) == pytest.approx(energies(tmp_path, ORIGIN_MS)[0]["grid_import"], abs=1e-6)
    assert sum(parts) == pytest.approx(POWERS_W["grid_import"] * counted_h(name), abs=2)


def test_a_clock_that_was_set_is_named_and_a_slewed_one_is_not(ingest, gateway, tmp_path):
    deliver(ingest, gateway, STEPS["back 20 min"])
    found = [one for one in StoreReader(tmp_path).incidents("shop-1")
             if one.kind == incidents.CLOCK_SET]
    assert len(found) == 1 and "back by 1200 s" in found[0].detail
    deliver(ingest, gateway, [(1, at(-20 * MINUTE_MS - 999))])
    assert len([one for one in StoreReader(tmp_path).incidents("shop-1")
                if one.kind == incidents.CLOCK_SET]) == 1


def test_what_a_real_time_clock_placed_moves_when_the_network_tells_the_time(
        ingest, gateway, tmp_path):
    deliver(ingest, gateway, [(2, rtc(HOUR_MS))])
    wrong = range(ORIGIN_MS + HOUR_MS, ORIGIN_MS + 3 * HOUR_MS // 2, 900_000)
    assert all(StoreReader(tmp_path).scans("shop-1", start, start + 900_000) for start in wrong)
    deliver(ingest, gateway, [(1, at())])
    reader = StoreReader(tmp_path)
    assert not any(reader.scans("shop-1", start, start + 900_000) for start in wrong)
    assert reader.scans("shop-1", ORIGIN_MS, ORIGIN_MS + 900_000)
    assert incidents.PLACED in [one.kind for one in reader.incidents("shop-1")]


def test_a_slewed_clock_costs_a_report_nothing(ingest, gateway, tmp_path):
    """Each batch of a disciplined clock lies some milliseconds elsewhere: no parts are missing."""
    deliver(ingest, gateway, [(10, at()), *((1, at(5 * n)) for n in range(10))])
    with open_reader(tmp_path) as reader:
        channel = reader.channels("shop-1")[0].id
        steady, slewed = (
            work_of(reader.counter_parts, channel, from_ms, from_ms + HOUR_MS)[0]
            for from_ms in (ORIGIN_MS + HOUR_MS // 2, ORIGIN_MS + 7 * HOUR_MS // 2))
    assert 0 < slewed <= 1.1 * steady
