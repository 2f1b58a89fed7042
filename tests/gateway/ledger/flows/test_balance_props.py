"""The identities hold exactly, in rationals, for any interval and policy."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.flows.balance import bus_step
from gateway.ledger.flows.flows import Flows, Policy
from gateway.ledger.flows.identities import carbon_sides, energy_sides
from gateway.ledger.flows.inventory import Inventory

wh = st.integers(0, 5000).map(Fraction)
factor = st.integers(0, 900).map(Fraction)
eta = st.integers(50, 100).map(lambda percent: Fraction(percent, 100))
policies = st.builds(Policy, st.sampled_from(["proportional", "pv_first"]),
                     st.sampled_from(["report", "spread"]), factor)


@st.composite
def flows(draw):
    """Any metered interval, residual of either sign included."""
    return Flows(
        {name: draw(wh) for name in ("grid", "pv", "genset", "battery")},
        {name: draw(wh) for name in ("it", "cooling", "lighting", "battery", "export")},
        {name: draw(factor) for name in ("grid", "pv", "genset")},
        draw(st.none() | factor), draw(st.none() | st.sampled_from([Fraction(1, 3)])))


@st.composite
def inventories(draw):
    """Any battery content whose origins sum to its energy."""
    origins = {name: draw(wh) for name in ("pv", "grid", "unknown")}
    return Inventory(sum(origins.values(), Fraction(0)), draw(factor), origins, draw(eta),
                     draw(eta), draw(st.sampled_from([Fraction(0), Fraction(20)])))


@settings(max_examples=300, deadline=None)
@given(flows(), inventories(), policies)
def test_energy_carbon_and_origins_close_exactly(given_flows, opening, policy):
    step = bus_step(given_flows, opening, policy)
    left, right = energy_sides(given_flows, opening, step)
    assert left == right
    carbon = carbon_sides(given_flows, opening, step)
    if carbon is not None:
        assert carbon[0] == carbon[1]
    held = step.inventory
    assert sum(held.origins_wh.values()) == held.energy_wh >= 0
    assert held.carbon_g is None or held.carbon_g >= 0
    if not any(flag.startswith("unserved_") for flag in step.flags):
        for sink, origins in step.origin_by_sink_wh.items():
            assert sum(origins.values()) == given_flows.sinks_wh[sink]


@settings(max_examples=150, deadline=None)
@given(flows(), inventories())
def test_both_policies_give_the_same_site_total(given_flows, opening):
    """I7: loads, export, residual and stored carbon together do not depend on the policy."""
    totals = []
    for name in ("proportional", "pv_first"):
        step = bus_step(given_flows, opening, Policy(name, fallback_g_per_kwh=Fraction(0)))
        sinks = [g for sink, g in step.carbon_by_sink_g.items() if sink != "battery"]
        if None in sinks or step.residual_carbon_g is None:
            return
        totals.append(sum(sinks) + step.residual_carbon_g + step.inventory.carbon_g)
    assert totals[0] == totals[1]


@settings(max_examples=100, deadline=None)
@given(flows(), inventories(), st.integers(2, 9))
def test_scaling_all_factors_scales_all_carbon(given_flows, opening, times):
    """I5, with the battery's carbon and the fuel's scaled too."""
    step = bus_step(given_flows, opening, Policy())
    more = Flows(
        given_flows.supply_wh, given_flows.sinks_wh,
        {name: value * times for name, value in given_flows.factors_g_per_kwh.items()},
        None if given_flows.genset_carbon_g is None else given_flows.genset_carbon_g * times,
        given_flows.grid_renewable_share)
    scaled = bus_step(more, Inventory(
        opening.energy_wh, opening.carbon_g * times, opening.origins_wh, opening.eta_charge,
        opening.eta_discharge, opening.standby_w), Policy())
    for sink, grams in step.carbon_by_sink_g.items():
        assert scaled.carbon_by_sink_g[sink] == (None if grams is None else grams * times)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(0, 1e7), min_size=9, max_size=9), st.floats(0, 1000))
def test_floats_of_any_size_pass_the_run_time_checks(values, grams):
    step = bus_step(
        Flows(dict(zip(("grid", "pv", "genset", "battery"), values, strict=False)),
              dict(zip(("it", "cooling", "lighting", "battery", "export"), values[4:],
                       strict=True)),
              {"grid": grams, "pv": 0.0, "genset": 820.0}),
        Inventory(1000.0, 100.0, {"pv": 700.0, "grid": 300.0}, 0.96, 0.96, 12.0), Policy())
    assert step.inventory.energy_wh >= 0
