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
from fleet.formats.registry import Device
from fleet.formats.timetext import rfc3339
from fleet.reporting import above_limit, changes, factor_choice, period, text
from fleet.reporting.content import Evidence, Gap, Report, Section, Slot
from fleet.rollup import config_history, overlaps
from fleet.rollup.config_history import History
from fleet.store.reader import GapRow, Reader
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
SLOTS_MAX = 192             # bars of a chart: two days of quarter hours, then coarser


class Question(NamedTuple):
    """What a report is asked about; factors: id of a set or its file, None for the site's own."""

    device: Device
    factors: str | None
    from_ms: int
    to_ms: int


def device_of(sites: dict[str, list[Device]], name: str) -> Device:
    """Return the gateway of a site; raises ReportError with what is known."""
    if not sites:
        raise ReportError(say("refusal.no_sites"))
    if name not in sites:
        raise ReportError(say("refusal.no_site", site=name, known=", ".join(sites)))
    if len(sites[name]) > 1:
        names = ", ".join(entry.device for entry in sites[name])
        raise ReportError(say("refusal.several_cabinets", site=name, cabinets=names))
    return sites[name][0]


def build(reader: Reader, question: Question) -> Report:
    """Return the report as plain data, all keys of the statement included.

    Raises ReportError when the period is impossible or holds nothing.
    """
    _check_period(reader, question)
    device, from_ms, to_ms = question.device, question.from_ms, question.to_ms
    history = history_of(reader, question)
    descriptor = history.whole()
    found = period.load(reader, device.device, history, from_ms, to_ms)
    chosen = factor_choice.choose(reader.data, question.factors, descriptor)
    pinned = chosen.factors
    options = Options(from_ms, to_ms, opening=_opening(reader, question, pinned))
    content = statement.build_statement(descriptor, found.intervals, pinned, options)
    evidence = _evidence(reader, question, history)
    simulated = [say("report.simulated")] if evidence["simulated"] else []
    changed, more = changes.found(reader, changes.Subject(
        device.device, from_ms, to_ms, pinned.sha256, content["battery"] is not None),
        content["series"])
    content["factors"] |= {"configured_id": descriptor.get("factor_set"),
                           "configured_sha256": descriptor.get("factor_sha256")}
    content |= {"site": device.site, "name": device.name, "cabinet": device.device,
                "timezone": device.timezone, "meters": found.meters,
                "notes": [*simulated, *map(text.describe_overlap, evidence["set_aside"]),
                          *changes.notes(len(changed) + more), *above_limit.notes(found.meters),
                          *_factor_notes(chosen, history), *content["notes"], *history.notes()],
                "evidence": evidence, "changes": changed, "changes_more": more,
                "slots": _slots(descriptor, found.intervals, pinned, options)}
    return cast(Report, content)


def _factor_notes(chosen: factor_choice.Chosen, history: History) -> list[str]:
    descriptors = (descriptor for _, _, descriptor in history.stretches())
    return [note for note in (
        chosen.note, *factor_choice.changes(descriptors, chosen.factors.id)) if note]


def history_of(reader: Reader, question: Question) -> History:
    """Return which configurations a period was recorded under; raises ReportError for none."""
    found = config_history.of_period(reader, question.device.device, question.from_ms,
                                     question.to_ms)
    if found is None:
        raise ReportError(say("refusal.no_configuration", site=question.device.site))
    return found


def _check_period(reader: Reader, question: Question) -> None:
    device, from_ms, to_ms = question.device, question.from_ms, question.to_ms
    if to_ms <= from_ms:
        raise ReportError(say("refusal.backwards", from_time=rfc3339(from_ms),
                              to_time=rfc3339(to_ms)))
    if to_ms - from_ms > PERIOD_MS_MAX:
        raise ReportError(say("refusal.too_long"))
    span = reader.span_ms(device.device)
    if span is None:
        raise ReportError(say("refusal.no_readings_check", site=device.site))
    if to_ms <= span[0] or from_ms >= span[1]:
        raise ReportError(say(
            "refusal.outside", site=device.site, from_time=rfc3339(from_ms),
            to_time=rfc3339(to_ms), first=rfc3339(span[0]), last=rfc3339(span[1])))


