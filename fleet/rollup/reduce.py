"""From the records of one batch to its share of quarter hours.  Pure.

A report over days then reads a few rows for each channel and quarter hour instead of
decoding batches.  Counters keep their first and last reading (gateway.core.interval parts),
gauges their sum and extremes, streams how often they were polled.  Everything here can be
built again from the stored batches.

A day of a cabinet has millions of values, so a point's values of a whole batch are handled
at once, as one column.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from operator import itemgetter, le, lt, sub
from typing import NamedTuple, cast

from fleet.formats.values import GaugeQuarter, Record, ReducedEvent, Reduction, ScanCount
from gateway.core import interval
from gateway.core.codec import record
from gateway.core.errors import Bug
from gateway.core.evidence.downsampled import Cell
from gateway.core.journal.downsample import GAUGE_MAX, is_counter
from gateway.core.reading import Absent, ClockState, Stream, utc_ms
from gateway.ledger import counter_limits
from gateway.ledger.counter_limits import Descriptor

# SQLite's numbers are signed and have 64 bits.  No real reading comes near this limit, and
# the sum of a batch's gauges, each within GAUGE_MAX, stays inside as well.
COUNTER_MAX = 1 << 62

ScanRow = tuple[int, tuple[int | Absent, ...]]      # of a scan: UTC ms, its values
Column = Sequence[int | Absent]                 # of one point: its values, scan by scan
Numbers = Sequence[int]                         # of one point: the values that are there


class Scans(NamedTuple):
    """The scans of one stream in a batch.  rows: in the order of records.  swaps_ms: from these
    times on they are another device's."""

    stream: Stream
    number: int
    rows: list[ScanRow]
    swaps_ms: Sequence[int]


def reduce_records(schema: tuple[Stream, ...], records: Iterable[Record], clock: ClockState,
                   descriptor: Descriptor) -> Reduction:
    """Return the Reduction of one batch.

    clock: a reading.ClockState that is known (source not CLOCK_UNKNOWN).  descriptor: the
    site descriptor in force; it gives each counter its limits.
    """
    reduction = Reduction({}, {}, {}, [])
    scans: dict[int, list[ScanRow]] = {}
    swaps: dict[object, list[int]] = {}
    for item in records:
        at = _known_utc_ms(clock, item.ticks_ms)
        if isinstance(item, record.EventRecord):
            reduction.events.append(ReducedEvent(item.seq, item.kind, at, item.body))
            if item.kind == record.METER_SWAP:
                swaps.setdefault(item.body[0], []).append(at)
        else:
            scans.setdefault(item.stream, []).append((at, item.values))
    for stream, rows in scans.items():
        one = Scans(schema[stream], stream, rows, sorted(swaps.get(stream, ())))
        _reduce_stream(reduction, one, descriptor)
    return reduction


def _known_utc_ms(clock: ClockState, ticks_ms: int) -> int:
    at = utc_ms(clock, ticks_ms)
    if at is None:
        raise Bug("reduce: a batch whose clock is not known")
    return at


def with_cells(reduction: Reduction, cells: Iterable[Cell], clock: ClockState) -> Reduction:
    """Return the Reduction of a downsampled batch: counters and events as its kept records give
    them, scans and gauges as its cells (downsampled.Cell) tell them of all."""
    gauges: dict[tuple[int, int], dict[int, GaugeQuarter]] = {}
    scans: dict[tuple[int, int], ScanCount] = {}
    for cell in cells:
        quarter = interval.quarter(_known_utc_ms(clock, cell.ticks_ms))
        count, absent = scans.get((cell.stream, quarter), (0, 0))
        scans[cell.stream, quarter] = ScanCount(count + cell.scans, absent + cell.absent)
        for position, gauge in enumerate(cell.gauges):
            kept = reduction.gauges.get((cell.stream, position), {}).get(quarter)
            if gauge is not None and gauge[0] and kept is not None:
                found = gauges.setdefault((cell.stream, position), {})
                found[quarter] = _added(found.get(quarter), gauge, kept)
    return reduction._replace(gauges=gauges, scans=scans)


