"""The journal: the one queue between the buses and the fleet.

In this file: append, commit, seal, acknowledge, trim, over an injected store.  Not here:
how it is found again after a start (recovery.py), files (tail.py, cursor.py,
batch_files.py), RAM (buffer.py), what waits for a batch (unsealed.py).  The rules:
docs/formats.md, "Journal on flash".

The caller commits before it publishes: only what durable_seq covers may leave the box.
"""


from gateway.core.codec import columns, record
from gateway.core.codec.column_block import joined
from gateway.core.errors import Bug, JournalError, StoreError
from gateway.core.evidence import batch, chain
from gateway.core.journal import segment
from gateway.core.journal.batch_files import Batches
from gateway.core.journal.buffer import Buffer, FlashState
from gateway.core.journal.policy import OK, UNREADABLE, flash_state
from gateway.core.journal.recovery import UnconfirmedBatch, recover
from gateway.core.journal.tail import SEGMENT_BYTES
from gateway.core.journal.unsealed import Unsealed
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gateway.core.codec.record import Record
    from gateway.core.journal.buffer import PendingFrame
    from gateway.core.journal.frame_search import Declared
    from gateway.core.journal.recovery import Recovered
    from gateway.core.reading import ClockState, Schema, Values
    from gateway.core.types import Compress, FileStore, Sign

SCRUB_BATCHES = 6           # per seal: 30 days of quarter hours are read within a week
COMMIT_TRIES = 3            # each in a new segment; then records stay in RAM
RAM_BYTES = 4194304         # what may wait in RAM while flash fails

# schema: tuple of reading.Stream.  config_hash: 32 bytes.  descriptor: CBOR bytes of the site.
# random16: callable for 16 random bytes.  clock: reading.ClockState.  ticks_ms: now.
JournalOpening = NamedTuple("JournalOpening", [
    ("cabinet", str), ("schema", "Schema"), ("config_hash", bytes), ("descriptor", bytes),
    ("software", str), ("random16", "Callable[[], bytes]"), ("clock", "ClockState"),
    ("ticks_ms", int)])

# sign: callable bytes -> 64 bytes.  compress: callable bytes -> raw deflate.  codec: batch.CODEC_*.
Sealer = NamedTuple("Sealer", [
    ("kid", bytes), ("sign", "Sign"), ("compress", "Compress"), ("codec", int)])


