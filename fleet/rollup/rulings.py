"""What of a batch counts beside the other journals of its cabinet; see precedence.py.

Everything here belongs inside the store's transaction.  What the order of the journals says of a
batch stays as it is until its time changes; decisions are laid over it each time.
"""

from collections.abc import Callable

from fleet.formats.values import AsideStretch, JournalSpan, OpenedBatch
from fleet.rollup import precedence
from fleet.rollup.precedence import Conflict, Stretch
from fleet.store.journal_tables import Ruling
from fleet.store.writer import EvidenceStore
from gateway.core.codec import record
from gateway.core.reading import CLOCK_SIMULATED, ClockState


class Rulings:
    """The rulings of one store; now_ms: the fleet's clock."""

    def __init__(self, store: EvidenceStore, now_ms: Callable[[], int]) -> None:
        self._rollup, self._tables, self._now_ms = store.rollup, store.rollup.journals, now_ms

    def counted(self, batch_id: int, opened: OpenedBatch, clock: ClockState) -> OpenedBatch:
        """Return a batch with what counts of it; what does not is noted as set aside."""
        cabinet, journal = opened.batch.cabinet, opened.batch.journal_id
        spans, found = self._tables.spans(cabinet), self._tables.ruling(batch_id)
        decided = precedence.segments(self._tables.decisions(cabinet))
        offset_ms = clock.anchor_utc_ms - clock.anchor_ticks_ms
        times = sorted(item.ticks_ms + offset_ms for item in opened.records)
        if found is None:
            found = self._rule(batch_id, opened, (spans, times), clock)
        if not times or not (found.conflicts or decided):
            return opened
        extent = times[0], times[-1]
        aside = precedence.set_aside(journal, extent, map(Conflict._make, found.conflicts),
                                     decided)
        self._tables.set_aside(cabinet, batch_id, aside)
        return only(opened, aside, offset_ms)

    def _rule(self, batch_id: int, opened: OpenedBatch, known: tuple[list[JournalSpan], list[int]],
              clock: ClockState) -> Ruling:
        """Rule on a batch; known: the cabinet's journals, the times of the batch's records."""
        spans, times = known
        batch, real = opened.batch, clock.source != CLOCK_SIMULATED
        own = next((one for one in spans if one.journal == batch.journal_id), None)
        others = [one for one in spans if one is not own]
        # In simulated time there is no saying how late something is.
        simulated = not real and not any(one.real for one in spans)
        present_ms = 0 if simulated else self._now_ms() - precedence.PRESENT_MS
        covers = precedence.covered(own, others, present_ms) if own else [
            Conflict(0, precedence.FOREVER_MS, spans[0].journal)]
        found = precedence.conflicts(times, covers)
        stretch = _readings(opened, found, clock)
        first_ms, last_ms = stretch or (None, None)
        ruling = Ruling(first_ms, last_ms, found)
        self._tables.rule(batch, batch_id, ruling, real)
        if own and stretch:
            self._give_way(batch.cabinet, own, others, stretch)
        return ruling

    def _give_way(self, cabinet: str, own: JournalSpan, others: list[JournalSpan],
                  stretch: Stretch) -> None:
        """Have batches of later journals, which nobody explained, ruled on again where an earlier
        one goes on."""
        for other in others:
            if precedence.is_before(own, other) and not other.explained:
                ids = self._tables.counted(cabinet, other.journal, *stretch)
                self._rollup.take_out(ids)
                self._tables.forget(cabinet, other.journal, ids)


def only(opened: OpenedBatch, aside: list[AsideStretch], offset_ms: int) -> OpenedBatch:
    """Return a batch without the records and cells that are set aside."""
    if not aside:
        return opened
    cells = opened.cells and tuple(
        cell for cell in opened.cells if precedence.counts(cell.ticks_ms + offset_ms, aside))
    return opened._replace(cells=cells, records=tuple(
        item for item in opened.records if precedence.counts(item.ticks_ms + offset_ms, aside)))


def _readings(opened: OpenedBatch, found: list[Conflict], clock: ClockState) -> Stretch | None:
    """Return first and last time of a batch's scans that are in no conflict."""
    offset_ms = clock.anchor_utc_ms - clock.anchor_ticks_ms
    stamps = {item.ticks_ms + offset_ms for item in opened.records
              if isinstance(item, record.ScanRecord)}
    stamps |= {cell.ticks_ms + offset_ms for cell in opened.cells or ()}
    free = [at for at in stamps if not any(one.from_ms <= at <= one.to_ms for one in found)]
    return (min(free), max(free)) if free else None
