"""From a golden vector's method and inputs to our public functions, and back to its words.

    found = METHODS[vector["method"]](vector["inputs"])
"""

from datetime import UTC, date, datetime
from decimal import Decimal

from gateway.core import counter
from gateway.ledger.compute import compute, kpi
from gateway.ledger.factors import factors, localtime
from gateway.ledger.flows.balance import bus_step
from gateway.ledger.flows.flows import Flows, Policy
from gateway.ledger.flows.inventory import Inventory, anchor_to_soc, opened
from gateway.ledger.series import Book, add_up, it_figures
from tests.support.resample import resample


def number(value):
    """Return a number of a vector, which may be written as a decimal string."""
    return float(value) if isinstance(value, str) else value


def numbers(mapping):
    """Return a mapping with its decimal strings read."""
    return {key: number(value) for key, value in mapping.items()}


def counter_delta(given):
    """counter.delta"""
    worth = given["wh_per_count"]
    rate = counter.counts_per_hour(given["p_max_w"], worth * 1000)
    limit = counter.limit_counts(rate, given["dt_s"] * 1000)
    status, counts = counter.difference(given["prev"], given["cur"], given["modulus"], limit)
    return {"status": status, "energy_wh": None if counts is None else counts * worth}


def counter_interpolate(given):
    """counter.interpolate"""
    top, bottom = counter.exact((given["t0"], given["r0"]), (given["t1"], given["r1"]),
                                given["t"])
    milli = counter.interpolate((given["t0"], given["r0"]), (given["t1"], given["r1"]),
                                given["t"])
    assert abs(milli - 1000 * top / bottom) <= 0.5
    return {"value": top / bottom}


def counter_resample(given):
    """counter.resample"""
    at = resample([tuple(r) for r in given["readings"]], given["boundaries"])
    deltas = [None if a is None or b is None else (b - a) / 1000
              for a, b in zip(at, at[1:], strict=False)]
    total = None if None in deltas else sum(deltas)
    return {"energy_wh": deltas, "total_wh": total}


def inventory_of(given):
    """Return an Inventory from a vector's battery, or None."""
    if given is None:
        return None
    return opened(Inventory(
        number(given["energy"]), number(given["carbon"]), numbers(given.get("origins", {})),
        number(given.get("eta_c", 1)), number(given.get("eta_d", 1)),
        number(given.get("standby_w", 0))))


def flows_of(given, dt_s):
    """Return the Flows of a vector's interval.

    Vector S029 names no factor for PV and means 0: the scope of the vectors is direct.
    """
    share = given.get("grid_res_share")
    return Flows(numbers(given["supply"]), numbers(given["sinks"]),
                 {"pv": 0, **numbers(given["factors"])},
                 given.get("genset_carbon_g"), None if share is None else number(share),
                 given.get("dt_s", dt_s))


def policy_of(given):
    """Return the Policy of a vector."""
    return Policy(given.get("policy", "proportional"), given.get("residual_policy", "report"))


def bus(given):
    """bus.step"""
    step = bus_step(flows_of(given, 900), inventory_of(given.get("battery")) or Inventory(),
                    policy_of(given))
    held = step.inventory
    return {
        "ci_g_per_kwh": step.ci_g_per_kwh, "carbon_by_sink_g": step.carbon_by_sink_g,
        "residual_wh": step.residual_wh, "residual_carbon_g": step.residual_carbon_g,
        "origin_by_sink_wh": step.origin_by_sink_wh, "flags": list(step.flags),
        "direct_unallocated_g": step.direct_unallocated_g,
        "battery_after": {"energy_wh": held.energy_wh, "carbon_g": held.carbon_g,
                          "origins_wh": held.origins_wh,
                          "intensity_stored_g_per_kwh": held.g_per_kwh},
        "losses_wh": {"charge": step.losses.charge_wh, "discharge": step.losses.discharge_wh,
                      "standby": step.losses.standby_wh},
        "adjustment": {"energy_wh": step.adjustment.energy_wh,
                       "carbon_g": step.adjustment.carbon_g},
    }


