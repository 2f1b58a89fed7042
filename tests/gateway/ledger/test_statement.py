"""Statements of small sites whose every figure is worked by hand."""

import json

import pytest

from gateway.core.errors import ConfigError
from gateway.core.interval import ESTIMATED, MEASURED
from gateway.ledger.assemble import Amount, site_interval
from gateway.ledger.books import Options
from gateway.ledger.compute import workloads
from gateway.ledger.compute.compute import UnitRates
from gateway.ledger.factors import factors
from gateway.ledger.flows.inventory import Inventory
from gateway.ledger.site import NodeUse, SiteInterval, WorkloadUse, read_site
from gateway.ledger.statement import build_statement, keep_books

QUARTER = 900_000
T0 = factors.utc_ms("2026-06-01T12:00:00Z")
FACTORS = factors.parse(b"""
format = 1
id = "flat-400"
version = 1
zone = "XX"
scope = "direct"
published = "2026-01-01"
[[source]]
name = "grid"
id = "flat"
g_per_kwh = "400"
from = "2026-01-01T00:00:00Z"
to = "2027-01-01T00:00:00Z"
basis = "test"
estimated = false
status = "confirmed"
source = "test"
[[source]]
name = "pv"
id = "pv"
g_per_kwh = "0"
from = "2026-01-01T00:00:00Z"
to = "2027-01-01T00:00:00Z"
basis = "test"
estimated = false
status = "confirmed"
source = "test"
[[fuel]]
name = "diesel"
density_kg_per_litre = "0.84"
ncv_gj_per_tonne = "43.0"
ef_t_per_tj = "74.1"
oxidation = "1"
""", "test")


def device(name, role, **more):
    """Return a device of the descriptor."""
    return {"name": name, "role": role, "kind": "meter", **more}


SITE = {
    "v": 1, "site": "shop-1", "timezone": "Europe/Berlin",
    "devices": [device("grid", "grid"), device("pv", "pv"), device("bat", "battery"),
                device("n1m", "it"), device("cool", "cooling"), device("bms", None)],
    "battery": {"capacity_wh": 10000, "eta_charge": "0.9", "eta_discharge": "0.9",
                "standby_w": 0},
    "nodes": [{"name": "n1", "cores": 32, "idle_w": "120", "meter": "n1m"}],
    "workloads": [{"node": "n1", "name": "a"}, {"node": "n1", "name": "b"}],
}
USE = {"n1": NodeUse(75.0, {"a": WorkloadUse(5400, 8, 900, 10), "b": WorkloadUse(1800, 16, 900, 5)},
                     7200.0, MEASURED)}


def quarter(place, energy, **more):
    """Return the place-th quarter hour; roles not named are 0."""
    read = dict.fromkeys(("grid_import", "grid_export", "pv", "battery_charge",
                          "battery_discharge", "it", "cooling"), 0.0)
    return SiteInterval(T0 + place * QUARTER, QUARTER, read | energy, nodes=more.pop("nodes", {}),
                        **more)


def test_one_interval_on_grid_alone():
    told = build_statement(SITE, [quarter(0, {"grid_import": 100.0, "it": 75.0, "cooling": 20.0},
                                          nodes=USE)], FACTORS)
    assert (told["site"], told["from"], told["to"]) == (
        "shop-1", "2026-06-01T12:00:00Z", "2026-06-01T12:15:00Z")
    assert told["energy_wh"]["residual"] == 5.0
    assert told["energy_wh"]["genset"] is None          # nobody meters one: none, with a note
    carbon = told["carbon_g"]
    assert carbon["total"] == carbon["indirect"] == pytest.approx(40.0)
    assert carbon["direct"] is None                     # nothing can burn fuel here
    assert carbon["it"] == pytest.approx(30.0)
    assert carbon["cooling"] == pytest.approx(8.0)
    assert carbon["residual"] == pytest.approx(2.0)
    assert carbon["it_with_overhead"] == pytest.approx(40.0)
    assert told["pue"] == pytest.approx(100 / 75)
    assert told["renewable_share_it"] == 0
    assert told["quality"] == {"measured": 1.0, "estimated": 0.0, "missing": 0.0}
    assert any("genset, lighting, other" in note for note in told["notes"])


