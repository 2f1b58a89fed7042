"""What each meter counted in a period, and how wrong that can be.  Pure.

A counter's energy over a period is the difference of two interpolated readings: inside, the
quarter hours telescope.  It can be off by one step of the register at either end, by the
interpolation at either end, and by the power there times the clock's uncertainty.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.core import counter, interval

MILLI = counter.MILLI

Reading = tuple[int, int]


class Metered(NamedTuple):
    """The energy of a meter in a period; |error| <= bound_wh."""

    energy_wh: float
    bound_wh: float


class Boundary(NamedTuple):
    """A counter's value at a time; |error| <= bound_counts."""

    counts: float
    bound_counts: float


def points(parts: Iterable[interval.Part]) -> list[Reading]:
    """Return the distinct readings (utc_ms, value) that parts hold, by time."""
    found = {(part.first_ms, part.first) for part in parts}
    found |= {(part.last_ms, part.last) for part in parts}
    return sorted(found)


def rebuild(found: Iterable[tuple[interval.Part, interval.Rules]]) -> list[interval.Delta]:
    """Return the Deltas of a counter's parts, as interval.rebuild does, when each part has the
    rules of its own configuration: a step obeys those of its later reading."""
    rules: dict[Reading, interval.Rules] = {}
    broken = set()
    for part, own in found:
        rules[part.first_ms, part.first] = rules[part.last_ms, part.last] = own
        if part.broken:
            broken.add(part.start_ms)
    readings, closed = sorted(rules), list[interval.Delta]()
    if not readings:
        return closed
    track = interval.CounterTrack(rules[readings[0]])
    for at_ms, value in readings:
        track.rules = rules[at_ms, value]
        closed += track.add(at_ms, value)
        if interval.quarter(at_ms) in broken:
            track.mark_broken()
    return closed


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
    spread = max(value - before[1], after[1] - value)
    slope = (after[1] - before[1] + 1) / (after[0] - before[0])
    return Boundary(value, spread + slope * uncertainty_ms)


def _slope(readings: Sequence[Reading], at_ms: int) -> float:
    """Counts per millisecond around a time at which there is a reading."""
    later = min((one for one in readings if one[0] > at_ms), default=None)
    earlier = max((one for one in readings if one[0] < at_ms), default=None)
    here = [one for one in readings if one[0] == at_ms][0]
    slopes = [(abs(one[1] - here[1]) + 1) / abs(one[0] - here[0])
              for one in (earlier, later) if one is not None]
    return max(slopes, default=0.0)


def metered(parts: Sequence[interval.Part], deltas: Iterable[interval.Delta],
            period: tuple[int, int], uncertainty_ms: int, worth_wh: float) -> Metered | None:
    """Return the energy of a period [from_ms, to_ms) of one counter, with its bound; None when
    no quarter hour of it is known.

    deltas: quarter hours of the same parts; energy is the sum of those that are known.
    """
    from_ms, to_ms = period
    inside = [one for one in deltas if from_ms <= one.start_ms < to_ms]
    known = [one.delta_milli for one in inside if one.delta_milli is not None]
    if not known:
        return None
    energy_wh = sum(known) * worth_wh / MILLI
    readings = points(parts)
    first = min(one.start_ms for one in inside if one.delta_milli is not None)
    last = max(one.start_ms + one.length_ms for one in inside if one.delta_milli is not None)
    edges = [boundary(readings, at, uncertainty_ms) for at in (first, last)]
    bound = sum(edge.bound_counts for edge in edges if edge is not None) + 2
    return Metered(energy_wh, bound * worth_wh)
