"""From readings to quarter hours: counters, gauges, and a form that survives any order.

A quarter hour starts at a multiple of 900 s of UTC.  A counter's value at a boundary is
interpolated between the readings on either side and shared by both quarter hours, so deltas
telescope exactly.  Each delta carries how far interpolation can be wrong.  Numbers: deltas,
bounds and means in 1/1000 of a count (or of the gauge's step); times in UTC milliseconds.
"""


from gateway.core import counter
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

QUARTER_MS = 900000
SPREAD_MS_MAX = 31 * 24 * 3600000   # a counter is not spread over more: 2,976 quarter hours

MEASURED, ESTIMATED, MISSING = 0, 1, 2
QUALITY_NAMES = ("measured", "estimated", "missing")

# delta_milli is None when quality is MISSING; bound_milli: |delta - truth| <= bound (0 then).
Delta = NamedTuple("Delta", [
    ("start_ms", int), ("length_ms", int), ("delta_milli", "int | None"), ("quality", int),
    ("bound_milli", int)])

# modulus: first value the register cannot show.  rate_per_hour: counts at rated power.
# step_ms_max: neighbours of a boundary further apart make a delta ESTIMATED.  slack_ms: how
# much later or earlier than its stamp a register may have been latched (meter and clock).
CounterRules = NamedTuple("CounterRules", [
    ("modulus", int), ("rate_per_hour", int), ("step_ms_max", int), ("slack_ms", int)])

# One batch's share of one quarter hour of one counter: enough to rebuild the deltas.
# broken: 1 if a reset or jump lay between two readings of this part.
QuarterPart = NamedTuple("QuarterPart", [
    ("start_ms", int), ("first_ms", int), ("first", int), ("last_ms", int), ("last", int),
    ("broken", int)])

# A boundary that was passed: unwrapped value and worst error in 1/1000, near: neighbours close.
_Boundary = NamedTuple("_Boundary", [("value", int), ("bound", int), ("near", bool)])


def quarter(utc_ms: int) -> int:
    """Return the start of the quarter hour a time lies in; a boundary starts the later one."""
    return utc_ms // QUARTER_MS * QUARTER_MS


def step(rules: CounterRules, older: tuple[int, int], newer: tuple[int, int]) -> tuple[str,
                                                                                       int | None]:
    """Return counter.difference between two readings (utc_ms, value), newer one later.

    The limit allows one count more than rated power: both readings are whole counts.
    """
    dt_ms = newer[0] - older[0] + rules.slack_ms
    limit = counter.limit_counts(rules.rate_per_hour, dt_ms) + 1
    return counter.difference(older[1], newer[1], rules.modulus, limit)


