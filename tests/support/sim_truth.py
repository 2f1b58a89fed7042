"""The witness of a simulation: what was promised, by whom, and whether it was kept.

It believes return values only, reads the fleet's database over a connection of its own (so
it sees what is committed and nothing else) and decodes every batch once.  A broken promise
raises `Violation`, which names the invariant of docs/simulation.md.
"""

from hashlib import sha256
from typing import NamedTuple

from gateway.core.codec import cbor, columns
from gateway.core.codec.record import GAP, is_event
from gateway.core.evidence import batch, chain, downsampled
from gateway.core.reading import CLOCK_UNKNOWN, utc_ms
from gateway.storage.restart import inflate
from tests.support import sim_coarse
from tests.support.columns_from_docs import decode as decode_by_the_docs

READ_TWICE = 8                  # one batch in so many is decoded by the book as well
ORIGIN_S = sim_coarse.ORIGIN_MS // 1000     # virtual second 0


class Violation(AssertionError):
    """An invariant does not hold."""


class Stated(NamedTuple):
    """A scan as it was appended.  at_s: virtual seconds when it was true."""

    ticks_ms: int
    stream: int
    values: tuple
    at_s: float


class Sealed(NamedTuple):
    """A batch that the journal said is durable.  data: its bytes.  scans: {seq: Stated},
    gaps: (seq, body), events: {seq: (ticks, kind, body)}."""

    digest: bytes
    content: batch.Batch
    chain_hash: bytes
    scans: dict
    gaps: tuple
    events: dict
    data: bytes


