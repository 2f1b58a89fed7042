"""What a meter shows above its limit is not counted, and everybody is told which and how much."""

import json

import pytest

from fleet.__main__ import main
from fleet.formats.registry import Registry
from fleet.reporting import above_limit
from fleet.web import proof
from fleet.web.snapshot import Snapshots
from gateway.core.interval import CounterRules
from tests.fleet.maker import DESCRIPTOR, ORIGIN_MS, run_shop
from tests.support.run_points import points

HOURS = ("2026-06-01T00:00:00Z", "2026-06-01T02:00:00Z")
GRID, QUARTER_MS = 0, 900_000


def devices(**changes):
    """Return the shop's devices, the grid meter with these changes."""
    return [one | changes if one["name"] == "grid" else one for one in DESCRIPTOR["devices"]]


def ask(data, form="json"):
    """Return the report of the first two hours."""
    out = data / "report"
    assert main(["report", "--data", str(data), "--site", "shop", "--from", HOURS[0], "--to",
                 HOURS[1], "--format", form, "--out", str(out)]) == 0
    return json.loads(out.read_text()) if form == "json" else out.read_text()


def grid(found):
    """Return the row of the grid meter's import."""
    return next(row for row in found["meters"] if row["device"] == "grid"
                and row["measurand"] == "energy_active_import_total")


def test_a_rated_w_that_is_too_low_names_the_meter_the_amount_and_the_limit(
        ingest, gateway, tmp_path):
    run_shop(ingest, gateway, devices=devices(rated_w=100))       # it takes 720 W
    found = ask(tmp_path)
    row = grid(found)
    assert row["energy_wh"] is None and found["energy_wh"]["grid_import"] is None
    assert row["set_aside_wh"] == pytest.approx(1440, abs=2) and row["rated_w"] == 100
    told = [note for note in found["notes"] if note.startswith("NOT COUNTED")]
    assert len(told) == 1
    for words in ("1.44 kWh of grid", "energy_active_import_total", "rated_w = 100 W plus 5 %",
                  "Next: correct rated_w"):
        assert words in told[0].replace("\u202f", " ")
    page = ask(tmp_path, "html").replace("\u202f", " ")
    assert page.count("NOT COUNTED: 1.44 kWh of grid") == 2     # above everything, and in the notes


def test_the_page_names_it_among_the_evidence_and_nothing_is_green_above_it(
        ingest, gateway, tmp_path):
    run_shop(ingest, gateway, devices=devices(rated_w=100))
    snapshot = Snapshots(tmp_path, None).get(Registry(tmp_path).find("shop-1"))
    lines = proof.lines(snapshot, None, None)
    [line] = [one for one in lines if one.key == "limits"]
    assert line.state == proof.BAD and "of grid" in line.text and "100" in line.text
    assert proof.worst(lines) == proof.BAD


def test_a_single_reading_that_no_power_explains_takes_its_quarter_hours_only(
        ingest, gateway, tmp_path):
    def jump(one):
        late = one.stream == GRID and one.ticks_ms >= 1_800_000 + 450_000   # in the third quarter
        return one._replace(values=(one.values[0] + 50_000, one.values[1])) if late else one
    run_shop(ingest, gateway, change=jump)
    row = grid(ask(tmp_path))
    # 50 kWh in one step, and what the meter took in that quarter hour: 180 Wh.
    assert row["set_aside_wh"] == pytest.approx(50_180, abs=3)
    assert row["energy_wh"] == pytest.approx(1440 - 180, abs=1)


def test_a_meter_within_its_limit_is_not_mentioned(ingest, gateway, tmp_path):
    run_shop(ingest, gateway)
    found = ask(tmp_path)
    assert all(row["set_aside_wh"] == 0 for row in found["meters"])
    assert not [note for note in found["notes"] if "NOT COUNTED" in note]
    snapshot = Snapshots(tmp_path, None).get(Registry(tmp_path).find("shop-1"))
    assert "limits" not in [one.key for one in proof.lines(snapshot, None, None)]


def test_without_a_rated_power_the_limit_is_the_one_of_the_rules():
    assert "1 MW" in above_limit.limit({"rated_w": None})


@pytest.mark.parametrize(("steps", "counts", "quarters"), [
    (((0, 0), (900, 100), (1800, 200)), 0, 0),
    (((0, 0), (900, 5000), (1800, 5100)), 5000, 1),
    (((0, 0), (900, 100), (1350, 5100), (1800, 5200)), 5100, 1),
    (((0, 0), (900, 100), (2700, 9100), (3600, 9200)), 9000, 2),
    (((0, 5000), (900, 100), (1800, 200)), 0, 0),               # a reset is no jump
    (((0, 0), (450, 50), (1350, 9050), (1800, 9100)), 9100, 2),
])
def test_what_is_set_aside_of_a_run(steps, counts, quarters):
    rules = CounterRules(1 << 62, 1000, 60_000, 10_000)
    held = above_limit.of_run(points(steps, rules), (ORIGIN_MS, ORIGIN_MS + 8 * QUARTER_MS))
    assert (held.counts, held.quarters) == (pytest.approx(counts), quarters)
    assert above_limit.of_run(points(steps, rules), (0, ORIGIN_MS)).counts == 0
