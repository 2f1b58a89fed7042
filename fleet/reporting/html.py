"""The report as one HTML file that needs nothing else: numbers, charts, method, evidence.

The same report gives the same bytes: no time of printing, no random names.
"""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from fleet.reporting import text as words
from fleet.reporting.report_charts import charts

CSS = Path(__file__).resolve().parents[1] / "web" / "assets"
ENERGY_WORDS = {
    "grid_import": "From the grid", "grid_export": "To the grid", "pv": "Solar (PV)",
    "battery_charge": "Into the battery", "battery_discharge": "From the battery",
    "genset": "Generator", "it": "IT", "cooling": "Cooling", "lighting": "Lighting",
    "other": "Other", "residual": "Not metered (sources less loads)",
}
CARBON_WORDS = {
    "total": "Caused in the period", "direct": "of it direct (fuel burned here)",
    "indirect": "of it indirect (electricity bought)", "it": "IT",
    "it_with_overhead": "IT with all overhead", "cooling": "Cooling", "lighting": "Lighting",
    "other": "Other", "export": "Sold to the grid", "residual": "Not metered",
    "unallocated": "Fuel no interval could carry", "stored": "Gained by the battery",
    "adjustment": "Adjustment (assumed, not measured)",
}
COMPUTE_WORDS = (           # key, words, digits, unit
    ("reserved_core_hours", "Core-hours reserved", 1, "h"),
    ("used_core_hours", "Core-hours used", 1, "h"),
    ("tasks", "Tasks finished", 0, ""),
    ("g_per_core_hour", "Carbon of a reserved core-hour", 2, "g"),
    ("g_per_task", "Carbon of a task", 3, "g"),
)


def render(report: Mapping[str, Any]) -> str:
    """Return the report as HTML."""
    css = "".join((CSS / name).read_text(encoding="utf-8") for name in ("charts.css", "page.css"))
    title = f"{report['name']}: {report['from']} to {report['to']}"
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f'<title>{escape(title)}</title><style>{css}{TABLES}</style></head><body>'
            f'<header class="top"><span class="brand">Wattproof</span>'
            f'<h1>{escape(report["name"])}</h1></header>'
            f'<p class="status">Energy and carbon from <b>{escape(report["from"])}</b> (included) '
            f'to <b>{escape(report["to"])}</b> (excluded), UTC</p><main>'
            f'{_figures(report)}{_drawn(report)}{_workloads(report)}{_meters(report)}'
            f'{_quality(report)}{_evidence(report)}{_method(report)}</main></body></html>')


TABLES = """
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
td, th { text-align: left; padding: .22rem .6rem .22rem 0; border-bottom: 1px solid var(--faint);
  vertical-align: top; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
@media print { body { max-width: none; background: #fff; } .panel { break-inside: avoid; } }
"""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], numbers_from: int = 1) -> str:
    def cells(tag: str, values: Iterable[str]) -> str:
        return "".join(f'<{tag}{" class=n" if i >= numbers_from else ""}>{escape(value)}</{tag}>'
                       for i, value in enumerate(values))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><tr>{cells('th', head)}</tr>{body}</table>"


def _panel(title: str, content: str) -> str:
    return f'<section class="panel"><h2>{escape(title)}</h2>{content}</section>'


def _figures(report: Mapping[str, Any]) -> str:
    energy = [(ENERGY_WORDS[role], words.energy(value))
              for role, value in report["energy_wh"].items() if value is not None]
    carbon = [(CARBON_WORDS.get(name, name), words.grams(value))
              for name, value in report["carbon_g"].items()]
    compute = [(text, words.figure(report["compute"][key], digits, unit))
               for key, text, digits, unit in COMPUTE_WORDS]
    compute += [("Compute on renewable energy", words.share(report["renewable_share_it"], 1)),
                ("All energy / IT energy (PUE)", words.figure(report["pue"], 3))]
    return ('<div class="columns">' + _panel("Energy", _table(("", "Energy"), energy))
            + _panel("Carbon (CO2)", _table(("", "Mass"), carbon)) + '</div>'
            + _panel("Compute", _table(("", "Value"), compute)))