def test_a_site_without_a_metered_supply_has_no_carbon_no_pue_and_no_residual():
    site = SITE | {"devices": [device("n1m", "it")], "battery": None, "nodes": [],
                   "workloads": []}
    told = build_statement(site, [quarter(0, {"it": 75.0})], FACTORS)
    assert {name: wh for name, wh in told["energy_wh"].items() if wh is not None} == {"it": 75.0}
    assert set(told["carbon_g"].values()) == {None} and told["pue"] is None
    assert set(told["compute"].values()) == {None} and told["series"][0]["energy_wh"][
        "residual"] is None
    assert any("no supply is metered" in note for note in told["notes"])


def test_core_hours_carry_dynamic_reserved_idle_and_overhead():
    """Split of vector S063: a 33.75 + 7.5 Wh, b 11.25 + 15 Wh, operator 7.5 Wh; the full rate
    is 40 g / 75 Wh; 24 cores for a quarter hour are 6 reserved core-hours, 7200 s used."""
    told = build_statement(SITE, [quarter(0, {"grid_import": 100.0, "it": 75.0, "cooling": 20.0},
                                          nodes=USE)], FACTORS)
    compute = told["compute"]
    assert compute["reserved_core_hours"] == 6.0
    assert compute["used_core_hours"] == 2.0
    assert compute["tasks"] == 15
    assert compute["carbon_g"] == pytest.approx(67.5 * 40 / 75)
    assert compute["operator_carbon_g"] == pytest.approx(7.5 * 40 / 75)
    assert compute["g_per_core_hour"] == pytest.approx(36 / 6)
    assert compute["g_per_task"] == pytest.approx(36 / 15)
    loads = {load["name"]: load for load in told["workloads"]}
    assert loads["a"]["energy_wh"] == pytest.approx(41.25)
    assert loads["b"]["carbon_g"] == pytest.approx(26.25 * 40 / 75)
    assert told["nodes"]["n1"]["energy_wh"] == pytest.approx(75.0)
    assert told["nodes"]["n1"]["cpu_share"] == pytest.approx(2 / 8)
    parts = compute["carbon_g"] + compute["operator_carbon_g"]
    assert parts == pytest.approx(told["carbon_g"]["it_with_overhead"])


def test_the_statement_takes_its_rates_from_the_function_the_golden_vectors_test(monkeypatch):
    monkeypatch.setattr(workloads, "unit_rates", lambda *_: UnitRates(1.0, 2.0, 3.0, 4.0))
    compute = build_statement(SITE, [quarter(0, {"grid_import": 100.0, "it": 75.0}, nodes=USE)],
                              FACTORS)["compute"]
    assert (compute["g_per_core_hour"], compute["g_per_used_core_hour"],
            compute["g_per_task"]) == (1, 2, 4)


def test_pv_kept_in_the_battery_is_renewable_when_it_comes_back():
    """Vector S035 as a site: charge from PV, charge from grid, discharge with some grid."""
    told = build_statement(SITE, [
        quarter(0, {"pv": 2000.0, "it": 1000.0, "battery_charge": 1000.0}),
        quarter(1, {"grid_import": 1500.0, "it": 1000.0, "battery_charge": 500.0}),
        quarter(2, {"grid_import": 190.0, "battery_discharge": 810.0, "it": 1000.0})],
        FACTORS, Options(opening=Inventory(eta_charge=0.9, eta_discharge=0.9)))
    assert told["renewable_share_it"] == pytest.approx(1.54 / 3)
    assert told["battery"]["closing"]["stored_wh"] == pytest.approx(450)
    assert told["battery"]["closing"]["carbon_g"] == pytest.approx(200 / 3)
    assert told["battery"]["closing"]["g_per_kwh"] == pytest.approx(200 / 3 / 0.45)
    assert told["battery"]["losses_wh"] == pytest.approx(240)
    assert told["battery"]["assumed_start"] is False
    assert told["carbon_g"]["total"] == pytest.approx(676)
    assert told["pue"] == pytest.approx(1.08)
    assert [row["renewable_share"] for row in told["series"]] == pytest.approx([1, 0, 0.54])