def _opening(reader: Reader, question: Question,
             pinned: factors.FactorSet) -> Inventory | None:
    """Return what the battery held before the period; None at the site's beginning."""
    span = reader.span_ms(question.device.device)
    start = max(span[0] if span else question.from_ms, question.from_ms - WARM_UP_MS)
    if start >= question.from_ms:
        return None
    history = history_of(reader, question._replace(from_ms=start, to_ms=question.from_ms))
    if history.whole().get("battery") is None:
        return None
    before = period.load(reader, question.device.device, history, start, question.from_ms)
    options = Options(start, question.from_ms)
    books = statement.keep_books(read_site(history.whole()),
                                 statement.fill(before.intervals, options), pinned, options)
    return books.closing


def _evidence(reader: Reader, question: Question, history: History) -> Evidence:
    device, from_ms, to_ms = question.device, question.from_ms, question.to_ms
    records, batches = reader.evidence(device.device, from_ms, to_ms)
    gaps = reader.gaps(device.device, from_ms, to_ms)
    checked = verify.period(reader, device, from_ms, to_ms)
    wrong = [fault for one in checked for fault in one.faults]
    faults = [f"{fault.device}: {fault.what}" for fault in wrong]
    return {
        "records": records, "batches": batches, "gaps": len(gaps), "chain_ok": not faults,
        "coverage": period.coverage(reader, device.device, history),
        "faults": faults[:GAPS_LISTED_MAX],
        "fault_codes": sorted({fault.code for fault in wrong}),
        "refused": reader.refused(device.device),
        "gap_list": [_gap(history, gap) for gap in gaps[:GAPS_LISTED_MAX]],
        "clock_uncertainty_s": reader.uncertainty_ms(device.device, from_ms, to_ms) / 1000,
        "simulated": reader.simulated(device.device, from_ms, to_ms),
        "journals": [{"journal": one.journal, "first_seq": one.first_seq,
                      "last_seq": one.last_seq, "records": one.records,
                      "batches": one.batches, "low_water": one.low_water} for one in checked],
        "set_aside": [text.overlap(one) for one in overlaps.of_period(
            reader, device.device, from_ms, to_ms)[:GAPS_LISTED_MAX] if not one.seam],
    }


def _gap(history: History, gap: GapRow) -> Gap:
    return {"device": period.stream_of(gap, history),
            "from": None if gap.from_ms is None else rfc3339(gap.from_ms),
            "to": rfc3339(gap.utc_ms if gap.to_ms is None else gap.to_ms),
            "reason": str(gap.reason)}


def _slots(descriptor: Descriptor, intervals: list[SiteInterval], pinned: factors.FactorSet,
           options: Options) -> list[Slot]:
    """Return the period in at most SLOTS_MAX equal slots, each accounted on its own with the
    battery as the slot before left it: what charts draw."""
    filled = statement.fill(intervals, options)
    size = -(-len(filled) // SLOTS_MAX)
    entries = statement.keep_books(read_site(descriptor), filled, pinned,
                                   options).entries
    slots = []
    for first in range(0, len(filled), size):
        part = filled[first:first + size]
        own = dataclasses.replace(options, from_ms=part[0].start_ms, to_ms=part[-1].end_ms,
                                  opening=entries[first].opening)
        slots.append(_slot(statement.build_statement(descriptor, part, pinned, own)))
    return slots


def _slot(content: Section) -> Slot:
    energy = content["energy_wh"]
    bus = _mean(row["bus_g_per_kwh"] for row in content["series"])
    return {"start": content["from"], "end": content["to"], "energy_wh": energy,
            "bus_g_per_kwh": bus,
            "grid_g_per_kwh": _mean(row["grid_g_per_kwh"] for row in content["series"]),
            "g_per_core_hour": content["compute"]["g_per_core_hour"]}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
