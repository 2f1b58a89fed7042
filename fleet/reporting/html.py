"""The report as one HTML file that needs nothing else: numbers, charts, method, evidence.

The same report gives the same bytes: no time of printing, no random names.
"""

from fleet.reporting import above_limit, rendering, text
from fleet.reporting.content import Report, SwapRegister
from fleet.reporting.report_charts import charts
from fleet.texts import say
from gateway.ledger import statement
from gateway.ledger.site import DEVICE_ROLE

QUALITIES = ("measured", "estimated", "missing")
CHANGES_MAX = 200           # rows; JSON has more
FACTORS = ("scope", "basis", "zone")

NO_REGISTER: SwapRegister = {"measurand": text.NONE, "item": "", "unit": "", "old_end": None,
                             "new_start": None}

TableRow = tuple[str, ...]


def render(report: Report) -> str:
    """Return the report as HTML."""
    return rendering.render(rendering.shared(), "report.html", {
        "report": report, "energy": _energy(report), "carbon": _carbon(report),
        "compute": _compute(report), "charts": charts(report["slots"], "UTC"),
        "workloads": _workloads(report), "meters": _meters(report),
        "quality": _quality(report), "evidence": _evidence(report),
        "warnings": above_limit.notes(report["meters"]),
        "method": _method(report), "swaps": _swaps(report), "gaps": _gaps(report),
        "changes": _changes(report)})


def _energy(report: Report) -> list[TableRow]:
    """Return what each role took or gave; a role that is metered and not known has a dash, one
    that nobody meters has no row."""
    return [(say.named("energy", role), text.energy(value))
            for role, value in report["energy_wh"].items()
            if value is not None or role in report["quality_by_role"] or role == "residual"]


def _carbon(report: Report) -> list[TableRow]:
    return [(say.named("carbon", name), text.grams(value))
            for name, value in report["carbon_g"].items()
            if value is not None or _is_metered(report, name)]


def _is_metered(report: Report, carbon: str) -> bool:
    """Return whether the site has the meter that a row of carbon needs."""
    role = statement.NEEDED_METER.get(carbon, "")
    metered = {DEVICE_ROLE.get(energy) for energy in report["quality_by_role"]}
    return role in ("", *metered)


def _compute(report: Report) -> list[TableRow]:
    compute = report["compute"]
    if not report["nodes"]:
        return [(say("report.no_nodes"), text.NONE)]
    return [(say(f"compute.{name}"), shown) for name, shown in (
        ("reserved_core_hours", text.figure(compute["reserved_core_hours"], 1, "h")),
        ("used_core_hours", text.figure(compute["used_core_hours"], 1, "h")),
        ("tasks", text.figure(compute["tasks"])),
        ("g_per_core_hour", text.grams(compute["g_per_core_hour"])),
        ("g_per_task", text.grams(compute["g_per_task"])),
        ("renewable", text.share(report["renewable_share_it"], 1)),
        ("pue", text.figure(report["pue"], 3) if report["pue"] is not None
         else say("report.pue_undefined")))]


def _workloads(report: Report) -> list[TableRow]:
    return [(f"{row['node']} · {row['name']}", text.energy(row["energy_wh"]),
             text.grams(row["carbon_g"]), text.figure(row["reserved_core_hours"], 1),
             text.figure(row["g_per_core_hour"], 2), text.figure(row["tasks"]))
            for row in report["workloads"]]


def _meters(report: Report) -> list[TableRow]:
    return [(row["device"], say.named("role", row["role"] or ""), row["measurand"],
             text.figure(row["energy_wh"], 1, "Wh"),
             text.figure(row["set_aside_wh"], 1, "Wh") if row["set_aside_wh"] else text.NONE,
             say("number.bound", value=text.figure(row["bound_wh"], 1, "Wh")))
            for row in report["meters"]]


def _quality(report: Report) -> list[TableRow]:
    shares = [(say("report.all_meters"), report["quality"])]
    shares += [(say.named("energy", role), held)
               for role, held in report["quality_by_role"].items()]
    return [(name, *(text.share(held[one], 2) for one in QUALITIES)) for name, held in shares]


def _evidence(report: Report) -> list[TableRow]:
    found = report["evidence"]
    chain = say("report.chain_good" if found["chain_ok"] else "report.chain_bad")
    rows: list[TableRow] = [
        (say("report.records"), text.figure(found["records"])),
        (say("report.batches"), text.figure(found["batches"])),
        (say("report.chain"), chain),
        (say("report.present"), text.share(found["present"], 2)),
        (say("report.coverage"), text.share(found["coverage"], 2)),
        (say("report.gaps"), text.figure(found["gaps"])),
        (say("report.clock"), text.figure(found["clock_uncertainty_s"], 1, "s"))]
    rows += [(say("report.journal"), say(
        "report.journal_row", journal=one["journal"], first=one["first_seq"],
        last=one["last_seq"], receipted=one["low_water"])) for one in found["journals"]]
    return rows + [(say("report.fault"), fault) for fault in found["faults"]]


def _gaps(report: Report) -> list[TableRow]:
    return [(gap["device"] or say("report.whole_cabinet"),
             gap["from"] or say("report.start_unknown"), gap["to"], gap["reason"])
            for gap in report["evidence"]["gap_list"]]


def _changes(report: Report) -> list[TableRow]:
    """Return what earlier reports gave otherwise, the newest first."""
    return [text.describe_change(one) for one in reversed(report["changes"][-CHANGES_MAX:])]


def _swaps(report: Report) -> list[TableRow]:
    return [(swap["device"], swap["old_serial"], swap["new_serial"],
             swap["from"] or say("report.start_unknown"), swap["to"], one["measurand"],
             text.figure(one["old_end"], 3, one["unit"]), text.figure(one["new_start"], 3,
                                                                      one["unit"]))
            for swap in report["meter_swaps"] for one in swap["registers"] or [NO_REGISTER]]


def _method(report: Report) -> list[TableRow]:
    factors = report["factors"]
    kind = "estimated" if factors["estimated"] else "published"
    rows: list[TableRow] = [
        (say("report.factor_set"), say(
            "report.factor_set_row", id=factors["id"], sha256=factors["sha256"])),
        (say("report.factors_are"), say(f"report.factors_{kind}"))]
    rows += [(say(f"method.{name}"), str(factors[name])) for name in FACTORS if factors.get(name)]
    rows += [(say.named("method", name), str(value))
             for name, value in report.get("methods", {}).items()]
    return rows + [(say("report.note"), str(note)) for note in report.get("notes", ())]