def test_the_assumed_opening_is_forgotten_when_it_has_left_the_battery():
    day = [quarter(0, {"battery_discharge": 899.5, "it": 899.5}),
           quarter(1, {"pv": 2000.0, "battery_charge": 2000.0})]
    for energy_wh, still in ((1000.0, False), (1100.0, True)):
        opening = Inventory(energy_wh, 400.0, {"unknown": energy_wh}, assumed=True)
        books = keep_books(read_site(SITE), day, FACTORS, Options(opening=opening))
        assert books.closing.assumed is still


def test_a_carried_inventory_takes_the_sites_efficiencies_and_keeps_its_grams():
    told = build_statement(SITE, [quarter(0, {"battery_discharge": 90.0, "it": 90.0})], FACTORS,
                           Options(opening=Inventory(1000.0, 50.0, {"pv": 1000.0})))
    assert told["battery"]["closing"]["stored_wh"] == pytest.approx(900)
    assert told["carbon_g"]["it"] == pytest.approx(5.0)


def test_all_grams_of_a_statement_add_up():
    told = build_statement(SITE, [
        quarter(0, {"grid_import": 700.0, "pv": 900.0, "it": 500.0, "cooling": 150.0,
                    "battery_charge": 600.0, "grid_export": 300.0}, nodes=USE, soc=0.4),
        quarter(1, {"grid_import": 50.0, "battery_discharge": 5000.0, "it": 5000.0}),
        quarter(2, {"grid_import": None, "it": 500.0, "battery_charge": 100.0}),
        quarter(3, {"grid_import": 40.0, "it": 0.0, "cooling": 30.0}, soc=1.0),
        quarter(4, {"grid_import": 40.0, "it": 30.0})], FACTORS)
    carbon = told["carbon_g"]
    assert carbon["total"] + carbon["adjustment"] == pytest.approx(
        carbon["it_with_overhead"] + carbon["export"] + carbon["stored"])
    assert carbon["direct"] is None and carbon["total"] == pytest.approx(carbon["indirect"])
    assert told["adjustments"]["flags"]["inventory_shortfall"] == 1
    assert told["compute"]["pool_g"] == pytest.approx(16.0)     # 40 Wh x 400 without any IT


def test_a_battery_nobody_has_seen_is_not_empty_and_opens_with_its_first_state_of_charge():
    told = build_statement(SITE, [
        quarter(0, {"battery_discharge": 90.0, "it": 90.0}),
        quarter(1, {"grid_import": 100.0, "it": 100.0}),
        quarter(2, {"battery_discharge": 90.0, "it": 90.0}, soc=0.5)], FACTORS)
    first, resting, opened = told["series"]
    assert (first["battery_stored_wh"], first["bus_g_per_kwh"], first["carbon_g"]) == (
        None, None, {})
    assert (resting["battery_stored_wh"], resting["bus_g_per_kwh"]) == (None, 400)
    assert opened["battery_stored_wh"] == pytest.approx(5000)
    assert opened["bus_g_per_kwh"] == pytest.approx(400 / 0.9)
    assert told["battery"]["opening"]["stored_wh"] == pytest.approx(5100)   # 90 / 0.9 more
    assert told["battery"]["assumed_start"] is True
    assert told["undefined"]["carbon_intervals"] == 1
    assert told["adjustments"]["flags"] == {} and told["adjustments"]["blind_wh"] == 0
    assert told["carbon_g"]["it"] == pytest.approx(40 + 40)     # 100 Wh of grid, twice
    assert any("2 of 3 intervals lie before" in note for note in told["notes"])


