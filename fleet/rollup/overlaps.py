"""Where two journals of a cabinet tell of the same time, as a person needs to see it."""

from collections.abc import Iterable
from typing import NamedTuple

from fleet.formats.decision import Decision
from fleet.formats.values import AsideStretch
from fleet.rollup import precedence
from fleet.store.reader import StoreReader

JOINED_MS = 3_600_000       # stretches of the same journals that lie so close are one


class Overlap(NamedTuple):
    """Readings of a journal that do not count, from_ms to to_ms, because `by` counts there.

    decision: the one that says so, None while nobody has decided.  seam: nobody has to, for only
    the clocks of two journals differ where one follows the other.
    """

    journal: bytes
    by: bytes
    from_ms: int
    to_ms: int
    decision: Decision | None
    seam: bool


def of_period(reader: StoreReader, cabinet: str, from_ms: int, to_ms: int) -> list[Overlap]:
    """Return the overlaps of a period [from_ms, to_ms), by journal and time."""
    return _named(reader, cabinet, joined(reader.rivals.set_aside(cabinet, from_ms, to_ms)))


def at_any_time(reader: StoreReader, cabinet: str) -> list[Overlap]:
    """Return an overlap for each two journals and decision, from first to last."""
    return _named(reader, cabinet, reader.rivals.summary(cabinet))


def _named(reader: StoreReader, cabinet: str, rows: list[AsideStretch]) -> list[Overlap]:
    if not rows:
        return []
    spans = {one.journal: one for one in reader.rivals.spans(cabinet)}
    decided = {one.number: one for _, one in reader.rivals.decisions(cabinet)}
    found = []
    for row in rows:
        own, other = spans.get(row.journal), spans.get(row.by)
        seam = own is not None and other is not None and precedence.is_seam(row, own, other)
        found.append(Overlap(row.journal, row.by, row.from_ms, row.to_ms,
                             decided.get(row.decision or 0), seam))
    return found


def undecided(found: Iterable[Overlap]) -> list[Overlap]:
    """Return the overlaps about which a person has to decide."""
    return [one for one in found if one.decision is None and not one.seam]


def joined(rows: Iterable[AsideStretch]) -> list[AsideStretch]:
    """Return stretches, those of the same journals and decision joined that lie close."""
    found: list[AsideStretch] = []
    for row in rows:
        last = found[-1] if found else None
        if last and (last.journal, last.by, last.decision) == (row.journal, row.by, row.decision) \
                and row.from_ms - last.to_ms <= JOINED_MS:
            found[-1] = last._replace(to_ms=max(last.to_ms, row.to_ms))
        else:
            found.append(row)
    return found
