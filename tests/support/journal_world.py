"""A small journal and the truth beside it: what was promised, to whom, at which operation.

A `World` runs a workload on a FlakyStore and keeps, for every operation, what had been
promised before it.  `verify` starts a journal on the image after a cut and holds it to that.
Signatures are a keyed hash here: the journal never looks at them.
"""

import hashlib
import zlib
from functools import lru_cache
from typing import NamedTuple

from gateway.core import batch, record
from gateway.core.journal import Journal, Opening, Sealer
from gateway.core.reading import ClockState, Point, Stream

SCHEMA = (Stream("meter", (Point(14, 0, ""), Point(43, 0, ""))),
          Stream("room", (Point(70, -1, ""),)))
DEVICE, JOURNAL_ID = "cabinet-1", b"J" * 16
SEGMENT_BYTES = 4096
UNKNOWN_CLOCK = ClockState(0, 0, 0, 0)
GOOD_CLOCK = ClockState(3, 0, 1_760_000_000_000, 50)


def compress(data):
    """Return raw deflate bytes."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    return deflate.compress(data) + deflate.flush()


def inflate(data, limit):
    """Return inflated bytes, at most limit."""
    return zlib.decompressobj(-15).decompress(data, limit)


def sign(data):
    """Return 64 bytes that depend on all of data."""
    return hashlib.sha512(data).digest()


SEALER = Sealer(b"test-kid", sign, compress, batch.CODEC_DEFLATE)


def opening(config=b"c" * 32, clock=UNKNOWN_CLOCK, device=DEVICE, journal_id=JOURNAL_ID):
    """Return an Opening of the small cabinet."""
    return Opening(device, SCHEMA, config, b"\xa0", "1.0", lambda: journal_id, clock, 0)


def open_journal(store, **changes):
    """Return the Journal on a store, in segments of 4 KiB."""
    return Journal.open(store, opening(**changes), segment_bytes=SEGMENT_BYTES)


@lru_cache(maxsize=4096)
def records_of_batch(data):
    """Return the records in sealed bytes, the signature checked."""
    message, content = batch.open_sealed(data)
    assert message.signature == sign(message.signed)
    return tuple(batch.open_body(content, inflate)[1])


def all_records(journal):
    """Return every record a journal can show: sealed batches first, then the tail."""
    found = []
    for number in journal.batch_numbers():
        found += records_of_batch(journal.read_batch(number))
    return found + [item for _, item in journal.replay()]


class Promise(NamedTuple):
    """What had been promised before an operation; see World."""

    durable: int                    # highest sequence a commit returned
    appended: tuple                 # every record appended so far, seq 1 first
    sealed: tuple                   # (number, bytes) that seal() had returned
    dropped_to: int                 # last sequence that trim may have deleted
    marks: tuple                    # cursor positions written or being written
    boots: tuple                    # boots that had committed something


class World:
    """A journal under test and the notes of a witness who believes only return values."""

    def __init__(self, store, **changes):
        """Open a journal on a store; the journal's own opening events are noted, too."""
        self.store, self.changes = store, changes
        self.durable = self.dropped_to = 0
        self.appended, self.sealed, self.marks, self.boots = (), (), (0,), ()
        self.journal = None

    def start(self):
        """Start (again) on the same store, as after a killed process."""
        self.store.failed_syncs.clear()         # the new process cannot know
        self.journal = open_journal(self.store, **self.changes)
        found = self.journal._buffer._loose[0].seq - 1      # the rest was in RAM only
        self.appended = self.appended[:found]
        self._note_own_events()
        return self

    def promise(self):
        """Return what is promised now."""
        return Promise(self.durable, self.appended, self.sealed, self.dropped_to, self.marks,
                       self.boots)

    def scans(self, count, base=0):
        """Append scans of both devices."""
        for i in range(count):
            noisy = (base + i) * 7919 % 3001        # so that batches span several sectors
            self._scan(10 * (base + i), 0, (noisy, 100 * noisy + i))
            if i % 2 == 0:
                self._scan(10 * (base + i), 1, (-50 + i,))

    def stop(self):
        """Append the event of a clean stop and commit."""
        self._note_own_events()
        seq = self.journal.append_event(99, record.STOP, ["test"])
        self.appended += (record.EventRecord(seq, 99, record.STOP, ["test"]),)
        self.commit()

    def commit(self):
        """Commit and note what came back."""
        self._note_own_events()
        before = self.journal.last_seq
        durable = self.journal.commit()
        self.durable = max(self.durable, durable)
        if durable >= before and self.journal.boot not in self.boots:
            self.boots += (self.journal.boot,)
        self._note_own_events()

    def seal(self):
        """Seal all there is."""
        while True:
            number = self.journal.seal(SEALER)
            if number is None:
                return
            self.sealed += ((number, self.journal.read_batch(number)),)

    def acknowledge(self):
        """Take a receipt for everything sealed."""
        seq = self.journal.sealed_seq
        self.marks += (seq,)
        self.journal.acknowledge(seq, 0)

    def trim(self):
        """Delete what was acknowledged, but for the last batch."""
        self.dropped_to = max(self.dropped_to, self.marks[-1])
        self.journal.trim(0)

    def _scan(self, ticks_ms, stream, values):
        self._note_own_events()
        seq = self.journal.append_scan(ticks_ms, stream, values)
        if seq:
            self.appended += (record.ScanRecord(seq, ticks_ms, stream, values),)

    def _note_own_events(self):
        """Learn the events that the journal appended itself; they are promised, too."""
        known = self.appended[-1].seq if self.appended else 0
        for item in self.journal._buffer._loose:
            if item.seq > known:
                self.appended += (item,)


def verify(store, promise, faults=False):
    """Start on what a cut left; return the journal, or fail with what was broken."""
    journal = open_journal(store)
    found = all_records(journal)
    seqs = [item.seq for item in found]
    kept = [seq for seq in seqs if seq > promise.dropped_to]
    last = max(seqs + [0])
    assert kept == list(range(promise.dropped_to + 1, last + 1)), "a hole or a double: %r" % seqs
    assert seqs == sorted(set(seqs)), "a record stands twice: %r" % seqs
    assert last >= promise.durable, "lost: %d of %d" % (last, promise.durable)
    assert last <= len(promise.appended), "phantom behind %d" % len(promise.appended)
    for item in found:
        assert item == promise.appended[item.seq - 1], "record %d changed" % item.seq
    assert journal.acknowledged_seq in promise.marks, "cursor invented"
    assert journal.acknowledged_seq <= journal.sealed_seq <= last, "cursor leads"
    numbers = journal.batch_numbers()
    for number, data in promise.sealed:
        if number in numbers:
            assert journal.read_batch(number) == data, "batch %d changed" % number
        else:
            last_seq = batch.open_sealed(data)[1].last_seq
            assert last_seq <= promise.dropped_to, "batch %d lost" % number
    assert all(journal.boot > boot for boot in promise.boots), "boot used twice"
    own = journal._buffer._loose
    assert faults or not [e for e in own if e.kind in (record.GAP, record.ALARM)], own
    return journal


def go_on(journal, promise):
    """Write on after a recovery; return the promise that holds from then on."""
    appended = promise.appended[:journal.durable_seq] + tuple(journal._buffer._loose)
    seq = journal.append_scan(7, 1, (777,))
    appended += (record.ScanRecord(seq, 7, 1, (777,)),)
    durable = journal.commit()
    assert durable == seq, "not writable again"
    return promise._replace(durable=durable, appended=appended,
                            boots=promise.boots + (journal.boot,))
