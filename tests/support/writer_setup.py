"""A writer over a real journal in a folder, for the tests of writer and uplink.

    made = WriterSetup(tmp_path)            inside a running loop
    task = asyncio.create_task(made.writer.run())
    await made.feed(60)
"""

import asyncio
import itertools
import zlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.evidence import batch
from gateway.core.journal.downsampled_files import DownsampledBatches
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import Point, Scan, Stream
from gateway.signer import EvidenceSigner
from gateway.storage.deflate import deflate
from gateway.storage.retention import CounterLimits, Retention
from gateway.storage.store import FlashStore
from gateway.storage.succession import Succession
from gateway.storage.writer import JournalWriter, Witness, WriteRules
from tests.support.fake_bus import virtual_clock

SCHEMA = (Stream("meter", (Point(43, 0, ""), Point(14, 0, ""))),)


def open_journal(store, clock):
    """Return the journal of a store as the gateway opens it."""
    counter = itertools.count()
    return Journal.open(store, opening_of(clock, lambda: bytes([next(counter)] * 16)),
                        batches=DownsampledBatches)


def opening_of(clock, random16):
    """Return the JournalOpening of this cabinet now."""
    return JournalOpening("cab-1", SCHEMA, bytes(32), b"\xa0", "test", random16, clock.state(),
                          clock.ticks_ms())


class WriterSetup:
    """A writer on a real store in a folder."""

    def __init__(self, folder, minutes=15, clock=None, keep_bytes=64 << 20, loss_window_s=10):
        self.folder, self.figures = folder, lambda: None
        self.clock = clock or virtual_clock()
        self.store = FlashStore(folder / "journal")
        signer = EvidenceSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))
        self.journal = open_journal(self.store, self.clock)
        sealer = Sealer(signer.kid, signer.sign, deflate, batch.CODEC_DEFLATE)
        room = Retention(self.journal, self.store, keep_bytes, sealer,
                         CounterLimits(bytes(32), b"\xa0"))
        self.writer = JournalWriter(self.journal, self.clock, WriteRules(
            loss_window_s, minutes, sealer), room,
            Succession(lambda old, low_water: self.successor(old, low_water)))
        self.writer.subscribe(Witness(folder / "witness").note)

    def opening(self, journal_id):
        """Return the JournalOpening of a journal with this id, now."""
        return opening_of(self.clock, lambda: journal_id)

    async def feed(self, seconds, step_s=10):
        """Put one scan per step for some seconds."""
        for count in range(seconds // step_s):
            await self.writer.put(Scan(0, self.clock.ticks_ms(), (1000 + count, 5)))
            await asyncio.sleep(step_s)

    def witness(self):
        """Return the sequences of the witness file."""
        return [int(line) for line in (self.folder / "witness").read_text().split()]

    def records(self, number):
        """Return the records of a sealed batch."""
        _, found = batch.open_sealed(self.journal.read_batch(number))
        return batch.open_body(found, lambda data, limit=0: zlib.decompress(data, -15))[1]
