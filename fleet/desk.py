"""The admission desk: one sealed batch in, one outcome out, durable before it is told.

This is the whole way of a batch at the fleet: open and check, compare with the store, keep,
move the low-water mark, reduce to quarter hours, and only after the commit sign a receipt.
"""

import hashlib
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet import admission, reduce, site
from fleet.store import Chain, Store
from gateway.core import batch as batches
from gateway.core import receipt, record
from gateway.core.errors import AdmissionError, BadSchema
from gateway.core.reading import CLOCK_UNKNOWN, ClockState

DUPLICATE = admission.DUPLICATE
WAITING_MAX = 50            # batches reduced late in one admission: bounds its time
KID_BYTES = 8

# code: "admit", "duplicate" or an AdmissionError's code.  detail: text for people.
# receipt: sealed bytes to publish, or None when refused.  device: from the batch or topic.
Outcome = namedtuple("Outcome", ("code", "detail", "receipt", "device", "low_water"))


class Desk:
    """Admits batches into a store and signs receipts.  One per store."""

    def __init__(self, store: Store, find: admission.Find, key: Ed25519PrivateKey,
                 now_ms: Callable[[], int]) -> None:
        """find: device name -> enrolled Device or None.  key: signs receipts."""
        self._store, self._find, self._now_ms = store, find, now_ms
        self._sign = key.sign
        public = key.public_key().public_bytes_raw()
        self._kid = hashlib.sha256(public).digest()[:KID_BYTES]

    def receive(self, sender: str, sealed: bytes) -> Outcome:
        """Return the outcome for a batch that came on a device's topic; never raises for
        what the batch contains."""
        try:
            opened = admission.open_batch(sealed, self._find, sender)
            verdict, held = self._book(opened)
        except AdmissionError as error:
            self._refuse(sender, error, sealed)
            return Outcome(error.code, str(error), None, sender, None)
        detail = (f"{sender}, batch {opened.batch.number}: records {opened.batch.first_seq}.."
                  f"{opened.batch.last_seq}, stored without a hole up to {held.low_water}")
        return Outcome(verdict, detail, self.receipt(held), sender, held.low_water)

    def receipt(self, held: Chain) -> bytes:
        """Return the signed receipt for a journal, as far as it is stored now."""
        content = receipt.Receipt(held.device, held.journal, self._store.epoch,
                                  held.low_water, held.link, self._now_ms())
        sealed: bytes = receipt.seal(content, self._kid, self._sign)
        return sealed

    def receipts(self) -> list[tuple[str, bytes]]:
        """Return (device, receipt) of every journal: a broker may have lost the retained ones."""
        return [(held.device, self.receipt(held)) for held in self._store.chains()]

    def _book(self, opened: admission.Opened) -> tuple[str, Chain]:
        batch = opened.batch
        with self._store.transaction():
            verdict = admission.judge(opened, self._store.held(opened))
            if verdict == admission.ADMIT:
                batch_id = self._store.add_batch(opened, self._now_ms())
                self._learn(opened)
                self._reduce(batch_id, opened)
                self._reduce_waiting(batch.device)
            return verdict, self._store.advance(batch.device, batch.journal_id)

    def _learn(self, opened: admission.Opened) -> None:
        """Keep what other batches may be waiting for: descriptors and clocks."""
        batch = opened.batch
        if batch.clock.source != CLOCK_UNKNOWN:
            self._store.add_clock(opened)
        for item in opened.records:
            if record.is_event(item) and item.kind == record.CONFIG:
                digest, descriptor = _config(item.body)
                self._store.add_config(batch.device, digest, descriptor, None)

    def _reduce(self, batch_id: int, opened: admission.Opened) -> bool:
        clock = self._clock(opened)
        descriptor = self._store.config(opened.batch.device, opened.batch.config_hash)
        if clock is None or descriptor is None:
            return False
        reduction = reduce.reduce_records(opened.schema, opened.records, clock,
                                          site.parse(descriptor))
        self._store.add_reduction(batch_id, opened, reduction, clock.uncertainty_ms)
        return True

    def _reduce_waiting(self, device: str) -> None:
        for waiting in self._store.waiting(device, WAITING_MAX):
            _, batch = batches.open_sealed(waiting.sealed)
            schema, records = batches.open_body(batch, admission.inflate)
            opened = admission.Opened(None, waiting.sealed, batch, b"", schema, records)
            self._reduce(waiting.id, opened)

    def _clock(self, opened: admission.Opened) -> Any:
        """Return the ClockState of a batch or, learnt later, of its boot; None if unknown."""
        if opened.batch.clock.source != CLOCK_UNKNOWN:
            return opened.batch.clock
        known = self._store.clock(opened)
        return ClockState(*known) if known else None

    def _refuse(self, sender: str, error: AdmissionError, sealed: bytes) -> None:
        # Hashing what may be a megabyte of nonsense is cheap; storing it would not be.
        item = (self._now_ms(), hashlib.sha256(sealed).digest(), len(sealed))
        with self._store.transaction():
            self._store.refuse(sender, error.code, str(error), item)


def _config(body: list[Any]) -> tuple[bytes, bytes]:
    """Return (hash, descriptor) of a CONFIG event whose hash is true, else raise BadSchema."""
    if len(body) != 2 or not isinstance(body[0], bytes) or not isinstance(body[1], bytes):
        raise BadSchema("a CONFIG event holds a hash and a descriptor")
    if hashlib.sha256(body[1]).digest() != body[0]:
        raise BadSchema("a CONFIG event's descriptor does not have the hash it names")
    site.parse(body[1])
    return body[0], body[1]
