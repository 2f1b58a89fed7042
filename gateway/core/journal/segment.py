"""Segments of the tail: a header in two copies, then frames of records.

In this file: the bytes of one segment file to values and back, and what of a damaged
segment may be believed.  Not here: which file is used next (tail.py), what several
segments say together (recovery.py).

One segment holds records of one context: one boot, one configuration, one schema and one
clock state.  The file is made once, filled with zeros, and used again and again: each use
has a new generation, and the generation seeds the CRC of every frame behind the header.
"""


from gateway.core.codec import frame
from gateway.core.codec.cbor import decode as cbor_decode
from gateway.core.codec.cbor import encode as cbor_encode
from gateway.core.errors import FormatError
from gateway.core.reading import ClockState
from gateway.core.types import NamedTuple

VERSION = 2
HEADER, DATA, DATA_STOP = 0, 1, 2       # payload kinds; DATA_STOP ends with a STOP event
# Of a header behind kind and version, as encode_header writes them.
HEADER_TYPES = (str, bytes, int, int, bytes, bytes, list, str, list)
BLOCK_TYPES = (int, int, int, int, int, int, bytes)

# What all records of a segment have in common.  schema: bytes of columns.encode_schema.
# config_hash: 32 bytes.  clock: reading.ClockState at the segment's start.
RecordContext = NamedTuple("RecordContext", [
    ("boot", int), ("config_hash", bytes), ("schema", bytes), ("clock", ClockState),
    ("software", str)])

# What had been sealed when the header was written: number of the last batch (0 = none), its
# last sequence and its chain hash (the chain's start if none).
SealedMark = NamedTuple("SealedMark", [("number", int), ("last_seq", int), ("chain", bytes)])

Header = NamedTuple("Header", [
    ("cabinet", str), ("journal_id", bytes), ("generation", int), ("context", RecordContext),
    ("sealed", SealedMark)])

# One frame of records.  first_seq..last_seq without a hole.  commit_seq: first sequence of
# the commit it belongs to.  readings: how many values.  columns: bytes of columns.encode.
Block = NamedTuple("Block", [
    ("kind", int), ("boot", int), ("first_seq", int), ("last_seq", int), ("commit_seq", int),
    ("readings", int), ("columns", bytes)])

# Findings of scan(): blocks as (offset, Block) in file order, where the next frame would
# stand, bytes lost in the last, torn frame (0 = none), and whether a frame in the middle is
# damaged although later ones are whole.
Findings = NamedTuple("Findings", [
    ("blocks", "list[tuple[int, Block]]"), ("end", int), ("torn_bytes", int),
    ("damaged_at", "int | None")])


def encode_header(header: Header) -> bytes:
    """Return the header's bytes: two equal copies, each padded to whole sectors.

    The second copy keeps a segment readable when a sector of the first one goes bad.
    """
    context = header.context
    payload = cbor_encode([
        HEADER, VERSION, header.cabinet, header.journal_id, header.generation,
        context.boot, context.config_hash, context.schema, list(context.clock),
        context.software, list(header.sealed)])
    copy = frame.encode(payload, 0)
    copy = copy + bytes(frame.padded(len(copy)) - len(copy))
    return copy + copy


def find_header(data: bytes) -> tuple[Header, int] | None:
    """Return (Header, offset of the first frame behind it), or None.

    Of several copies the highest generation counts.  A cut in the middle of recycling can
    leave the old first copy and the new second one; were the old one believed, the new one
    would come to light when the first is torn next time, with records long given up.
    """
    best = last = None
    for offset in range(0, len(data), frame.SECTOR):
        if data[offset] != 0x82:
            continue
        payload = frame.decode_at(data, offset, 0)
        if payload is None or payload == last:      # the second of two equal copies
            continue
        last, header = payload, _header(payload)
        if header and (best is None or header.generation > best[0].generation):
            size = frame.padded(frame.HEAD + len(payload))
            best = header, (2 * size if offset == 0 else offset + size)
    return best


def encode_block(block: Block) -> bytes:
    """Return the payload bytes of a Block."""
    return cbor_encode(list(block))


def decode_block(payload: bytes) -> Block:
    """Return the Block of payload bytes; raises FormatError."""
    parts = cbor_decode(payload, 2)
    if not isinstance(parts, list) or len(parts) != 7 or parts[0] not in (DATA, DATA_STOP):
        raise FormatError("journal: a frame that holds no records")
    if not _fits(parts, BLOCK_TYPES):
        raise FormatError("journal: a frame whose numbers are none")
    block = Block(*parts)
    if not 0 < block.commit_seq <= block.first_seq <= block.last_seq:
        raise FormatError("journal: a frame whose sequence runs backwards")
    return block


def scan(data: bytes, start: int, header: Header) -> Findings:
    """Return the Findings of a segment's bytes behind its header.

    Frames stand at sector boundaries.  Behind an unreadable frame every sector is tried, so
    a damaged frame costs only itself; frames left from an earlier use fail their seed.
    """
    crc_seed = frame.seed(header.journal_id, header.generation)
    blocks, offset, end, damaged_at = [], start, start, None
    while offset + frame.HEAD <= len(data):
        payload = frame.decode_at(data, offset, crc_seed) if data[offset] == 0x82 else None
        if payload is None:
            offset += frame.SECTOR
            continue
        if offset != end and damaged_at is None:
            damaged_at = end
        block = block_or_none(payload)
        if block is not None:
            blocks.append((offset, block))
        offset += frame.padded(frame.HEAD + len(payload))
        end = offset
    return Findings(blocks, end, frame.claimed(data, end), damaged_at)


def block_or_none(payload: bytes) -> Block | None:
    """Return the Block of payload bytes, or None if they hold none."""
    try:
        return decode_block(payload)
    except FormatError:
        return None


def _header(payload: bytes) -> Header | None:
    try:
        parts = cbor_decode(payload, 3)
    except FormatError:
        return None
    if not isinstance(parts, list) or len(parts) != 11 or parts[:2] != [HEADER, VERSION]:
        return None
    _, _, cabinet, journal_id, generation, boot, config, schema, clock, software, sealed = parts
    if not _fits(parts[2:], HEADER_TYPES) or not _fits(clock, (int,) * 4) or not _fits(
            sealed, (int, int, bytes)):
        return None
    context = RecordContext(boot, config, schema, ClockState(*clock), software)
    return Header(cabinet, journal_id, generation, context, SealedMark(*sealed))


def _fits(parts: object, types: tuple[type, ...]) -> bool:
    """Return True for a list of values of these types; a bool is no int, and no int is below 0."""
    if not isinstance(parts, list) or len(parts) != len(types):
        return False
    for part, kind in zip(parts, types):
        if type(part) is not kind or isinstance(part, int) and part < 0:
            return False
    return True
