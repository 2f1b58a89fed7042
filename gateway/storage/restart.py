"""What the journal still knows after a start: when each device was last read, and the time.

The time between that reading and the first slot of this boot is a gap; the pollers declare
it, so that nothing is missing without a reason.  Reads the tail and, where that does not
reach, the newest sealed batches, until each device was found; never more than a few.
"""

import zlib
from collections.abc import Iterable, Iterator

from gateway.core.codec import columns
from gateway.core.codec.record import ALARM, EventRecord, ScanRecord, is_event
from gateway.core.errors import FormatError, JournalError, StoreError
from gateway.core.evidence import batch, downsampled
from gateway.core.journal.cursor import Cursor
from gateway.core.journal.journal import Journal
from gateway.core.reading import ClockState, Stream, utc_ms
from gateway.storage.store import FlashStore

INFLATED_MAX = batch.INFLATED_MAX
BATCHES_BACK_MAX = 16           # so many short lives in a row hide no absence
BATCH_LOST = "batch-lost"       # alarm: the fleet need not wait for the batch of this number
TRIED_MAX = 256                 # those included that cannot be read


def inflate(data: bytes, limit: int = INFLATED_MAX) -> bytes:
    """Return raw deflate data inflated, at most limit bytes; raises FormatError."""
    packer = zlib.decompressobj(-15)
    try:
        out = packer.decompress(data, limit)
    except zlib.error as error:
        raise FormatError(f"not raw deflate: {error}") from error
    if not packer.eof or packer.unused_data:
        raise FormatError(f"not one deflate stream of at most {limit} bytes")
    return out


def known_utc_ms(store: FlashStore) -> int:
    """Return the last good time the cursor keeps (docs/formats.md 9), in UTC ms; 0 if none.

    store: the journal's.  An unreadable store gives 0: the journal will say why.
    """
    try:
        marks = Cursor(store, store.list()).marks
    except StoreError:
        return 0
    return max((mark.utc_ms for mark in marks), default=0)


def last_read_utc_ms(journal: Journal) -> dict[str, int]:
    """Return by device name when its newest durable scan was taken, if its clock was known.

    journal: just opened, nothing committed by this boot.
    """
    found: dict[str, int] = {}
    for data in _newest_batches(journal):
        try:
            _, content, _ = downsampled.open_any(data)
            schema, records = downsampled.open_records(content, inflate)
        except FormatError:
            continue                        # the journal tells of it; an older batch may know
        here: dict[str, int] = {}
        for record in records:
            _note(here, schema, content.clock, record)
        found = here | found
        if len(found) >= len(schema):
            break
    schemas: dict[bytes, tuple[Stream, ...]] = {}          # thousands of records share one
    for context, record in journal.replay():
        if context.schema not in schemas:
            schemas[context.schema] = columns.decode_schema(context.schema)
        _note(found, schemas[context.schema], context.clock, record)
    return found


def declared_lost(data: bytes) -> set[str]:
    """Return the numbers that alarms in a batch declare lost, as written; none if it is not one."""
    try:
        _, content, _ = downsampled.open_any(data)
        return lost_in(downsampled.open_records(content, inflate)[1])
    except FormatError:
        return set()


def lost_in(records: Iterable[ScanRecord | EventRecord]) -> set[str]:
    """Return the numbers that alarms among records declare lost, as written."""
    return {str(item.body[1]) for item in records
            if is_event(item) and item.kind == ALARM and item.body[:1] == [BATCH_LOST]
            and len(item.body) == 2}


def _newest_batches(journal: Journal) -> Iterator[bytes]:
    """Yield sealed bytes, newest first: a life too short for a poll leaves events only.  Batches
    that cannot be read are left out; they do not count as looked at."""
    waiting: bytes | None = journal.unconfirmed_batch()
    if waiting is not None:
        yield waiting
    looked_at = 0
    for number in reversed(journal.batch_numbers()[-TRIED_MAX:]):
        try:
            data = journal.read_batch(number)
        except JournalError:
            continue
        yield data
        looked_at += 1
        if looked_at == BATCHES_BACK_MAX:
            return


def _note(found: dict[str, int], schema: tuple[Stream, ...], clock: ClockState,
          record: ScanRecord | EventRecord) -> None:
    if is_event(record):
        return
    at_ms = utc_ms(clock, record.ticks_ms)
    if at_ms is not None:
        found[schema[record.stream].device] = at_ms
