"""What a site has not, or what was not read, is null, a dash or a reason: never 0 or 0.00."""

import json

import pytest

from fleet.__main__ import main
from fleet.formats.timetext import zone
from fleet.reporting import charts, report_charts
from fleet.reporting.charts import Axis, Layer
from gateway.core.reading import Absent
from tests.fleet.maker import DESCRIPTOR, METERS, ORIGIN_MS, run_shop
from tests.fleet.web.test_true_words import GRID_ONLY
from tests.fleet.web.test_web import text_of

HOURS = ("2026-06-01T00:00:00Z", "2026-06-01T02:00:00Z")
IT_ONLY = GRID_ONLY | {"devices": [one | {"role": "it"} if one["role"] == "grid" else one
                                   for one in GRID_ONLY["devices"]]}


def ask(data, form="json"):
    """Return the report of the first two hours."""
    out = data / "report"
    assert main(["report", "--data", str(data), "--site", "shop", "--from", HOURS[0], "--to",
                 HOURS[1], "--format", form, "--out", str(out)]) == 0
    return json.loads(out.read_text()) if form == "json" else text_of(out.read_text())


@pytest.mark.parametrize(("site", "metered"), [
    (GRID_ONLY, {"grid_import", "grid_export"}), (IT_ONLY, {"it"})], ids=["grid", "it"])
def test_a_site_with_one_meter_has_figures_of_that_meter_only(
        ingest, gateway, tmp_path, site, metered):
    run_shop(ingest, gateway, **site)
    found = ask(tmp_path)
    has = {role for role, wh in found["energy_wh"].items() if wh is not None}
    assert has - {"residual"} == metered
    assert found["pue"] is None and found["renewable_share_it"] is None
    assert set(found["compute"].values()) <= {None} | {found["compute"]["pool_g"],
                                                       found["compute"]["pool_rate_g_per_kwh"]}
    carbon = {name for name, grams in found["carbon_g"].items() if grams is not None}
    assert not carbon & {"direct", "cooling", "lighting", "other", "stored", "unallocated"}
    assert any("not metered at this site" in note and "genset" in note for note in found["notes"])
    shown = ask(tmp_path, "html").replace("\u202f", " ")
    for absent in ("Generator", "Into the battery", "Cooling", "0.000", "0.0 %"):
        assert absent not in shown.split("Meters")[0], absent


def test_a_site_without_a_generator_says_nothing_of_one(ingest, gateway, tmp_path):
    run_shop(ingest, gateway)
    found = ask(tmp_path)
    assert found["energy_wh"]["genset"] is None and found["carbon_g"]["direct"] is None
    assert found["pue"] == pytest.approx(2.72)      # (720 + 1440 - 0.96 x 720 W stored) / 540
    shown = ask(tmp_path, "html")
    assert "Generator" not in shown.split("Evidence")[0]
    assert "of which direct" not in shown


def test_a_meter_that_was_never_read_has_a_dash_in_the_report(ingest, gateway, tmp_path):
    cooling = [name for name, *_ in METERS].index("cooling")

    def silent(one):
        absent = one.stream == cooling
        return one._replace(values=tuple(Absent(1) for _ in one.values)) if absent else one
    run_shop(ingest, gateway, change=silent)
    assert ask(tmp_path)["energy_wh"]["cooling"] is None
    assert "Cooling –" in ask(tmp_path, "html")


def test_a_site_whose_it_takes_more_than_its_supply_meters_show_has_no_pue(
        ingest, gateway, tmp_path):
    without_pv = [one | {"role": None} if one["name"] in ("pv", "battery-meter") else one
                  for one in DESCRIPTOR["devices"]]
    louder = [one | {"ct_ratio": 10, "rated_w": 10_000} if one["name"] == "node-1-meter" else one
              for one in without_pv]
    run_shop(ingest, gateway, devices=louder, battery=None)
    assert ask(tmp_path)["pue"] is None
    assert "not defined: it needs meters of IT" in ask(tmp_path, "html")


def test_a_bin_with_an_unread_meter_is_shaded_and_one_that_is_not_over_is_not():
    axis = Axis(ORIGIN_MS, 900_000, 4, zone("UTC"), known_bins=3)
    drawn = str(charts.stacked("x", axis, [Layer("a", "it", [1.0, None, 2.0, None])]))
    assert drawn.count('class="unknown"') == 1
    assert drawn.split('class="unknown" d="')[1].split('"')[0].count("M") == 1
    whole = str(charts.stacked("x", axis, [Layer("a", "it", [1.0, 0.0, 2.0, None])]))
    assert "unknown" not in whole


def test_a_generator_whose_fuel_nobody_reads_has_energy_and_no_grams(ingest, gateway, tmp_path):
    devices = [one | {"role": "genset", "kind": "meter"} if one["name"] == "pv" else one
               for one in DESCRIPTOR["devices"]]
    run_shop(ingest, gateway, devices=devices)
    found = ask(tmp_path)
    assert found["energy_wh"]["genset"] == pytest.approx(2880) and found["energy_wh"]["pv"] is None
    assert set(found["carbon_g"].values()) == {None}
    assert found["renewable_share_it"] is None
    shown = ask(tmp_path, "html").replace("\u202f", " ")
    assert "Generator 2.88 kWh" in shown and "of which direct (fuel burned on site) –" in shown
    assert "0.00 g" not in shown and "Solar" not in shown


def test_a_chart_of_what_nobody_meters_says_so_and_draws_no_scale():
    bins = [{"start": "2026-06-01T00:00:00Z", "end": "2026-06-01T00:15:00Z",
             "energy_wh": {"grid_import": 3.0}, "grid_g_per_kwh": 363.0, "bus_g_per_kwh": None,
             "g_per_core_hour": None}]
    drawn = str(report_charts.charts(bins, "UTC"))
    assert drawn.count("<svg") == 2 and drawn.count("Nothing is metered here") == 2
