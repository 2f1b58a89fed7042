"""A meter is exchanged: each register counts up to its last and from its first reading."""

import json

import pytest

from fleet.formats.registry import Registry
from fleet.reporting import html, report
from fleet.store.reader import open_reader
from fleet.web import panels, proof
from fleet.web.snapshot import Snapshots
from gateway.core.codec import record
from gateway.core.reading import CLOCK_NTP, ClockState
from tests.fleet.maker import ORIGIN_MS, START_WH, PaperGateway, values
from tests.support import evidence_world as forge

HOUR_MS, QUARTER_MS = 3_600_000, 900_000
GRID_W, GRID = 720, 0           # power and stream of the grid meter; its counters are points 0, 1
NTP = ClockState(CLOCK_NTP, 0, ORIGIN_MS, 50)


class Exchanged(PaperGateway):
    """A gateway whose grid meter is exchanged; the swap is told with the first new reading.

    at_s: of that reading.  old_s: of the last one of the old meter.  start_wh: what the new
    register reads then.
    """

    at_s_swap, old_s, start_wh, told_old_s, version = 1200, 1190, 0, None, 2

    def records(self, seconds, with_config, silent=()):
        """Return the records as they are, but the grid meter's behind the swap."""
        found, seq = [], self.next_seq
        for one in super().records(seconds, with_config, silent):
            at_s = one.ticks_ms // 1000
            if isinstance(one, record.ScanRecord) and one.stream == GRID:
                if self.old_s < at_s < self.at_s_swap and self.told_old_s is None:
                    continue                        # it is silent meanwhile
                if at_s == self.at_s_swap:
                    found.append(record.EventRecord(seq, one.ticks_ms, record.METER_SWAP,
                                                    self.body()))
                    seq += 1
                one = one._replace(values=self.read(at_s))
            found.append(one._replace(seq=seq))
            seq += 1
        return found

    def read(self, at_s):
        """Return what the grid meter in place shows."""
        imported, exported = values(GRID, at_s)
        if at_s <= self.old_s:
            return imported, exported
        return self.start_wh + GRID_W * (at_s - self.at_s_swap) // 3600, 0

    def body(self):
        """Return the body of the swap event."""
        told_s = self.old_s if self.told_old_s is None else self.told_old_s
        ends = [[place, old, new] for place, (old, new) in enumerate(
            zip(self.read(told_s), self.read(self.at_s_swap), strict=True))]
        return [GRID, "A1", "B2", ends, told_s * 1000][:5 if self.version == 2 else 4]


def fleet_of(tmp_path, gateway, batches=5):
    """Deliver a quarter hour per batch; return the folder and the receipt key."""
    key = forge.Ed25519PrivateKey.generate()
    gateway.enrol(tmp_path)
    forge.deliver(tmp_path, key, gateway, [gateway.seal(clock=NTP) for _ in range(batches)])
    return key


def built(data, from_ms=ORIGIN_MS, to_ms=ORIGIN_MS + HOUR_MS):
    device = report.cabinet_of(Registry(data).sites(), "shop")
    with open_reader(data) as reader:
        return report.build(reader, report.ReportRequest(device, None, from_ms, to_ms))


def grid(found):
    return next(one for one in found["meters"] if one["device"] == "grid"
                and one["measurand"] == "energy_active_import_total")


def swapped(**changed):
    made = PaperGateway.__new__(Exchanged)
    made.__init__()
    for name, value in changed.items():
        setattr(made, name, value)
    return made


def counted_wh(old_s, new_s, end_s=3600):
    return GRID_W * (old_s + end_s - new_s) / 3600