def _drawn(report: Mapping[str, Any]) -> str:
    drawn = charts(report["slots"], report["timezone"])
    return _panel(f"Course ({report['timezone']})", f'<div id="charts">{drawn}</div>')


def _workloads(report: Mapping[str, Any]) -> str:
    rows = [(f"{row['node']} · {row['name']}", words.energy(row["energy_wh"]),
             words.grams(row["carbon_g"]), words.figure(row["reserved_core_hours"], 1),
             words.figure(row["g_per_core_hour"], 2), words.figure(row["tasks"]))
            for row in report["workloads"]]
    return _panel("Workloads", _table(
        ("Node · workload", "Energy", "Carbon", "Core-hours", "g per core-hour", "Tasks"), rows))


def _meters(report: Mapping[str, Any]) -> str:
    rows = [(row["device"], str(row["role"] or ""), row["measurand"],
             words.figure(row["energy_wh"], 1, "Wh"), f"± {words.figure(row['bound_wh'], 1, 'Wh')}")
            for row in report["meters"]]
    note = ('<p class="note">The bound holds two steps of the register, the interpolation at both '
            'ends and the power there times the clock’s uncertainty; meter and transformer '
            'classes come on top.</p>')
    head = ("Meter", "Role", "Register", "Energy", "Bound")
    return _panel("Meters", _table(head, rows, 3) + note)


def _quality(report: Mapping[str, Any]) -> str:
    rows = [("All meters", *(words.share(report["quality"][name], 2)
                             for name in ("measured", "estimated", "missing")))]
    rows += [(ENERGY_WORDS.get(role, role), *(words.share(held[name], 2)
                                              for name in ("measured", "estimated", "missing")))
             for role, held in report["quality_by_role"].items()]
    return _panel("Quality, as share of energy",
                  _table(("", "Measured", "Estimated", "Missing"), rows))


def _evidence(report: Mapping[str, Any]) -> str:
    found = report["evidence"]
    chain = "unbroken, every signature fits" if found["chain_ok"] else "NOT in order"
    rows = [("Records", words.figure(found["records"])),
            ("Signed batches", words.figure(found["batches"])), ("Chain", chain),
            ("Expected readings here or declared missing", words.share(found["coverage"], 2)),
            ("Declared gaps", words.figure(found["gaps"])),
            ("Clock true within", words.figure(found["clock_uncertainty_s"], 1, "s"))]
    rows += [("Journal", f"{one['journal']}: records {one['first_seq']}..{one['last_seq']}, "
              f"receipted to {one['low_water']}") for one in found["journals"]]
    rows += [("Fault", fault) for fault in found["faults"]]
    rows += [("Gap", f"{gap['device'] or 'whole cabinet'}: {gap['from'] or 'start unknown'} to "
              f"{gap['to']}: {gap['reason']}") for gap in found["gap_list"]]
    check = (f'<p class="note">Check it: <code>python -m fleet verify --data DIR --site '
             f'{escape(report["site"])}</code></p>')
    return _panel("Evidence", _table(("", ""), rows, 9) + check)


def _method(report: Mapping[str, Any]) -> str:
    factors = report["factors"]
    rows = [("Factor set", f"{factors['id']} (SHA-256 {factors['sha256']})"),
            ("Factors are", "estimated" if factors["estimated"] else "published")]
    rows += [(name.replace("_", " ").capitalize(), str(factors[name]))
             for name in ("scope", "basis", "zone") if factors.get(name)]
    rows += [(name.replace("_", " ").capitalize(), str(value))
             for name, value in report.get("methods", {}).items()]
    rows += [("Note", str(note)) for note in report.get("notes", ())]
    return _panel("Method and factors", _table(("", ""), rows, 9))
