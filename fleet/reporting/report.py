"""The report of a site and a period: the ledger's statement, with the evidence behind it.

from_ms is included, to_ms excluded; both lie on quarter hours of UTC, because that is what
readings are accounted in.  The battery's books are carried from the site's first day (at most
WARM_UP_MS back), so that a report of one day knows what the battery was charged with.
"""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple, cast

from fleet import verify
from fleet.errors import ReportError
from fleet.formats.registry import EnrolledCabinet
from fleet.formats.timetext import rfc3339
from fleet.reporting import above_limit, changes, factor_choice, period, presence, swaps, text
from fleet.reporting.content import Evidence, Gap, Report, Section, Slot
from fleet.reporting.period import PeriodData
from fleet.rollup import config_history, overlaps
from fleet.rollup.config_history import ConfigHistory
from fleet.store.reader import GapRow, StoreReader
from fleet.texts import say
from gateway.ledger import statement
from gateway.ledger.books import Options
from gateway.ledger.counter_limits import Descriptor
from gateway.ledger.factors import factors
from gateway.ledger.flows.inventory import Inventory
from gateway.ledger.site import SiteInterval, read_site

WARM_UP_MS = 31 * 24 * 3_600_000
PERIOD_MS_MAX = 3660 * 24 * 3_600_000       # ten years
GAPS_LISTED_MAX = 1000
BINS_MAX = 192             # bars of a chart: two days of quarter hours, then coarser


class ReportRequest(NamedTuple):
    """What a report is asked about; factors: id of a set or its file, None for the site's own."""

    cabinet: EnrolledCabinet
    factors: str | None
    from_ms: int
    to_ms: int


def cabinet_of(sites: dict[str, list[EnrolledCabinet]], name: str) -> EnrolledCabinet:
    """Return the gateway of a site; raises ReportError with what is known."""
    if not sites:
        raise ReportError(say("refusal.no_sites"))
    if name not in sites:
        raise ReportError(say("refusal.no_site", site=name, known=", ".join(sites)))
    if len(sites[name]) > 1:
        names = ", ".join(entry.id for entry in sites[name])
        raise ReportError(say("refusal.several_cabinets", site=name, cabinets=names))
    return sites[name][0]


def build(reader: StoreReader, request: ReportRequest) -> Report:
    """Return the report as plain data, all keys of the statement included.

    Raises ReportError when the period is impossible or holds nothing.
    """
    _check_period(reader, request)
    cabinet, from_ms, to_ms = request.cabinet, request.from_ms, request.to_ms
    history = history_of(reader, request)
    descriptor = history.whole()
    found = period.load(reader, cabinet.id, history, from_ms, to_ms)
    chosen = factor_choice.choose(reader.data, request.factors, descriptor)
    pinned = chosen.factors
    options = Options(from_ms, to_ms, opening=_opening(reader, request, pinned))
    content = statement.build_statement(descriptor, found.intervals, pinned, options)
    evidence = _evidence(reader, request, history, found)
    simulated = [say("report.simulated")] if evidence["simulated"] else []
    changed, more = changes.found(reader, changes.IssueSubject(
        cabinet.id, from_ms, to_ms, pinned.sha256, content["battery"] is not None),
        content["series"])
    content["factors"] |= {"configured_id": descriptor.get("factor_set"),
                           "configured_sha256": descriptor.get("factor_sha256")}
    content |= {"site": cabinet.site, "name": cabinet.name, "cabinet": cabinet.id,
                "timezone": cabinet.timezone, "meters": found.meters,
                "meter_swaps": found.swap_rows,
                "notes": [*simulated, *map(text.describe_overlap, evidence["set_aside"]),
                          *changes.notes(len(changed) + more), *above_limit.notes(found.meters),
                          *_factor_notes(chosen, history), *content["notes"],
                          *swaps.notes(found.swap_rows), *history.notes()],
                "evidence": evidence, "changes": changed, "changes_more": more,
                "slots": _bins(descriptor, found.intervals, pinned, options)}
    return cast(Report, content)


def _factor_notes(chosen: factor_choice.Chosen, history: ConfigHistory) -> list[str]:
    descriptors = (descriptor for _, _, descriptor in history.spans())
    return [note for note in (
        chosen.note, *factor_choice.changes(descriptors, chosen.factors.id)) if note]


def history_of(reader: StoreReader, request: ReportRequest) -> ConfigHistory:
    """Return which configurations a period was recorded under; raises ReportError for none."""
    found = config_history.of_period(reader, request.cabinet.id, request.from_ms,
                                     request.to_ms)
    if found is None:
        raise ReportError(say("refusal.no_configuration", site=request.cabinet.site))
    return found


