"""The cursor: what was acknowledged and what was sealed, in two slots written in turn.

In this file: 128 bytes to a Mark and back, the fleet's newest receipt behind it (what proves to
a fleet that lost data what it acknowledged), and the rule which file is written next.
The cursor may lag behind the truth (the fleet is idempotent), it never leads: a mark is
written after the receipt or the batch, and one half-written slot leaves the other one whole.
That it names the last batch keeps number, sequence and chain when that file goes bad.
"""

import struct

from gateway.core.codec.crc import crc32
from gateway.core.errors import StoreError
from gateway.core.journal.policy import REFUSED
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.types import FileStore

MARK_BYTES = 128
MAGIC = b"WPC2"
_FORM = ">4sQ16sIQQQIQ32s"      # magic generation journal boot seq epoch utc, last batch
_BODY_BYTES = 100
FILE_BYTES = 512            # one sector: the mark, then length (2), receipt, crc32 of both
RECEIPT_MAX = FILE_BYTES - MARK_BYTES - 6
SKIP = 1 << 20              # generations left out for a slot that cannot be read: it may be newer

# boot: highest boot number known.  seq: acknowledged up to here.  epoch: of the fleet's
# store.  utc_ms: of the receipt, information only.  number, sealed_seq, chain: the last batch
# that was durable (0, 0 and the chain's start if none).
Mark = NamedTuple("Mark", [
    ("generation", int), ("journal_id", bytes), ("boot", int), ("seq", int), ("epoch", int),
    ("utc_ms", int), ("number", int), ("sealed_seq", int), ("chain", bytes)])


def encode(mark: Mark) -> bytes:
    """Return the 128 bytes of a Mark."""
    body = struct.pack(_FORM, MAGIC, *mark)
    return body + crc32(body).to_bytes(4, "big") + bytes(MARK_BYTES - _BODY_BYTES - 4)


def decode(data: bytes) -> Mark | None:
    """Return the Mark of a slot, or None if it is empty, torn or of another format."""
    if len(data) != MARK_BYTES or data[:4] != MAGIC:
        return None
    if crc32(data[:_BODY_BYTES]).to_bytes(4, "big") != data[_BODY_BYTES:_BODY_BYTES + 4]:
        return None
    return Mark(*struct.unpack(_FORM, data[:_BODY_BYTES])[1:])


def encode_receipt(receipt: bytes) -> bytes:
    """Return the bytes behind a mark for a sealed receipt; b"" or one too long is none."""
    if not 0 < len(receipt) <= RECEIPT_MAX:
        return bytes(2)
    body = len(receipt).to_bytes(2, "big") + receipt
    return body + crc32(body).to_bytes(4, "big")


def decode_receipt(data: bytes) -> bytes:
    """Return the sealed receipt in the bytes behind a mark, b"" if there is none or it is torn."""
    length = int.from_bytes(data[:2], "big")
    body = data[:2 + length]
    if not 0 < length <= RECEIPT_MAX or (
            crc32(body).to_bytes(4, "big") != data[2 + length:6 + length]):
        return b""
    return body[2:]


def is_cursor_file(name: str) -> bool:
    """Return True if a file name is that of a cursor slot: c0, c1, c2 ..."""
    return len(name) > 1 and name[0] == "c" and name[1:].isdigit()


class Cursor:
    """What the fleet has acknowledged, and two slot files that keep it.

    seq, epoch: acknowledged.  marked_seq: how much of it is durable: only that may be trimmed.
    receipt: the sealed receipt that said so, b"" if it is not known.  A slot whose write or sync
    failed is given up.
    """

    def __init__(self, store: "FileStore", names: "Iterable[str]") -> None:
        """Read the slots among the store's names; failed: errors of those that cannot be read."""
        self._store = store
        # (generation, name) of at most two usable files.
        self._slots: list[tuple[int, str]] = []
        self._next_name = 0
        self.failed: list[StoreError] = []
        self.marks: list[Mark] = []                 # all valid marks found, of any journal
        # Generation of a mark -> the receipt behind it.
        self._receipts: dict[int, bytes] = {}
        for name in names:
            if is_cursor_file(name):
                self._next_name = max(self._next_name, int(name[1:]) + 1)
                self._read_file(name)
        self._slots = sorted(self._slots)[-2:]
        self._generation = max([g for g, _ in self._slots] + [0]) + SKIP * len(self.failed)
        self.seq = self.marked_seq = self.epoch = self._utc_ms = 0
        self.receipt = b""

    def best(self, journal_id: bytes) -> Mark | None:
        """Return the newest Mark of a journal, or None: then everything is sent again."""
        mine = [mark for mark in self.marks if mark.journal_id == journal_id]
        return max(mine) if mine else None

    def start(self, mark: Mark | None) -> None:
        """Go on from the best Mark of a journal, or from None."""
        if mark is not None:
            self.seq = self.marked_seq = mark.seq
            self.epoch, self._utc_ms = mark.epoch, mark.utc_ms
            mine = sorted([one for one in self.marks if one.journal_id == mark.journal_id])
            for one in mine:
                self.receipt = self._receipts[one.generation] or self.receipt

    def move(self, seq: int, epoch: int, utc_ms: int | None, receipt: bytes = b"") -> bool:
        """Take a newer acknowledgement; return False for an older one.  A lower sequence needs a
        higher epoch."""
        if epoch < self.epoch or epoch == self.epoch and seq < self.seq:
            return False
        if epoch > self.epoch:
            self.marked_seq = min(self.marked_seq, seq)
        self.seq, self.epoch = seq, epoch
        self._utc_ms = max(utc_ms or 0, 0)
        self.receipt = receipt or self.receipt
        return True

    def write(self, journal_id: bytes, boot: int, sealed: tuple[int, int, bytes]) -> None:
        """Make durable what is acknowledged and sealed, (number, last_seq, chain).

        Raises StoreError; the mark before it stays valid.
        """
        self._generation += 1
        mark = Mark(self._generation, journal_id, boot, self.seq, self.epoch, self._utc_ms,
                    sealed[0], sealed[1], sealed[2])
        if len(self._slots) < 2:
            self._make()
        name = self._slots[0][1]
        self._slots = self._slots[1:]           # given up, unless all of this succeeds
        # A board passes no receipt: a file this small needs no block of a full flash.
        behind = encode_receipt(self.receipt) if self.receipt else b""
        self._store.write(name, 0, encode(mark) + behind)
        self._store.sync(name)
        self._slots.append((self._generation, name))
        self.marked_seq = self.seq

    def _make(self) -> None:
        name = "c%d" % self._next_name
        try:
            self._store.create(name)
        except StoreError as error:
            if error.errno not in REFUSED:
                self._next_name += 1            # who knows what lies there now
            raise
        self._next_name += 1
        try:
            self._store.write(name, 0, bytes(FILE_BYTES if self.receipt else MARK_BYTES))
            self._store.sync(name)
            self._store.sync_dir()
        except StoreError:
            self._discard(name)                 # or each failing try would leave a file
            raise
        self._slots.insert(0, (0, name))

    def _discard(self, name: str) -> None:
        try:
            self._store.remove(name)
        except StoreError:
            return

    def _read_file(self, name: str) -> None:
        try:
            data = self._store.read(name, 0, FILE_BYTES)
        except StoreError as error:
            self.failed.append(error)           # never written again
            return
        mark = decode(data[:MARK_BYTES])
        if mark is not None:
            self.marks.append(mark)
            self._receipts[mark.generation] = decode_receipt(data[MARK_BYTES:])
        self._slots.append((mark.generation if mark else 0, name))
