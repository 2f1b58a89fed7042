"""What the page says of a day with holes, a clock that nobody set, and a site with one meter."""

import json
import re

import pytest

from fleet.formats.registry import Registry
from fleet.web import page, panels, proof
from fleet.web.snapshot import Snapshots
from gateway.core.codec import record
from gateway.core.reading import Absent
from tests.fleet.maker import DESCRIPTOR, figures, run_shop
from tests.fleet.web.test_web import text_of

GRID_ONLY = {"devices": [one for one in DESCRIPTOR["devices"] if one["role"] in ("grid", None)
                         and one["kind"] == "meter"],
             "battery": None, "nodes": [], "workloads": []}


def view_of(data, shown=None):
    """Return what is known of the shop; shown: its latest live figures."""
    cabinet = Registry(data).find("shop-1")
    return panels.PageView(cabinet, Snapshots(data, None).get(cabinet), shown, 3.0, 0, 1.0, True)


def words_of(view):
    """Return what a reader of the live part sees."""
    return text_of(page.live_part(view)).replace("\u202f", " ")


def coverage_of(view):
    """Return the line about coverage."""
    lines = proof.lines(view.snapshot, view.figures, view.receipt_age_s)
    return next(line for line in lines if line.key == "coverage")


def silent_from(at_s):
    """Return a change of records: every device but one gives no value for a sixth of the day."""
    def change(one):
        late = 1800 <= one.ticks_ms / 1000 < at_s
        return one._replace(values=tuple(Absent(1) for _ in one.values)) if late else one
    return change


def test_a_day_with_a_sixth_missing_is_never_called_complete(ingest, gateway, tmp_path):
    run_shop(ingest, gateway, change=silent_from(1800 + 1200))
    view = view_of(tmp_path, figures())
    evidence = view.snapshot.today["evidence"]
    assert evidence["coverage"] == 1 and evidence["present"] == pytest.approx(0.81, abs=0.04)
    line = coverage_of(view)
    assert line.state != proof.GOOD
    share = re.search(r"([\d.]+) % of the readings expected today are here; 100.0 % are here or "
                      r"were declared missing", line.text.replace("\u202f", " "))
    assert 77 <= float(share[1]) <= 85
    said = words_of(view)
    assert "omplete" not in said and "All readings" not in said
    tile = panels.tiles(view, proof.lines(view.snapshot, view.figures, 1.0))[-1]
    assert tile.number.startswith(share[1]) and tile.state != proof.GOOD


def test_a_day_with_every_reading_says_so(ingest, gateway, tmp_path):
    run_shop(ingest, gateway)
    line = coverage_of(view_of(tmp_path))
    assert (line.state, line.text) == (proof.GOOD, "All readings expected today are here.")


def test_a_clock_that_nobody_set_gives_no_measured_at(ingest, gateway, tmp_path):
    run_shop(ingest, gateway)
    unset = {"source": "unknown", "uncertainty_s": 0}
    said = words_of(view_of(tmp_path, figures(utc=None, clock=unset)))
    assert "Measured at" not in said and "when it was measured is not known" in said
    assert "Measured at 2026-06-01 12:34:56 UTC, received" in words_of(
        view_of(tmp_path, figures()))


@pytest.mark.parametrize("stamp", ["", "yesterday", 17, "9999-99-99T00:00:00Z", [], {}])
def test_a_stamp_that_is_no_time_gives_no_measured_at(ingest, gateway, tmp_path, stamp):
    run_shop(ingest, gateway)
    assert "Measured at" not in words_of(view_of(tmp_path, figures(utc=stamp)))


def test_a_page_has_one_zone_and_each_time_names_it(ingest, gateway, tmp_path):
    file = tmp_path / "registry" / "shop-1.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"timezone": "Asia/Kolkata"}))

    def change(one):
        return one
    run_shop(ingest, gateway, change)
    gap = [-1, 1_780_273_800_000, 1_780_273_860_000, "the bus was busy"]
    records = [record.EventRecord(gateway.next_seq, gateway.at_s * 1000, record.GAP, gap)]
    ingest.process_one("shop-1", gateway.seal(records))
    view = view_of(tmp_path, figures())
    said = words_of(view)
    assert "Measured at 2026-06-01 18:04:56 Asia/Kolkata" in said       # 12:34:56 UTC
    assert re.search(r"2026-06-01 05:\d\d to \d\d:\d\d Asia/Kolkata, from signed", said)
    assert "2026-06-01 06:00:00 Asia/Kolkata to 2026-06-01 06:01:00 Asia/Kolkata" in said
    assert "UTC" not in said
    drawn = str(view.snapshot.charts)
    assert drawn.count(">IST</text>") == 4 and drawn.count("times in Asia/Kolkata") == 4


def test_a_site_with_one_meter_shows_that_meter_and_nothing_of_what_it_has_not(
        ingest, gateway, tmp_path):
    run_shop(ingest, gateway, **GRID_ONLY)
    powers = dict.fromkeys(figures()["power_w"]) | {"grid": 720.0, "residual": 720.0}
    shown = figures(power_w=powers, nodes=[], climate=[], devices=[], battery={
        "soc": None, "stored_wh": None}, carbon=dict.fromkeys(figures()["carbon"]))
    view = view_of(tmp_path, shown)
    said = words_of(view)
    for absent in ("Generator", "Solar", "Battery", "Cooling", "Lighting", "0 Wh", "0.00", "0 %",
                   "≥"):
        assert absent not in said.split("Evidence for today")[0].split("Power now")[-1], absent
    day = dict(panels.day(view.snapshot).rows)
    assert set(day.values()) - {day["Carbon of grid and generator"]} == {"–"}
    assert view.snapshot.today["pue"] is None


def test_a_generator_that_was_not_read_has_a_dash_and_not_no_row():
    sources, _ = panels.flows({"grid": 1.0, "genset": None}, frozenset({"grid", "genset"}))
    assert sources == [("grid", 1.0), ("genset", None)]
