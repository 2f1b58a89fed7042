"""A gateway with lying flash, and the real fleet: what one forgets, the other holds.

    site = Site(folder)
    site.power_cut({1, 2})                  the last two writes are gone

The journal and the outbox are the product's, so are the fleet's ingest and its SQLite store;
batches and receipts are handed over without a broker.  Every reading is of a constant power, so
the books are known by hand.  The witness knows what commits returned and what was admitted.
"""

import random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.formats.envelope import inflate
from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.store.reader import open_reader
from fleet.store.writer import EvidenceStore
from gateway.core.codec import record
from gateway.core.errors import JournalError
from gateway.core.evidence import batch, chain, receipt
from gateway.core.journal import outbox
from gateway.core.journal.batch_files import Batches
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import CLOCK_SIMULATED, ClockState
from gateway.storage import succession
from gateway.storage.restart import last_read_utc_ms
from tests.fleet import maker
from tests.support.memory_store import LyingStore
from tests.support.uncommitted import uncommitted

DEVICE, FIRST_ID = "shop-1", b"\x11" * 16
CLOCK = ClockState(CLOCK_SIMULATED, 0, maker.ORIGIN_MS, maker.UNCERTAINTY_MS)
SEGMENT_BYTES = 16_384
NOW_MS = maker.ORIGIN_MS + 86_400_000


