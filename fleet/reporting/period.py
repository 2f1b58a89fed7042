"""One cabinet's period, from stored parts to what the ledger and a report need.

Quarter parts become deltas (gateway.core.interval), deltas become amounts with units, amounts
become the ledger's intervals.  Beside them: what each meter counted, with its bound.
"""

import dataclasses
from decimal import Decimal
from typing import NamedTuple

from fleet.formats.values import CounterPart
from fleet.reporting import above_limit, meters
from fleet.reporting.content import MeterRow
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
    """What a period comes to: an interval for each quarter hour, and a row for each meter."""

    intervals: list[SiteInterval]
    meters: list[MeterRow]


class CounterRun(NamedTuple):
    """Parts of one counter under configurations that agree about it; value_per_count: of a count,
    in the measurand's unit, role: of the device."""

    value_per_count: float
    role: str | None
    parts: list[meters.NewBatch]


def load(reader: StoreReader, cabinet: str, history: ConfigHistory, from_ms: int,
         to_ms: int) -> PeriodData:
    """Return the PeriodData of a cabinet from from_ms to to_ms (multiples of a quarter hour)."""
    amounts: AmountsByQuarter = {start: {} for start in range(from_ms, to_ms, QUARTER_MS)}
    rows: list[MeterRow] = []
    uncertainty_ms = reader.uncertainty_ms(cabinet, from_ms, to_ms)
    for channel in reader.channels(cabinet):
        known = BY_ID.get(channel.measurand)
        if known is None:
            continue
        if known.kind != COUNTER:
            _add_means(reader, channel, known.name, amounts)
            continue
        found, aside = [], dict[str | None, float]()
        for run in _runs(reader.counter_parts(channel.id, from_ms, to_ms), channel, history):
            deltas = meters.rebuild(run.parts)
            _add_deltas(channel, known.name, deltas, run.value_per_count, amounts)
            found.append((run.role, meters.metered([one.part for one in run.parts], deltas, (
                from_ms, to_ms), uncertainty_ms, run.value_per_count)))
            held = above_limit.of_run(meters.in_order(run.parts), (from_ms, to_ms))
            aside[run.role] = aside.get(run.role, 0.0) + held.counts * run.value_per_count
        if known.name in ENERGY and not channel.item:
            rated = counter_limits.device(history.whole(), channel.stream).get("rated_w")
            rows += [row | {"set_aside_wh": aside[row["role"]], "rated_w": rated or None}
                     for row in _meter_rows(channel, known.name, found)]
    whole = history.whole()
    intervals = [_interval(descriptor, whole, start, amounts[start])
                 for start, descriptor in history.by_quarter()]
    return PeriodData(intervals, rows)


def _runs(found: list[CounterPart], channel: ChannelRow,
          history: ConfigHistory) -> list[CounterRun]:
    """Return a counter's parts in runs over which its worth and its role stay the same.

    Nothing is claimed from one run to the next: what an advance between two readings under
    different ratios is worth, nobody knows.
    """
    unit, runs = BY_ID[channel.measurand].unit, list[CounterRun]()
    agreements = {digest: (
        _value_per_count(history.of(digest), channel, unit),
        counter_limits.device(history.of(digest), channel.stream).get("role"),
        counter_limits.rules_for(
            history.of(digest), channel.stream, channel.measurand, channel.exponent))
        for digest in {one.config for one in found}}
    for one in found:
        value_per_count, role, rules = agreements[one.config]
        if not runs or runs[-1][:2] != (value_per_count, role):
            runs.append(CounterRun(value_per_count, role, []))
        runs[-1].parts.append(meters.NewBatch(one.part, rules, one.clock))
    return runs


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


def _add_deltas(channel: ChannelRow, name: str, deltas: list[interval.Delta],
                value_per_count: float,
                amounts: AmountsByQuarter) -> None:
    key = (channel.stream, channel.item, name)
    for delta in deltas:
        held = amounts.get(delta.start_ms)
        if held is None:
            continue
        value = None
        if delta.delta_milli is not None:
            value = delta.delta_milli * value_per_count / meters.MILLI
        held[key] = assemble.Amount(value, delta.quality)


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


def coverage(reader: StoreReader, cabinet: str, history: ConfigHistory) -> float:
    """Return the share of expected scans of a period that are stored or declared missing.

    Expected: every device once in each poll interval, since the cabinet was first started.
    Declared: a GAP event that names the device, or all of them, stands for as many polls as
    can fall into the time it overlaps.
    """
    since, shares, weights = reader.commissioned_ms(cabinet), 0.0, 0
    for start, to_ms, descriptor in history.spans():
        from_ms, period_ms = max(start, since), counter_limits.interval_ms(descriptor)
        expected = (to_ms - from_ms) // period_ms
        if expected <= 0:
            continue
        stored = reader.scans(cabinet, interval.quarter(from_ms), to_ms)
        declared = [_declared(gap, history, (from_ms, to_ms), period_ms)
                    for gap in reader.gaps(cabinet, from_ms, to_ms)]
        for entry in descriptor["devices"]:
            polls = sum(count for name, count in declared if name in (None, entry["name"]))
            shares += min(stored.get(entry["name"], 0) + polls, expected) / expected * (
                to_ms - from_ms)
            weights += to_ms - from_ms
    return shares / weights if weights else 0.0


def stream_of(gap: GapRow, history: ConfigHistory) -> str | None:
    """Return the device that a gap names under its own configuration; None: all."""
    try:
        devices = history.of(gap.config)["devices"] if gap.config is not None else ()
    except KeyError:
        return None
    return str(devices[gap.stream]["name"]) if 0 <= gap.stream < len(devices) else None


def _declared(gap: GapRow, history: ConfigHistory, period: tuple[int, int],
              period_ms: int) -> tuple[str | None, int]:
    """Return (device or None for all, polls) of a declared gap within a period."""
    start = gap.utc_ms if gap.from_ms is None else gap.from_ms
    end = gap.utc_ms if gap.to_ms is None else gap.to_ms
    overlap_ms = max(min(end, period[1]) - max(start, period[0]), 0)
    return stream_of(gap, history), -(-overlap_ms // period_ms)
