"""From a stored batch to quarter hours: when its clock and its descriptor are known.

A batch written before the clock was known stays as it is; a later signed clock record of the
same boot puts its records into time, the further back the less certain.  Quarter hours that
were closed before then are restated: parts are added, never overwritten, and the incident
says so.  What cannot be reduced stays stored, receipted and not rolled up.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence

from fleet.formats import downsampled, envelope, site_descriptor, timetext
from fleet.formats.event_bodies import lost_batches
from fleet.formats.timetext import DAY_MS
from fleet.formats.values import CLOCK_STEP_MS, AnyBatch, OpenedBatch, Record
from fleet.rollup import reduce
from fleet.rollup.rulings import Rulings
from fleet.store import incidents
from fleet.store.rollup_tables import NOT_ROLLED_UP
from fleet.store.writer import EvidenceStore
from gateway.core.codec import record
from gateway.core.errors import AdmissionError, BadSchema
from gateway.core.evidence import batch as batches
from gateway.core.interval import QUARTER_MS
from gateway.core.reading import CLOCK_RTC, CLOCK_SIMULATED, CLOCK_UNKNOWN, ClockState

WAITING_MAX = 50            # batches reduced late in one admission: bounds its time
# A clock that is carried back to records before it was set: a crystal in the cold is off by up
# to 250 ppm (docs/design.md, time), a kernel that slews by up to 500 ppm.
CARRY_BACK_PPM = 500
# What content from outside may raise in arithmetic that was written for content from us.
UNREADABLE = (AdmissionError, ValueError, TypeError, KeyError, IndexError, AttributeError,
              ArithmeticError, sqlite3.IntegrityError)


class Rollup:
    """Books what is stored; everything here belongs inside the store's transaction."""

    def __init__(self, store: EvidenceStore, now_ms: Callable[[], int]) -> None:
        self._store, self._tables, self._now_ms = store, store.rollup, now_ms
        self._rulings = Rulings(store, now_ms)

    def note_context(self, opened: OpenedBatch) -> None:
        """Keep what other batches may be waiting for: descriptors, clocks, lost batches.

        Raises BadSchema for a CONFIG event that does not hold.
        """
        batch = opened.batch
        self._store.incidents.settle(batch.cabinet, batch.journal_id, batch.number)
        if self._is_plausible(batch.clock, opened.records):
            self._tables.add_clock(opened, batch.clock)
        elif batch.clock.source != CLOCK_UNKNOWN:
            self._note(incidents.FUTURE, batch, f"boot {batch.boot}", "the gateway's clock is "
                       "more than a day ahead of ours; its records wait for a better one")
        for item in opened.records:
            if isinstance(item, record.EventRecord):
                self._note_event(opened, item)

    def _note_event(self, opened: OpenedBatch, event: record.EventRecord) -> None:
        batch = opened.batch
        if event.kind == record.CONFIG:
            digest, descriptor = _config(event.body)
            self._tables.add_config(batch.cabinet, digest, descriptor, None)
        elif event.kind == record.CLOCK and batch.clock.source == CLOCK_UNKNOWN:
            clock = _clock_event(event.body)
            if clock is not None and self._is_plausible(clock, opened.records):
                self._tables.add_clock(opened, clock)
        elif event.kind == record.ALARM:
            self._learn_lost(batch, event.body)

    def _learn_lost(self, batch: AnyBatch, body: Sequence[object]) -> None:
        """Note which batches before this one the cabinet cannot send: one that rotted, as a
        number, or those that it no longer holds, as FIRST-LAST.  It is believed for what is not
        stored here only, and not for what was passed already."""
        found = lost_batches(body)
        if found is None:
            return
        low, high = int(found[1]), int(found[2] or found[1])
        if high >= batch.number:
            return
        passed = self._store.mark(batch.cabinet, batch.journal_id).number
        for first, last in self._store.not_stored(batch.cabinet, batch.journal_id,
                                                  max(low, passed + 1), high):
            if found[2] is None:
                self._note(incidents.LOST, batch, first, f"batch {first} became unreadable on "
                           "the gateway's flash before it was received; its records are lost")
            else:
                self._note(incidents.UNHELD, batch, f"{first}-{last}", "the cabinet no longer "
                           f"holds batches {first} to {last}, which the fleet lost; their records "
                           "are gone")

    def roll_up(self, batch_id: int, opened: OpenedBatch) -> None:
        """Reduce a batch if all it needs is known; else it waits."""
        try:
            with self._store.attempt():
                self._reduce(batch_id, opened)
        except UNREADABLE as error:
            self.quarantine(batch_id, opened, f"its content cannot be booked: {error!r}")

    def quarantine(self, batch_id: int, opened: OpenedBatch, why: str) -> None:
        """Leave a stored batch out of the books for good, and say so."""
        batch = opened.batch
        self._tables.mark(batch_id, NOT_ROLLED_UP)
        self._note(incidents.QUARANTINED, batch, batch.number,
                   f"batch {batch.number}: received, not booked: {why}")

    def roll_up_waiting(self, cabinet: str) -> bool:
        """Reduce batches that waited and need not any more, some at a time; return whether there
        were any."""
        found = self._tables.waiting(cabinet, WAITING_MAX)
        for waiting in found:
            try:
                opened = envelope.reopen(waiting.sealed)
            except BadSchema:                       # the store was damaged: `verify` names it
                self._tables.mark(waiting.id, NOT_ROLLED_UP)
                continue
            self.roll_up(waiting.id, opened)
        return bool(found)

    def _reduce(self, batch_id: int, opened: OpenedBatch) -> None:
        batch = opened.batch
        clock = self._clock(opened)
        descriptor = self._tables.config(batch.cabinet, batch.config_hash)
        if clock is None or descriptor is None:
            return
        if opened.cells is not None:
            opened = downsampled.only(opened, self._store.numbers(batch_id))
        opened = self._rulings.counted(batch_id, opened, clock)
        reduction = reduce.reduce_records(opened.schema, opened.records, clock,
                                          site_descriptor.read_stored(descriptor))
        if opened.cells is not None:
            reduction = reduce.with_cells(reduction, opened.cells, clock)
        newest_ms = self._tables.newest_quarter_ms(batch.cabinet)
        self._tables.add_reduction(batch_id, opened, reduction, (clock, self._now_ms()))
        self._note_step(batch_id, batch, clock)
        if clock != batch.clock:
            self._note(incidents.PLACED, batch, f"boot {batch.boot}", "records of boot "
                       f"{batch.boot} were put into time by a later clock record, true within "
                       f"{clock.uncertainty_ms / 1000:g} s")
        quarters = [quarter for _, quarter in reduction.scans if quarter < newest_ms]
        if quarters:
            self._note(incidents.RESTATED, batch, min(quarters) // DAY_MS, "quarter hours from "
                       f"{timetext.moment(min(quarters))} to "
                       f"{timetext.moment(max(quarters) + QUARTER_MS)} gained readings after later "
                       "ones were booked; what was reported of them before is replaced")

    def _clock(self, opened: OpenedBatch) -> ClockState | None:
        """Return the ClockState of a batch or, learnt later, of its boot; None if unknown."""
        own = ClockState(*opened.batch.clock)
        believed = self._is_plausible(own, opened.records)
        if believed and own.source > CLOCK_RTC:
            return own
        known = self._tables.clock(opened)
        if known is None:
            return own if believed else None
        clock, number = known
        # Holdover has the source of a real-time clock too, but comes after the better source.
        corrected = clock.source > CLOCK_RTC and opened.batch.number < number
        return own if believed and not corrected else clock_carried_back(clock, opened.records)

    def _note_step(self, batch_id: int, batch: AnyBatch, clock: ClockState) -> None:
        """Say where the wall clock was set: time that is missing from the books, or twice."""
        before_ms = self._tables.clock_before(batch_id)
        offset_ms = clock.anchor_utc_ms - clock.anchor_ticks_ms
        if before_ms is None or abs(offset_ms - before_ms) < CLOCK_STEP_MS:
            return
        shift_s = (offset_ms - before_ms) / 1000
        self._note(incidents.CLOCK_SET, batch, batch.number, "the cabinet's clock was set "
                   f"{'forward' if shift_s > 0 else 'back'} by {abs(shift_s):g} s before batch "
                   f"{batch.number}; all energy is in the books, the time "
                   f"{'skipped has none' if shift_s > 0 else 'passed twice has both shares'}")

    def _is_plausible(self, clock: ClockState, records: Sequence[Record]) -> bool:
        """Whether a clock says a time at all, and none that is still to come."""
        last = max((item.ticks_ms for item in records), default=clock.anchor_ticks_ms)
        ahead_ms = clock.anchor_utc_ms + last - clock.anchor_ticks_ms - self._now_ms()
        if clock.source in (CLOCK_SIMULATED, CLOCK_UNKNOWN):
            return bool(clock.source == CLOCK_SIMULATED)
        return bool(ahead_ms <= DAY_MS + min(clock.uncertainty_ms, DAY_MS))

    def _note(self, kind: str, batch: AnyBatch, position: object, detail: str) -> None:
        self._store.incidents.note(kind, batch, position, detail, self._now_ms())


