"""When flash forgot what the fleet holds: a new journal, so that no key has two contents.

A lying card calls writes durable and loses them at a power cut.  The gateway then gives numbers
a second time; the fleet holds other records under them and refuses ours for good.  Once the
fleet's receipts say so beyond doubt (`Outbox.divided`), the journal is left as it lies and a
new one, with an id of its own, takes every record of this boot that no receipt covers: the
fleet cannot hold these.  What earlier boots left above the receipt stays on this flash and is
named: it may or may not be what the fleet holds, and nothing may be booked twice.
"""

from collections.abc import Callable, Iterator

from gateway.core.codec.record import ALARM, EventRecord, ScanRecord, is_event
from gateway.core.errors import Bug, FormatError, JournalError
from gateway.core.evidence import downsampled
from gateway.core.journal.downsampled_files import DownsampledBatches
from gateway.core.journal.journal import Journal, JournalOpening
from gateway.core.journal.successor import open_successor
from gateway.core.journal.tail import SEGMENT_BYTES
from gateway.core.reading import ClockState
from gateway.storage.restart import inflate
from gateway.storage.retention import Retention

COMMIT_RECORDS = 1000       # restated between two commits: far below what may wait in RAM

Make = Callable[[Journal, int], tuple[Journal, Retention]]
GoOn = Callable[[Journal], tuple[Journal, Retention] | None]


class Succession:
    """What comes after the journal that a writer has: the one on flash, once it can be read, and
    at most once in a run a new one."""

    def __init__(self, make: Make | None, go_on: GoOn | None = None) -> None:
        """make: gives what comes after a journal and the fleet's low-water mark; None if a
        journal may have no successor.  go_on: gives what comes after one that waits in RAM
        (core/journal/successor.py), None while it has to wait."""
        self._make, self._go_on = make, go_on
        self._low_water: int | None = None

    def go_on(self, waiting: Journal) -> tuple[Journal, Retention] | None:
        """Return the journal on flash with all that waited for it, None if it cannot be read."""
        return self._go_on(waiting) if self._go_on else None

    def request(self, low_water: int) -> None:
        """Note that the fleet holds other records up to a sequence."""
        self._low_water = low_water

    @property
    def due(self) -> bool:
        """Whether a new journal has to begin."""
        return self._make is not None and self._low_water is not None

    def begin(self, old: Journal) -> tuple[Journal, Retention]:
        """Return the new journal and its retention; a lying fleet gets no third one."""
        make, self._make = self._make, None
        if make is None or self._low_water is None:
            raise Bug("a second successor of one run")
        return make(old, self._low_water)


def begin_successor(old: Journal, opening: JournalOpening, low_water: int,
                    segment_bytes: int = SEGMENT_BYTES) -> Journal:
    """Return a new Journal on the store of `old`, which must not be used any more.

    old: all it took is committed.  opening: with the clock of now and random ids.  low_water:
    of the fleet's receipt.  Raises StoreError if the store cannot be listed; what it cannot
    write waits in RAM.
    """
    left = [item.seq for boot, _, item in _unconfirmed(old)
            if boot != old.boot and item.seq > low_water]
    detail = f"journal {old.journal_id.hex()}: the fleet holds other records up to {low_water}"
    if left:
        detail += f"; {left[0]} to {left[-1]} of earlier boots stay on this flash"
    events = [(ALARM, ["journal-divided", detail])]
    journal: Journal = open_successor(old, opening, events, DownsampledBatches, segment_bytes)
    _restate(old, journal)
    journal.set_clock(opening.clock)
    journal.commit()
    return journal


def _restate(old: Journal, journal: Journal) -> None:
    """Append this boot's unconfirmed records again, each under the clock it was taken with."""
    clock, count = None, 0
    for boot, state, item in _unconfirmed(old):
        if boot != old.boot:
            continue
        if state != clock:
            clock = state
            journal.set_clock(clock)
        if is_event(item):
            journal.append_event(item.ticks_ms, item.kind, item.body)
        else:
            journal.append_scan(item.ticks_ms, item.stream, item.values)
        count += 1
        if count % COMMIT_RECORDS == 0:
            journal.commit()


def _unconfirmed(journal: Journal) -> Iterator[tuple[int, ClockState, ScanRecord | EventRecord]]:
    """Yield (boot, clock, record) of everything on flash that no receipt covers."""
    for number in journal.batch_numbers():
        try:
            _, content, _ = downsampled.open_any(journal.read_batch(number))
            if content.last_seq <= journal.acknowledged_seq:
                continue
            for item in downsampled.open_records(content, inflate)[1]:
                yield content.boot, content.clock, item
        except (JournalError, FormatError):
            continue                        # it rotted: nobody can restate it
    for context, item in journal.replay():
        yield context.boot, context.clock, item