def test_without_any_state_of_charge_the_battery_is_unknown_in_every_figure():
    told = build_statement(SITE, [quarter(0, {"battery_discharge": 90.0, "it": 90.0})], FACTORS)
    assert set(told["battery"]["closing"].values()) == {None}
    assert told["battery"]["assumed_start"] is None
    assert told["renewable_share_it"] is None and told["carbon_g"]["it"] is None
    assert json.dumps(told, allow_nan=False)


def test_the_opening_is_assumed_from_the_state_of_charge_and_flagged():
    told = build_statement(SITE, [quarter(0, {"pv": 1000.0, "battery_charge": 1000.0}, soc=0.5)],
                           FACTORS)
    assert told["battery"]["opening"]["stored_wh"] == pytest.approx(5000 - 900)
    assert told["battery"]["opening"]["carbon_g"] == pytest.approx(4.1 * 400)
    assert told["battery"]["assumed_start"] is True
    assert told["battery"]["opening"]["origins_wh"] == {"unknown": pytest.approx(4100)}


def test_a_full_battery_is_anchored_and_the_difference_stands_in_its_own_line():
    told = build_statement(SITE, [quarter(0, {"grid_import": 100.0, "it": 100.0}, soc=1.0)],
                           FACTORS, Options(opening=Inventory(9800.0, 98.0, {"pv": 9800.0})))
    assert told["adjustments"]["anchor_wh"] == pytest.approx(200)
    assert told["battery"]["closing"]["stored_wh"] == 10000
    assert told["battery"]["closing"]["carbon_g"] == 98.0
    assert told["pue"] == 1.0                   # an anchor is no energy of the data centre


def test_an_unread_supply_leaves_the_interval_without_carbon_and_is_counted():
    told = build_statement(SITE, [
        quarter(0, {"grid_import": 100.0, "it": 100.0}),
        quarter(1, {"grid_import": None, "it": 100.0})], FACTORS)
    assert told["carbon_g"]["it"] == pytest.approx(40.0)
    assert told["energy_wh"]["grid_import"] == 100.0
    assert told["energy_wh"]["it"] == 200.0
    assert told["undefined"]["carbon_intervals"] == 1
    assert told["undefined"]["unread"] == {"grid_import": 1}
    assert told["series"][1]["bus_g_per_kwh"] is None
    assert told["quality"]["missing"] == pytest.approx(100 / 400)


def test_an_unread_load_stands_in_the_residual_not_as_zero():
    told = build_statement(SITE, [quarter(0, {"grid_import": 100.0, "it": 70.0,
                                              "cooling": None})], FACTORS)
    assert told["energy_wh"]["cooling"] is None
    assert told["energy_wh"]["residual"] == 30.0
    assert any("unread load" in note for note in told["notes"])


def test_quarter_hours_that_are_not_there_count_as_missing():
    told = build_statement(SITE, [quarter(0, {"grid_import": 100.0, "it": 100.0})], FACTORS,
                           Options(T0 - QUARTER, T0 + 3 * QUARTER))
    assert told["undefined"]["intervals"] == 4
    assert told["undefined"]["carbon_intervals"] == 3
    assert told["quality"]["missing"] == pytest.approx(0.75)
    assert (told["from"], told["to"]) == ("2026-06-01T11:45:00Z", "2026-06-01T12:45:00Z")


def test_a_period_without_any_data_is_undefined_throughout():
    told = build_statement(SITE, [], FACTORS, Options(T0, T0 + QUARTER))
    assert told["energy_wh"]["it"] is None
    assert set(told["carbon_g"].values()) == {None}
    assert told["pue"] is None
    assert told["renewable_share_it"] is None
    assert told["quality"]["missing"] == 1.0
    assert told["compute"]["g_per_core_hour"] is None


def test_estimated_energy_is_shown_by_its_share():
    told = build_statement(SITE, [quarter(0, {"grid_import": 100.0, "it": 100.0},
                                          quality={"it": ESTIMATED})], FACTORS)
    assert told["quality"]["estimated"] == pytest.approx(0.5)
    assert told["quality_by_role"]["it"]["estimated"] == 1.0
    assert told["series"][0]["quality"] == "estimated"