def _added(before: GaugeQuarter | None, gauge: tuple[int, int, int, int],
           kept: GaugeQuarter) -> GaugeQuarter:
    """Return a gauge's share of a quarter hour with one more cell in it; kept: by the records
    that were kept, which have its last reading."""
    count, total, low, high = gauge
    if before is not None:
        count, total = before.readings + count, before.total + total
        low, high = min(before.low, low), max(before.high, high)
    return GaugeQuarter(count, total, low, high, kept.last_ms, kept.last)


def _reduce_stream(reduction: Reduction, one: Scans, descriptor: Descriptor) -> None:
    """Add the scans of one stream."""
    stream, index, rows, swaps_ms = one
    times, columns = _turned(rows)
    in_order = all(map(le, times, times[1:]))
    rising, ordered = (times, columns) if in_order else _turned(sorted(rows, key=itemgetter(0)))
    absent = [all(isinstance(value, Absent) for value in values)
              for values in zip(*ordered, strict=True)]
    for quarter, begin, end in _spans(rising):
        reduction.scans[index, quarter] = ScanCount(end - begin, sum(absent[begin:end]))
    for position, point in enumerate(stream.points):
        if is_counter(point):
            counter = _readings(times, columns[position], 0, COUNTER_MAX)
            if counter[0]:
                rules = counter_limits.rules(descriptor, stream, position)
                reduction.counters[index, position] = _parts(counter, rules, swaps_ms)
        else:
            gauge = _readings(rising, ordered[position], -GAUGE_MAX, GAUGE_MAX)
            if gauge[0]:
                reduction.gauges[index, position] = _quarters(*gauge)


def _turned(rows: list[ScanRow]) -> tuple[Sequence[int], list[Column]]:
    """Return (times, columns of values) of rows of values."""
    return [at for at, _ in rows], list(zip(*[values for _, values in rows], strict=True))


def _readings(times: Sequence[int], column: Column, low: int,
              high: int) -> tuple[Sequence[int], Numbers]:
    """Return (times, values) of the values low .. high that are there."""
    numbers = cast(Numbers, column)
    try:
        if low <= min(numbers) and max(numbers) <= high:
            return times, numbers
    except TypeError:               # an Absent does not compare with a number
        pass
    there = [not isinstance(value, Absent) and low <= value <= high for value in column]
    return list(compress(times, there)), list(compress(numbers, there))


def _spans(times: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (quarter hour, first index, index behind the last) of times in order."""
    begin = 0
    while begin < len(times):
        quarter = interval.quarter(times[begin])
        end = bisect_left(times, quarter + interval.QUARTER_MS, begin)
        yield quarter, begin, end
        begin = end


def _quarters(times: Sequence[int], values: Numbers) -> dict[int, GaugeQuarter]:
    """Return the quarter hours of a gauge; times in order."""
    found = {}
    for quarter, begin, end in _spans(times):
        part = values[begin:end]
        found[quarter] = GaugeQuarter(end - begin, sum(part), min(part), max(part),
                                      times[end - 1], part[-1])
    return found


def _parts(readings: tuple[Sequence[int], Numbers], rules: interval.CounterRules,
           swaps_ms: Sequence[int]) -> list[interval.QuarterPart]:
    """Return the Parts of a counter; its readings are in the order of records."""
    times, values = readings
    if swaps_ms or not _calm(times, values, rules):
        return list(interval.parts(zip(times, values, strict=True), rules, swaps_ms))
    return [interval.QuarterPart(quarter, times[begin], values[begin], times[end - 1],
                                 values[end - 1], 0)
            for quarter, begin, end in _spans(times)]


def _calm(times: Sequence[int], values: Numbers, rules: interval.CounterRules) -> bool:
    """Whether no reading is late or falls, and the largest step is possible in the shortest
    time: then no step hides a reset or a jump, and none needs a look of its own."""
    if len(times) < 2 or not all(map(lt, times, times[1:])):
        return False
    steps = list(map(sub, values[1:], values))
    shortest, largest = min(map(sub, times[1:], times)), max(steps)
    return min(steps) >= 0 and interval.step(rules, (0, 0), (shortest, largest))[1] is not None
