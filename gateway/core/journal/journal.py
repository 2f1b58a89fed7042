"""The journal: the one waiting place between the buses and the fleet.

In this file: append, commit, seal, acknowledge, trim, over an injected store.  Not here:
how it is found again after a start (recovery.py), files (tail.py, cursor.py,
batch_files.py), RAM (buffer.py).  The rules: docs/formats.md, "Journal on flash".

The caller commits before it publishes: only what durable_seq covers may leave the box.
"""

from collections import namedtuple

from gateway.core import record
from gateway.core.codec import columns
from gateway.core.codec.column_block import joined
from gateway.core.errors import Bug, JournalError, StoreError
from gateway.core.evidence import batch, chain
from gateway.core.journal import segment
from gateway.core.journal.batch_files import Batches
from gateway.core.journal.buffer import Buffer, make_entry
from gateway.core.journal.frame_search import Piece, bare, columns_of, records_of, sheet_of_piece
from gateway.core.journal.recovery import Unsure, recover
from gateway.core.journal.tail import SEGMENT_BYTES

OK, DEGRADED_RAM, FULL = "ok", "degraded-ram", "full"
ENOSPC = 28
RESTATE_FRAMES = 64         # frames of earlier boots written again in one write
SCRUB_BATCHES = 6           # per seal: 30 days of quarter hours are read within a week
SEAL_TRIES = 3              # seals that may fail to read a piece before it is declared lost
COMMIT_TRIES = 3            # each in a new segment; then records stay in RAM
RAM_BYTES = 4194304         # what may wait in RAM while flash fails
KEPT_READINGS = 81920       # unsealed records of so many readings stay in RAM; the rest is read
BATCH_BYTES_AIM = 393216    # columns in one batch; sealed it stays far below 1 MiB
BATCH_READINGS_MAX = 1048576

# schema: tuple of reading.Stream.  config_hash: 32 bytes.  descriptor: CBOR bytes of the site.
# random16: callable for 16 random bytes.  clock: reading.ClockState.  ticks_ms: now.
Opening = namedtuple("Opening", (
    "device", "schema", "config_hash", "descriptor", "software", "random16", "clock",
    "ticks_ms"))

# sign: callable bytes -> 64 bytes.  compress: callable bytes -> raw deflate.  codec: batch.CODEC_*.
Sealer = namedtuple("Sealer", ("kid", "sign", "compress", "codec"))