def test_genset_carbon_comes_from_the_fuel_and_a_test_run_is_not_lost():
    site = SITE | {"devices": [*SITE["devices"], device("gen", "genset")]}
    told = build_statement(site, [
        quarter(0, {"genset": 1000.0, "it": 800.0}, fuel_l=0.5),
        quarter(1, {"grid_import": 100.0, "genset": 0.0, "it": 100.0}, fuel_l=0.1)], FACTORS)
    assert told["carbon_g"]["direct"] == pytest.approx(0.6 * 2676.492)
    assert told["carbon_g"]["indirect"] == pytest.approx(40.0)
    assert told["carbon_g"]["unallocated"] == pytest.approx(267.6492)
    assert told["compute"]["pool_g"] == pytest.approx(267.6492)
    assert told["adjustments"]["flags"] == {"genset_no_output": 1}


def test_a_genset_without_a_fuel_reading_has_undefined_carbon():
    site = SITE | {"devices": [*SITE["devices"], device("gen", "genset")]}
    told = build_statement(site, [quarter(0, {"genset": 1000.0, "it": 1000.0})], FACTORS)
    assert told["carbon_g"]["total"] is None
    assert told["energy_wh"]["genset"] == 1000.0


def test_intervals_in_any_order_give_the_same_statement_and_doubles_are_refused():
    some = [quarter(n, {"grid_import": 100.0 + n, "it": 90.0}) for n in range(4)]
    assert build_statement(SITE, some, FACTORS) == build_statement(SITE, some[::-1], FACTORS)
    with pytest.raises(ValueError, match="double"):
        build_statement(SITE, [*some, some[1]], FACTORS)


def test_a_statement_is_plain_json_and_prints_its_methods():
    told = build_statement(SITE, [quarter(0, {"grid_import": 100.0, "it": 75.0}, nodes=USE,
                                          soc=0.4)], FACTORS)
    assert json.loads(json.dumps(told)) == told
    assert told["factors"]["sha256"] == FACTORS.sha256
    assert told["methods"]["attribution"] == "proportional"
    assert "Not a CBAM declaration" in told["methods"]["claim"]


def test_a_bad_descriptor_is_refused_with_the_key():
    with pytest.raises(ConfigError, match="site"):
        build_statement({"devices": []}, [], FACTORS)
    with pytest.raises(ConfigError, match="efficiency"):
        build_statement(SITE | {"battery": {"capacity_wh": 1, "eta_charge": "1.2"}}, [], FACTORS)


def test_channels_become_roles_by_the_meters_place():
    amounts = {
        ("grid", "", "energy_active_import_total"): Amount(100.0),
        ("grid", "", "energy_active_export_total"): Amount(7.0, ESTIMATED),
        ("pv", "", "energy_active_export_total"): Amount(50.0),
        ("bat", "", "energy_active_import_total"): Amount(20.0),
        ("bat", "", "energy_active_export_total"): Amount(None, 2),
        ("n1m", "", "energy_active_import_total"): Amount(75.0),
        ("bms", "", "state_of_charge"): Amount(55.5),
        ("n1", "", "cpu_time"): Amount(7200.0),
        ("n1", "a", "cpu_time"): Amount(5400.0), ("n1", "a", "cores_reserved"): Amount(8.0),
        ("n1", "a", "tasks_total"): Amount(3.0),
    }
    found = site_interval(SITE, T0, QUARTER, amounts)
    assert found.energy_wh == {
        "grid_import": 100.0, "grid_export": 7.0, "pv": 50.0, "battery_charge": 20.0,
        "battery_discharge": None, "it": 75.0, "cooling": None}
    assert found.quality["grid_export"] == ESTIMATED
    assert found.soc == pytest.approx(0.555)
    assert found.nodes["n1"].workloads["a"] == WorkloadUse(5400.0, 8.0, 900.0, 3.0)
    assert found.nodes["n1"].workloads["b"] == WorkloadUse()