class Journal:
    """One cabinet's journal on one store.  One task uses it; nothing here blocks or waits."""

    @classmethod
    def open(cls, store: "FileStore", opening: JournalOpening, segment_bytes: int = SEGMENT_BYTES,
             ram_bytes: int = RAM_BYTES,
             batches: "Callable[[FileStore, bytes, Iterable[str]], Batches]" = Batches
             ) -> "Journal":
        """Return the Journal found on a store, ready to append; nothing is written yet.

        batches: journal_batches.Batches, or journal_coarse.CoarseBatches where a full flash
        is made room on.  Raises StoreError if the store cannot be listed, and JournalUnreadable if
        files of a journal are there that cannot be read for now (successor.py waits for them).
        """
        found = recover(store, opening.cabinet, opening.random16, segment_bytes, batches)
        return cls(opening, found, ram_bytes)

    def __init__(self, opening: JournalOpening, found: "Recovered",
                 ram_bytes: int = RAM_BYTES) -> None:
        """Go on from a recovery.Recovered; use Journal.open."""
        self.journal_id = found.journal_id
        self._config: list[object] = [opening.config_hash, opening.descriptor]
        self._tail, self.batches = found.tail, found.batches
        self._sealed = found.sealed
        self._unconfirmed = found.unconfirmed         # sealed bytes still to be made durable
        context = segment.RecordContext(
            found.boot + 1, opening.config_hash, columns.encode_schema(opening.schema),
            opening.clock, opening.software)
        self._buffer = Buffer(opening.schema, context, found.last_seq, ram_bytes)
        self._flash = FlashState(self._buffer)
        if self.is_waiting:
            self._flash.state = UNREADABLE
        self._cursor = found.cursor
        self._cursor.start(found.mark)
        self._unsealed = Unsealed(found.pieces, self._tail, self._flash)
        last = self._unconfirmed or self._sealed
        self.recovered_seq = found.pieces[-1].last_seq if found.pieces else last.last_seq
        self.durable_seq = found.pieces[0].first_seq - 1 if found.pieces else found.last_seq
        if self.is_waiting:
            return                      # which boot it is, and what it follows, is not known
        events: list[Declared] = [(record.BOOT, ["start", opening.software, 0 if found.clean else 1,
                                 found.last_seq])]
        if found.config_hash != opening.config_hash or [
                kind for kind, _ in found.events if kind in (record.GAP, record.ALARM)]:
            # First, so that any record implies it; again where the one before may be lost.
            events.insert(0, (record.CONFIG, self.config_body))
        for kind, body in events + found.events:
            self._buffer.event(opening.ticks_ms, kind, body)

    @property
    def is_waiting(self) -> bool:
        """Whether it only keeps records in RAM until the journal on flash can be read."""
        return not self.journal_id

    @property
    def boot(self) -> int:
        """Number of this start."""
        boot: int = self._buffer.context.boot
        return boot

    @property
    def config_body(self) -> "list[object]":
        """Body of the CONFIG event in force: appended again whenever a batch is declared lost, for
        the event may have stood in it, and without it the fleet can account nothing."""
        return self._config

    @property
    def state(self) -> str:
        """A state of policy.py: how the last commit and the last seal went."""
        return self._flash.sealing if self._flash.state == OK else self._flash.state

    @property
    def reason(self) -> str:
        """What flash refused last, with its file; "" while it takes everything."""
        return "" if self.state == OK else self._flash.reason

    @property
    def unwritten(self) -> int:
        """How many records would be lost if the process ended now."""
        return self._buffer.unwritten()

    @property
    def out_of_space(self) -> bool:
        """Whether a write found the disk full since the last commit."""
        return self._flash.found_full

    def flash_bytes(self) -> int:
        """Return what batches and tail take on flash, in bytes."""
        return self.batches.held_bytes() + self._tail.flash_bytes()

    @property
    def acknowledged_seq(self) -> int:
        """Highest sequence that a receipt covered."""
        return self._cursor.seq

    @property
    def epoch(self) -> int:
        """The fleet's epoch in that receipt."""
        return self._cursor.epoch

    @property
    def receipt(self) -> bytes:
        """The sealed receipt behind the cursor, b"" if it is not known."""
        return self._cursor.receipt

    @property
    def clock_state(self) -> "ClockState":
        """The reading.ClockState that new records carry."""
        return self._buffer.context.clock

    @property
    def last_seq(self) -> int:
        """Highest sequence given to a record, durable or not."""
        return self._buffer.last_seq

    @property
    def sealed_seq(self) -> int:
        """Last sequence that stands in a durable batch."""
        return self._sealed.last_seq

    @property
    def unsealed_readings(self) -> int:
        """How many readings no batch holds yet, those still in RAM left out."""
        return self._unsealed.readings

    def append_scan(self, ticks_ms: int, stream: int, values: "Values") -> int:
        """Take a scan into RAM; return its sequence, 0 if there was no room (a declared gap).

        values: tuple of int or Absent, as long as the stream's points; anything else is a Bug.
        """
        return self._buffer.scan(ticks_ms, stream, values)

    def append_event(self, ticks_ms: int, kind: int, body: "Sequence[object]") -> int:
        """Take an event into RAM; return its sequence.  The caller commits at once."""
        return self._buffer.event(ticks_ms, kind, body)

    def refuse_scans(self, refuse: bool) -> None:
        """Refuse scans, or take them again; those refused are declared by a GAP event then."""
        self._buffer.refuse(refuse)

    def commit(self) -> int:
        """Make everything appended so far durable; return durable_seq.

        Never raises for a failing store: the same bytes are stated again in a new segment,
        and after COMMIT_TRIES they stay in RAM, `state` says so and the next commit tries.
        """
        self._buffer.close_commit()
        if not self._buffer.queue and not self._unsealed.found:
            return self.durable_seq
        for _ in range(COMMIT_TRIES if self._flash.state == OK else 1):
            try:
                self._drain()
            except StoreError as error:
                self._flash.failed("commit", error)
                state = UNREADABLE if self.is_waiting else flash_state(error.errno)
                continue
            self._flash.committed()
            self._buffer.declare_gaps()
            return self.durable_seq
        self._flash.state = state
        return self.durable_seq

    def hand_over(self) -> Buffer:
        """Return what waits in RAM, for another journal; this one must not be used any more."""
        return self._buffer

    def take_over(self, waiting: Buffer) -> None:
        """Append, behind what this boot began with, what waited for this journal in RAM."""
        self._buffer.take_over(waiting)

    def set_clock(self, clock: "ClockState") -> None:
        """Let records from here on carry another reading.ClockState."""
        old = self._buffer.context
        self._buffer.change_context(segment.RecordContext(
            old.boot, old.config_hash, old.schema, clock, old.software))

    def seal(self, sealer: Sealer) -> int | None:
        """Turn durable records of one context into the next batch; return its number, None when
        nothing is left or the store fails: the next call writes the same bytes then."""
        if self._unconfirmed is None:
            self._unconfirmed = self._make_batch(sealer)
        if self._unconfirmed is None:
            return None
        number, first_seq, last_seq, chain_hash, data = self._unconfirmed
        try:
            self.batches.write(number, data)
        except StoreError as error:
            self._flash.failed("seal", error)
            return None
        self._unconfirmed, self._flash.sealing = None, OK
        self._sealed = segment.SealedMark(number, last_seq, chain_hash)
        self.batches.remember(number, first_seq, last_seq, chain_hash)
        self._write_mark()
        self._unsealed.drop(last_seq)
        self._tail.release(last_seq)
        self._flash.counts["batches"] += 1
        return number

    def batch_numbers(self) -> "Sequence[int]":
        """Return the numbers of the batches on flash, ascending."""
        return self.batches.numbers()

    def first_number(self, number: int) -> int:
        """Return the lowest number that the batch of a number stands for."""
        return self.batches.first_number(number)

    def read_batch(self, number: int) -> bytes:
        """Return the sealed bytes of a batch.  Raises Corrupt, StoreError."""
        return self.batches.read(number)

    def batch_info(self, number: int) -> tuple[int, int, bytes]:
        """Return (first_seq, last_seq, chain value after it).  Raises Corrupt, StoreError."""
        return self.batches.info(number)

    def chain_at(self, number: int, seq: int) -> bytes | None:
        """Return the chain value at the end of one of the batches that a downsampled one stands
        for, None if none ended at seq or it cannot be read."""
        try:
            return self.batches.chain_at(number, seq)
        except JournalError:
            return None

    def unconfirmed_batch(self) -> bytes | None:
        """Return the sealed bytes that the next seal() makes durable, or None."""
        return self._unconfirmed.data if self._unconfirmed else None

    def replay(self) -> "Iterator[tuple[segment.RecordContext, Record]]":
        """Return an iterator over (context, record) of all on flash that no batch holds yet.

        Leaves out what cannot be read now; sealing tries again and declares it.
        """
        return self._unsealed.records()

    def acknowledge(self, seq: int, now_ms: int, epoch: int | None = None,
                    receipt: bytes = b"") -> bool:
        """Move the cursor to what a receipt says; a lower seq needs a higher fleet epoch.

        Returns True when the mark is durable.  now_ms: UTC, kept as information.
        """
        if seq > self._sealed.last_seq:
            raise Bug("journal: acknowledged %d, sealed %d" % (seq, self._sealed.last_seq))
        if not self._cursor.move(seq, self.epoch if epoch is None else epoch, now_ms, receipt):
            return False
        return self._write_mark()

    def trim(self, keep_bytes: int) -> list[int]:
        """Delete acknowledged batches, oldest first, down to keep_bytes; return numbers."""
        try:
            return self.batches.trim(keep_bytes, self._cursor.marked_seq)
        except StoreError as error:
            self._flash.failed("trim", error)
            return []

    def scrub(self, count: int = SCRUB_BATCHES) -> list[int]:
        """Check the next batches on flash; an ALARM event names each that went bad."""
        bad = self.batches.scrub(count)
        for number in bad:
            body = ["batch-damaged", "batch %d" % number]
            self.append_event(self._buffer.ticks_ms, record.ALARM, body)
        return bad

    def stats(self) -> dict[str, object]:
        """Return what `status` shows: sequences, state, counts since the start."""
        held, free = self._tail.segment_counts()
        numbers = self.batches.numbers()
        stats: dict[str, object] = {
            "journal_id": self.journal_id.hex(), "boot": self.boot, "state": self.state,
            "reason": self.reason, "unwritten": self.unwritten,
            "last_seq": self.last_seq, "durable_seq": self.durable_seq,
            "sealed_seq": self.sealed_seq, "acknowledged_seq": self.acknowledged_seq,
            "epoch": self.epoch, "unsealed_readings": self.unsealed_readings,
            "batches_on_flash": len(numbers), "first_batch": numbers[0] if numbers else 0,
            "last_batch": self._sealed.number, "segments_held": held, "segments_free": free,
            "generation": self._tail.generation, "dropped_scans": self._buffer.dropped_records,
        }
        stats.update(self._flash.counts)
        return stats

    def _write_mark(self) -> bool:
        """Make durable what is acknowledged and sealed; return whether that worked."""
        try:
            self._cursor.write(self.journal_id, self.boot, self._sealed)
        except StoreError as error:
            self._flash.failed("cursor", error)
            return False
        self._flash.counts["cursor_writes"] += 1
        return True

    def _drain(self) -> None:
        while self._unsealed.found:
            entries = self._unsealed.restatement()
            if entries:
                self._unsealed.found = self._unsealed.found[self._put(entries):]
        queue = self._buffer.queue
        while queue:
            self._buffer.done(self._put(queue))
            queue = self._buffer.queue

    def _put(self, entries: "Sequence[PendingFrame]") -> int:
        """Make the first entries durable in one write; return how many."""
        positions = self._tail.put(entries, self._sealed)
        for i in range(len(positions)):
            self._unsealed.add(entries[i], positions[i], self._sealed.last_seq)
            self.durable_seq = entries[i].last_seq
        return len(positions)

    def _make_batch(self, sealer: Sealer) -> UnconfirmedBatch | None:
        """Return the next UnconfirmedBatch made of the oldest pieces, None if there are none."""
        pieces, blocks = self._unsealed.oldest(self._sealed.last_seq)
        if not pieces:
            return None
        context, number = pieces[0].context, self._sealed.number + 1
        first_seq, last_seq = pieces[0].first_seq, pieces[-1].last_seq
        schema = columns.decode_schema(context.schema)
        payload = batch.encode_payload(batch.Batch(
            self._tail.identity[0], self.journal_id, number, context.boot, first_seq, last_seq,
            self._sealed.chain, context.config_hash, context.clock, sealer.codec,
            batch.make_body(schema, joined(blocks), sealer.codec, sealer.compress)))
        data = batch.seal(payload, sealer.kid, sealer.sign)
        return UnconfirmedBatch(number, first_seq, last_seq, chain.chain_hash(payload), data)
