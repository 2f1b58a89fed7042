"""Single intervals whose numbers are worked by hand."""

from dataclasses import replace
from math import inf, isfinite, nan

import pytest

from gateway.core.errors import Bug
from gateway.ledger.compute.compute import Host, HostWorkload, full_rate, host_split, per_unit
from gateway.ledger.compute.kpi import pue
from gateway.ledger.flows.balance import bus_step
from gateway.ledger.flows.flows import Flows, Policy
from gateway.ledger.flows.identities import require
from gateway.ledger.flows.inventory import Inventory, anchor_to_soc, discharge


def test_a_missing_grid_factor_leaves_carbon_undefined_but_energy_booked():
    step = bus_step(Flows({"grid": 500, "pv": 100}, {"it": 600}, {"pv": 0}), Inventory())
    assert step.ci_g_per_kwh is None
    assert step.carbon_by_sink_g == {"it": None}
    assert step.origin_by_sink_wh["it"] == pytest.approx({"grid": 500, "pv": 100})


def test_a_factor_that_is_not_needed_may_be_missing():
    step = bus_step(Flows({"grid": 0, "pv": 100}, {"it": 100}, {"pv": 0}), Inventory())
    assert step.carbon_by_sink_g == {"it": 0}


def test_charging_without_a_known_factor_makes_the_inventory_undefined_not_clean():
    step = bus_step(Flows({"grid": 500}, {"battery": 500}, {}), Inventory())
    assert step.inventory.energy_wh == 500
    assert step.inventory.carbon_g is None
    assert step.inventory.g_per_kwh is None


def test_charging_without_a_known_factor_takes_the_fallback_and_books_it():
    step = bus_step(Flows({"grid": 500}, {"battery": 500}, {}), Inventory(),
                    Policy(fallback_g_per_kwh=400))
    assert step.inventory.carbon_g == 200
    assert step.adjustment.carbon_g == 200


def test_a_shortfall_with_no_other_supply_takes_the_fallback_with_origin_unknown():
    step = bus_step(Flows({"battery": 100}, {"it": 100}, {}), Inventory(),
                    Policy(fallback_g_per_kwh=300))
    assert step.carbon_by_sink_g == {"it": 30}
    assert step.origin_by_sink_wh == {"it": {"unknown": 100}}
    assert (step.adjustment.energy_wh, step.adjustment.carbon_g) == (100, 30)
    assert step.flags == ("inventory_shortfall",)


def test_pv_first_shares_the_pv_alike_between_the_loads():
    step = bus_step(Flows({"grid": 300, "pv": 300}, {"it": 400, "cooling": 200},
                          {"grid": 300, "pv": 0}), Inventory(), Policy("pv_first"))
    assert step.origin_by_sink_wh == {"it": {"pv": 200, "grid": 200},
                                      "cooling": {"pv": 100, "grid": 100}}
    assert step.carbon_by_sink_g == {"it": 60, "cooling": 30}


def test_pv_first_says_which_sink_no_source_was_left_for():
    step = bus_step(Flows({"grid": 500}, {"it": 500, "export": 100}, {"grid": 300}),
                    Inventory(), Policy("pv_first"))
    assert step.flags == ("negative_residual", "unserved_export")
    assert step.carbon_by_sink_g == {"it": 150, "export": 0}


def test_draining_the_battery_exactly_is_no_shortfall():
    made = discharge(Inventory(0.3, 3, {"pv": 0.3}, eta_discharge=0.1), 0.03)
    assert made.short_wh == 0
    assert made.inventory.energy_wh == pytest.approx(0, abs=1e-15)


def test_an_anchor_on_an_empty_inventory_has_an_unknown_origin():
    held, moved = anchor_to_soc(Inventory(), 100)
    assert (held.origins_wh, held.carbon_g, moved) == ({"unknown": 100}, 0, 100)


def test_an_anchor_does_not_blow_up_the_noise_of_an_emptied_inventory():
    held, _ = anchor_to_soc(Inventory(1e-13, 0, {"pv": 3e-14}), 50)
    assert held.origins_wh == {"unknown": 50}


@pytest.mark.parametrize("policy", [Policy(), Policy("pv_first"), Policy(residual="spread")])
@pytest.mark.parametrize("opening", [Inventory(), Inventory(100.0, 40.0, {"pv": 100.0})])
@pytest.mark.parametrize("pv_wh", [5e-324, 1e-310, 1e-300])
def test_a_supply_too_small_for_a_normal_float_gives_finite_books(policy, opening, pv_wh):
    flows = Flows({"pv": pv_wh, "battery": 500.0}, {"it": pv_wh, "battery": 500.0},
                  {"pv": 0.0, "grid": 400.0})
    for supply in (flows.supply_wh, {"pv": pv_wh}):
        step = bus_step(replace(flows, supply_wh=supply), opening, policy)
        held = step.inventory
        assert sum(step.mix.values()) == pytest.approx(1)
        assert held.energy_wh >= 0 and isfinite(held.energy_wh) and isfinite(held.carbon_g)
        assert sum(held.origins_wh.values()) == pytest.approx(held.energy_wh)


@pytest.mark.parametrize("sides", [(nan, nan, 1), (1.0, nan, 1), (inf, inf, 1), (1.0, 1.0, nan),
                                   (1.0, 2.0, inf)])
def test_an_identity_with_a_side_that_is_no_number_is_broken(sides):
    with pytest.raises(Bug, match="no finite"):
        require("I1", *sides)


def test_energy_too_small_to_divide_by_gives_no_rate_instead_of_infinity():
    assert full_rate(100.0, 20.0, 1e-310) == full_rate(100.0, 20.0, 0.0)
    assert (pue(500.0, 1e-310), per_unit(100.0, 1e-310)) == (None, None)


def test_an_inventory_whose_origins_do_not_add_up_stops_the_books():
    with pytest.raises(Bug, match="I3 origins of the battery"):
        bus_step(Flows({"grid": 1}, {"it": 1}, {"grid": 1}), Inventory(1000, 10, {"pv": 500}))


def test_reservations_beyond_the_host_share_its_idle_energy():
    split = host_split(
        Host(30, 900, 4, 120, {"a": HostWorkload(0, 6, 900), "b": HostWorkload(0, 2, 900)}))
    assert split.idle_wh == {"a": 22.5, "b": 7.5}
    assert split.unreserved_idle_wh == 0


def test_a_broken_identity_is_a_bug_with_both_numbers():
    with pytest.raises(Bug, match=r"I1 .*100\.0 against 101\.0"):
        require("I1", 100.0, 101.0, 100.0)
    require("I1", 100.0, 100.0 + 5e-8, 100.0)