class CounterTrack:
    """One counter's way through the quarter hours; feed readings in the order of time."""

    __slots__ = ("rules", "ignored", "_last", "_total", "_opening", "_broken")

    def __init__(self, rules: CounterRules) -> None:
        self.rules = rules
        self.ignored = 0            # readings not later than the one before
        self._last: tuple[int, int] | None = None       # (utc_ms, raw value) of the latest
        self._total = 0             # unwrapped counts since the last break
        self._opening: _Boundary | None = None          # at the start of the open quarter hour
        self._broken = True         # the open quarter hour cannot be claimed

    def add(self, utc_ms: int, value: int) -> list[Delta]:
        """Take a reading; return a list of Delta, one for each quarter hour it closes.

        A reading that is not later than the one before is counted in `ignored`, not used.
        The quarter hour of the very first reading closes as MISSING.
        """
        last = self._last
        if last is None:
            self._restart(utc_ms, value)
            return []
        if utc_ms <= last[0]:
            self.ignored += 1
            return []
        counts = None
        if utc_ms - last[0] <= SPREAD_MS_MAX:
            counts = step(self.rules, last, (utc_ms, value))[1]
        if counts is None:
            return self._break(last, utc_ms, value)
        closed = self._pass_boundaries(last, utc_ms, counts)
        self._last = (utc_ms, value)
        self._total += counts
        return closed

    def set_clock(self, utc_ms: int) -> list[Delta]:
        """Take note that the wall clock was set: the latest reading was at utc_ms instead.

        The counter went on, so nothing between its readings is lost: the time up to that
        reading stays where the old clock put it, what follows lies where the new one puts it.
        Returns a list of Delta: what is known of the quarter hour that the old clock left.
        """
        last = self._last
        if last is None or utc_ms == last[0]:
            return []
        closed = self._leave(last[0])
        self._last = (utc_ms, last[1])
        self._opening, self._broken = self._here(), False
        return closed

    def begin_exchanged(self, older_ms: "int | None", utc_ms: int, value: int) -> list[Delta]:
        """Take the first reading of a device that replaced another one; for a new track.

        older_ms: of the last reading of the one before, of whose quarter hour leave() says what
        is known.  The quarter hour of the first reading counts from it on.  Returns a list of
        Delta: quarter hours between the two of which nothing is known.
        """
        self._restart(utc_ms, value)
        if older_ms is None:
            return []
        self._opening, self._broken = self._opening or self._here(), False
        first = quarter(older_ms + QUARTER_MS - 1)
        if quarter(utc_ms) - first > SPREAD_MS_MAX:
            return []
        return [_missing(start) for start in range(first, quarter(utc_ms), QUARTER_MS)]

    def leave(self) -> list[Delta]:
        """Return a list of Delta: what is known of the open quarter hour up to the latest
        reading, after which there is none."""
        return [] if self._last is None else self._leave(self._last[0])

    def begin_again(self, utc_ms: int, value: int) -> list[Delta]:
        """Take a reading of which nothing says how long after the latest one it was made.

        Returns a list of Delta: what is known of the quarter hour that is left.  The advance
        between the two readings is not claimed.
        """
        closed = self.leave()
        self._restart(utc_ms, value)
        return closed

    def _here(self) -> _Boundary:
        return _Boundary(self._total * counter.MILLI, 0, False)

    def _leave(self, last_ms: int) -> list[Delta]:
        """Close the open quarter hour at its latest reading."""
        start = quarter(last_ms)
        return [self._close(start, self._here())] if last_ms > start else []

    def mark_broken(self) -> None:
        """Say that the open quarter hour holds a reset or jump: it will close as MISSING."""
        self._broken = True

    def _restart(self, utc_ms: int, value: int) -> None:
        self._last = (utc_ms, value)
        self._total = 0
        on_boundary = utc_ms % QUARTER_MS == 0
        self._opening = _Boundary(0, 0, True) if on_boundary else None
        self._broken = not on_boundary

    def _break(self, last: tuple[int, int], utc_ms: int, value: int) -> list[Delta]:
        """Close every quarter hour the unclaimed step touches as MISSING and start again."""
        start, end = quarter(last[0]), quarter(utc_ms)
        closed = []
        if end - start <= SPREAD_MS_MAX:
            while start < end:
                closed.append(_missing(start))
                start += QUARTER_MS
        else:
            closed.append(_missing(start))
        self._restart(utc_ms, value)
        return closed

    def _pass_boundaries(self, last: tuple[int, int], utc_ms: int, counts: int) -> list[Delta]:
        older = (last[0], self._total)
        newer = (utc_ms, self._total + counts)
        start = quarter(older[0])
        closed = []
        while start + QUARTER_MS <= utc_ms:
            end = start + QUARTER_MS
            boundary = _boundary(older, newer, end, self.rules.step_ms_max)
            closed.append(self._close(start, boundary))
            self._opening = boundary
            self._broken = False
            start = end
        return closed

    def _close(self, start_ms: int, boundary: _Boundary) -> Delta:
        opening = self._opening
        if self._broken or opening is None:
            return _missing(start_ms)
        quality = MEASURED if opening.near and boundary.near else ESTIMATED
        return Delta(start_ms, QUARTER_MS, boundary.value - opening.value, quality,
                     opening.bound + boundary.bound)


