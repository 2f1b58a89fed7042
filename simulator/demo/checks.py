"""What the demo must prove, as pure functions of what it left behind.

In: the sealed batches as the fleet holds them, the witness (highest sequence the gateway
had made durable), the report and the simulator's own books.  Out: numbers and sentences.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypedDict

from gateway.core.codec.record import GAP, EventRecord, ScanRecord
from gateway.core.evidence.batch import open_body, open_sealed
from gateway.core.reading import ClockState, Stream, utc_ms
from gateway.core.roles import ENERGY_NAMES

# The keys of energy_wh that a meter measures; `residual` is computed from them.
ROLES: tuple[str, ...] = ENERGY_NAMES

# Which counter of which role is which energy: the judge's own opinion, not the ledger's table. The
# battery's meter stands at the AC side of
# its inverter: what it imports charges the battery.
IMPORT, EXPORT, YIELD = ("energy_active_import_total", "energy_active_export_total",
                         "energy_yield_total")
COUNTERS = {("grid", IMPORT): "grid_import", ("grid", EXPORT): "grid_export",
            ("battery", IMPORT): "battery_charge", ("battery", EXPORT): "battery_discharge",
            ("pv", YIELD): "pv", ("pv", EXPORT): "pv", ("genset", EXPORT): "genset",
            ("it", IMPORT): "it", ("cooling", IMPORT): "cooling",
            ("lighting", IMPORT): "lighting", ("other", IMPORT): "other"}

# A scan may be late by half an interval before it counts as missing.
LATE_FACTOR = 1.5
# A poll due just before the period's first moment may be read after its last, and one may be
# read early: at most one poll of a device falls over the edges.
EDGE_POLLS = 1


Json = dict[str, Any]           # a report or a summary


class EnergyRow(TypedDict):
    """One energy of a run against the simulator's books, in Wh."""

    role: str
    measured_wh: float | None
    truth_wh: float | None
    error_wh: float | None
    bound_wh: float


