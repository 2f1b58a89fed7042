"""The frames of a journal's segments after a start: which to take, what was lost.

In this file: segment files to Pieces, with an event for everything that is gone.  It only
reads.  Not here: batches, cursor and what the journal does with it (recovery.py).

Rules: tail records up to the last sealed sequence are dropped; each frame must continue the
sequence; a frame that jumps ahead stands behind lost data if its commit had been synced
(an older commit, or a later one in the same segment), and is the rest of a torn, never
acknowledged commit otherwise.
"""


from gateway.core.codec import columns, frame, record
from gateway.core.codec.column_block import block_of
from gateway.core.errors import FormatError, StoreError
from gateway.core.journal import segment, tail
from gateway.core.journal.policy import WHOLE
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from gateway.core.codec.column_block import ColumnBlock
    from gateway.core.codec.record import Record
    from gateway.core.types import FileStore
    # An event to append: (kind, body).
    Declared = tuple[int, list[Any]]

READ_TRIES = 3
SKIP = 1 << 20          # sequences left out when a file cannot be read: never reuse one
BLOCK_MAX = 4096        # largest block that a commit begins with
STALE_MAX = 64          # earlier generations tried before bytes are called torn
HELD_BYTES = 4194304    # segment bytes kept in RAM between the two looks; the rest is read again
COLUMNS_BYTES = 1048576     # columns kept in RAM; the rest is read when it is sealed

# Records on flash that no batch holds yet, from base_seq on.  size: bytes of the frame's payload.
# columns: bytes of columns.encode over context.schema; column_block: the records, packed; where
# both are None, they are read at place (see tail.put).  Records below first_seq count as sealed
# already.
Piece = NamedTuple("Piece", [
    ("context", "segment.RecordContext"), ("base_seq", int), ("first_seq", int), ("last_seq", int),
    ("readings", int), ("size", int), ("position", "tail.Place"), ("columns", "bytes | None"),
    ("column_block", "ColumnBlock | None")])

# A segment file as found.  data: its bytes, or None = read it again.  header: segment.Header, None
# if it cannot be read.
SegmentFile = NamedTuple("SegmentFile", [
    ("name", str), ("size", int), ("data", "bytes | None"), ("header", "Any"),
    ("start", int)])


class Search:
    """Collects the findings of one start."""

    def __init__(self, store: "FileStore") -> None:
        self.store = store
        self.events: "list[Declared]" = []                # (kind, body) to declare
        self.skip = 0                   # sequences not to be used
        self.boot = 0
        self.config_hash: bytes | None = None
        # (last sequence seen in any frame, was it a STOP)
        self.newest: tuple[int, bool] = (0, False)
        # slot name -> last sequence in it, believed or not
        self.last_in: dict[str, int] = {}
        self.quarantine: list[str] = []            # slots to be left alone
        # Body of a TORN event about the newest segment.
        self.torn: list[int] | None = None
        self.pieces: list[Piece] = []
        self._held = self._columns = 0  # bytes in RAM

    def segment_files(self, names: "Iterable[str]") -> list[SegmentFile]:
        """Return the SegmentFiles that can be read, in order of generation."""
        found = []
        for name in names:
            if tail.is_segment_file(name):
                data = self._read(name)
                if data is None:
                    self.unreadable("segment " + name)
                    continue
                header, start = segment.find_header(data) or (None, 0)
                self._held += len(data)
                kept = data if self._held <= HELD_BYTES else None
                found.append(SegmentFile(name, len(data), kept, header, start))
        return sorted(found, key=_order)

    def unreadable(self, what: str) -> None:
        """Declare records that may stand in a file nobody can read; leave their numbers out."""
        self.skip += SKIP
        self.events.append((record.GAP, [-1, None, None, "whatever stood in %s" % what]))

    def accept(self, segment_file: SegmentFile, expected: int) -> int:
        """Take the frames of a slot that continue the sequence; return the next expected."""
        header, data = segment_file.header, self._again(segment_file)
        if data is None:
            self.unreadable("segment " + segment_file.name)
            return expected
        found = segment.scan(data, segment_file.start, header)
        self.boot = max(self.boot, header.context.boot)
        self.torn = None
        last_commit = max([block.commit_seq for _, block in found.blocks] + [0])
        for offset, block in found.blocks:
            if block.boot != header.context.boot:
                continue
            if block.last_seq >= self.newest[0]:
                self.newest = (block.last_seq, block.kind == segment.DATA_STOP)
                self.config_hash = header.context.config_hash
            self.last_in[segment_file.name] = max(self.last_in.get(segment_file.name, 0),
                                                  block.last_seq)
            if block.last_seq < expected:
                continue                # sealed, or stated again in a newer segment
            if block.first_seq > expected >= block.commit_seq == last_commit:
                self.torn = [header.generation, offset, segment_file.size - offset]
                continue                # the rest of a commit that never became whole
            if block.first_seq > expected:
                self.events.append(lost(expected, block.first_seq - 1, header.generation))
                expected = block.first_seq
            self._accept_block(segment_file, offset, block, expected)
            expected = block.last_seq + 1
        if self.torn is None:
            self.torn = _torn(data, found, header)
        return expected

    def headless(self, segment_files: "Sequence[SegmentFile]", journal_id: bytes, highest: int,
                 expected: int) -> int:
        """Declare what stood in segments whose header is gone; return the next expected.

        A first write torn by a power cut leaves the same picture with one commit in it: that
        was never acknowledged, and a TORN event is all there is to say.
        """
        beheaded = []
        for segment_file in segment_files:
            data = self._again(segment_file) if segment_file.header is None else None
            if data is None or data == bytes(len(data)):
                continue
            for generation in range(max(highest - STALE_MAX, 1), highest + len(segment_files) + 1):
                blocks = _blocks(data, frame.seed(journal_id, generation))
                if blocks and blocks[-1].last_seq >= expected:
                    beheaded.append((generation, segment_file.name, blocks))
        for generation, name, blocks in sorted(beheaded):
            expected = self._behead(generation, name, blocks, expected)
        return expected

    def _behead(self, generation: int, name: str, blocks: list[segment.Block],
                expected: int) -> int:
        last_seq = blocks[-1].last_seq
        if last_seq < expected:
            return expected
        if blocks[0].commit_seq == blocks[-1].commit_seq:
            self.torn = self.torn or [generation, 0, 0]
            return expected
        self.events.append(lost(expected, last_seq, generation))
        self.quarantine.append(name)
        self.newest = (last_seq, False)
        self.boot = max(self.boot, blocks[-1].boot)
        return last_seq + 1

    def _accept_block(self, segment_file: SegmentFile, offset: int, block: segment.Block,
                      first_seq: int) -> None:
        self._columns += len(block.columns)
        kept = block.columns if self._columns <= COLUMNS_BYTES else None
        self.pieces.append(Piece(
            segment_file.header.context, block.first_seq, first_seq, block.last_seq, block.readings,
            len(block.columns), (segment_file.name, offset, segment_file.header.generation), kept,
            None))

    def _again(self, segment_file: SegmentFile) -> bytes | None:
        return segment_file.data if segment_file.data is not None else self._read(segment_file.name)

    def _read(self, name: str) -> bytes | None:
        for _ in range(READ_TRIES):
            try:
                return self.store.read(name, 0, self.store.size(name))
            except StoreError as error:
                failed = error
        self.note(name, failed)
        return None

    @property
    def refusals(self) -> "list[tuple[int, str]]":
        """What could not be read: (errno, text) of each failure."""
        return [(body[1], body[2]) for kind, body in self.events if kind == record.IO_ERROR]

    def note(self, name: str, error: StoreError) -> None:
        """Declare a file that could not be read."""
        self.events.append((record.IO_ERROR, ["read " + name, error.errno, str(error)[:200]]))