def series(given):
    """site.series"""
    dt_s = given.get("dt_s", 900)
    loads = given.get("it_loads", ["it"])
    inventory, steps = inventory_of(given.get("battery")) or Inventory(), []
    for flows in [flows_of(each, dt_s) for each in given["intervals"]]:
        steps.append(Book(flows, inventory, bus_step(flows, inventory, policy_of(given))))
        inventory = steps[-1].step.inventory
    books = add_up(steps)
    it = it_figures(books, loads)
    sinks = [sink for sink in books.sinks_wh if sink not in ("battery", "export")]
    return {
        "supply_wh": books.supply_wh, "sinks_wh": books.sinks_wh,
        "carbon_by_sink_g": books.carbon_by_sink_g, "carbon_primary_g": books.carbon_primary_g,
        "residual_wh": books.residual_wh, "residual_carbon_g": books.residual_carbon_g,
        "losses_wh": books.losses_wh, "direct_unallocated_g": books.direct_unallocated_g,
        "adjustment": {"energy_wh": books.adjustment.energy_wh,
                       "carbon_g": books.adjustment.carbon_g},
        "battery_end": {"energy_wh": books.steps[-1].inventory.energy_wh,
                        "carbon_g": books.steps[-1].inventory.carbon_g},
        "delta_stored": {"energy_wh": books.stored_wh, "carbon_g": books.stored_g},
        "e_dc_wh": books.e_dc_wh, "pue": it.pue, "e_it_wh": it.energy_wh,
        "it_carbon_g": it.carbon_g, "it_intensity_g_per_kwh": it.g_per_kwh,
        "it_full_intensity_g_per_kwh": it.full_g_per_kwh,
        "renewable_share": {sink: books.renewable_share(sink) for sink in sinks},
        "energy_identity_error_wh": books.energy_identity_error_wh,
        "carbon_identity_error_g": books.carbon_identity_error_g,
        "flag_counts": books.flag_counts,
        "ci_g_per_kwh": [step.ci_g_per_kwh for step in books.steps],
    }


def battery_anchor(given):
    """battery.anchor"""
    held, adjustment = anchor_to_soc(inventory_of(given["battery"]), number(given["measured_wh"]))
    return {"adjustment_wh": adjustment, "energy_wh": held.energy_wh, "carbon_g": held.carbon_g,
            "origins_wh": held.origins_wh, "intensity_stored_g_per_kwh": held.g_per_kwh}


