"""From the records of one batch to its share of quarter hours.  Pure.

A report over days then reads a few rows for each channel and quarter hour instead of
decoding batches.  Counters keep their first and last reading (gateway.core.interval parts),
gauges their sum and extremes, streams how often they were polled.  Everything here can be
built again from the stored batches.
"""

from collections import namedtuple
from collections.abc import Iterable
from typing import Any

from gateway.core import interval, record
from gateway.core.measurand import BY_ID, COUNTER
from gateway.core.reading import Absent, Point, Stream, utc_ms
from gateway.ledger import limits

# SQLite's numbers are signed and have 64 bits.  No real reading comes near these limits, and
# the sum of a batch's gauges stays inside as well.
COUNTER_MAX, GAUGE_MAX = 1 << 62, 1 << 44

# counters: {(stream, point index): [interval.Part]}.  gauges: {(stream, point index):
# {quarter_ms: [count, total, low, high, last_ms, last]}}.  scans: {(stream, quarter_ms):
# [count, absent]}.  events: [(seq, kind, utc_ms, body)].  stream is the index into the schema.
Reduction = namedtuple("Reduction", ("counters", "gauges", "scans", "events"))


def reduce_records(schema: tuple[Stream, ...], records: Iterable[Any], clock: Any,
                   descriptor: dict[str, Any]) -> Reduction:
    """Return the Reduction of one batch.

    clock: a reading.ClockState that is known (source not CLOCK_UNKNOWN).  descriptor: the
    site descriptor in force; it gives each counter its limits.
    """
    readings: dict[tuple[int, int], list[tuple[int, int]]] = {}
    reduction = Reduction({}, {}, {}, [])
    for item in records:
        at = utc_ms(clock, item.ticks_ms)
        if record.is_event(item):
            reduction.events.append((item.seq, item.kind, at, item.body))
        else:
            _count_scan(reduction.scans, item, at)
            _sort_values(schema, item, at, readings, reduction.gauges)
    for (stream, place), found in readings.items():
        rules = limits.rules(descriptor, schema[stream], place)
        reduction.counters[stream, place] = interval.parts(found, rules)
    return reduction


def _count_scan(scans: dict[tuple[int, int], list[int]], item: Any, at: int) -> None:
    counts = scans.setdefault((item.stream, interval.quarter(at)), [0, 0])
    counts[0] += 1
    if all(isinstance(value, Absent) for value in item.values):
        counts[1] += 1


def _sort_values(schema: tuple[Stream, ...], item: Any, at: int,
                 readings: dict[tuple[int, int], list[tuple[int, int]]],
                 gauges: dict[tuple[int, int], dict[int, list[int]]]) -> None:
    points = schema[item.stream].points
    for place, value in enumerate(item.values):
        if isinstance(value, Absent):
            continue
        if is_counter(points[place]):
            if 0 <= value <= COUNTER_MAX:
                readings.setdefault((item.stream, place), []).append((at, value))
        elif abs(value) <= GAUGE_MAX:
            quarters = gauges.setdefault((item.stream, place), {})
            _take(quarters, at, value)


def _take(quarters: dict[int, list[int]], at: int, value: int) -> None:
    held = quarters.setdefault(interval.quarter(at), [0, 0, value, value, at, value])
    held[0] += 1
    held[1] += value
    held[2] = min(held[2], value)
    held[3] = max(held[3], value)
    if at >= held[4]:
        held[4], held[5] = at, value


def is_counter(point: Point) -> bool:
    """Return whether a point is cumulative; a measurand from the future counts as a gauge."""
    known = BY_ID.get(point.measurand)
    return known is not None and known.kind == COUNTER
