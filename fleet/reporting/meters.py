"""What each meter counted in a period, and how wrong that can be.  Pure.

A counter's energy over a period is the difference of two interpolated readings: inside, the
quarter hours telescope.  It can be off by one step of the register at either end, by the
interpolation at either end, and by the power there times the clock's uncertainty.
"""

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from fleet.reporting.runs import CounterRun, Reading, RunPoint
from gateway.core import counter, interval

MILLI = counter.MILLI


class MeteredEnergy(NamedTuple):
    """The energy of a meter in a period; |error| <= bound_wh."""

    energy_wh: float
    bound_wh: float


class Boundary(NamedTuple):
    """A counter's value at a time; |error| <= bound_counts."""

    counts: float
    bound_counts: float


def rebuild(run: CounterRun) -> list[interval.Delta]:
    """Return the Deltas of a run, one for each quarter hour.

    As interval.rebuild does, but each reading has the rules of its own configuration (a step
    obeys those of its later reading) and the clock of its own batch.  Within a boot, readings
    follow each other by the gateway's ticks, whatever its wall clock did (docs/accounting.md
    section 4).
    """
    before = run.points[0]
    track = interval.CounterTrack(before.terms.rules)
    closed = track.begin_exchanged(run.old_ms, before.utc_ms, before.value)
    if before.broken:
        track.mark_broken()
    for point in run.points[1:]:
        track.rules = point.terms.rules
        closed += _follow(track, before, point)
        if not _cannot_follow(before, point):
            closed += track.add(point.utc_ms, point.value)
        if point.broken:
            track.mark_broken()
        before = point
    return interval.merge(closed + track.leave() if run.new_ms is not None else closed)


def _follow(track: interval.CounterTrack, before: RunPoint,
            point: RunPoint) -> list[interval.Delta]:
    """Prepare a track for the next reading when the clock of the two is not the same."""
    if _cannot_follow(before, point):
        return track.begin_again(point.utc_ms, point.value)
    shift_ms = point.clock.offset_ms - before.clock.offset_ms
    same_boot = point.clock.boot == before.clock.boot
    slewed = abs(shift_ms) <= point.terms.rules.slack_ms and point.utc_ms > before.utc_ms
    return track.set_clock(before.utc_ms + shift_ms) if same_boot and not slewed else []


def _cannot_follow(before: RunPoint, point: RunPoint) -> bool:
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


def metered(run: CounterRun, deltas: Iterable[interval.Delta], period: tuple[int, int],
            uncertainty_ms: int) -> MeteredEnergy | None:
    """Return the energy of a period [from_ms, to_ms) of a run, with its bound; None when no
    quarter hour of it is known.

    deltas: quarter hours of the run; energy is the sum of those that are known.
    """
    from_ms, to_ms = period
    known = {one.start_ms: one.delta_milli for one in deltas
             if from_ms <= one.start_ms < to_ms and one.delta_milli is not None}
    if not known:
        return None
    readings = sorted({(point.utc_ms, point.value) for point in run.points})
    edges = [boundary(readings, at, uncertainty_ms)
             for at in (min(known), max(known) + interval.QUARTER_MS)]
    bound = sum(edge.bound_counts for edge in edges if edge is not None) + 2
    wh_per_count = run.terms.value_per_count
    return MeteredEnergy(sum(known.values()) * wh_per_count / MILLI,
                         (bound + unknown_counts(run, known)) * wh_per_count)


def unknown_counts(run: CounterRun, known: Container[int]) -> int:
    """Return the most that was counted beside a swap, unread, in known quarter hours."""
    ends_ms = []
    last_ms, first_ms = run.points[-1].utc_ms, run.points[0].utc_ms
    last, first = interval.quarter(last_ms), interval.quarter(first_ms)
    if run.new_ms is not None and last in known and interval.quarter(run.new_ms) != last:
        ends_ms.append(min(run.new_ms, last + interval.QUARTER_MS) - last_ms)
    if run.old_ms is not None and first in known:
        ends_ms.append(first_ms - max(run.old_ms, first))
    return sum(counter.limit_counts(run.terms.rules.rate_per_hour, dt_ms) + 1
               for dt_ms in ends_ms if dt_ms > 0)