def _check_period(reader: StoreReader, request: ReportRequest) -> None:
    cabinet, from_ms, to_ms = request.cabinet, request.from_ms, request.to_ms
    if to_ms <= from_ms:
        raise ReportError(say("refusal.backwards", from_time=rfc3339(from_ms),
                              to_time=rfc3339(to_ms)))
    if to_ms - from_ms > PERIOD_MS_MAX:
        raise ReportError(say("refusal.too_long"))
    span = reader.span_ms(cabinet.id)
    if span is None:
        raise ReportError(say("refusal.no_readings_check", site=cabinet.site))
    if to_ms <= span[0] or from_ms >= span[1]:
        raise ReportError(say(
            "refusal.outside", site=cabinet.site, from_time=rfc3339(from_ms),
            to_time=rfc3339(to_ms), first=rfc3339(span[0]), last=rfc3339(span[1])))


def _opening(reader: StoreReader, request: ReportRequest,
             pinned: factors.FactorSet) -> Inventory | None:
    """Return what the battery held before the period; None at the site's beginning."""
    span = reader.span_ms(request.cabinet.id)
    start = max(span[0] if span else request.from_ms, request.from_ms - WARM_UP_MS)
    if start >= request.from_ms:
        return None
    history = history_of(reader, request._replace(from_ms=start, to_ms=request.from_ms))
    if history.whole().get("battery") is None:
        return None
    before = period.load(reader, request.cabinet.id, history, start, request.from_ms)
    options = Options(start, request.from_ms)
    books = statement.keep_books(read_site(history.whole()),
                                 statement.fill(before.intervals, options), pinned, options)
    return books.closing


def _evidence(reader: StoreReader, request: ReportRequest, history: ConfigHistory,
              found: PeriodData) -> Evidence:
    cabinet, from_ms, to_ms = request.cabinet, request.from_ms, request.to_ms
    records, batches = reader.evidence(cabinet.id, from_ms, to_ms)
    gaps = swaps.gaps(found.swap_rows)
    gaps += [_gap(history, gap) for gap in reader.gaps(cabinet.id, from_ms, to_ms)]
    checked = verify.period(reader, cabinet, from_ms, to_ms)
    wrong = [fault for one in checked for fault in one.faults]
    faults = [f"{fault.cabinet}: {fault.what}" for fault in wrong]
    return {
        "records": records, "batches": batches, "gaps": len(gaps), "chain_ok": not faults,
        "coverage": period.coverage(reader, cabinet.id, history, found.swaps),
        "present": presence.share(reader, cabinet.id, history),
        "faults": faults[:GAPS_LISTED_MAX],
        "fault_codes": sorted({fault.code for fault in wrong}),
        "refused": reader.refused(cabinet.id),
        "gap_list": gaps[:GAPS_LISTED_MAX],
        "clock_uncertainty_s": reader.uncertainty_ms(cabinet.id, from_ms, to_ms) / 1000,
        "simulated": reader.simulated(cabinet.id, from_ms, to_ms),
        "journals": [{"journal": one.journal, "first_seq": one.first_seq,
                      "last_seq": one.last_seq, "records": one.records,
                      "batches": one.batches, "low_water": one.low_water} for one in checked],
        "set_aside": [text.overlap(one) for one in overlaps.of_period(
            reader, cabinet.id, from_ms, to_ms)[:GAPS_LISTED_MAX] if not one.seam],
    }


def _gap(history: ConfigHistory, gap: GapRow) -> Gap:
    return {"device": period.stream_of(gap, history),
            "from": None if gap.from_ms is None else rfc3339(gap.from_ms),
            "to": rfc3339(gap.utc_ms if gap.to_ms is None else gap.to_ms),
            "reason": str(gap.reason)}


def _bins(descriptor: Descriptor, intervals: list[SiteInterval], pinned: factors.FactorSet,
          options: Options) -> list[Slot]:
    """Return the period in at most BINS_MAX equal slots, each accounted on its own with the
    battery as the slot before left it: what charts draw."""
    filled = statement.fill(intervals, options)
    size = -(-len(filled) // BINS_MAX)
    entries = statement.keep_books(read_site(descriptor), filled, pinned,
                                   options).entries
    bins = []
    for first in range(0, len(filled), size):
        part = filled[first:first + size]
        own = dataclasses.replace(options, from_ms=part[0].start_ms, to_ms=part[-1].end_ms,
                                  opening=entries[first].opening)
        bins.append(_bin(statement.build_statement(descriptor, part, pinned, own)))
    return bins


def _bin(content: Section) -> Slot:
    energy = content["energy_wh"]
    bus = _mean(row["bus_g_per_kwh"] for row in content["series"])
    return {"start": content["from"], "end": content["to"], "energy_wh": energy,
            "bus_g_per_kwh": bus,
            "grid_g_per_kwh": _mean(row["grid_g_per_kwh"] for row in content["series"]),
            "g_per_core_hour": content["compute"]["g_per_core_hour"]}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