@dataclass
class DeliveredData:
    """What the fleet holds of one cabinet: sequence ranges, scan times, declared gaps."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    scans: dict[str, list[int]] = field(default_factory=dict)          # device -> UTC ms
    gaps: list[tuple[str | None, int, int, str]] = field(default_factory=list)


def read_delivered(sealed: Iterable[bytes],
                   inflate: Callable[[bytes, int], bytes]) -> DeliveredData:
    """Decode sealed batches into what the checks need; raises FormatError on a bad one."""
    found = DeliveredData()
    for data in sealed:
        _, batch = open_sealed(data)
        schema, records = open_body(batch, inflate)
        found.ranges.append((batch.first_seq, batch.last_seq))
        for record in records:
            _note(found, schema, batch.clock, record)
    return found


def _note(found: DeliveredData, schema: tuple[Stream, ...], clock: ClockState,
          record: ScanRecord | EventRecord) -> None:
    if isinstance(record, ScanRecord):
        at = utc_ms(clock, record.ticks_ms)
        if at is not None:
            found.scans.setdefault(schema[record.stream].device, []).append(at)
    elif record.kind == GAP:
        stream, start, end, reason = record.body[:4]
        name = None if stream < 0 else schema[stream].device
        found.gaps.append((name, start or 0, end or 0, reason))


def lost_and_duplicated(ranges: list[tuple[int, int]], witnessed: int) -> tuple[int, int]:
    """Return how many of the records 1..witnessed are absent, and how many stand twice."""
    times: dict[int, int] = {}
    for first, last in ranges:
        for sequence in range(first, last + 1):
            times[sequence] = times.get(sequence, 0) + 1
    lost = sum(1 for sequence in range(1, witnessed + 1) if sequence not in times)
    return lost, sum(1 for count in times.values() if count > 1)


def undeclared_gaps(found: DeliveredData, interval_ms: int) -> list[str]:
    """Return a sentence for each hole between scans that gap records do not explain.

    A bus that was held up reads its slot late and declares the slots after it: the scan stands
    behind the gap.  Hence what counts is how much of a hole nobody declared.
    """
    slack = LATE_FACTOR * interval_ms
    faults = []
    for device, times in found.scans.items():
        times.sort()
        gaps = sorted((start, end) for name, start, end, _ in found.gaps
                      if name in (None, device))
        for before, after in zip(times, times[1:], strict=False):
            if (after - before <= 2 * slack
                    or after - before - _covered(gaps, before, after) <= 2 * slack):
                continue
            faults.append(f"{device}: nothing for {(after - before) / 1000:.0f} s after"
                          f" {before} ms UTC, and no gap record")
    return faults


def missing_polls(found: DeliveredData, devices: Iterable[str], interval_ms: int,
                  period: tuple[int, int]) -> list[str]:
    """Return a sentence for each device with fewer scans than polls that were due.

    period: [start, end) in UTC ms.  A declared gap stands for the polls that fall into it; a
    device that never spoke, or fell silent before the end, is as missing as one in a hole.
    """
    start, end = period
    due = (end - start) // interval_ms
    faults = []
    for device in devices:
        here = sum(1 for at in found.scans.get(device, ()) if start <= at < end)
        gaps = sorted((a, b) for name, a, b, _ in found.gaps if name in (None, device))
        declared = -(-_covered(gaps, start, end) // interval_ms)
        if here + declared < due - EDGE_POLLS:
            faults.append(f"{device}: {here} scans and {declared} declared missing of {due}")
    return faults


def _covered(gaps: list[tuple[int, int]], start: int, end: int) -> int:
    """Return how much of start..end lies in gaps (sorted, they may overlap), all in ms."""
    total, reached = 0, start
    for gap_start, gap_end in gaps:
        gap_start, gap_end = max(gap_start, reached), min(gap_end, end)
        if gap_end > gap_start:
            total, reached = total + gap_end - gap_start, gap_end
    return total


def energy_rows(report: Json, truth: dict[str, float]) -> list[EnergyRow]:
    """Return measured, truth, error and bound of each energy, in Wh."""
    bounds = dict.fromkeys(ROLES, 0.0)
    for meter in report["meters"]:
        role = COUNTERS.get((meter["role"], meter["measurand"]))
        if role is not None:
            bounds[role] += meter["bound_wh"] or 0.0
    rows: list[EnergyRow] = []
    for role, bound in bounds.items():
        measured, real = report["energy_wh"].get(role), truth.get(role)
        if measured is None and not real and not bound:
            continue                            # nobody meters it, and there is none of it
        error = None if measured is None or real is None else measured - real
        rows.append({"role": role, "measured_wh": measured, "truth_wh": real,
                     "error_wh": error, "bound_wh": bound})
    return rows


def within_bounds(rows: list[EnergyRow]) -> list[str]:
    """Return a sentence for each energy that is missing or further off than its bound."""
    faults = []
    for row in rows:
        if row["error_wh"] is None:
            faults.append(f"{row['role']}: measured {row['measured_wh']}, truth"
                          f" {row['truth_wh']}")
        elif abs(row["error_wh"]) > row["bound_wh"] + 1e-6:
            faults.append(f"{row['role']}: off by {row['error_wh']:.2f} Wh, bound"
                          f" {row['bound_wh']:.2f} Wh")
    return faults


def table(rows: list[EnergyRow]) -> str:
    """Return the table measured | truth | error | bound as text, in Wh."""
    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    lines = [f"{'energy':<18}{'measured Wh':>14}{'truth Wh':>14}{'error':>10}{'bound':>10}"]
    lines += [f"{row['role']:<18}" + f"{cell(row['measured_wh']):>14}"
              + f"{cell(row['truth_wh']):>14}" + f"{cell(row['error_wh']):>10}"
              + f"{cell(row['bound_wh']):>10}" for row in rows]
    return "\n".join(lines)


@dataclass(frozen=True)
class DemoRun:
    """What a finished demo left to be judged.

    devices: names that should have been polled.  period: the books, [start, end) in UTC ms.
    chain_fault: what `fleet verify` found wrong, "" for nothing.
    """

    found: DeliveredData
    witnessed: int
    devices: tuple[str, ...]
    interval_ms: int
    period: tuple[int, int]
    report: Json
    truth: dict[str, float]
    chain_fault: str


def judge(run: DemoRun) -> Json:
    """Return the part of summary.json that follows from the run: ok, counts, checks, energy."""
    lost, doubled = lost_and_duplicated(run.found.ranges, run.witnessed)
    holes = undeclared_gaps(run.found, run.interval_ms)
    holes += missing_polls(run.found, run.devices, run.interval_ms, run.period)
    rows, evidence = energy_rows(run.report, run.truth), run.report["evidence"]
    off = within_bounds(rows)
    checks = [
        ("every acknowledged record is in the fleet", lost == 0 and run.witnessed > 0,
         f"{run.witnessed} witnessed, {lost} lost"),
        ("none is there twice", doubled == 0, f"{doubled} doubled"),
        ("every gap is declared", not holes,
         "; ".join(holes[:3]) or f"{len(run.found.gaps)} gaps, all declared"),
        ("the chain verifies", not run.chain_fault and bool(evidence["chain_ok"]),
         run.chain_fault or f"{evidence['batches']} batches"),
        ("the scans are complete or declared", evidence["coverage"] == 1.0,
         f"coverage {evidence['coverage']}"),
        ("each energy is within its bound of the truth", bool(rows) and not off,
         "; ".join(off[:3]) or f"{len(rows)} energies"),
    ]
    return {"ok": all(good for _, good, _ in checks), "lost": lost, "duplicated": doubled,
            "gaps": len(run.found.gaps), "witnessed": run.witnessed,
            "checks": [{"name": n, "ok": good, "detail": d} for n, good, d in checks],
            "energy": rows}
