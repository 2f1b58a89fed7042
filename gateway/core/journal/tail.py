"""The tail: the segment files that commits go into, used in turn.

In this file: where the next frame goes, when a segment is opened, recycled or given up.
Not here: what stands in frames (segment.py) and when a commit happens (journal.py).

A slot is one file, filled with zeros once and synced before its first use, so that a commit
changes no size and costs its blocks only.  A commit begins a new block of the store where that
touches fewer: flash wears by the block.  A slot is recycled only after all its records stand in
a durable batch.  A slot in which a write or a sync failed is never synced again.  What a store
refuses (policy.REFUSED) has changed nothing, so it uses up neither name nor generation: a
read-only flash is tried for days.
"""

from gateway.core.codec import frame
from gateway.core.errors import Bug, StoreError
from gateway.core.journal import segment
from gateway.core.journal.policy import REFUSED
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.core.journal.buffer import PendingFrame
    from gateway.core.types import FileStore
    # Where a frame stands: (slot name, offset, generation).
    Place = tuple[str, int, int]

SEGMENT_BYTES = 262144      # 256 KiB
PIECE_BYTES = 262144        # read, written or zeroed at once
LEAD_SPARE = 2 * frame.SECTOR   # a later generation may take a byte more in the header
FREE_MAX = 4                # more free slots than this are deleted


def is_segment_file(name: str) -> bool:
    """Return True if a file name is that of a segment segment_file: t0001, t0002 ..."""
    return len(name) > 1 and name[0] == "t" and name[1:].isdigit()


