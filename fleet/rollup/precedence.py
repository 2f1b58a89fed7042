"""Which of a cabinet's journals counts at which time.  Pure.

The key that signs a journal can sign a second one about the same time, and so can its thief.  So
the journals of a cabinet have an order: as hand-overs name them, else as they arrived.  A
later journal tells only of time behind the last reading of every earlier one.  An earlier journal
goes on, but not into time that a later one has covered, unless nobody has explained the later one
and the time is the present (PRESENT_MS): then the later one gives way there.  What may not count
is a *conflict*; it is stored and named, and a person decides.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fleet.formats.decision import Decision
from fleet.formats.values import AsideStretch, JournalSpan

PRESENT_MS = 3_600_000      # a cabinet with a line delivers what it read within an hour
SEAM_MS = 120_000           # where one journal follows another their clocks may differ by so much
FOREVER_MS = 1 << 62

Stretch = tuple[int, int]   # from, to: UTC ms, both included


class Conflict(NamedTuple):
    """Time of a batch that a journal (by) covers; from_ms, to_ms: UTC ms, both included."""

    from_ms: int
    to_ms: int
    by: bytes


class Segment(NamedTuple):
    """Time for which one decision (number) is in force; to_ms excluded."""

    from_ms: int
    to_ms: int
    journal: bytes
    number: int


def is_before(one: JournalSpan, other: JournalSpan) -> bool:
    """Return whether a journal comes before another one."""
    return (one.rank, one.arrived) < (other.rank, other.arrived)


def covered(own: JournalSpan, others: Iterable[JournalSpan], present_ms: int) -> list[Conflict]:
    """Return the time of which a journal may not tell; present_ms: the present begins there."""
    found = []
    for other in others:
        if other.first_ms is None or other.last_ms is None:
            continue                    # it has no reading with a time yet
        if is_before(other, own):
            found.append(Conflict(0, other.last_ms, other.journal))
        elif other.explained:           # what it replaced is over
            found.append(Conflict(other.first_ms, FOREVER_MS, other.journal))
        elif other.first_ms < present_ms:
            found.append(Conflict(other.first_ms, min(other.last_ms, present_ms - 1),
                                  other.journal))
    return found


def conflicts(times: Sequence[int], covers: Iterable[Conflict]) -> list[Conflict]:
    """Return the stretches of a batch's record times (rising) that lie in time which others
    cover, each once, from its first to its last record."""
    found: list[Conflict] = []
    for cover in sorted(covers):
        low = max(cover.from_ms, found[-1].to_ms + 1 if found else 0)
        first, end = bisect_left(times, low), bisect_right(times, cover.to_ms)
        if first < end:
            found.append(Conflict(times[first], times[end - 1], cover.by))
    return found


def segments(decisions: Iterable[Decision]) -> list[Segment]:
    """Return which decision is in force when, by time, without overlap; decisions: in order."""
    found: list[Segment] = []
    for one in decisions:
        new = Segment(one.from_ms, one.to_ms, one.journal, one.number)
        found = [left for held in found for left in _without(held, new)] + [new]
    return sorted(found)


def _without(held: Segment, new: Segment) -> list[Segment]:
    pieces = [held._replace(to_ms=min(held.to_ms, new.from_ms)),
              held._replace(from_ms=max(held.from_ms, new.to_ms))]
    return [piece for piece in pieces if piece.from_ms < piece.to_ms]


def set_aside(journal: bytes, extent: Stretch, found: Iterable[Conflict],
              decided: Iterable[Segment]) -> list[AsideStretch]:
    """Return what does not count of a batch, by time; extent: of its records."""
    rows = [AsideStretch(journal, one.from_ms, one.to_ms, one.by, None) for one in found]
    for segment in decided:
        low, high = max(segment.from_ms, extent[0]), min(segment.to_ms - 1, extent[1])
        if low > high:
            continue
        rows = [left for row in rows for left in _cut(row, segment.from_ms, segment.to_ms - 1)]
        if segment.journal != journal:
            rows.append(AsideStretch(journal, low, high, segment.journal, segment.number))
    return sorted(rows, key=lambda row: (row.from_ms, row.to_ms))


def _cut(row: AsideStretch, from_ms: int, to_ms: int) -> list[AsideStretch]:
    pieces = [row._replace(to_ms=min(row.to_ms, from_ms - 1)),
              row._replace(from_ms=max(row.from_ms, to_ms + 1))]
    return [piece for piece in pieces if piece.from_ms <= piece.to_ms]


def is_seam(row: AsideStretch, own: JournalSpan, other: JournalSpan) -> bool:
    """Return whether time is set aside only because two clocks differ where one journal follows
    the other; own, other: those of row.journal and row.by.  Nobody has to decide then."""
    if row.decision is not None:
        return False
    if is_before(other, own):
        goes_on = own.explained or (own.last_ms is not None and other.last_ms is not None
                                    and own.last_ms > other.last_ms)
        return goes_on and other.last_ms is not None and row.from_ms >= other.last_ms - SEAM_MS
    return (other.first_ms is not None and own.first_ms is not None
            and row.to_ms <= other.first_ms + SEAM_MS and own.first_ms < other.first_ms)


def counts(utc_ms: int, aside: Iterable[AsideStretch]) -> bool:
    """Return whether a record of this time counts."""
    return not any(row.from_ms <= utc_ms <= row.to_ms for row in aside)
