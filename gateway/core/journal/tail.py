"""The tail: the segment files that commits go into, used in turn.

In this file: where the next frame goes, when a segment is opened, recycled or given up.
Not here: what stands in frames (segment.py) and when a commit happens (journal.py).

A slot is one file, filled with zeros once and synced before its first use, so that a commit
changes no size and costs its blocks only.  A commit begins a new block of the store where that
touches fewer: flash wears by the block.  A slot is recycled only after all its records stand in
a durable batch.  A slot in which a write or a sync failed is never synced again.
"""

from gateway.core.codec import frame
from gateway.core.errors import Bug, StoreError
from gateway.core.journal import segment

SEGMENT_BYTES = 262144      # 256 KiB
PIECE_BYTES = 262144        # read, written or zeroed at once
LEAD_SPARE = 2 * frame.SECTOR   # a later generation may take a byte more in the header
FREE_MAX = 4                # more free slots than this are deleted


def is_slot(name):
    """Return True if a file name is that of a segment slot: t0001, t0002 ..."""
    return len(name) > 1 and name[0] == "t" and name[1:].isdigit()


class Tail:
    """Writer of segments over a store.  Everything raises StoreError as the store does."""

    def __init__(self, store, identity, generation, segment_bytes):
        """identity: (device, journal_id).  generation: the highest that was ever used."""
        self._store = store
        self._device, self._journal_id = identity
        self.generation = generation
        self._segment_bytes = segment_bytes
        # One that says nothing can only append: no gaps there.
        self._block_bytes = getattr(store, "block_bytes", frame.SECTOR)
        self._held = {}             # name -> (last sequence in it, size, usable again)
        self._free = []             # (name, size), oldest first
        self._names_used = 0
        self._names_durable = False     # a killed process may have left new names in the cache
        self._name = None           # the current slot
        self._offset = self._size = self._seed = 0
        self._context = None
        self._lead = b""            # header bytes not yet written

    def adopt(self, name, size, last_seq):
        """Take over a slot found at start; last_seq: newest record in it, 0 = none."""
        self._names_used = max(self._names_used, int(name[1:]))
        if last_seq:
            self._held[name] = (last_seq, size, True)
        else:
            self._free.append((name, size))

    def reserve(self, name):
        """Never use the number of a slot that is not ours or cannot be read."""
        self._names_used = max(self._names_used, int(name[1:]))

    def slots(self):
        """Return (slots that hold records, free slots)."""
        return len(self._held), len(self._free)

    def put(self, queue, sealed):
        """Make the first entries of a queue durable; return their places.

        queue: list of entries with .context, .commit_seq, .last_seq and .payload.  Only
        entries of the first one's context and commit that fit one segment are written: one
        write, one sync.  Returns a list of (slot name, offset, generation).
        """
        first = queue[0]
        if self._name is None or first.context != self._context or not self._room(first):
            self._open(first, sealed)
        parts, starts, size = [self._lead], [], len(self._lead)
        for entry in queue:
            data = frame.encode(entry.payload, self._seed)
            padded = frame.padded(len(data))
            if (entry.context != self._context or entry.commit_seq != first.commit_seq
                    or self._offset + size + padded > self._size):
                break
            parts.append(data + bytes(padded - len(data)))
            starts.append(size)
            size += padded
        self._offset = self._place_for(size)
        places = [(self._name, self._offset + start, self.generation) for start in starts]
        self._write(parts, queue[len(places) - 1].last_seq)
        return places

    def _place_for(self, size):
        """Return where to write so many bytes: here, or from the next block on if that touches
        fewer blocks."""
        block, here = self._block_bytes, self._offset
        later = -(-here // block) * block
        touched = (here + size - 1) // block - here // block + 1
        return later if later + size <= self._size and touched > -(-size // block) else here

    def read(self, place):
        """Return the payload at a place, or None if the bytes there changed."""
        name, offset, generation = place
        return self._frame(name, offset, frame.seed(self._journal_id, generation))

    def rotate(self):
        """Let the next commit begin a new segment."""
        self._name = None

    def release(self, sealed_seq):
        """Free the slots whose records all stand in durable batches."""
        for name in sorted(self._held):
            last_seq, size, usable = self._held[name]
            if last_seq <= sealed_seq and name != self._name:
                self._held.pop(name)
                if usable and len(self._free) < FREE_MAX:
                    self._free.append((name, size))
                else:
                    self._discard(name)

    def _write(self, parts, last_seq):
        """Write at the end of the current slot and sync; give the slot up on any error."""
        offset = self._offset
        try:
            for data in _together(parts):
                self._store.write(self._name, offset, data)
                offset += len(data)
            self._store.sync(self._name)
        except StoreError:
            self._give_up()
            raise
        self._lead = b""
        self._offset = offset
        self._held[self._name] = (last_seq, self._size, True)

    def _give_up(self):
        name, self._name = self._name, None
        if name in self._held:
            last_seq, size, _ = self._held[name]
            self._held[name] = (last_seq, size, False)
        else:
            self._discard(name)

    def _room(self, entry):
        size = frame.padded(frame.HEAD + len(entry.payload))
        return self._offset + len(self._lead) + size <= self._size

    def _open(self, entry, sealed):
        """Choose a slot for a new generation; its header goes out with the first frame."""
        self._name = None
        if not self._names_durable:
            self._store.sync_dir()
            self._names_durable = True
        lead = self._header(entry, sealed)
        needed = len(lead) + frame.padded(frame.HEAD + len(entry.payload)) + LEAD_SPARE
        self.generation += 1
        name, size = self._take(needed)
        generation, lead = self.generation, self._header(entry, sealed, 0)
        self._name, self._size, self._offset, self._lead = name, size, 0, lead
        self._context = entry.context
        self._seed = frame.seed(self._journal_id, generation)
        if not self._room(entry):
            raise Bug("journal: segment of %d bytes for %d" % (size, needed))

    def _header(self, entry, sealed, ahead=1):
        return segment.encode_header(segment.Header(
            self._device, self._journal_id, self.generation + ahead, entry.context, sealed))

    def _avoid_ghosts(self, name, size):
        """Skip a generation that frames in the slot were written for already.

        A power cut can lose a header and keep frames behind it; that generation looks
        unused at the next start, and a new header of it would bring the frames back.
        """
        while self._has_frames(name, size, frame.seed(self._journal_id, self.generation)):
            self.generation += 1

    def _has_frames(self, name, size, seed):
        """Return True if a frame with this seed stands at any sector of a slot."""
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

    def _frame(self, name, offset, seed):
        """Return the payload of the frame at an offset, or None if no whole one is there."""
        data = self._store.read(name, offset, frame.SECTOR)
        size = frame.claimed(data, 0)
        if size > len(data):
            data = self._store.read(name, offset, size)
        return frame.decode_at(data, 0, seed)

    def _take(self, needed):
        """Return (name, size) of a free slot, or of a new one, zeroed and durable."""
        for name, size in list(self._free):
            if size < needed:
                continue
            self._free.remove((name, size))
            try:
                self._avoid_ghosts(name, size)
            except StoreError:
                self._discard(name)             # it cannot be read: never write to it
                continue
            return name, size
        self._names_used += 1
        name, size = "t%04d" % self._names_used, max(self._segment_bytes, needed)
        self._store.create(name)
        try:
            for start in range(0, size, PIECE_BYTES):
                self._store.write(name, start, bytes(min(PIECE_BYTES, size - start)))
            self._store.sync(name)
            self._store.sync_dir()
        except StoreError:
            self._discard(name)
            raise
        return name, size

    def _discard(self, name):
        """Delete a file if the store lets us; what stays is recognised at the next start."""
        try:
            self._store.remove(name)
        except StoreError:
            return


def _together(parts):
    """Yield parts joined to pieces: one write, unless a board has no room for that."""
    joined, size = [], 0
    for part in parts:
        if joined and size + len(part) > PIECE_BYTES:
            yield b"".join(joined)
            joined, size = [], 0
        joined.append(part)
        size += len(part)
    yield b"".join(joined)
