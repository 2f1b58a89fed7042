"""A counter's readings in runs, within which they follow each other.  Pure.

Nothing is counted from one run to the next: what an advance between two readings under
different ratios is worth, nobody knows, and two registers have no difference.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fleet.formats import part_order
from fleet.formats.values import BatchClock, CounterPart, MeterSwap
from gateway.core import interval

READING_MAX = 1 << 64
Reading = tuple[int, int]
ReadingRank = tuple[int, tuple[bytes, int], int]      # in the order in which readings were made
Ends = tuple[int | None, int | None]            # last of the old register, first of the new


class Terms(NamedTuple):
    """What a configuration says of a counter; value_per_count: in the measurand's unit."""

    value_per_count: float
    role: str | None
    rules: interval.CounterRules


class RunPoint(NamedTuple):
    """A reading; broken: an impossible step lies in its part."""

    utc_ms: int
    value: int
    clock: BatchClock
    terms: Terms
    broken: bool

    @property
    def rules(self) -> interval.CounterRules:
        """The rules of its configuration."""
        return self.terms.rules


class CounterRun(NamedTuple):
    """Readings of one register under one worth and role.

    began_by, ended_by: the swaps at its ends.  old_ms: of the last reading of the device that
    this one replaced, None if there is none.  new_ms: of the first reading of the one that
    replaced it.
    """

    points: Sequence[RunPoint]
    began_by: MeterSwap | None = None
    old_ms: int | None = None
    ended_by: MeterSwap | None = None
    new_ms: int | None = None

    @property
    def terms(self) -> Terms:
        """The worth and role of all readings; the rules are those of the first."""
        return self.points[0].terms


class _Begin(NamedTuple):
    swap: MeterSwap | None
    old_ms: int | None


class ReadingOrder:
    """The order in which readings were made: boots by their first time, each by its ticks."""

    def __init__(self, points: Iterable[RunPoint], swaps: Iterable[MeterSwap]) -> None:
        self._boots = part_order.BootOrder(part_order.MadeReading(
            one.clock.boot, one.utc_ms - one.clock.offset_ms, one.utc_ms, one.utc_ms)
            for one in points)
        for swap in swaps:
            self._boots.add(swap.clock.boot, swap.utc_ms)

    def position(self, clock: BatchClock, utc_ms: int) -> ReadingRank:
        """Return the place of a time under a clock."""
        return self._boots.position(clock.boot, utc_ms - clock.offset_ms)


def runs(parts: Iterable[CounterPart], terms: Mapping[bytes, Terms],
         swaps: Sequence[tuple[MeterSwap, Ends]] = ()) -> list[CounterRun]:
    """Return the Runs of a counter's parts.

    terms: by hash of the configuration.  swaps: of its device, with what its registers read.
    """
    points = {RunPoint(*end, one.clock, terms[one.config], bool(one.part.broken)) for one in parts
              for end in ((one.part.first_ms, one.part.first), (one.part.last_ms, one.part.last))}
    order = ReadingOrder(points, [swap for swap, _ in swaps])
    placed = {one: (*order.position(one.clock, one.utc_ms), one.value) for one in points}
    rows = sorted(points, key=lambda one: (placed[one], one.broken))
    found: list[CounterRun] = []
    for run in _pieces(rows, [placed[one] for one in rows], order,
                       [(swap, ends, terms[swap.config]) for swap, ends in swaps]):
        found += _alike(run)
    return found


def _pieces(points: list[RunPoint], positions: Sequence[tuple[object, ...]], order: ReadingOrder,
            swaps: Sequence[tuple[MeterSwap, Ends, Terms]]) -> list[CounterRun]:
    """Return the readings between swaps; a swap without a reading after it changes nothing."""
    found, begin, head, began = list[CounterRun](), 0, list[RunPoint](), _Begin(None, None)
    for swap, (old, new), terms in sorted(
            swaps, key=lambda one: order.position(one[0].clock, one[0].utc_ms)):
        at = bisect_left(positions, (*order.position(swap.clock, swap.utc_ms), -1))
        if at == len(points):
            break
        end = at if swap.old_ms is None else bisect_right(
            positions, (*order.position(swap.clock, swap.old_ms), READING_MAX), hi=at)
        piece = head + points[begin:end]
        if old is not None:
            end_ms = swap.utc_ms - terms.rules.slack_ms if swap.old_ms is None else swap.old_ms
            piece.append(RunPoint(end_ms, old, swap.clock, piece[-1].terms if piece else terms,
                                  False))
        head = [] if new is None else [RunPoint(swap.utc_ms, new, swap.clock, terms, False)]
        if piece:
            found.append(CounterRun(piece, *began, swap, (head or points[at:])[0].utc_ms))
        began, begin = _Begin(swap, piece[-1].utc_ms if piece else None), at
    rest = head + points[begin:]
    return [*found, CounterRun(rest, *began)] if rest else found


def _alike(run: CounterRun) -> list[CounterRun]:
    """Return a run in those of one worth and role."""
    points, found, begin = run.points, list[CounterRun](), 0
    for index in range(1, len(points) + 1):
        if index == len(points) or points[index].terms[:2] != points[begin].terms[:2]:
            first = (run.began_by, run.old_ms) if begin == 0 else (None, None)
            last = (run.ended_by, run.new_ms) if index == len(points) else (None, None)
            found.append(CounterRun(points[begin:index], *first, *last))
            begin = index
    return found
