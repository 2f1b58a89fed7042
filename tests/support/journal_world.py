"""A small journal and the truth beside it: what was promised, to whom, at which operation.

A `World` runs a workload on a MemoryStore and keeps, for every operation, what had been
promised before it.  `verify` starts a journal on the image after a cut and holds it to that.
Signatures are a keyed hash here: the journal never looks at them.
"""

import hashlib
import zlib
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

from gateway.core.codec import record
from gateway.core.errors import Bug, Corrupt, FormatError, WattproofError
from gateway.core.evidence import batch
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import ClockState, Point, Stream
from tests.support.uncommitted import uncommitted

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


def opening(config=b"c" * 32, clock=UNKNOWN_CLOCK, cabinet=DEVICE, journal_id=JOURNAL_ID):
    """Return an JournalOpening of the small cabinet."""
    return JournalOpening(cabinet, SCHEMA, config, b"\xa0", "1.0", lambda: journal_id, clock, 0)


def open_journal(store, **changes):
    """Return the Journal on a store, in segments of 4 KiB."""
    return Journal.open(store, opening(**changes), segment_bytes=SEGMENT_BYTES)


@lru_cache(maxsize=4096)
def records_of_batch(data):
    """Return the records in sealed bytes, the signature checked."""
    message, content = batch.open_sealed(data)
    hold(message.signature == sign(message.signed), "changed", "a signature does not fit")
    return tuple(batch.open_body(content, inflate)[1])


def all_records(journal):
    """Return every record a journal can show: sealed batches first, then the tail."""
    found = []
    for number in journal.batch_numbers():
        found += records_of_batch(journal.read_batch(number))
    if journal.unconfirmed_batch() is not None:
        found += records_of_batch(journal.unconfirmed_batch())
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

    def recall(self, promise):
        """Know what was promised of this store in an earlier life."""
        (self.durable, self.appended, self.sealed, self.dropped_to, self.marks,
         self.boots) = promise

    def start(self):
        """Start (again) on the same store, as after a killed process."""
        self.store.failed_syncs.clear()         # the new process cannot know
        self.journal = open_journal(self.store, **self.changes)
        found = uncommitted(self.journal)[0].seq - 1      # the rest was in RAM only
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

    def noise(self, count, base=0):
        """Append scans that nothing predicts, so that a batch spans many sectors."""
        for i in range(base, base + count):
            word = zlib.crc32(b"%d" % i)
            self._scan(10 * i, 0, (word, word * 31 % 65521))

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
        for item in uncommitted(self.journal):
            if item.seq > known:
                self.appended += (item,)


class Violated(AssertionError):
    """A promise was broken.  invariant: its short name; mutants are judged by it."""

    def __init__(self, invariant, detail):
        super().__init__(invariant, detail)     # both, so that it crosses to another process
        self.invariant = invariant

    def __str__(self):
        return f"{self.invariant}: {self.args[1]}"


def hold(promised, invariant, detail):
    """Raise Violated unless promised is true."""
    if not promised:
        raise Violated(invariant, str(detail)[:400])


@contextmanager
def nothing_escapes():
    """Turn an error of ours that gets out of the journal into the violation that it is."""
    try:
        yield
    except (WattproofError, Bug) as error:
        raise Violated("escaped", f"{type(error).__name__}: {error}") from error


def start_on(store):
    """Return (journal, every record it shows) of a start on a store."""
    with nothing_escapes():
        journal = open_journal(store)
    try:
        return journal, all_records(journal)
    except Corrupt as error:
        raise Violated("batch", error) from error
    except (FormatError, zlib.error) as error:
        raise Violated("changed", error) from error


def verify(store, promise, faults=False):
    """Start on what a cut left; return the journal, or raise Violated."""
    journal, found = start_on(store)
    last = _same_records(found, promise)
    hold(journal.acknowledged_seq in promise.marks, "cursor", "invented")
    hold(journal.acknowledged_seq <= journal.sealed_seq <= last, "cursor", "leads")
    numbers, waiting = journal.batch_numbers(), journal.unconfirmed_batch()
    for number, data in promise.sealed:
        if data == waiting:
            continue                    # no mark names it: it is written again, the same bytes
        if number in numbers:
            hold(journal.read_batch(number) == data, "batch", f"{number} changed")
        else:
            last_seq = batch.open_sealed(data)[1].last_seq
            hold(last_seq <= promise.dropped_to, "batch", f"{number} lost")
    hold(not promise.boots or journal.boot > max(promise.boots), "boot", "used twice")
    own = uncommitted(journal)
    hold(faults or not [e for e in own if e.kind in (record.GAP, record.ALARM)], "false alarm",
         own)
    return journal


def _same_records(found, promise):
    """Hold the records of a start against the truth; return the last sequence."""
    first, last = (found[0].seq, found[-1].seq) if found else (promise.dropped_to + 1, 0)
    hold(max(last, promise.dropped_to) >= promise.durable, "lost", f"{last}, {promise.durable} "
         "were durable")
    hold(last <= len(promise.appended), "phantom", f"{last} of {len(promise.appended)}")
    if found != list(promise.appended[first - 1:last]) or first > promise.dropped_to + 1:
        seqs = [item.seq for item in found]
        kept = [seq for seq in seqs if seq > promise.dropped_to]
        hold(seqs == sorted(set(seqs)), "double", seqs)
        hold(kept == list(range(promise.dropped_to + 1, last + 1)), "hole", seqs)
        changed = [x for x in found if x != promise.appended[x.seq - 1]]
        hold(not changed, "changed", changed[:3])
    return last


def go_on(journal, promise):
    """Write on after a recovery; return the promise that holds from then on."""
    appended = promise.appended[:uncommitted(journal)[0].seq - 1] + tuple(uncommitted(journal))
    with nothing_escapes():
        seq = journal.append_scan(7, 1, (777,))
        durable = journal.commit()
    hold(durable == seq, "writable", "a commit after the start failed")
    return promise._replace(durable=durable, boots=promise.boots + (journal.boot,),
                            appended=appended + (record.ScanRecord(seq, 7, 1, (777,)),))