# start_wh of the new register: below, a little above (S4b), far above the old one's end.
STARTS = {"from 0": 0, "60 Wh higher": START_WH + GRID_W * 1200 // 3600 + 60, "far higher": 10**9}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("start", STARTS)
def test_the_registers_of_a_swap_have_no_difference(start, version, tmp_path):
    fleet_of(tmp_path, swapped(start_wh=STARTS[start], version=version))
    found = built(tmp_path)
    row = grid(found)
    assert found["energy_wh"]["grid_import"] == pytest.approx(counted_wh(1190, 1200), abs=1.01)
    assert row["energy_wh"] == pytest.approx(found["energy_wh"]["grid_import"])
    assert abs(row["energy_wh"] - GRID_W) <= row["bound_wh"]        # 720 Wh in truth
    assert found["evidence"]["coverage"] < 1
    quarters = [one["energy_wh"]["grid_import"] for one in found["series"]]
    assert quarters[0] == quarters[2] == quarters[3] == 180
    assert found["series"][1]["quality"] == "estimated"


@pytest.mark.parametrize(("old_s", "at_s"), [
    (1190, 1800), (1190, 1810), (890, 900), (900, 1800), (600, 3000), (1190, 1200)])
def test_whatever_time_lies_between_them_each_register_counts_what_it_was_read(
        old_s, at_s, tmp_path):
    fleet_of(tmp_path, swapped(old_s=old_s, at_s_swap=at_s, start_wh=5))
    found = built(tmp_path)
    assert grid(found)["energy_wh"] == pytest.approx(counted_wh(old_s, at_s), abs=1.01)
    known = [one["energy_wh"]["grid_import"] is not None for one in found["series"]]
    inside = [q for q in range(4) if old_s <= q * 900 and (q + 1) * 900 <= at_s]
    assert [q for q in range(4) if not known[q]] == inside
    true_wh = GRID_W * (4 - len(inside)) / 4
    assert abs(grid(found)["energy_wh"] - true_wh) <= grid(found)["bound_wh"]
    hours = [grid(built(tmp_path, ORIGIN_MS + q * QUARTER_MS, ORIGIN_MS + (q + 1) * QUARTER_MS))
             for q in range(4) if q not in inside]
    assert sum(one["energy_wh"] for one in hours) == pytest.approx(grid(found)["energy_wh"])


def test_what_was_read_before_a_late_notice_belongs_to_no_register(tmp_path):
    """Exchanged at 20 minutes without a silence, noticed at 40; the old serial number was read
    last at 10: the 30 minutes between are unknown."""
    made = swapped(old_s=1190, at_s_swap=2400, told_old_s=600,
                   start_wh=START_WH + GRID_W * 2400 // 3600 + 40)
    fleet_of(tmp_path, made)
    found = built(tmp_path)
    assert grid(found)["energy_wh"] == pytest.approx(counted_wh(600, 2400), abs=1.01)
    assert found["series"][1]["energy_wh"]["grid_import"] is None
    assert found["meter_swaps"][0]["from"] == "2026-06-01T00:10:00Z"


def test_a_meter_exchanged_while_the_gateway_was_off_counts_from_its_first_reading(tmp_path):
    key, first = forge.Ed25519PrivateKey.generate(), PaperGateway()
    first.enrol(tmp_path)
    sealed = [first.seal(clock=NTP) for _ in range(2)]
    second = swapped(start_wh=7, at_s_swap=3000, old_s=0, told_old_s=0)
    for name in ("key", "public", "kid", "number", "next_seq", "prev"):
        setattr(second, name, getattr(first, name))
    second.boot, second.at_s = 2, 3000
    second.body = lambda: [GRID, "A1", "B2", [[0, None, 7], [1, None, 0]], 0]
    sealed += [second.seal(clock=NTP) for _ in range(2)]
    forge.deliver(tmp_path, key, second, sealed)
    found = built(tmp_path)
    assert grid(found)["energy_wh"] == pytest.approx(counted_wh(1790, 3000), abs=1.01)
    swap = found["meter_swaps"][0]
    assert (swap["from"], swap["to"]) == ("2026-06-01T00:29:50Z", "2026-06-01T00:50:00Z")
    assert (swap["registers"][1]["old_end"], swap["registers"][1]["new_start"]) == (
        START_WH + GRID_W * 1790 // 3600, 7)


def test_the_report_names_both_serial_numbers_times_and_readings(tmp_path):
    fleet_of(tmp_path, swapped())
    found = built(tmp_path)
    end_wh = START_WH + GRID_W * 1190 // 3600
    assert found["meter_swaps"] == [{
        "device": "grid", "old_serial": "A1", "new_serial": "B2",
        "from": "2026-06-01T00:19:50Z", "to": "2026-06-01T00:20:00Z", "registers": [
            {"measurand": "energy_active_export_total", "item": "", "unit": "Wh",
             "old_end": START_WH, "new_start": 0},
            {"measurand": "energy_active_import_total", "item": "", "unit": "Wh",
             "old_end": end_wh, "new_start": 0}]}]
    assert found["evidence"]["gap_list"][0] == {
        "device": "grid", "from": "2026-06-01T00:19:50Z", "to": "2026-06-01T00:20:00Z",
        "reason": "meter swap: serial number A1 replaced by B2"}
    page = html.render(json.loads(json.dumps(found)))
    assert "Meter swap: serial number B2 replaced A1 as grid." in page
    assert "100\u202f238.000\u202fWh" in page and "Old register at its end" in page
    later = built(tmp_path, ORIGIN_MS + 2 * QUARTER_MS)
    assert later["meter_swaps"] == [] and "Meter swaps" not in html.render(later)


OFFLINE = {
    f"{start}, {old_s} to {at_s}": {"start_wh": wh, "old_s": old_s, "at_s_swap": at_s}
    for start, wh in STARTS.items() for old_s in (890, 1190) for at_s in (1200, 1800, 2710)}
OFFLINE["late notice"] = {"at_s_swap": 2400, "told_old_s": 600,
                          "start_wh": START_WH + GRID_W * 2400 // 3600 + 40}
OFFLINE["first version"] = {"version": 1, "start_wh": STARTS["60 Wh higher"]}


@pytest.mark.parametrize("how", OFFLINE)
def test_the_offline_recount_agrees_and_names_the_swap(how, tmp_path):
    key = fleet_of(tmp_path, swapped(**OFFLINE[how]), 6)
    found = forge.checked(forge.bundle(tmp_path, "shop", key, (ORIGIN_MS, ORIGIN_MS + HOUR_MS)))
    assert found.faults == []
    told = [line for line in found.proven if line.startswith("meter swap  grid, serial number A1 ")]
    assert len(told) == 1
    new = OFFLINE[how]["start_wh"]
    since = "?" if how == "first version" else "2026-06-01T00:"
    assert f"to {new} (10^0 Wh)" in told[0] and f"to B2, {since}" in told[0]


def test_a_report_that_books_the_difference_of_two_registers_is_a_contradiction(tmp_path):
    made = swapped(start_wh=STARTS["60 Wh higher"])
    key = fleet_of(tmp_path, made, 6)
    said, parts = forge.opened_bundle(
        forge.bundle(tmp_path, "shop", key, (ORIGIN_MS, ORIGIN_MS + HOUR_MS)))
    statement = json.loads(said["statement"])
    row = grid(statement)
    row["energy_wh"] += 62
    statement["energy_wh"]["grid_import"] += 62
    forged = forge.written({**said, "statement": json.dumps(statement).encode()}, parts, key)
    assert any("energy of grid" in fault for fault in forge.checked(forged).faults)


def test_the_page_names_the_swap_among_the_gaps_and_with_the_days_figures(tmp_path):
    fleet_of(tmp_path, swapped())
    snapshot = Snapshots(tmp_path, None).get(Registry(tmp_path).find("shop-1"))
    assert [note for note in panels.day(snapshot).notes
            if note.startswith("Meter swap: serial number B2 replaced A1 as grid.")]
    line = next(one for one in proof.lines(snapshot, {}, None) if one.title == "Gaps")
    assert "serial number A1 replaced by B2" in line.text and line.state == "watch"