def records_of(tail_files: tail.Tail, piece: Piece) -> "list[Record] | None":
    """Return the records of a Piece, None if its bytes changed.  Raises StoreError."""
    data = piece.columns
    try:
        if data is None:
            payload = tail_files.read(piece.position)
            if payload is None:
                return None
            data = segment.decode_block(payload).columns
        schema = columns.decode_schema(piece.context.schema)
        found = columns.decode(schema, piece.base_seq, data)
    except FormatError:
        return None
    return [item for item in found if item.seq >= piece.first_seq]


def read_block(tail_files: tail.Tail, piece: Piece) -> "ColumnBlock | None":
    """Return the ColumnBlock of a Piece, None if its bytes changed.  Raises StoreError."""
    if piece.column_block is not None:
        return piece.column_block
    found = records_of(tail_files, piece)
    if found is None or len(found) != piece.last_seq - piece.first_seq + 1:
        return None
    return block_of(columns.decode_schema(piece.context.schema), found)


def bare(piece: Piece) -> Piece:
    """Return a Piece of this boot without its column_block: to be read again if need be."""
    return Piece(piece.context, piece.base_seq, piece.first_seq, piece.last_seq, piece.readings,
                 piece.size, piece.position, piece.columns, None)


def columns_of(tail_files: tail.Tail, piece: Piece) -> bytes | None:
    """Return the columns of a Piece, None if they cannot be read.  Raises StoreError for a file
    that is whole and refused."""
    if piece.columns is not None:
        return piece.columns
    try:
        payload = tail_files.read(piece.position)
        return None if payload is None else segment.decode_block(payload).columns
    except StoreError as error:
        if error.errno in WHOLE:
            raise
        return None
    except FormatError:
        return None


def lost(first_seq: int, last_seq: int, generation: int) -> "Declared":
    """Return the GAP event that declares sequences missing although later ones are there."""
    reason = "sequence %d to %d unreadable before segment %d" % (first_seq, last_seq, generation)
    return record.GAP, [-1, None, None, reason]


def stale(data: bytes, offset: int, header: segment.Header) -> bool:
    """Return True if the bytes at offset are a whole frame of an earlier use of the slot."""
    for age in range(1, min(header.generation, STALE_MAX + 1)):
        crc_seed = frame.seed(header.journal_id, header.generation - age)
        if frame.decode_at(data, offset, crc_seed) is not None:
            return True
    return False


def _torn(data: bytes, found: segment.Findings, header: segment.Header) -> list[int] | None:
    """Return the body of a TORN event about what stands behind the last whole frame, or None.

    The next commit begins there or with the next block.
    """
    last = min(found.end + BLOCK_MAX, len(data) - frame.HEAD + 1)
    for offset in range(found.end, last, frame.SECTOR):
        head = data[offset:offset + frame.HEAD]
        likeness = (head[0] == 0x82) + (head[1] == 0x1A) + (head[6] == 0x59)
        # One of three may be wrong: a bit that flipped.
        if likeness >= 2 and not stale(data, offset, header):
            return [header.generation, offset, frame.HEAD + (head[7] << 8) + head[8]]
    return None


def _blocks(data: bytes, crc_seed: int) -> list[segment.Block]:
    found = []
    for offset in range(0, len(data), frame.SECTOR):
        if data[offset] == 0x82:
            payload = frame.decode_at(data, offset, crc_seed)
            block = None if payload is None else segment.block_or_none(payload)
            if block is not None:
                found.append(block)
    return found


def _order(segment_file: SegmentFile) -> tuple[int, str]:
    return (segment_file.header.generation if segment_file.header else 0, segment_file.name)