class Journal:
    """One device's journal on one store.  One task uses it; nothing here blocks or waits."""

    @classmethod
    def open(cls, store, opening, segment_bytes=SEGMENT_BYTES, ram_bytes=RAM_BYTES,
             batches=Batches):
        """Return the Journal found on a store, ready to append; nothing is written yet.

        batches: journal_batches.Batches, or journal_coarse.CoarseBatches where a full flash
        is made room on.  Raises StoreError only if the store cannot even be listed.
        """
        found = recover(store, opening.device, opening.random16, segment_bytes, batches)
        journal = cls(store, opening, found, ram_bytes)
        journal._append_opening(opening, found)
        return journal

    def __init__(self, store, opening, found, ram_bytes):
        """Use Journal.open."""
        self._store, self._device = store, opening.device
        self._tail, self._cursor = found.tail, found.cursor
        self.batches = found.batches
        self.journal_id = found.journal_id
        self.boot = found.boot + 1
        self._sealed = found.sealed
        self._found = found.pieces          # of earlier boots, to be written again
        self._pieces = []                   # durable, not sealed
        self._unsure = found.unsure         # sealed bytes still to be made durable
        self._kept = 0                      # readings of pieces that have their sheet
        self._failures = {}                 # place -> seal attempts that could not read it
        self._mark_utc_ms = found.mark.utc_ms if found.mark else 0
        self._context = segment.Context(
            self.boot, opening.config_hash, columns.encode_schema(opening.schema),
            opening.clock, opening.software)
        self._buffer = Buffer(opening.schema, self._context, found.last_seq, ram_bytes)
        last = self._unsure or self._sealed
        self.recovered_seq = found.pieces[-1].last_seq if found.pieces else last.last_seq
        self.durable_seq = found.pieces[0].first_seq - 1 if found.pieces else found.last_seq
        self.acknowledged_seq = found.mark.seq if found.mark else 0
        self.epoch = found.mark.epoch if found.mark else 0
        self._marked_seq = self.acknowledged_seq
        self.state = OK
        self.out_of_room = False            # since the last commit a write found the disk full
        self._error_noted = False
        self._counts = {"commits": 0, "batches": 0, "errors": 0, "cursor_writes": 0,
                        "lost_pieces": 0}

    @property
    def clock(self):
        """The reading.ClockState that new records carry."""
        return self._context.clock

    @property
    def last_seq(self):
        """Highest sequence given to a record, durable or not."""
        return self._buffer.last_seq

    @property
    def sealed_seq(self):
        """Last sequence that stands in a durable batch."""
        return self._sealed.last_seq

    @property
    def unsealed_readings(self):
        """How many readings no batch holds yet, those still in RAM left out."""
        return sum([piece.readings for piece in self._found + self._pieces])

    def append_scan(self, ticks_ms, stream, values):
        """Take a scan into RAM; return its sequence, 0 if there was no room (a declared gap).

        values: tuple of int or Absent, as long as the stream's points; anything else is a Bug.
        """
        return self._buffer.scan(ticks_ms, stream, values)

    def append_event(self, ticks_ms, kind, body):
        """Take an event into RAM; return its sequence.  The caller commits at once."""
        return self._buffer.event(ticks_ms, kind, body)

    def refuse_scans(self, refuse):
        """Refuse scans, or take them again; those refused are declared by a GAP event then."""
        self._buffer.refuse(refuse)

    def commit(self):
        """Make everything appended so far durable; return durable_seq.

        Never raises for a failing store: the same bytes are stated again in a new segment,
        and after COMMIT_TRIES they stay in RAM, `state` says so and the next commit tries.
        """
        self._buffer.close_commit()
        if not self._buffer.queue and not self._found:
            return self.durable_seq
        for _ in range(COMMIT_TRIES if self.state == OK else 1):
            try:
                self._drain()
            except StoreError as error:
                failed = error
                self._note_error("commit", error)
                continue
            self._counts["commits"] += 1
            self.state = OK
            self._error_noted = self.out_of_room = False
            self._buffer.declare_gaps()
            return self.durable_seq
        self.state = FULL if failed.errno == ENOSPC else DEGRADED_RAM
        return self.durable_seq

    def set_clock(self, clock):
        """Let records from here on carry another reading.ClockState."""
        old = self._context
        self._context = segment.Context(
            old.boot, old.config_hash, old.schema, clock, old.software)
        self._buffer.change_context(self._context)

    def seal(self, sealer):
        """Turn durable records of one context into the next batch; return its number, None when
        nothing is left or the store fails: the next call writes the same bytes then."""
        if self._unsure is None:
            self._unsure = self._make_batch(sealer)
        if self._unsure is None:
            return None
        number, first_seq, last_seq, link, data = self._unsure
        try:
            self.batches.write(number, data)
        except StoreError as error:
            self._note_error("seal", error)
            return None
        self._unsure = None
        self._sealed = segment.Sealed(number, last_seq, link)
        self.batches.remember(number, first_seq, last_seq, link)
        self._write_mark()
        self._drop_pieces(last_seq)
        self._tail.release(last_seq)
        self._counts["batches"] += 1
        return number

    def batch_numbers(self):
        """Return the numbers of the batches on flash, ascending."""
        return self.batches.numbers()

    def first_number(self, number):
        """Return the lowest number that the batch of a number stands for."""
        return self.batches.first_number(number)

    def read_batch(self, number):
        """Return the sealed bytes of a batch.  Raises Corrupt, StoreError."""
        return self.batches.read(number)

    def batch_info(self, number):
        """Return (first_seq, last_seq, chain value after it).  Raises Corrupt, StoreError."""
        return self.batches.info(number)

    def chain_at(self, number, seq):
        """Return the chain value at the end of one of the batches that a coarsened one stands
        for, None if none ended at seq or it cannot be read."""
        try:
            return self.batches.chain_at(number, seq)
        except JournalError:
            return None

    def unsure_batch(self):
        """Return the sealed bytes that the next seal() makes durable, or None."""
        return self._unsure.data if self._unsure else None

    def replay(self):
        """Yield (context, record) for every record on flash that no batch holds yet.

        Leaves out what cannot be read now; sealing tries again and declares it.
        """
        for piece in self._found + self._pieces:
            try:
                found = records_of(self._tail, piece)
            except StoreError:
                continue
            for item in found or ():
                yield piece.context, item

    def acknowledge(self, seq, now_ms, epoch=None):
        """Move the cursor to what a receipt says; a lower seq needs a higher fleet epoch.

        Returns True when the mark is durable.  now_ms: UTC, kept as information.
        """
        if seq > self._sealed.last_seq:
            raise Bug("journal: acknowledged %d, sealed %d" % (seq, self._sealed.last_seq))
        epoch = self.epoch if epoch is None else epoch
        if epoch < self.epoch or epoch == self.epoch and seq < self.acknowledged_seq:
            return False
        if epoch > self.epoch:
            self._marked_seq = min(self._marked_seq, seq)
        self.acknowledged_seq, self.epoch = seq, epoch
        self._mark_utc_ms = max(now_ms or 0, 0)
        return self._write_mark()

    def trim(self, keep_bytes):
        """Delete acknowledged batches, oldest first, down to keep_bytes; return numbers."""
        try:
            return self.batches.trim(keep_bytes, self._marked_seq)
        except StoreError as error:
            self._note_error("trim", error)
            return []

    def scrub(self, count=SCRUB_BATCHES):
        """Check the next batches on flash; an ALARM event names each that went bad."""
        bad = self.batches.scrub(count)
        for number in bad:
            body = ["batch-damaged", "batch %d" % number]
            self.append_event(self._buffer.ticks_ms, record.ALARM, body)
        return bad

    def stats(self):
        """Return what `status` shows: sequences, state, counts since the start."""
        held, free = self._tail.slots()
        numbers = self.batches.numbers()
        stats = {
            "journal_id": self.journal_id.hex(), "boot": self.boot, "state": self.state,
            "last_seq": self.last_seq, "durable_seq": self.durable_seq,
            "sealed_seq": self.sealed_seq, "acknowledged_seq": self.acknowledged_seq,
            "epoch": self.epoch, "unsealed_readings": self.unsealed_readings,
            "batches_on_flash": len(numbers), "first_batch": numbers[0] if numbers else 0,
            "last_batch": self._sealed.number, "segments_held": held, "segments_free": free,
            "generation": self._tail.generation, "dropped_scans": self._buffer.dropped,
        }
        stats.update(self._counts)
        return stats

    def _write_mark(self):
        """Make durable what is acknowledged and sealed; return whether that worked."""
        try:
            self._cursor.write(self.journal_id, self.boot, (self.acknowledged_seq, self.epoch),
                               self._mark_utc_ms, self._sealed)
        except StoreError as error:
            self._note_error("cursor", error)
            return False
        self._marked_seq = self.acknowledged_seq
        self._counts["cursor_writes"] += 1
        return True

    def _append_opening(self, opening, found):
        """Append what a start has to say; CONFIG first, so that any record implies it."""
        events = []
        if found.config_hash != opening.config_hash:
            events.append((record.CONFIG, [opening.config_hash, opening.descriptor]))
        unclean = 0 if found.clean else 1
        events.append((record.BOOT, ["start", opening.software, unclean, found.last_seq]))
        for kind, body in events + found.events:
            self._buffer.event(opening.ticks_ms, kind, body)

    def _drain(self):
        self._restate()
        queue = self._buffer.queue
        while queue:
            self._buffer.done(self._put(queue))
            queue = self._buffer.queue

    def _restate(self):
        """Write what a start found into a new segment: reading it proved nothing."""
        while self._found:
            entries = []
            for piece in self._found:
                data = columns_of(self._tail, piece)
                if data is None and not entries:
                    self._found = self._found[1:]
                    self._lose(piece)
                if data is None or entries and (
                        piece.context != entries[0].context or len(entries) >= RESTATE_FRAMES
                        or piece.base_seq != entries[-1].last_seq + 1):
                    break
                entries.append(make_entry(
                    piece.context, entries[0].commit_seq if entries else piece.base_seq,
                    (segment.DATA, piece.base_seq, piece.last_seq), piece.readings, (data, None)))
            if entries:
                self._found = self._found[self._put(entries):]

    def _put(self, entries):
        """Make the first entries durable in one write; return how many."""
        places = self._tail.put(entries, self._sealed)
        for i in range(len(places)):
            self._add_piece(entries[i], places[i])
            self.durable_seq = entries[i].last_seq
        return len(places)

    def _add_piece(self, entry, place):
        first_seq = max(entry.first_seq, self._sealed.last_seq + 1)
        sheet = entry.sheet if self._kept + entry.readings <= KEPT_READINGS else None
        self._kept += entry.readings if sheet else 0
        self._pieces.append(Piece(entry.context, entry.first_seq, first_seq, entry.last_seq,
                                  entry.readings, len(entry.payload), place, None, sheet))

    def _drop_pieces(self, last_seq):
        kept = [piece for piece in self._pieces if piece.last_seq > last_seq]
        self._kept = sum([piece.readings for piece in kept if piece.sheet])
        self._pieces = kept

    def _make_batch(self, sealer):
        """Return the next Unsure batch made of the oldest pieces, None if there are none."""
        self._drop_pieces(self._sealed.last_seq)
        taken, sheets, readings, size = [], [], 0, 0
        for piece in list(self._pieces):
            if taken and (piece.context != taken[0].context
                          or piece.first_seq != taken[-1].last_seq + 1
                          or readings + piece.readings > BATCH_READINGS_MAX):
                break
            try:
                found = sheet_of_piece(self._tail, piece)
            except StoreError as error:
                if taken or not self._given_up(piece, error):
                    break
                found = None
            if found is None:
                if taken:
                    break
                self._lose(piece)
                continue
            taken.append(piece)
            sheets.append(found)
            self._pieces[self._pieces.index(piece)] = bare(piece)   # its sheet is used up
            readings, size = readings + piece.readings, size + piece.size
            if size >= BATCH_BYTES_AIM:
                break
        return self._encode_batch(joined(sheets), taken, sealer) if taken else None

    def _given_up(self, piece, error):
        """Note that a piece could not be read; return True after SEAL_TRIES such seals."""
        self._note_error("read " + piece.place[0], error)
        tries = self._failures.get(piece.place, 0) + 1
        self._failures[piece.place] = tries
        if tries >= SEAL_TRIES:
            self._failures.pop(piece.place)
        return tries >= SEAL_TRIES

    def _encode_batch(self, sheet, pieces, sealer):
        context, number = pieces[0].context, self._sealed.number + 1
        first_seq, last_seq = pieces[0].first_seq, pieces[-1].last_seq
        schema = columns.decode_schema(context.schema)
        payload = batch.encode_payload(batch.Batch(
            self._device, self.journal_id, number, context.boot, first_seq, last_seq,
            self._sealed.chain, context.config_hash, context.clock, sealer.codec,
            batch.make_body(schema, sheet, sealer.codec, sealer.compress)))
        data = batch.seal(payload, sealer.kid, sealer.sign)
        return Unsure(number, first_seq, last_seq, chain.link(payload), data)

    def _lose(self, piece):
        """Declare a piece that can no longer be read; the journal goes on without it."""
        self._counts["lost_pieces"] += 1
        self._pieces = [other for other in self._pieces if other is not piece]
        self.append_event(self._buffer.ticks_ms, record.GAP, [
            -1, None, None, "sequence %d to %d unreadable in segment %d" % (
                piece.first_seq, piece.last_seq, piece.place[2])])

    def _note_error(self, operation, error):
        """Count a failure and append one event until a commit succeeds again."""
        self._counts["errors"] += 1
        self.out_of_room = self.out_of_room or error.errno == ENOSPC
        if not self._error_noted:
            self._error_noted = True
            self._buffer.event(self._buffer.ticks_ms, record.IO_ERROR,
                               [operation, error.errno, str(error)[:200]])

