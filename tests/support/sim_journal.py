"""A cabinet's flash and journal in the simulation, with places to fail and a witness."""

from gateway.core.errors import StoreError
from gateway.core.journal.journal import Journal
from gateway.core.reading import Scan
from tests.support.memory_store import EACCES, EROFS, MemoryStore


class Flash(MemoryStore):
    """MemoryStore as one life after the other holds it; refused: by a mount or an owner, "write" or
    "read" (which takes writing along)."""

    def __init__(self, machine, image):
        super().__init__(image, machine.before_op)
        self._machine = machine

    def read(self, name, offset, count):
        """Read, unless that is refused."""
        if self._machine.refused == "read":
            raise StoreError(f"{name}: refused", EACCES)
        return super().read(name, offset, count)

    def _step(self, operation, name):
        if self._machine.refused:
            raise StoreError(f"{operation} {name}: refused", EROFS)
        super()._step(operation, name)

    def close(self):
        """Nothing is open."""


class SimJournal(Journal):
    """The real journal; each promise is told to the witness, each step is a place to fail."""

    def attach(self, life):
        """Let a life's witness hear of everything from now on."""
        self.life, self.witness = life, life.machine.witness
        self.world, self.batches.life = life.world, life
        self.held = []          # (number in RAM, scan, when): of a journal that waits for its files

    def append_scan(self, ticks_ms, stream, values):
        """Append and note."""
        seq = super().append_scan(ticks_ms, stream, values)
        if seq:
            noted = seq, Scan(stream, ticks_ms, tuple(values)), self.life.start_s + ticks_ms / 1000
            if self.is_waiting:
                self.held.append(noted)
            else:
                self.witness.scan(*noted)
        return seq

    def take_over(self, waiting):
        """Take over what waited; its scans have their numbers only now."""
        before = self.last_seq
        super().take_over(waiting)
        for seq, scan, at_s in self.life.writer.journal.held:
            self.witness.scan(before + seq, scan, at_s)

    def commit(self):
        """Commit and note."""
        if self.is_waiting:
            return super().commit()
        self.world.point("commit.before", self.life)
        self.witness.appended = max(self.witness.appended, self.last_seq)
        durable = super().commit()
        self.witness.committed(self)
        self.world.note("commit", durable)
        self.world.point("commit.after", self.life)
        return durable

    def seal(self, sealer):
        """Seal and note."""
        self.world.point("seal.before", self.life)
        number = super().seal(sealer)
        if number is not None:
            self.witness.sealed(number, self.read_batch(number))
            self.world.sealed(number, self.sealed_seq)
            self.world.point("seal.after", self.life)
        return number

    def acknowledge(self, seq, now_ms, epoch=None, receipt=b""):
        """Move the cursor and hold it to the receipts."""
        self.world.point("cursor.before", self.life)
        moved = super().acknowledge(seq, now_ms, epoch, receipt)
        self.witness.acknowledged(self)
        self.world.note("cursor", self.acknowledged_seq, self.epoch)
        self.world.point("cursor.after", self.life)
        return moved

    def trim(self, keep_bytes):
        """Trim; nothing may go that no receipt covers."""
        dropped = super().trim(keep_bytes)
        for number in dropped:
            last_seq = self.witness.batches[number].content.last_seq
            if last_seq > self.witness.receipt_max:
                self.world.fail("I1", f"batch {number} was deleted without a receipt")
        return dropped
