"""One cabinet's period, from stored parts to what the ledger and a report need.

Quarter parts become deltas (gateway.core.interval), deltas become amounts with units, amounts
become the ledger's intervals.  Beside them: what each meter counted, with its bound.
"""

import dataclasses
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from fleet.formats.values import CounterPart, MeterSwap
from fleet.reporting import above_limit, meters, presence, runs
from fleet.reporting.content import MeterRow, SwapRow
from fleet.reporting.runs import CounterRun
from fleet.reporting.swaps import Swaps
from fleet.rollup.config_history import ConfigHistory
from fleet.store.reader import ChannelRow, GapRow, StoreReader
from gateway.core import interval
from gateway.core.measurand import BY_ID, COUNTER
from gateway.ledger import assemble, counter_limits
from gateway.ledger.counter_limits import Descriptor
from gateway.ledger.site import SiteInterval

QUARTER_MS = interval.QUARTER_MS
SOC = "state_of_charge"
# Counters by which a meter is compared with other books, and the energy role each feeds.
ENERGY = {name for _, names in assemble.SOURCES.values() for name in names}

AmountsByQuarter = dict[int, dict[tuple[str, str, str], assemble.Amount]]


class PeriodData(NamedTuple):
    """What a period comes to: an interval for each quarter hour, and a row for each meter and
    for each swap of one; swaps: also those around the period."""

    intervals: list[SiteInterval]
    meters: list[MeterRow]
    swaps: list[MeterSwap]
    swap_rows: list[SwapRow]


def load(reader: StoreReader, cabinet: str, history: ConfigHistory, from_ms: int,
         to_ms: int) -> PeriodData:
    """Return the PeriodData of a cabinet from from_ms to to_ms (multiples of a quarter hour)."""
    amounts: AmountsByQuarter = {start: {} for start in range(from_ms, to_ms, QUARTER_MS)}
    rows: list[MeterRow] = []
    uncertainty_ms = reader.uncertainty_ms(cabinet, from_ms, to_ms)
    swaps = reader.meter_swaps(cabinet, from_ms, to_ms)
    noted_swaps = Swaps(swaps, from_ms, to_ms)
    for channel in reader.channels(cabinet):
        known = BY_ID.get(channel.measurand)
        if known is None:
            continue
        if known.kind != COUNTER:
            _add_means(reader, channel, known.name, amounts)
            continue
        found, aside = [], dict[str | None, float]()
        parts = reader.counter_parts(channel.id, from_ms, to_ms)
        for run in _runs(parts, channel, history, swaps):
            noted_swaps.note(channel, run)
            deltas = meters.rebuild(run)
            _add_deltas(channel, run, deltas, amounts)
            found.append((run.terms.role, meters.metered(
                run, deltas, (from_ms, to_ms), uncertainty_ms)))
            held = above_limit.of_run(run.points, (from_ms, to_ms))
            role = run.terms.role
            aside[role] = aside.get(role, 0.0) + held.counts * run.terms.value_per_count
        if known.name in ENERGY and not channel.item:
            rated = counter_limits.device(history.whole(), channel.stream).get("rated_w")
            rows += [row | {"set_aside_wh": aside[row["role"]], "rated_w": rated or None}
                     for row in _meter_rows(channel, known.name, found)]
    whole = history.whole()
    intervals = [_interval(descriptor, whole, start, amounts[start])
                 for start, descriptor in history.by_quarter()]
    return PeriodData(intervals, rows, swaps, noted_swaps.rows())


def _runs(parts: list[CounterPart], channel: ChannelRow, history: ConfigHistory,
          swaps: Sequence[MeterSwap]) -> list[CounterRun]:
    """Return a counter's parts in runs over which its register, worth and role stay the same."""
    unit, counter = BY_ID[channel.measurand].unit, channel[2:]
    mine = [(swap, swap.ends.get(counter, (None, None))) for swap in swaps
            if swap.device == channel.stream]
    agreements = {digest: runs.Terms(
        _value_per_count(history.of(digest), channel, unit),
        counter_limits.device(history.of(digest), channel.stream).get("role"),
        counter_limits.rules_for(
            history.of(digest), channel.stream, channel.measurand, channel.exponent))
                  for digest in {one.config for one in parts} | {swap.config for swap, _ in mine}}
    return runs.runs(parts, agreements, mine)


def _interval(descriptor: Descriptor, whole: Descriptor, start: int,
              found: dict[tuple[str, str, str], assemble.Amount]) -> SiteInterval:
    """Return a quarter hour under its own descriptor; a role that only other quarter hours of
    the period have is 0 in it, not missing."""
    made: SiteInterval = assemble.site_interval(descriptor, start, QUARTER_MS, found)
    roles = {entry.get("role") for entry in descriptor["devices"]}
    others = {entry.get("role") for entry in whole["devices"]} - roles
    absent = [role for role, (device, _) in assemble.SOURCES.items() if device in others]
    return dataclasses.replace(
        made, energy_wh={**made.energy_wh, **dict.fromkeys(absent, 0.0)},
        quality={**made.quality, **dict.fromkeys(absent, interval.MEASURED)})


