"""Ingest: sealed batches in, one outcome for each, durable before it is reported.

This is the whole way of a batch at the fleet: open and check, compare with the store, keep,
move the low-water mark, book its quarter hours, and only after the commit sign a receipt.
Batches that wait together are committed together, for a sync of the disk costs as much as a
batch.
What the right key signed but nobody can read is kept, not rolled up, and receipted after the
third try, so that one bad batch does not stop the good ones behind it.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.formats import envelope
from fleet.formats.downsampled import describe, positions
from fleet.formats.registry import key_id
from fleet.formats.values import AnyBatch, Chain, Neighbour, OpenedBatch, RecordRange, StoredAround
from fleet.ingest import admission, shown_receipt
from fleet.rollup.rollup import Rollup
from fleet.store import incidents
from fleet.store.writer import EvidenceStore
from gateway.core.errors import AdmissionError, BadSchema, BrokenChain, Replayed
from gateway.core.evidence import downsampled, handover, receipt

DUPLICATE = admission.DUPLICATE
NOT_ROLLED_UP = "received-not-booked"
SHOWN = "receipt-shown"
REFUSALS_MAX = 3            # of the same unreadable bytes; then they are kept and receipted
KINDS = {Replayed.code: incidents.CLONE, BrokenChain.code: incidents.CHAIN}

SentBatch = tuple[str, bytes]     # the cabinet whose topic it came on, a sealed batch


class Outcome(NamedTuple):
    """What became of a message.

    code: "admit", "duplicate", "received-not-rolled up", "receipt-shown" or an AdmissionError's
    code.  detail: text for people.  receipt: sealed bytes to publish, or None.  cabinet: of the
    topic.  low_water: None when refused.
    """

    code: str
    detail: str
    receipt: bytes | None
    cabinet: str
    low_water: int | None


# One place of a batch in its journal, and what is held around it.
NewBatch = tuple[OpenedBatch, StoredAround]


class Ingest:
    """Admits batches into a store and signs receipts.  One per store."""

    def __init__(self, store: EvidenceStore, find: envelope.FindCabinet, key: Ed25519PrivateKey,
                 now_ms: Callable[[], int]) -> None:
        """find: cabinet name -> enrolled Device or None.  key: signs receipts."""
        self._store, self._find, self._now_ms = store, find, now_ms
        self._rollup = Rollup(store, now_ms)
        public = key.public_key().public_bytes_raw()
        self._sign, self._kid = key.sign, key_id(public)
        # Whose receipts are believed when a cabinet shows one; former keys may be added.
        self.receipt_keys = [public]
        self._epoch = store.epoch           # every journal was told of it

    def process_one(self, sender: str, sealed: bytes) -> Outcome:
        """Return the outcome for a batch that came on a cabinet's topic; never raises for
        what the batch contains."""
        return self.process([(sender, sealed)])[0]

    def process(self, messages: Sequence[SentBatch]) -> list[Outcome]:
        """Return the outcome of each message, all of them committed at once.

        A refused batch undoes only itself.  Of several outcomes of one journal only the last
        carries a receipt, which covers the others; it is signed after the commit.
        """
        with self._store.transaction():
            processed = [self._process_one(*message) for message in messages]
        outcomes = [outcome for outcome, _ in processed]
        last = {held[:2]: (position, held) for position, (_, held) in enumerate(processed) if held}
        for position, held in last.values():
            outcomes[position] = outcomes[position]._replace(receipt=self.receipt(held))
        return outcomes

    def _process_one(self, sender: str, sealed: bytes) -> tuple[Outcome, Chain | None]:
        """Return the outcome of one message, without a receipt, and where its journal stands."""
        shown = shown_receipt.opened(sealed, sender, self.receipt_keys)
        try:
            if shown is not None and self._find(sender) is not None:
                envelope.check_not_revoked(self._find(sender), sender)
                return self._heed(shown)
            opened = envelope.open_batch(sealed, self._find, sender)
            with self._store.attempt():
                verdict, held = self._store_and_roll_up(opened)
        except AdmissionError as error:
            kept = self._refuse(sender, error, sealed)
            if kept is None:
                return (Outcome(error.code, str(error), None, sender, None),
                        self._standing(error, sealed))
            opened, verdict, held = kept
        detail = (f"{sender}, batch {opened.batch.number}: records {opened.batch.first_seq}.."
                  f"{opened.batch.last_seq}, stored without a missing batch up to "
                  f"{held.low_water}")
        return Outcome(verdict, detail, None, sender, held.low_water), held

    def _heed(self, shown: receipt.Receipt) -> tuple[Outcome, Chain]:
        """Compare what a cabinet shows with the store; a store that came back from an older copy
        begins a new epoch, so that every cabinet sends again what it still holds."""
        held = self._store.advance(shown.cabinet, shown.journal_id)
        verdict = shown_receipt.judge(shown, self._store.epoch, held)
        detail = (f"{shown.cabinet} shows a receipt of this fleet up to record {shown.low_water}; "
                  f"stored without a missing batch up to {held.low_water}")
        if verdict.raises:
            self._store.raise_epoch(shown.epoch, detail)
        if verdict.lost is not None:
            self._store.incidents.note(
                incidents.RESTORED, RecordRange(shown.cabinet, shown.journal_id, *verdict.lost),
                f"record {shown.low_water}", f"{detail}; records {verdict.lost[0]} to "
                f"{verdict.lost[1]} are asked for again", self._now_ms())
        return Outcome(SHOWN, detail, None, shown.cabinet, held.low_water), held

    def receipt(self, held: Chain) -> bytes:
        """Return the signed receipt for a journal, as far as it is stored now."""
        content = receipt.Receipt(held.cabinet, held.journal, self._store.epoch,
                                  held.low_water, held.chain_hash, self._now_ms())
        sealed: bytes = receipt.seal(content, self._kid, self._sign)
        return sealed

    def _standing(self, error: AdmissionError, sealed: bytes) -> Chain | None:
        """Return where a journal stands if a batch of it was refused for its place only: its
        sender may not have heard that this store is an older one, and would wait for ever."""
        if error.code != BrokenChain.code:
            return None
        batch = downsampled.open_any(sealed)[1]
        if batch.journal_id not in self._store.journals(batch.cabinet):
            return None
        return self._store.advance(batch.cabinet, batch.journal_id)

    def receipts(self) -> list[tuple[str, bytes]]:
        """Return (cabinet, receipt) of every journal: a broker may have lost the retained ones."""
        self._epoch = self._store.epoch
        return [(held.cabinet, self.receipt(held)) for held in self._store.chains()]

    def repeated(self) -> list[tuple[str, bytes]]:
        """Return (cabinet, receipt) of every journal if a new epoch has begun since the last time:
        each cabinet has to hear of it."""
        return [] if self._store.epoch == self._epoch else self.receipts()

    def _store_and_roll_up(self, opened: OpenedBatch) -> tuple[str, Chain]:
        batch = opened.batch
        new = self._new_positions(opened)
        if new:
            batch_id = self._keep(opened, new)
            self._rollup.note_context(opened)
            self._rollup.roll_up(batch_id, opened)
            if self._rollup.roll_up_waiting(batch.cabinet):
                self._rollup.roll_up_waiting(batch.cabinet)    # what gave way to one of these
        return (admission.ADMIT if new else DUPLICATE,
                self._store.advance(batch.cabinet, batch.journal_id))

    def _new_positions(self, opened: OpenedBatch) -> list[NewBatch]:
        """Return the places of a batch that are not held yet, each with what is held around it;
        raises AdmissionError if one of them can never be true."""
        found: list[NewBatch] = []
        before: Neighbour | None = None
        for position in positions(opened):
            around = self._store.held(position)
            if around.before is None:
                around = around._replace(before=before)
            if admission.judge(position, around) == admission.ADMIT:
                self._check_dispute(position.batch, around)
                found.append((position, around))
            batch = position.batch
            before = Neighbour(batch.number, batch.first_seq, batch.last_seq, batch.prev,
                                         position.chain_hash)
        return found

    def _check_dispute(self, batch: AnyBatch, around: StoredAround) -> None:
        """Raise BrokenChain for a batch that does not follow a held one, once two have spoken
        for this journal: only the side that was here first may go on, in order."""
        if (around.before is None and batch.number > 1
                and self._store.incidents.disputed(batch.cabinet, batch.journal_id)):
            raise BrokenChain(f"{batch.cabinet}, batch {batch.number}: this journal is disputed; "
                              "only what follows a batch that is held is taken")

    def _keep(self, opened: OpenedBatch, new: list[NewBatch]) -> int:
        """Store a batch, and note what its places in the journal tell; return its id."""
        batch = opened.batch
        if isinstance(batch, downsampled.DownsampledBatch):
            self._note(incidents.DOWNSAMPLED, batch, batch.first_seq, describe(batch))
        for first, last in [hole for position in new for hole in admission.holes(*position)]:
            self._note(incidents.GAP, batch, first, f"records {first}..{last} were never sealed: "
                       "the device's chain passes over them")
        known = self._store.journals(batch.cabinet)
        batch_id = self._store.add_batch(opened, [position for position, _ in new], self._now_ms())
        if batch.journal_id not in known:
            self._begin(opened, batch_id, known)
        return batch_id

    def _begin(self, opened: OpenedBatch, batch_id: int, known: list[bytes]) -> None:
        """Enter a journal of which nothing is stored yet: behind those that are known, but before
        its successor if it was handed over."""
        batch, closed = opened.batch, [entry.journal for entry in opened.previous]
        explained, rank = False, 0
        if batch.journal_id in closed:
            rank = closed.index(batch.journal_id) - len(closed)
        elif known:
            explained = _explained(opened, known)
            kind = incidents.HANDOVER if explained else incidents.RESET
            self._note(kind, batch, "", "a statement of the key before explains this journal"
                       if explained else "a new journal of a known device, which nobody has "
                       "explained; the journals before it stay apart")
        self._store.rollup.journals.begin(batch, batch_id, rank, explained)

    def _refuse(self, sender: str, error: AdmissionError, sealed: bytes
                ) -> tuple[OpenedBatch, str, Chain] | None:
        """Count a refusal; return what to receipt if the batch is kept all the same."""
        digest = hashlib.sha256(sealed).digest()
        signed = self._signed(sender, sealed)
        kept = self._quarantine(signed, error, digest) if signed else None
        if kept is None or kept[1] != DUPLICATE:
            # Hashing what may be a megabyte of nonsense is cheap; storing it would not be.
            item = (self._now_ms(), digest, len(sealed))
            self._store.refuse(sender, error.code, str(error), item)
        if signed is not None and kept is None:
            self._store.incidents.keep(signed.batch.cabinet, error.code, digest, sealed)
        if signed is not None and error.code in KINDS:
            position = signed.batch.number if error.code == Replayed.code else ""
            self._note(KINDS[error.code], signed.batch, position, str(error))
        return kept

    def _signed(self, sender: str, sealed: bytes) -> OpenedBatch | None:
        """Return the batch as far as its signature holds, whatever its content is."""
        try:
            return envelope.open_signed(sealed, self._find, sender)
        except AdmissionError:
            return None

    def _quarantine(self, opened: OpenedBatch, error: AdmissionError, digest: bytes
                    ) -> tuple[OpenedBatch, str, Chain] | None:
        """Keep a batch that cannot be read after its third try, if the chain takes it."""
        batch = opened.batch
        if error.code != BadSchema.code:
            return None
        try:
            new = self._new_positions(opened)
        except AdmissionError:
            return None
        verdict = DUPLICATE
        if new:
            if self._store.incidents.refusals(digest) + 1 < REFUSALS_MAX:
                return None
            self._rollup.quarantine(self._keep(opened, new), opened, str(error))
            verdict = NOT_ROLLED_UP
        return opened, verdict, self._store.advance(batch.cabinet, batch.journal_id)

    def _note(self, kind: str, batch: AnyBatch, position: object, detail: str) -> None:
        self._store.incidents.note(kind, batch, position, detail, self._now_ms())


def _explained(opened: OpenedBatch, known: list[bytes]) -> bool:
    """Whether the newest hand-over of a cabinet explains this journal: it names it, or names
    none and this is the first of the new key."""
    if not opened.previous:
        return False
    closed = {entry.journal for entry in opened.previous}
    _, statement = handover.open_sealed(opened.previous[-1].statement)
    if statement.new_journal is not None:
        return bool(statement.new_journal == opened.batch.journal_id)
    return set(known) <= closed
