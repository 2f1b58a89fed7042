"""Which records stay when flash is full.  Pure: records in, fewer records and cells out.

Energy must come out the same to the bit.  A fleet needs of a counter its first and last
reading in each quarter hour, and to see a jump or reset where there was one; so these scans
stay as they were read, with both neighbours of every step that the meter's limits rule out.
Of gauges the cells keep count, sum and extremes, and the last reading stays.  Events stay.
"""

from gateway.core.codec.record import ScanRecord, is_event
from gateway.core.counter import HOUR_MS
from gateway.core.evidence.downsampled import COUNTERS, ENDS, HOURS, QUARTERS, Cell, Content
from gateway.core.interval import QUARTER_MS, step
from gateway.core.measurand import BY_ID, COUNTER
from gateway.core.reading import NOT_KEPT, Absent, utc_ms
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeGuard

    from gateway.core.codec.record import Record
    from gateway.core.interval import CounterRules
    from gateway.core.reading import ClockState, Point, Schema, Value
    # The limits of a counter by (stream, point); scans with their times.
    CounterLimits = Callable[[int, int], CounterRules]
    Scans = list[tuple[int, ScanRecord]]

SPAN_MS = {QUARTERS: QUARTER_MS, COUNTERS: QUARTER_MS, HOURS: HOUR_MS, ENDS: None}
GAUGE_MAX = 1 << 44         # a larger reading is no gauge's: left out of sums, here and in reports


def is_counter(point: "Point") -> bool:
    """Return True if a point is cumulative; a measurand from the future counts as a gauge."""
    known = BY_ID.get(point.measurand)
    return known is not None and known.kind == COUNTER


def thin(content: Content, clock: "ClockState", rule: int,
         rules_for: "CounterLimits") -> "list[Record]":
    """Return the records of a Content that a rule keeps, in their order.

    clock: reading.ClockState of the records.  rules_for: callable (stream index, point index)
    -> interval.CounterRules of a counter.
    """
    stays: dict[int, bool] = {}
    streams: dict[int, Scans] = {}
    for item in content.records:
        if not is_event(item):
            streams.setdefault(item.stream, []).append((_at_ms(clock, item), item))
    for stream in sorted(streams):
        scans = streams[stream]
        for position, point in enumerate(content.schema[stream].points):
            if is_counter(point):
                _mark_counter(stays, scans, position, (SPAN_MS[rule], rules_for(stream, position)))
        if rule == QUARTERS:
            _mark_gauges(stays, scans, content.schema[stream].points)
    kept = [item for item in content.records if is_event(item) or item.seq in stays]
    return kept if rule == QUARTERS else [_counters_only(item, content.schema) for item in kept]


def cells_of(content: Content, clock: "ClockState", position: int) -> list[Cell]:
    """Return the Cells of one batch's records; position: its index among those replaced."""
    found: dict[tuple[int, int], list[ScanRecord]] = {}
    order: list[tuple[int, int]] = []
    for item in content.records:
        if is_event(item):
            continue
        key = (item.stream, _at_ms(clock, item) // QUARTER_MS)
        if key not in found:
            found[key] = []
            order.append(key)
        found[key].append(item)
    return [_cell(position, content.schema[stream].points, found[stream, quarter])
            for stream, quarter in order]


def without_gauges(cells: list[Cell]) -> list[Cell]:
    """Return Cells that tell only how many scans there were."""
    return [Cell(cell.position, cell.stream, cell.ticks_ms, cell.scans, cell.absent,
                 (None,) * len(cell.gauges)) for cell in cells]


def downsample_again(content: Content, clock: "ClockState", rule: int,
                     rules_for: "CounterLimits") -> Content:
    """Return the Content of a downsampled batch under the next rule, which keeps less."""
    return Content(content.schema, thin(content, clock, rule, rules_for),
                   without_gauges(content.cells))


def _at_ms(clock: "ClockState", item: "Record") -> int:
    """Return when a record was taken; without a clock by its ticks."""
    at_ms = utc_ms(clock, item.ticks_ms)
    return item.ticks_ms if at_ms is None else at_ms


def _mark_counter(stays: dict[int, bool], scans: "Scans", position: int,
                  how: "tuple[int | None, CounterRules]") -> None:
    """Mark the sequences that decide a counter.  how: (span of a cell or None, its
    CounterRules)."""
    span_ms, rules = how
    last = None                 # (time, value, sequence) of the reading before
    for at_ms, item in scans:
        value = item.values[position]
        if isinstance(value, Absent) or last is not None and at_ms <= last[0]:
            continue            # as interval.parts: what is not later is not used
        if last is None:
            stays[item.seq] = True
        elif (span_ms is not None and at_ms // span_ms != last[0] // span_ms
              or not 0 <= value - last[1] <= 1          # one count is always possible
              and step(rules, last[:2], (at_ms, value))[1] is None):
            stays[last[2]] = stays[item.seq] = True
        last = (at_ms, value, item.seq)
    if last is not None:
        stays[last[2]] = True


def _mark_gauges(stays: dict[int, bool], scans: "Scans", points: "tuple[Point, ...]") -> None:
    """Mark in each quarter hour the last scans that together hold each gauge's last value."""
    quarter, wanted = None, []
    for at_ms, item in reversed(scans):
        if at_ms // QUARTER_MS != quarter:
            quarter = at_ms // QUARTER_MS
            wanted = [i for i, point in enumerate(points) if not is_counter(point)]
        left = [i for i in wanted if not _is_gauge(item.values[i])]
        if len(left) < len(wanted):
            stays[item.seq] = True
        wanted = left


def _cell(position: int, points: "tuple[Point, ...]", scans: list[ScanRecord]) -> Cell:
    absent, gauges = 0, []
    for item in scans:
        if all([isinstance(value, Absent) for value in item.values]):
            absent += 1
    for point, column in zip(points, zip(*[item.values for item in scans])):
        gauges.append(None if is_counter(point) else _totals(column))
    return Cell(position, scans[0].stream, scans[-1].ticks_ms, len(scans), absent, tuple(gauges))


def _totals(column: "Iterable[Value]") -> tuple[int, int, int, int]:
    """Return (count, total, low, high) of a gauge's readings."""
    there = [value for value in column if _is_gauge(value)]
    if not there:
        return (0, 0, 0, 0)
    return (len(there), sum(there), min(there), max(there))


def _is_gauge(value: "Value") -> "TypeGuard[int]":
    return not isinstance(value, Absent) and -GAUGE_MAX <= value <= GAUGE_MAX


def _counters_only(item: "Record", schema: "Schema") -> "Record":
    if is_event(item):
        return item
    values = [value if is_counter(point) else Absent(NOT_KEPT)
              for point, value in zip(schema[item.stream].points, item.values)]
    return ScanRecord(item.seq, item.ticks_ms, item.stream, tuple(values))