def merge(deltas: "Iterable[Delta]") -> list[Delta]:
    """Return the Deltas with one for each quarter hour, by time.

    A clock that was set gives a quarter hour two shares, and one that was set back passes it
    twice: all of it was counted, so the shares add up to an estimate.  Missing wins.
    """
    found: dict[int, Delta] = {}
    for delta in deltas:
        other = found.get(delta.start_ms)
        if other is not None:
            delta = _sum(other, delta)
        found[delta.start_ms] = delta
    return [found[start] for start in sorted(found)]


def _sum(one: Delta, other: Delta) -> Delta:
    if one.delta_milli is None or other.delta_milli is None:
        return _missing(one.start_ms)
    return Delta(one.start_ms, one.length_ms, one.delta_milli + other.delta_milli, ESTIMATED,
                 one.bound_milli + other.bound_milli)


def _missing(start_ms: int) -> Delta:
    return Delta(start_ms, QUARTER_MS, None, MISSING, 0)


def _boundary(older: tuple[int, int], newer: tuple[int, int], at_ms: int,
              step_ms_max: int) -> _Boundary:
    """Return the boundary value between two unwrapped readings and how wrong it can be.

    The true counter never falls, so at the boundary it lies between the two readings: the
    error is at most the larger distance to them.
    """
    value = counter.interpolate(older, newer, at_ms)
    below = value - older[1] * counter.MILLI
    above = newer[1] * counter.MILLI - value
    if at_ms == newer[0]:
        return _Boundary(value, 0, True)
    return _Boundary(value, max(below, above), newer[0] - older[0] <= step_ms_max)


# --- parts: what a receiver keeps of each batch ------------------------------------------


def parts(readings: "Iterable[tuple[int, int]]", rules: CounterRules,
          swaps_ms: "Sequence[int]" = ()) -> list[QuarterPart]:
    """Return the QuarterParts of readings [(utc_ms, value), ...] of one batch, times rising.

    A reading that is not later than the one before is left out, as CounterTrack does.
    swaps_ms: from each of these times on, in order, another device was read: no step leads to it.
    """
    found: list[QuarterPart] = []
    last: tuple[int, int] | None = None
    passed = 0                  # of the swaps
    for utc_ms, value in readings:
        if last is not None and utc_ms <= last[0]:
            continue
        start = quarter(utc_ms)
        if last is not None and found[-1].start_ms == start:
            part = found[-1]
            while passed < len(swaps_ms) and swaps_ms[passed] <= last[0]:
                passed += 1
            same = passed == len(swaps_ms) or swaps_ms[passed] > utc_ms
            broken = part.broken or same and step(rules, last, (utc_ms, value))[1] is None
            found[-1] = QuarterPart(start, part.first_ms, part.first, utc_ms, value,
                                    1 if broken else 0)
        else:
            found.append(QuarterPart(start, utc_ms, value, utc_ms, value, 0))
        last = (utc_ms, value)
    return found


def rebuild(found: "Iterable[QuarterPart]", rules: CounterRules) -> list[Delta]:
    """Return the Deltas of QuarterParts of one counter, given in any order, repeats allowed.

    They equal what CounterTrack gives for the full stream, with two exceptions: a reset that
    hides between two parts and looks like an advance, and a counter that runs above its limit
    by less than the slack of each step, which over a whole quarter hour is a jump.
    """
    track, closed = CounterTrack(rules), []
    points, broken = set(), set()
    for part in found:
        points.add((part.first_ms, part.first))
        points.add((part.last_ms, part.last))
        if part.broken:
            broken.add(part.start_ms)
    for utc_ms, value in sorted(points):
        closed += track.add(utc_ms, value)
        if quarter(utc_ms) in broken:
            track.mark_broken()
    return closed