class OpenSegment:
    """The segment that frames go into, and where the next one goes."""

    def __init__(self, segment_file: tuple[str, int], context: segment.RecordContext, seed: int,
                 lead: bytes) -> None:
        """segment_file: (name, size).  seed: of the frames' checksums.  lead: header bytes, which
        go out with the first frame; nothing is written while there are any."""
        self.name, self.size = segment_file
        self.context, self.seed, self.lead = context, seed, lead
        self.offset = 0

    def fits(self, entry: "PendingFrame") -> bool:
        """Return True if there is space for one more entry."""
        size = frame.padded(frame.HEAD + len(entry.payload))
        return self.offset + len(self.lead) + size <= self.size

    def parts(self, queue: "Sequence[PendingFrame]",
              block: int) -> tuple[list[bytes], list[int], int]:
        """Return (byte strings to write, where each entry's frame starts in them, their size)
        for the first entries of a queue that share context and commit and fit.

        They begin with the next block of the store where they touch fewer blocks there.
        """
        first, parts, starts, size = queue[0], [self.lead], [], len(self.lead)
        for entry in queue:
            data = frame.encode(entry.payload, self.seed)
            padded = frame.padded(len(data))
            if (entry.context != self.context or entry.commit_seq != first.commit_seq
                    or self.offset + size + padded > self.size):
                break
            parts.append(data + bytes(padded - len(data)))
            starts.append(size)
            size += padded
        here = self.offset
        later = -(-here // block) * block
        touched = (here + size - 1) // block - here // block + 1
        if later + size <= self.size and touched > -(-size // block):
            self.offset = later
        return parts, starts, size


class Tail:
    """Writer of segments over a store.  Everything raises StoreError as the store does."""

    def __init__(self, store: "FileStore", identity: tuple[str, bytes], generation: int,
                 segment_bytes: int) -> None:
        """identity: (cabinet, journal_id).  generation: the highest that was ever used."""
        self._store, self.identity = store, identity
        self.generation = self._before = generation     # _before: of the segment before this one
        # One that says nothing can only append: no gaps there.
        self._block_bytes = getattr(store, "block_bytes", frame.SECTOR)
        self._segment_bytes = segment_bytes
        # name -> (last sequence in it, size, usable again)
        self._held: dict[str, tuple[int, int, bool]] = {}
        self._free: list[tuple[str, int]] = []             # (name, size), oldest first
        self._names_used = 0
        self._names_durable = False     # a killed process may have left new names in the cache
        self._open: OpenSegment | None = None           # OpenSegment

    def adopt(self, name: str, size: int, last_seq: int) -> None:
        """Take over a slot found at start; last_seq: newest record in it, 0 = none."""
        self.reserve(name)
        if last_seq:
            self._held[name] = (last_seq, size, True)
        else:
            self._free.append((name, size))

    def reserve(self, name: str) -> None:
        """Never use the number of a slot that is not ours or cannot be read."""
        self._names_used = max(self._names_used, int(name[1:]))

    def segment_counts(self) -> tuple[int, int]:
        """Return (slots that hold records, free slots)."""
        return len(self._held), len(self._free)

    def flash_bytes(self) -> int:
        """Return the bytes of all slots."""
        held = [size for _, size, _ in self._held.values()]
        return sum(held) + sum([size for _, size in self._free])

    def put(self, queue: "Sequence[PendingFrame]", sealed: segment.SealedMark) -> "list[Place]":
        """Make the first entries of a queue durable; return their places.

        queue: list of entries with .context, .commit_seq, .last_seq and .payload.  Only
        entries of the first one's context and commit that fit one segment are written: one
        write, one sync.  Returns a list of (slot name, offset, generation).
        """
        first, here = queue[0], self._open
        if here is None or first.context != here.context or not here.fits(first):
            here = self._begin(first, sealed)
        parts, starts, size = here.parts(queue, self._block_bytes)
        positions = [(here.name, here.offset + start, self.generation) for start in starts]
        self._write(here, parts, size)
        self._held[here.name] = (queue[len(positions) - 1].last_seq, here.size, True)
        return positions

    def read(self, position: "Place") -> bytes | None:
        """Return the payload at a place, or None if the bytes there changed."""
        name, offset, generation = position
        return self._frame(name, offset, self._seed(generation))

    def release(self, sealed_seq: int) -> None:
        """Free the slots whose records all stand in durable batches."""
        current = self._open.name if self._open else None
        for name in sorted(self._held):
            last_seq, size, usable = self._held[name]
            if last_seq <= sealed_seq and name != current:
                self._held.pop(name)
                if usable and len(self._free) < FREE_MAX:
                    self._free.append((name, size))
                else:
                    self._discard(name)

    def has_frames(self, segment_file: tuple[str, int], seed: int) -> bool:
        """Return True if a frame with this seed stands at any sector of a slot, (name, size)."""
        name, size = segment_file
        for start in range(0, size, PIECE_BYTES):
            data = self._store.read(name, start, PIECE_BYTES)
            for offset in range(0, len(data), frame.SECTOR):
                if data[offset] != 0x82:
                    continue
                if offset + frame.claimed(data, offset) <= len(data):
                    payload = frame.decode_at(data, offset, seed)
                else:
                    payload = self._frame(name, start + offset, seed)
                if payload is not None:
                    return True
        return False

    def _write(self, here: OpenSegment, parts: list[bytes], size: int) -> None:
        """Write at the end of a segment and sync; give its slot up on any error."""
        offset = here.offset
        try:
            for data in _end_to_end(parts):
                self._store.write(here.name, offset, data)
                offset += len(data)
            self._store.sync(here.name)
        except StoreError as error:
            self._give_up(here.name)
            if error.errno in REFUSED and here.lead and offset == here.offset:
                self.generation = self._before      # a sync comes later than the offset moves
            raise
        here.lead = b""
        here.offset += size

    def _begin(self, entry: "PendingFrame", sealed: segment.SealedMark) -> OpenSegment:
        """Begin a segment of a new generation; its header goes out with the first frame."""
        self._open = None
        if not self._names_durable:
            self._store.sync_dir()
            self._names_durable = True
        needed = (len(self._header(entry, sealed, self.generation + 1)) + LEAD_SPARE
                  + frame.padded(frame.HEAD + len(entry.payload)))
        self._before = self.generation
        self.generation += 1
        try:
            segment_file = self._claim_file(needed)
        except StoreError:
            self.generation = self._before
            raise
        here = OpenSegment(segment_file, entry.context, self._seed(self.generation),
                           self._header(entry, sealed, self.generation))
        if not here.fits(entry):
            raise Bug("journal: segment of %d bytes for %d" % (segment_file[1], needed))
        self._open = here
        return here

    def _give_up(self, name: str) -> None:
        self._open = None
        if name in self._held:
            last_seq, size, _ = self._held[name]
            self._held[name] = (last_seq, size, False)
        else:
            self._discard(name)

    def _claim_file(self, needed: int) -> tuple[str, int]:
        """Return (name, size) of a free slot, or of a new one, zeroed and durable; the generation
        rises over those that frames in the slot were written for already.

        A power cut can lose a header and keep frames behind it; that generation looks unused at
        the next start, and a new header of it would bring the frames back.
        """
        for segment_file in list(self._free):
            if segment_file[1] < needed:
                continue
            self._free.remove(segment_file)
            try:
                while self.has_frames(segment_file, self._seed(self.generation)):
                    self.generation += 1
            except StoreError:
                self._discard(segment_file[0])          # it cannot be read: never write to it
                continue
            return segment_file
        name, size = "t%04d" % (self._names_used + 1), max(self._segment_bytes, needed)
        self._create(name)
        try:
            for start in range(0, size, PIECE_BYTES):
                self._store.write(name, start, bytes(min(PIECE_BYTES, size - start)))
            self._store.sync(name)
            self._store.sync_dir()
        except StoreError:
            self._discard(name)
            raise
        return name, size

    def _create(self, name: str) -> None:
        """Make the file of the next number; one that is refused is not there."""
        self._names_used += 1
        try:
            self._store.create(name)
        except StoreError as error:
            if error.errno in REFUSED:
                self._names_used -= 1
            raise

    def _frame(self, name: str, offset: int, seed: int) -> bytes | None:
        """Return the payload of the frame at an offset, or None if no whole one is there."""
        data = self._store.read(name, offset, frame.SECTOR)
        size = frame.claimed(data, 0)
        if size > len(data):
            data = self._store.read(name, offset, size)
        return frame.decode_at(data, 0, seed)

    def _discard(self, name: str) -> None:
        """Delete a file if the store lets us; what stays is recognised at the next start."""
        try:
            self._store.remove(name)
        except StoreError:
            return

    def _header(self, entry: "PendingFrame", sealed: segment.SealedMark, generation: int) -> bytes:
        cabinet, journal_id = self.identity
        return segment.encode_header(segment.Header(
            cabinet, journal_id, generation, entry.context, sealed))

    def _seed(self, generation: int) -> int:
        return frame.seed(self.identity[1], generation)


def _end_to_end(parts: list[bytes]) -> "Iterator[bytes]":
    """Yield parts joined to pieces: one write, unless a board has no room for that."""
    joined: list[bytes]
    joined, size = [], 0
    for part in parts:
        if joined and size + len(part) > PIECE_BYTES:
            yield b"".join(joined)
            joined, size = [], 0
        joined.append(part)
        size += len(part)
    yield b"".join(joined)
