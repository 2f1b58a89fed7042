"""What a report holds, as types: the ledger's statement and the evidence behind it.

At run time all of these are the plain maps that JSON and the templates take.  The sections of
the statement are the ledger's (docs/accounting.md names their keys).
"""

from typing import Any, TypedDict

Section = dict[str, Any]            # of the ledger's statement
FiguresByName = dict[str, float | None]   # by energy role or name; None = undefined


class MeterRow(TypedDict):
    """What one meter counted in one role; |error| <= bound_wh, None while nothing is known.
    set_aside_wh: shown by it and not counted, for it is above what rated_w allows."""

    device: str
    measurand: str
    role: str | None
    energy_wh: float | None
    bound_wh: float | None
    set_aside_wh: float
    rated_w: int | None


class JournalRange(TypedDict):
    """The records of a journal (hex) that stand behind a report."""

    journal: str
    first_seq: int
    last_seq: int
    records: int
    batches: int
    low_water: int


# A declared absence; device: None for the whole cabinet, from: None if the start is not known.
Gap = TypedDict("Gap", {"device": str | None, "from": str | None, "to": str, "reason": str})


# A quarter hour that an earlier report gave otherwise; wh_before, wh: of the roles that differ,
# issued: of the earlier report, why: codes of texts report.why.
Change = TypedDict("Change", {
    "from": str, "to": str, "issued": str, "wh_before": FiguresByName, "wh": FiguresByName,
    "g_before": float | None, "g": float | None, "why": list[str]})


class Decided(TypedDict):
    """What a person decided: which journal (hex) counts, and why."""

    number: int
    journal: str
    at: str
    author: str
    reason: str


# Readings of a journal (hex) that are not counted, because another one counts there.
Overlap = TypedDict("Overlap", {
    "journal": str, "by": str, "from": str, "to": str, "decision": Decided | None})


class SwapRegister(TypedDict):
    """What a register read last before a swap and first after it, in its unit; None: not read."""

    measurand: str
    item: str
    unit: str
    old_end: float | None
    new_start: float | None


# Another serial number that answered.  from: last reading of the old device, None if not known;
# to: first one of the new device.
SwapRow = TypedDict("SwapRow", {
    "device": str, "old_serial": str, "new_serial": str, "from": str | None, "to": str,
    "registers": list[SwapRegister]})


class Evidence(TypedDict):
    """What stands behind a report, checked when it was made."""

    records: int
    batches: int
    gaps: int
    chain_ok: bool
    coverage: float
    present: float
    faults: list[str]
    fault_codes: list[str]
    refused: dict[str, int]
    gap_list: list[Gap]
    clock_uncertainty_s: float
    simulated: bool
    journals: list[JournalRange]
    set_aside: list[Overlap]


class Slot(TypedDict):
    """One bar of the charts, accounted on its own."""

    start: str
    end: str
    energy_wh: FiguresByName
    bus_g_per_kwh: float | None
    grid_g_per_kwh: float | None
    g_per_core_hour: float | None


_Times = TypedDict("_Times", {"from": str, "to": str})


class Report(_Times):
    """A report: every key of the statement, and those of the fleet."""

    format: str
    site: str
    name: str
    cabinet: str
    timezone: str
    energy_wh: FiguresByName
    carbon_g: FiguresByName
    compute: FiguresByName
    renewable_share_it: float | None
    pue: float | None
    quality: FiguresByName
    quality_by_role: dict[str, FiguresByName]
    battery: Section | None
    adjustments: Section
    identities: Section
    undefined: Section
    factors: Section
    nodes: dict[str, Section]
    workloads: list[Section]
    series: list[Section]
    methods: Section
    notes: list[str]
    meters: list[MeterRow]
    meter_swaps: list[SwapRow]
    evidence: Evidence
    changes: list[Change]
    changes_more: int
    slots: list[Slot]