def utc_text(ms):
    """Return RFC 3339 text of UTC milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_day(given):
    """time.local_day"""
    day = localtime.local_day(date.fromisoformat(given["date"]), given["tz"])
    return {"count": day.count, "first_utc": utc_text(day.start_ms),
            "end_utc": utc_text(day.end_ms)}


def local_hours(given):
    """time.local_hours"""
    hours = localtime.local_hours(date.fromisoformat(given["date"]), given["tz"],
                                  given["energy_wh_by_interval"], given["factor_by_utc_hour"])
    return {"energy_by_local_hour_wh": hours.energy_wh, "total_wh": hours.total_wh,
            "carbon_g": hours.carbon_g}


def factor_lookup(given):
    """factor.lookup"""
    records = [
        factors.FactorRecord(r["id"], r["version"], r["published"], factors.utc_ms(r["from"]),
                                    factors.utc_ms(r["to"]), Decimal(r["g_per_kwh"]))
               for r in given["records"]]
    found = factors.lookup(records, factors.utc_ms(given["at"]))
    if found is None:
        return {"id": None, "g_per_kwh": None, "status": "missing"}
    return {"id": found.id, "g_per_kwh": float(found.g_per_kwh), "status": "ok"}


def factor_split(given):
    """factor.split_interval"""
    parts = factors.split_interval(given["start_s"], given["end_s"], given["energy_wh"],
                                   [tuple(change) for change in given["changes"]])
    grams = [part.carbon_g for part in parts]
    return {"parts": [{"energy_wh": p.energy_wh, "carbon_g": p.carbon_g} for p in parts],
            "carbon_g": None if None in grams else sum(grams)}


def factor_weighted(given):
    """factor.weighted"""
    ef, mwh = factors.weighted([(Decimal(str(r["mwh"])), Decimal(str(r["ef"])))
                                for r in given["rows"]])
    return {"ef": None if ef is None else float(ef), "mwh": float(mwh)}


def host_of(given):
    """Return a Host of a vector."""
    loads = {w["id"]: compute.HostWorkload(w["cpu_s"], w["cores_reserved"], w["reserved_s"])
             for w in given["workloads"]}
    gpus = [compute.Gpu(g["energy_wh"], g["idle_w"], g.get("use", {}), g.get("reserved", {}))
            for g in given.get("gpus", ())]
    return compute.Host(given["e_host_wh"], given["dt_s"], given["cores_total"],
                        given["idle_w"], loads, gpus)


def host_split(given):
    """compute.host_split"""
    split = compute.host_split(host_of(given), given.get("idle_policy") == "spread")
    return {"dynamic_wh": split.dynamic_wh, "idle_wh": split.idle_wh,
            "unattributed_dynamic_wh": split.unattributed_dynamic_wh,
            "unreserved_idle_wh": split.unreserved_idle_wh}


def overhead(given):
    """compute.overhead"""
    rate = compute.full_rate(given["it_carbon_g"], given["overhead_carbon_g"],
                             given["e_it_wh"])
    return {"rate_g_per_kwh": rate.g_per_kwh, "pool_g": rate.pool_g}


def period_pool(given):
    """compute.period_pool"""
    pool = compute.period_pool(
        [(i["e_it_wh"], i["it_carbon_g"], i["overhead_carbon_g"]) for i in given["intervals"]],
        given["unallocated_direct_g"])
    return {"direct_g": list(pool.direct_g), "pool_g": pool.pool_g, "total_g": pool.total_g,
            "pool_rate_g_per_kwh": pool.pool_rate_g_per_kwh,
            "full_rate_g_per_kwh": pool.full_rate_g_per_kwh}


def job(given):
    """compute.job"""
    made = given.get("embodied")
    embodied = None if made is None else compute.Embodied(
        made["te_g"], made["el_s"], made["rr"], made["tor"])
    name = given["intervals"][0]["job"]
    done = compute.job(name, given["t2"] - given["t1"],
                       [compute.JobSlice(host_of(i["host"]), i["rate_g_per_kwh"])
                        for i in given["intervals"]], embodied)
    return {"dynamic_wh": done.dynamic_wh, "idle_wh": done.idle_wh,
            "operational_g": done.operational_g, "per_interval_g": list(done.per_interval_g),
            "embodied_g": done.embodied_g, "carbon_g": done.carbon_g}


def unit_rates(given):
    """compute.unit_rates"""
    rates = compute.unit_rates(
        given["cpu_carbon_g"], given.get("gpu_carbon_g", 0),
        compute.Units(given["core_seconds_reserved"], given["core_seconds_used"],
                      given.get("gpu_seconds_reserved", 0), given.get("tasks", 0)))
    return {"g_per_reserved_core_hour": rates.g_per_reserved_core_hour,
            "g_per_used_core_hour": rates.g_per_used_core_hour,
            "g_per_gpu_hour": rates.g_per_gpu_hour, "g_per_task": rates.g_per_task}


def pue(given):
    """kpi.pue"""
    return {"pue": kpi.pue(number(given["e_dc_kwh"]), number(given["e_it_kwh"]))}


def ref(given):
    """kpi.ref"""
    capped, uncapped = kpi.ref(
        number(given.get("e_ren_onsite_kwh", 0)), number(given.get("e_ren_ppa_kwh", 0)),
        number(given.get("e_ren_go_kwh", 0)), number(given["e_dc_kwh"]))
    return {"ref": capped, "ref_uncapped": uncapped}


METHODS = {
    "counter.delta": counter_delta, "counter.interpolate": counter_interpolate,
    "counter.resample": counter_resample, "bus.step": bus, "site.series": series,
    "battery.anchor": battery_anchor, "time.local_day": local_day,
    "time.local_hours": local_hours, "factor.lookup": factor_lookup,
    "factor.split_interval": factor_split, "factor.weighted": factor_weighted,
    "compute.host_split": host_split, "compute.overhead": overhead,
    "compute.period_pool": period_pool, "compute.job": job, "compute.unit_rates": unit_rates,
    "kpi.pue": pue, "kpi.ref": ref,
}
