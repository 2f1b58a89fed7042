"""Records that wait in RAM for their commit: bounded, and honest about what did not fit.

In this file: numbering, packing into frames of columns, the account of dropped scans, and how
flash takes what comes from here.  Not here: flash itself.  A record gets a sequence number only
if it is kept, so the sequence has no holes; a scan that finds no space is dropped and declared as
a GAP when there is space again.
"""


from gateway.core.codec import columns, frame, record
from gateway.core.codec.column_block import block_of, packed
from gateway.core.errors import Bug
from gateway.core.journal import segment
from gateway.core.journal.policy import ENOSPC, OK, flash_state
from gateway.core.reading import utc_ms
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.codec.column_block import ColumnBlock
    from gateway.core.codec.record import Record
    from gateway.core.errors import StoreError
    from gateway.core.reading import Schema, Values

PACK_READINGS = 8192        # loose records are packed into columns from here on
KEPT_ENTRIES = 4            # waiting entries that keep their records in RAM as well, for sealing
READING_BYTES = 16          # what one loose reading is taken to cost in RAM
ENTRY_BYTES = 0             # what a packed entry is taken to cost beside its payload
EVENT_READINGS = 4          # an event is taken to cost as much as so many readings
EVENT_SPACE_BYTES = 65536    # events may go beyond the bound by this much


# A frame's worth of records on its way to flash.  payload: the frame's bytes, never
# encoded a second time.  column_block: its records, packed (codec/column_block.py), or None.
PendingFrame = NamedTuple("PendingFrame", [
    ("context", "segment.RecordContext"), ("commit_seq", int), ("first_seq", int),
    ("last_seq", int), ("readings", int), ("payload", bytes),
    ("column_block", "ColumnBlock | None")])


class Gaps:
    """Scans that were dropped and are not declared yet, by stream."""

    def __init__(self) -> None:
        self.dropped = 0            # ever, and events for which there was no space either
        # stream -> [first ticks, last ticks, scans]
        self.open: dict[int, list[int]] = {}

    def drop(self, ticks_ms: int, stream: int) -> None:
        """Count a scan that found no space."""
        self.dropped += 1
        gap = self.open.get(stream)
        if gap is None:
            self.open[stream] = [ticks_ms, ticks_ms, 1]
        else:
            gap[1] = ticks_ms
            gap[2] += 1


class Buffer:
    """Records of one context not yet durable."""

    def __init__(self, schema: "Schema", context: segment.RecordContext, last_seq: int,
                 ram_bytes: int) -> None:
        """last_seq: the highest sequence in use.  ram_bytes: bound of what waits here."""
        self._schema, self.context = schema, context
        self._ram_bytes = ram_bytes
        self.last_seq = last_seq
        self.queue: list[PendingFrame] = []             # Entry, oldest first
        self._queue_bytes = 0
        self._loose: "list[Record]" = []            # records not yet packed
        self._loose_readings = 0
        self._commit_seq = 0        # first sequence of the open commit, 0 = none
        self.ticks_ms = 0           # newest seen; stamps the journal's own events
        self._refuses = False       # scans, for want of space on flash
        self.gaps = Gaps()

    @property
    def dropped_records(self) -> int:
        """How many records found no space, ever."""
        return self.gaps.dropped

    def scan(self, ticks_ms: int, stream: int, values: "Values") -> int:
        """Keep a scan; return its sequence, or 0 if it was dropped for lack of room."""
        if not 0 <= stream < len(self._schema):
            raise Bug("journal: no stream %d in the schema" % stream)
        if len(values) != len(self._schema[stream].points):
            raise Bug("journal: %d values for stream %d" % (len(values), stream))
        self.ticks_ms = max(self.ticks_ms, ticks_ms)
        if self._refuses or self._used() + READING_BYTES * len(values) > self._ram_bytes:
            self.gaps.drop(ticks_ms, stream)
            return 0
        if stream in self.gaps.open:   # before the scan that ends it: none stands there without
            self._declare(stream)
        self._keep(record.ScanRecord(self.last_seq + 1, ticks_ms, stream, values), len(values))
        return self.last_seq

    def event(self, ticks_ms: int, kind: int, body: "Sequence[object]") -> int:
        """Keep an event; return its sequence, or 0 if even the room for events is used up."""
        record.encode_body(body)        # a body that is too long is found here, not at commit
        self.ticks_ms = max(self.ticks_ms, ticks_ms)
        if self._used() > self._ram_bytes + EVENT_SPACE_BYTES:
            self.gaps.dropped += 1
            return 0
        self._keep(record.EventRecord(self.last_seq + 1, ticks_ms, kind, list(body)),
                   EVENT_READINGS)
        return self.last_seq

    def refuse(self, refuses: bool) -> None:
        """Drop every scan from now on, or take scans again; events are taken all the same."""
        self._refuses = refuses

    def close_commit(self) -> None:
        """Pack what is loose; the next record begins another commit."""
        self._pack()
        self._commit_seq = 0

    def change_context(self, context: segment.RecordContext) -> None:
        """Let records from here on belong to another context (a new clock state)."""
        self.close_commit()
        self.context = context

    def done(self, count: int) -> None:
        """Forget the first entries of the queue: they are durable."""
        for entry in self.queue[:count]:
            self._queue_bytes -= len(entry.payload) + ENTRY_BYTES
        self.queue = self.queue[count:]

    def unwritten(self) -> int:
        """Return how many records wait here or found no space and are not declared yet."""
        waiting = sum([entry.last_seq - entry.first_seq + 1 for entry in self.queue])
        dropped = sum([gap[2] for gap in self.gaps.open.values()])
        return waiting + len(self._loose) + dropped

    def take_over(self, other: "Buffer") -> None:
        """Append everything that waits in another buffer, under this one's boot, configuration and
        numbers.

        other: of the same schema, numbered from 1; it must not be used any more.
        """
        self.close_commit()
        other.close_commit()
        before, self.last_seq = self.last_seq, self.last_seq + other.last_seq
        for entry in other.queue:
            self._enqueue(_renumbered(entry, self.context, before))
        self.ticks_ms = max(self.ticks_ms, other.ticks_ms)
        self.gaps = other.gaps

    def declare_gaps(self) -> None:
        """Append a GAP event for each stream that lost scans, once there is room for scans."""
        if self._refuses:
            return
        for stream in sorted(self.gaps.open):
            self._declare(stream)

    def _declare(self, stream: int) -> None:
        first, last, count = self.gaps.open.pop(stream)
        clock = self.context.clock
        self.event(self.ticks_ms, record.GAP, [
            stream, utc_ms(clock, first), utc_ms(clock, last),
            "no room: %d scans dropped" % count])

    def _used(self) -> int:
        return self._queue_bytes + READING_BYTES * self._loose_readings

    def _keep(self, item: "Record", readings: int) -> None:
        self.last_seq = item.seq
        if not self._commit_seq:
            self._commit_seq = item.seq
        self._loose.append(item)
        self._loose_readings += readings
        if self._loose_readings >= PACK_READINGS:
            self._pack()

    def _pack(self) -> None:
        if self._loose:
            self._pack_some(self._loose)
        self._loose, self._loose_readings = [], 0

    def _pack_some(self, records: "list[Record]") -> None:
        """Pack records into one entry, or into halves until each fits a frame."""
        block = block_of(self._schema, records)
        data = columns.encode(self._schema, block, plain=True)
        if len(data) > frame.PAYLOAD_AIM - 64 and len(records) > 1:
            middle = len(records) // 2
            self._pack_some(records[:middle])
            self._pack_some(records[middle:])
            return
        last = records[-1]
        stop = record.is_event(last) and last.kind == record.STOP
        readings = sum([0 if record.is_event(r) else len(r.values) for r in records])
        self._enqueue(make_entry(
            self.context, self._commit_seq,
            (segment.DATA_STOP if stop else segment.DATA, records[0].seq, last.seq),
            readings, (data, packed(block) if len(self.queue) < KEPT_ENTRIES else None)))

    def _enqueue(self, entry: PendingFrame) -> None:
        self.queue.append(entry)
        self._queue_bytes += len(entry.payload) + ENTRY_BYTES


