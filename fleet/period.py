"""One cabinet's period, from stored parts to what the ledger and a report need.

Quarter parts become deltas (gateway.core.interval), deltas become amounts with units, amounts
become the ledger's intervals.  Beside them: what each meter counted, with its bound.
"""

from collections import namedtuple
from decimal import Decimal
from typing import Any

from fleet import meters, site
from fleet.reader import ChannelRow, Reader
from gateway.core import interval
from gateway.core.measurand import BY_ID, COUNTER
from gateway.ledger import assemble
from gateway.ledger.site import SiteInterval

QUARTER_MS = interval.QUARTER_MS
SOC = "state_of_charge"
# Counters by which a meter is compared with other books, and the energy role each feeds.
ENERGY = {name for _, names in assemble.SOURCES.values() for name in names}

# intervals: list of SiteInterval, one for each quarter hour.  meters: list of dicts {device,
# role, measurand, energy_wh, bound_wh}.  coverage: 0..1.
Period = namedtuple("Period", ("descriptor", "intervals", "meters"))

Amounts = dict[int, dict[tuple[str, str, str], assemble.Amount]]


def load(reader: Reader, cabinet: str, descriptor: site.Descriptor, from_ms: int,
         to_ms: int) -> Period:
    """Return the Period of a cabinet from from_ms to to_ms (multiples of a quarter hour)."""
    amounts: Amounts = {start: {} for start in range(from_ms, to_ms, QUARTER_MS)}
    rows: list[dict[str, Any]] = []
    uncertainty_ms = reader.uncertainty_ms(cabinet, from_ms, to_ms)
    for channel in reader.channels(cabinet):
        known = BY_ID.get(channel.measurand)
        if known is None:
            continue
        if known.kind != COUNTER:
            _add_means(reader, channel, known.name, amounts)
            continue
        worth = _worth(descriptor, channel, known.unit)
        parts = reader.counter_parts(channel.id, from_ms, to_ms)
        deltas = interval.rebuild(parts, site.rules_for(
            descriptor, channel.stream, channel.measurand, channel.exponent))
        _add_deltas(channel, known.name, deltas, worth, amounts)
        if known.name in ENERGY and not channel.item:
            found = meters.metered(parts, deltas, (from_ms, to_ms), uncertainty_ms, worth)
            rows.append(_meter_row(descriptor, channel, known.name, found))
    intervals: list[SiteInterval] = [
        assemble.site_interval(descriptor, start, QUARTER_MS, found)
        for start, found in sorted(amounts.items())]
    return Period(descriptor, intervals, rows)


def _worth(descriptor: site.Descriptor, channel: ChannelRow, unit: str) -> float:
    """Return what one count is worth in the measurand's unit."""
    if unit == "Wh":
        return site.worth_wh(site.device(descriptor, channel.stream), channel.exponent)
    return float(Decimal(1).scaleb(channel.exponent))


def _add_deltas(channel: ChannelRow, name: str, deltas: list[interval.Delta], worth: float,
                amounts: Amounts) -> None:
    key = (channel.stream, channel.item, name)
    for delta in deltas:
        held = amounts.get(delta.start_ms)
        if held is None:
            continue
        value = None if delta.delta_milli is None else delta.delta_milli * worth / meters.MILLI
        held[key] = assemble.Amount(value, delta.quality)


def _add_means(reader: Reader, channel: ChannelRow, name: str, amounts: Amounts) -> None:
    step = float(Decimal(1).scaleb(channel.exponent))
    for start, row in reader.means(channel.id, min(amounts), max(amounts) + QUARTER_MS).items():
        value = row.last if name == SOC else row.mean
        amounts[start][channel.stream, channel.item, name] = assemble.Amount(value * step)


def _meter_row(descriptor: site.Descriptor, channel: ChannelRow, name: str,
               found: meters.Metered) -> dict[str, Any]:
    return {"device": channel.stream, "measurand": name,
            "role": site.device(descriptor, channel.stream).get("role"),
            "energy_wh": found.energy_wh, "bound_wh": found.bound_wh}


def coverage(reader: Reader, cabinet: str, descriptor: site.Descriptor, from_ms: int,
             to_ms: int) -> float:
    """Return the share of expected scans of a period that are stored or declared missing.

    Expected: every device once in each poll interval, since the cabinet was first started.
    Declared: a GAP event that names the device, or all of them, stands for as many polls as
    can fall into the time it overlaps.
    """
    from_ms, period_ms = max(from_ms, reader.commissioned_ms(cabinet)), site.interval_ms(descriptor)
    expected = (to_ms - from_ms) // period_ms
    if expected <= 0:
        return 0.0
    stored = reader.scans(cabinet, interval.quarter(from_ms), to_ms)
    declared = [_declared(event, (from_ms, to_ms), period_ms)
                for event in reader.gaps(cabinet, from_ms, to_ms)]
    shares = []
    for index, entry in enumerate(descriptor["devices"]):
        polls = sum(count for stream, count in declared if stream in (-1, index))
        shares.append(min(stored.get(entry["name"], 0) + polls, expected) / expected)
    return sum(shares) / len(shares) if shares else 0.0


def _declared(event: Any, period: tuple[int, int], period_ms: int) -> tuple[int, int]:
    """Return (stream or -1, polls) of a GAP event within a period."""
    stream, start, end = event.body[0], event.body[1], event.body[2]
    start = event.utc_ms if start is None else start
    end = event.utc_ms if end is None else end
    overlap_ms = max(min(end, period[1]) - max(start, period[0]), 0)
    return stream, -(-overlap_ms // period_ms)