class Witness:
    """Everything one cabinet promised.  fail: callable(invariant, text) that raises."""

    def __init__(self, fail):
        self._fail = fail
        self.durable = self.appended = 0
        self.at_start = -1              # durable_seq of a journal that has committed nothing yet
        self.scans = {}                 # seq -> Stated, not yet sealed
        self.batches = {}               # number -> Sealed
        self.contents = {}              # digest of the bytes -> Batch or Coarse
        self.rules = {}                 # last number of a downsampled batch -> its rule
        self.ends = {0: None}           # last_seq -> number
        self.receipts = {0: 0}          # epoch -> highest low water that reached the gateway
        self.receipt_max = 0

    def scan(self, seq, scan, at_s):
        """Note a scan that the journal took into RAM."""
        self.scans[seq] = Stated(scan.ticks_ms, scan.stream, scan.values, at_s)

    def committed(self, journal):
        """Note what a commit returned; it never falls.  Until a first one succeeds a start counts
        what it merely read as not durable."""
        self.appended = max(self.appended, journal.last_seq)
        if journal.durable_seq == self.at_start:
            return
        if journal.durable_seq < self.durable:
            self._fail("I1", f"durable_seq fell from {self.durable} to {journal.durable_seq}")
        self.durable, self.at_start = journal.durable_seq, -1

    def sealed(self, number, data):
        """Note a batch that seal() returned or a start found; hold it to what was appended."""
        digest = sha256(data).digest()
        if number in self.batches:
            if self.batches[number].digest != digest:
                self._fail("I1", f"batch {number} has other bytes than before")
            return
        message, content = batch.open_sealed(data)
        schema, records = batch.open_body(content, inflate)
        self._fits(content)
        if number % READ_TWICE == 1:
            self._read_twice(content, schema, records)
        scans = {item.seq: self._stated(item) for item in records if not is_event(item)}
        events = {item.seq: (item.ticks_ms, item.kind, tuple(item.body)) for item in records
                  if is_event(item)}
        gaps = tuple((seq, event[2]) for seq, event in events.items() if event[1] == GAP)
        self.batches[number] = Sealed(digest, content, chain.chain_hash(message.payload), scans,
                                      gaps,
                                      events, data)
        self.contents[digest] = content
        self.ends[content.last_seq] = number
        for seq in scans:
            self.scans.pop(seq)
        self._time_is_true(content, scans)

    def coarse(self, number, data):
        """Note a downsampled batch that is being made, or that a start found, and hold it to the
        batches that it stands for (I6)."""
        digest = sha256(data).digest()
        if digest not in self.contents:
            try:
                self.contents[digest] = sim_coarse.check(self.batches, data)
            except ValueError as error:
                self._fail("I6", f"coarse batch {number}: {error}")
            self.rules[number] = self.contents[digest].rule

    def _nothing_is_missing(self, journal, unconfirmed):
        """Every batch that no receipt covers stands there, whole or in a downsampled one (I1)."""
        covered = journal.batches.covered()
        for number, known in self.batches.items():
            if number not in covered and known.content.last_seq > self.receipt_max and (
                    number != unconfirmed):
                self._fail("I1", f"batch {number} is gone, no receipt covers it")

    def _read_twice(self, content, schema, records):
        body = inflate(content.body, batch.INFLATED_MAX) if content.codec else content.body
        if decode_by_the_docs(schema, content.first_seq, cbor.decode(body, 1)[1]) != records:
            self._fail("I6", f"batch {content.number}: the decoder by the book reads otherwise")

    def _fits(self, content):
        before = self.batches.get(content.number - 1)
        if content.number > 1 and before is None:
            self._fail("I6", f"batch {content.number} without the one before")
        prev = before.chain_hash if before else chain.start(content.cabinet, content.journal_id)
        first = before.content.last_seq + 1 if before else 1
        if (content.prev, content.first_seq) != (prev, first):
            self._fail("I6", f"batch {content.number} does not continue the one before")
        if content.last_seq > self.durable:
            self._fail("I2", f"batch {content.number} holds what was not committed")

    def _stated(self, item):
        known = self.scans.get(item.seq)
        if known is None or known[:3] != (item.ticks_ms, item.stream, tuple(item.values)):
            self._fail("I6", f"record {item.seq} is not what was appended: {known}, {item}")
        return known

    def _time_is_true(self, content, scans):
        for seq, stated in scans.items():
            stamp = utc_ms(content.clock, stated.ticks_ms)
            if stamp is None:
                return
            wrong_ms = abs(stamp - (ORIGIN_S + stated.at_s) * 1000)
            if wrong_ms > content.clock.uncertainty_ms + 1:
                self._fail("I13", f"record {seq} is wrong by {wrong_ms:.0f} ms, declared "
                                  f"{content.clock.uncertainty_ms}")

    def recovered(self, journal):
        """Hold a start to everything that was promised before."""
        for number in journal.batch_numbers():
            take = self.coarse if journal.batches.span(number) else self.sealed
            take(number, journal.read_batch(number))
        last = self._last_whole(journal)
        for _, item in journal.replay():
            if item.seq != last + 1:
                self._fail("I1", f"record {last + 1} is not in the tail, {item.seq} follows")
            last = item.seq
            if not is_event(item):
                self._stated(item)
        if last < self.durable:
            self._fail("I1", f"lost: {last} of {self.durable}")
        if last > self.appended:
            self._fail("I6", f"phantom: {last}, appended were {self.appended}")
        self._cursor_is_true(journal)
        self.at_start = journal.durable_seq if journal.durable_seq < self.durable else -1
        self.scans = {seq: one for seq, one in self.scans.items() if seq <= last}
        # What a start merely read is no promise: after a killed process it may stand in memory
        # only.  It counts once the journal has written it again, and a commit says so.
        self.appended = last

    def published(self, data):
        """Hold a batch on the wire to what is durable."""
        content = self.contents.get(sha256(data).digest())
        if content is None:
            number = downsampled.open_any(data)[1].number
            self._fail("I2", f"batch {number} on the wire was never sealed")
        if content.last_seq > self.durable:
            self._fail("I2", f"batch {content.number} on the wire is not durable")

    def heard(self, receipt):
        """Note a genuine receipt of this journal that reached the gateway."""
        highest = self.receipts.get(receipt.epoch, 0)
        self.receipts[receipt.epoch] = max(highest, receipt.low_water)
        self.receipt_max = max(self.receipt_max, receipt.low_water)

    def acknowledged(self, journal):
        """Hold the cursor to the receipts that came."""
        self._cursor_is_true(journal)

    def _last_whole(self, journal):
        """Return the last sequence in a whole batch, one that is to be written again included."""
        last, waiting = journal.sealed_seq, journal.unconfirmed_batch()
        if waiting is not None:
            content = batch.open_sealed(waiting)[1]
            self.sealed(content.number, waiting)
            last = content.last_seq
        self._nothing_is_missing(journal, content.number if waiting is not None else None)
        newest = max(self.batches, default=0)
        if newest and last != self.batches[newest].content.last_seq:
            self._fail("I1", f"batch {newest} is gone: sealed up to {last}")
        return last

    def _cursor_is_true(self, journal):
        seq, epoch = journal.acknowledged_seq, journal.epoch
        if seq > self.receipts.get(epoch, 0):
            self._fail("I4", f"cursor {seq} in epoch {epoch}; the highest receipt said "
                             f"{self.receipts.get(epoch, 0)}")
        whole = max(self.ends)
        if seq > whole:
            self._fail("I4", f"cursor {seq} leads the sealed {whole}")

    def tail_of(self, journal):
        """Return the decoded unsealed records of a journal."""
        return [item for _, item in journal.replay()]


def schema_of(content):
    """Return the schema in a batch."""
    return columns.decode_schema(batch.open_body(content, inflate)[0])


def known_clock(content):
    """Return whether a batch says when its records were taken."""
    return content.clock.source != CLOCK_UNKNOWN