class FlashState:
    """How flash takes the records, what it did so far, and the event that says that it failed."""

    def __init__(self, buffer: Buffer) -> None:
        """buffer: takes the events."""
        self._buffer = buffer
        self.state = OK                     # of commits
        self.sealing = OK                   # of seals: flash may take the one and not the other
        self.reason = ""                    # what failed last
        self.found_full = False            # since the last commit a write found the disk full
        self._declared = False              # a failure since the last commit has its event
        self.counts = {"commits": 0, "batches": 0, "errors": 0, "cursor_writes": 0,
                       "lost_pieces": 0}

    def committed(self) -> None:
        """Note a commit: the next failure is one of its own."""
        self.counts["commits"] += 1
        self.state = OK
        self._declared = self.found_full = False

    def failed(self, operation: str, error: "StoreError") -> None:
        """Count a failure and append one event until a commit succeeds again."""
        self.counts["errors"] += 1
        self.reason = str(error)
        if operation == "seal" and error.errno != ENOSPC:   # of a full disk the reserve tells
            self.sealing = flash_state(error.errno)
        self.found_full = self.found_full or error.errno == ENOSPC
        if not self._declared:
            self._declared = True
            self._buffer.event(self._buffer.ticks_ms, record.IO_ERROR,
                               [operation, error.errno, str(error)[:200]])

    def lost(self, what: str) -> None:
        """Declare durable records that can no longer be read."""
        self.counts["lost_pieces"] += 1
        self._buffer.event(self._buffer.ticks_ms, record.GAP, [-1, None, None, what])


def _renumbered(entry: PendingFrame, to: "segment.RecordContext", shift: int) -> PendingFrame:
    """Return a PendingFrame under the boot and configuration of a context, with numbers that much
    higher."""
    block, old = segment.decode_block(entry.payload), entry.context
    context = segment.RecordContext(to.boot, to.config_hash, old.schema, old.clock, old.software)
    return make_entry(
        context, entry.commit_seq + shift,
        (block.kind, entry.first_seq + shift, entry.last_seq + shift), entry.readings,
        (block.columns, entry.column_block))


def make_entry(context: segment.RecordContext, commit_seq: int, span: tuple[int, int, int],
               readings: int,
               content: "tuple[bytes, ColumnBlock | None]") -> PendingFrame:
    """Return an PendingFrame.  span: (payload kind, first sequence, last sequence).

    content: (bytes of the columns, packed ColumnBlock or None).
    """
    kind, first_seq, last_seq = span
    payload = segment.encode_block(segment.Block(
        kind, context.boot, first_seq, last_seq, commit_seq, readings, content[0]))
    return PendingFrame(context, commit_seq, first_seq, last_seq, readings, payload, content[1])