class Site:
    """One cabinet at one fleet.  Time is paper time: seconds since ORIGIN_MS."""

    def __init__(self, folder):
        """folder: of the fleet's data."""
        self.key = Ed25519PrivateKey.generate()
        paper = maker.PaperGateway(DEVICE, FIRST_ID, self.key)
        paper.enrol(folder)
        self._folder, self._fleet = folder, EvidenceStore(folder)
        self.ingest = Ingest(self._fleet, Registry(folder).find, Ed25519PrivateKey.generate(),
                             lambda: NOW_MS)
        self._fleet._connection.execute(  # noqa: SLF001  for speed: nobody cuts the fleet's power
            "PRAGMA synchronous = OFF")
        self._sealer = Sealer(paper.kid, self.key.sign, maker.deflate, batch.CODEC_DEFLATE)
        self._ids = random.Random(1)
        self.flash, self.at_s = LyingStore(), 0
        self.told = set()               # (stream, second) of scans that a commit covered
        self._open = set()              # ... appended since
        self.alarms = set()
        self.left = set()               # scans that stay in the files of a divided journal
        self.first_id = FIRST_ID
        self.start()

    def close(self):
        """Close the fleet's store."""
        self._fleet.close()

    def start(self):
        """Start the gateway on what its flash holds."""
        self.journal = Journal.open(self.flash, self._opening(), SEGMENT_BYTES)
        self.opening_events = [(item.kind, item.body) for item in uncommitted(self.journal)]
        self.last_read_ms = last_read_utc_ms(self.journal)
        self.outbox = outbox.Outbox(DEVICE, self.journal)
        self.confirmed_seq = self.outbox.acknowledged_seq
        self.seal()                     # what earlier boots left comes first, as in the writer

    def _opening(self):
        return JournalOpening(
            DEVICE, maker.SCHEMA, maker.CONFIG_HASH, maker.CONFIG_BYTES, "test",
            lambda: self._ids.randbytes(16) if self.at_s else FIRST_ID, CLOCK,
            self.at_s * 1000)

    def poll(self, seconds):
        """Read every meter each 10 s, for so long."""
        for _ in range(seconds // 10):
            for stream in range(len(maker.METERS)):
                values = maker.values(stream, self.at_s)
                assert self.journal.append_scan(self.at_s * 1000, stream, values)
                self._open.add((stream, self.at_s))
            self.at_s += 10

    def commit(self):
        """Commit and note what was told to be durable."""
        assert self.journal.commit() == self.journal.last_seq
        self.told |= self._open
        self._open = set()

    def seal(self):
        """Commit and seal all there is."""
        self.commit()
        while self.journal.seal(self._sealer) is not None:
            pass

    def deliver(self, acknowledge=True):
        """Hand over everything that waits; take the receipts.  acknowledge: or lose them."""
        for _, sealed in self.ingest.receipts():
            self._hear(sealed)          # the retained one, heard at each connection
        for number in self.outbox.left_out():
            self.journal.append_event(self.at_s * 1000, record.ALARM, ["batch-lost", str(number)])
        while (number := self.outbox.next_batch()) is not None:
            self.outbox.sent(number, 0)
            outcome = self.ingest.process_one(DEVICE, self.journal.read_batch(number))
            if outcome.receipt is not None and acknowledge:
                self._hear(outcome.receipt)

    def _hear(self, sealed):
        told = receipt.open_sealed(sealed)[1]
        result = self.outbox.receipt(told)
        if result.status in (outbox.ADVANCED, outbox.REWOUND):
            self.journal.acknowledge(result.seq, NOW_MS, result.epoch)
        if result.status in (outbox.AHEAD, outbox.FORK):
            self.alarms.add("receipt-" + outbox.STATUSES[result.status])
        if self.outbox.divided:
            self.commit()
            self.left |= self._of_earlier_boots(told.low_water)
            self.journal = succession.begin_successor(self.journal, self._opening(), told.low_water,
                                                      SEGMENT_BYTES)
            self.outbox = outbox.Outbox(DEVICE, self.journal)
            self.seal()

    def _of_earlier_boots(self, low_water):
        """Return the scans above the receipt that only the old files hold from now on."""
        ours, found = self.journal, set()
        for number in ours.batch_numbers():
            content = batch.open_sealed(ours.read_batch(number))[1]
            if content.boot < ours.boot:
                found |= {(item.stream, item.ticks_ms // 1000)
                          for item in batch.open_body(content, inflate)[1]
                          if item.seq > low_water and not record.is_event(item)}
        return found

    def read_until_s(self, last_read_ms, stream):
        """Return the second up to which a start knew a device as read: from there on its
        poller declares the absence (gateway/storage/restart.py).  last_read_ms: by device name."""
        at_ms = last_read_ms.get(maker.SCHEMA[stream].device)
        return -1 if at_ms is None else (at_ms - maker.ORIGIN_MS) // 1000

    def power_cut(self, vanished):
        """Cut the power: some of the last writes were never on the medium; then start."""
        self._open = set()
        self.flash = LyingStore(self.flash.image_without(vanished))
        self.at_s += 60
        self.start()

    def batches(self):
        """Yield (journal id, Batch, link) of everything the fleet holds."""
        with open_reader(self._folder) as reader:
            for row in reader.journals(DEVICE):
                for _, sealed in reader.sealed(DEVICE, row.journal):
                    message, content = batch.open_sealed(sealed)
                    yield row.journal, content, chain.chain_hash(message.payload)

    def scans(self):
        """Return (stream, second) of every scan the fleet holds, repeats and all."""
        found = [item for _, content, _ in self.batches()
                 for item in batch.open_body(content, inflate)[1] if not record.is_event(item)]
        places = [(item.stream, item.ticks_ms // 1000) for item in found]
        assert [item.values for item in found] == [maker.values(*place) for place in places]
        return places

    def forgotten(self):
        """Return the numbers that the fleet holds of the first journal and that this flash
        should hold, for nothing it knew at the start covers them, but does not."""
        ours = Batches(self.flash, FIRST_ID, self.flash.list())
        return [content.number for journal, content, link in self.batches()
                if journal == FIRST_ID and content.last_seq > self.confirmed_seq
                and _connection(ours, content.number) != link]

    def told_to_stay(self):
        """Whether the fleet was told that records stay on the gateway's flash."""
        return any(record.is_event(item) and item.body[:1] == ["journal-divided"]
                   and "stay on this flash" in item.body[1]
                   for _, content, _ in self.batches()
                   for item in batch.open_body(content, inflate)[1])

    def incidents(self):
        """Return the kinds of incidents that the fleet has noted."""
        with open_reader(self._folder) as reader:
            return {incident.kind for incident in reader.incidents(DEVICE)}

    def scans_booked(self):
        """Return how many scans the fleet's books count."""
        with open_reader(self._folder) as reader:
            return sum(reader.scans(DEVICE, 0, NOW_MS).values())


def _connection(ours, number):
    try:
        return ours.info(number)[2]
    except JournalError:
        return None