def clock_carried_back(clock: ClockState, records: Sequence[Record]) -> ClockState:
    """Return a clock state for records of the same boot before it was set: as uncertain as
    it was then, and CARRY_BACK_PPM of the way back to the furthest of them."""
    reach_ms = max((abs(item.ticks_ms - clock.anchor_ticks_ms) for item in records), default=0)
    grown_ms = -(-reach_ms * CARRY_BACK_PPM // 1_000_000)
    return clock._replace(uncertainty_ms=clock.uncertainty_ms + grown_ms)


def _clock_event(body: list[object]) -> ClockState | None:
    """Return the state a CLOCK event tells, or None if it tells none."""
    numbers = [number for number in body[:4]
               if type(number) is int and 0 <= number <= batches.UTC_MS_MAX]
    if len(numbers) < 4:
        return None
    state = ClockState(*numbers)
    return None if state.source == CLOCK_UNKNOWN else state


def _config(body: list[object]) -> tuple[bytes, bytes]:
    """Return (hash, descriptor) of a CONFIG event whose hash is true, else raise BadSchema."""
    if len(body) != 2 or not isinstance(body[0], bytes) or not isinstance(body[1], bytes):
        raise BadSchema("a CONFIG event holds a hash and a descriptor")
    if hashlib.sha256(body[1]).digest() != body[0]:
        raise BadSchema("a CONFIG event's descriptor does not have the hash it names")
    site_descriptor.parse_new(body[1])
    return body[0], body[1]
