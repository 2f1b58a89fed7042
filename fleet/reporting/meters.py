"""What each meter counted in a period, and how wrong that can be.  Pure.

A counter's energy over a period is the difference of two interpolated readings: inside, the
quarter hours telescope.  It can be off by one step of the register at either end, by the
interpolation at either end, and by the power there times the clock's uncertainty.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fleet.formats import part_order
from fleet.formats.values import BatchClock
from gateway.core import counter, interval

MILLI = counter.MILLI

Reading = tuple[int, int]


class MeteredEnergy(NamedTuple):
    """The energy of a meter in a period; |error| <= bound_wh."""

    energy_wh: float
    bound_wh: float


class NewBatch(NamedTuple):
    """A part with the rules of its configuration and the clock of its batch."""

    part: interval.QuarterPart
    rules: interval.CounterRules
    clock: BatchClock


class _Point(NamedTuple):
    utc_ms: int
    value: int
    clock: BatchClock
    rules: interval.CounterRules
    broken: bool


class Boundary(NamedTuple):
    """A counter's value at a time; |error| <= bound_counts."""

    counts: float
    bound_counts: float


def points(parts: Iterable[interval.QuarterPart]) -> list[Reading]:
    """Return the distinct readings (utc_ms, value) that parts hold, by time."""
    found = {(part.first_ms, part.first) for part in parts}
    found |= {(part.last_ms, part.last) for part in parts}
    return sorted(found)


def rebuild(found: Iterable[NewBatch]) -> list[interval.Delta]:
    """Return the Deltas of a counter's parts, one for each quarter hour.

    As interval.rebuild does, but each part has the rules of its own configuration (a step obeys
    those of its later reading) and the clock of its own batch.  Within a boot, readings follow
    each other by the gateway's ticks, whatever its wall clock did (docs/accounting.md section 4).
    """
    points, closed = in_order(found), list[interval.Delta]()
    if not points:
        return closed
    track, before = interval.CounterTrack(points[0].rules), points[0]
    for point in points:
        track.rules = point.rules
        closed += _follow(track, before, point)
        if not _cannot_follow(before, point):
            closed += track.add(point.utc_ms, point.value)
        if point.broken:
            track.mark_broken()
        before = point
    return interval.merge(closed)


def in_order(found: Iterable[NewBatch]) -> list[_Point]:
    """Return the distinct readings of parts in the order they were read."""
    points = set()
    for one in found:
        part = one.part
        ends = {(part.first_ms, part.first), (part.last_ms, part.last)}
        points |= {_Point(*end, one.clock, one.rules, bool(part.broken)) for end in ends}
    return part_order.in_order(points, lambda point: part_order.BatchPosition(
        point.clock.boot, (point.utc_ms - point.clock.offset_ms, point.value),
        point.utc_ms, point.utc_ms))


def _follow(track: interval.CounterTrack, before: _Point, point: _Point) -> list[interval.Delta]:
    """Prepare a track for the next reading when the clock of the two is not the same."""
    if _cannot_follow(before, point):
        return track.begin_again(point.utc_ms, point.value)
    shift_ms = point.clock.offset_ms - before.clock.offset_ms
    same_boot = point.clock.boot == before.clock.boot
    slewed = abs(shift_ms) <= point.rules.slack_ms and point.utc_ms > before.utc_ms
    return track.set_clock(before.utc_ms + shift_ms) if same_boot and not slewed else []


def _cannot_follow(before: _Point, point: _Point) -> bool:
    """Whether two readings of different boots are out of order: their distance is unknown."""
    return point.clock.boot != before.clock.boot and point.utc_ms <= before.utc_ms


def boundary(readings: Sequence[Reading], at_ms: int, uncertainty_ms: int) -> Boundary | None:
    """Return a counter's value at a time, in counts, and how far the truth can be from it.

    None when the time is not between two readings.  The true counter never falls, so it lies
    between the readings around; a clock that is off by u shifts it by the power there x u.
    """
    before = max((one for one in readings if one[0] <= at_ms), default=None)
    after = min((one for one in readings if one[0] >= at_ms), default=None)
    if before is None or after is None:
        return None
    if before[0] == after[0]:
        return Boundary(float(before[1]), _slope(readings, at_ms) * uncertainty_ms)
    value = counter.interpolate(before, after, at_ms) / MILLI
    spread = max(value - before[1], after[1] - value, 0)
    slope = (abs(after[1] - before[1]) + 1) / (after[0] - before[0])
    return Boundary(value, spread + slope * uncertainty_ms)


def _slope(readings: Sequence[Reading], at_ms: int) -> float:
    """Counts per millisecond around a time at which there is a reading."""
    later = min((one for one in readings if one[0] > at_ms), default=None)
    earlier = max((one for one in readings if one[0] < at_ms), default=None)
    here = [one for one in readings if one[0] == at_ms][0]
    slopes = [(abs(one[1] - here[1]) + 1) / abs(one[0] - here[0])
              for one in (earlier, later) if one is not None]
    return max(slopes, default=0.0)


def metered(parts: Sequence[interval.QuarterPart], deltas: Iterable[interval.Delta],
            period: tuple[int, int], uncertainty_ms: int,
            wh_per_count: float) -> MeteredEnergy | None:
    """Return the energy of a period [from_ms, to_ms) of one counter, with its bound; None when
    no quarter hour of it is known.

    deltas: quarter hours of the same parts; energy is the sum of those that are known.
    """
    from_ms, to_ms = period
    inside = [one for one in deltas if from_ms <= one.start_ms < to_ms]
    known = [one.delta_milli for one in inside if one.delta_milli is not None]
    if not known:
        return None
    energy_wh = sum(known) * wh_per_count / MILLI
    readings = points(parts)
    first = min(one.start_ms for one in inside if one.delta_milli is not None)
    last = max(one.start_ms + one.length_ms for one in inside if one.delta_milli is not None)
    edges = [boundary(readings, at, uncertainty_ms) for at in (first, last)]
    bound = sum(edge.bound_counts for edge in edges if edge is not None) + 2
    return MeteredEnergy(energy_wh, bound * wh_per_count)