def _value_per_count(descriptor: Descriptor, channel: ChannelRow, unit: str) -> float:
    """Return what one count is worth in the measurand's unit."""
    if unit == "Wh":
        device = counter_limits.device(descriptor, channel.stream)
        return counter_limits.wh_per_count(device, channel.exponent)
    return float(Decimal(1).scaleb(channel.exponent))


def _add_deltas(channel: ChannelRow, run: CounterRun, deltas: list[interval.Delta],
                amounts: AmountsByQuarter) -> None:
    """Add a run's quarter hours; what is counted on both sides of a swap adds up."""
    key = (channel.stream, channel.item, BY_ID[channel.measurand].name)
    for delta in deltas:
        held = amounts.get(delta.start_ms)
        if held is None:
            continue
        value = None if delta.delta_milli is None else (
            delta.delta_milli * run.terms.value_per_count / meters.MILLI)
        found = assemble.Amount(value, delta.quality)
        before = held.get(key) if run.old_ms is not None else None
        held[key] = found if before is None else _added(before, found)


def _added(one: assemble.Amount, other: assemble.Amount) -> assemble.Amount:
    """Return what two registers counted in a quarter hour; missing wins."""
    if one.value is None or other.value is None:
        return assemble.Amount(None, interval.MISSING)
    return assemble.Amount(one.value + other.value, max(one.quality, other.quality))


def _add_means(reader: StoreReader, channel: ChannelRow, name: str,
               amounts: AmountsByQuarter) -> None:
    step = float(Decimal(1).scaleb(channel.exponent))
    for start, row in reader.means(channel.id, min(amounts), max(amounts) + QUARTER_MS).items():
        value = row.last if name == SOC else row.mean
        amounts[start][channel.stream, channel.item, name] = assemble.Amount(value * step)


def _meter_rows(channel: ChannelRow, name: str,
                found: list[tuple[str | None, meters.MeteredEnergy | None]]) -> list[MeterRow]:
    """Return a counter's row for each role it had; runs of one role add up."""
    rows: list[MeterRow] = []
    for role in dict.fromkeys(role for role, _ in found):
        known = [one for held, one in found if held == role and one is not None]
        rows.append({"device": channel.stream, "measurand": name, "role": role,
                     "energy_wh": sum(one.energy_wh for one in known) if known else None,
                     "bound_wh": sum(one.bound_wh for one in known) if known else None,
                     "set_aside_wh": 0.0, "rated_w": None})
    return rows


def coverage(reader: StoreReader, cabinet: str, history: ConfigHistory,
             swaps: Sequence[MeterSwap] = ()) -> float:
    """Return the share of expected scans of a period that are stored or declared missing.

    Declared: a GAP event that names the device, or all of them, stands for as many polls as
    can fall into the time it overlaps.  The time between the registers of a swap is not covered,
    whatever was read or declared in it.
    """
    def covered_in(span: presence.ExpectedSpan) -> Callable[[str], int]:
        stored = reader.scans(cabinet, interval.quarter(span.from_ms), span.to_ms)
        declared = [_declared(gap, history, span)
                    for gap in reader.gaps(cabinet, span.from_ms, span.to_ms)]

        def covered(name: str) -> int:
            polls = sum(count for device, count in declared if device in (None, name))
            unknown = sum(_overlap(
                swap.utc_ms - span.period_ms if swap.old_ms is None else swap.old_ms,
                swap.utc_ms, span) for swap in swaps if swap.device == name)
            return max(min(stored.get(name, 0) + polls, span.expected) - unknown, 0)
        return covered
    return presence.mean_share(reader, cabinet, history, covered_in)


def stream_of(gap: GapRow, history: ConfigHistory) -> str | None:
    """Return the device that a gap names under its own configuration; None: all."""
    try:
        devices = history.of(gap.config)["devices"] if gap.config is not None else ()
    except KeyError:
        return None
    return str(devices[gap.stream]["name"]) if 0 <= gap.stream < len(devices) else None


def _declared(gap: GapRow, history: ConfigHistory,
              span: presence.ExpectedSpan) -> tuple[str | None, int]:
    """Return (device or None for all, polls) of a declared gap within a span."""
    start = gap.utc_ms if gap.from_ms is None else gap.from_ms
    end = gap.utc_ms if gap.to_ms is None else gap.to_ms
    return stream_of(gap, history), _overlap(start, end, span)


def _overlap(start: int, end: int, span: presence.ExpectedSpan) -> int:
    """Return how many polls can fall into the part of a time that lies in a span."""
    return -(-max(min(end, span.to_ms) - max(start, span.from_ms), 0) // span.period_ms)
