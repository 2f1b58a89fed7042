"""Coarsened batches: what is left of sealed batches that had to make room on a full flash.

A signed message of its own kind.  It names the batches it stands for by number, sequences and
chain value, so the chain goes on across it, and holds of their records: every event, the
counters' readings that decide energy, and for each cell - the scans of one batch and device
in one quarter hour - how many there were and what their gauges came to.  The payload is CBOR

    [2, device, journal_id, replaced, boot, rule, prev, config_hash, clock, codec, body]

Layout, every byte: docs/formats.md section 13.  What is kept: journal/downsample.py.
"""


from gateway.core.codec import columns
from gateway.core.codec.cbor import decode, encode
from gateway.core.codec.cose import open_sign1, sign1
from gateway.core.codec.record import SEQ_MAX, EventRecord, ScanRecord, is_event
from gateway.core.codec.schema import decode_schema, encode_schema
from gateway.core.codec.series import put_varint, varint
from gateway.core.errors import Bug, FormatError
from gateway.core.evidence import batch, chain
from gateway.core.evidence.receipt import JOURNAL_ID_BYTES, check_bytes, check_int, check_text
from gateway.core.reading import NOT_KEPT, Absent
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from gateway.core.codec.cose import Sign1
    from gateway.core.codec.record import Record
    from gateway.core.evidence.batch import Batch
    from gateway.core.reading import ClockState, Schema, Values
    from gateway.core.types import Compress, Inflate, Sign

    # (count, total, lowest, highest) of a gauge, None where there is none.
    Gauge = tuple[int, int, int, int] | None

VERSION = 2
REPLACED_MAX = 256          # batches in one downsampled one
CELLS_MAX = 65536
# What is kept.  Each rule keeps less than the one before.
QUARTERS, COUNTERS, HOURS, ENDS = 1, 2, 3, 4
RULE_NAMES = {
    QUARTERS: "counters at quarter hours, sums and extremes of gauges",
    COUNTERS: "counters at quarter hours", HOURS: "counters at hours",
    ENDS: "first and last reading of each counter"}

# A sealed batch that a downsampled one stands for.  chain_hash: its chain value, 32 bytes.
Replaced = NamedTuple("Replaced", [
    ("number", int), ("first_seq", int), ("last_seq", int), ("chain_hash", bytes)])

# As batch.Batch, so that both can be asked alike: number, first_seq and last_seq are those of
# the whole range, number being the last.  replaced: list of Replaced.  rule: see above.
DownsampledBatch = NamedTuple("DownsampledBatch", [
    ("cabinet", str), ("journal_id", bytes), ("number", int), ("boot", int), ("first_seq", int),
    ("last_seq", int), ("prev", bytes), ("config_hash", bytes), ("clock", "ClockState"),
    ("codec", int), ("body", bytes), ("rule", int), ("replaced", "Sequence[Replaced]")])

# The scans of one batch, stream and quarter hour.  position: index into replaced.  ticks_ms: of
# the last of them.  scans, absent: how many, and how many of them without any value.
# gauges: for each point None (a counter, or not kept) or (count, total, low, high).
Cell = NamedTuple("Cell", [
    ("position", int), ("stream", int), ("ticks_ms", int), ("scans", int), ("absent", int),
    ("gauges", "tuple[Gauge, ...]")])

# schema: tuple of reading.Stream.  records: what is kept, with the sequences they had.
# cells: list of Cell.
Content = NamedTuple("Content", [
    ("schema", "Schema"), ("records", "list[Record]"), ("cells", "list[Cell]")])


def is_downsampled(payload: bytes) -> bool:
    """Return True if a signed payload is that of a downsampled batch, by its first two bytes."""
    return bytes(payload[:2]) == b"\x8b\x02"


def make_parts(content: Content, replaced: "Sequence[Replaced]", rule: int) -> "Iterator[bytes]":
    """Yield the parts of a Content's body one by one, each about as much work as sealing a
    batch: schema, records, kept, counts, cells, then under QUARTERS three of gauges."""
    schema, cells = content.schema, content.cells
    yield encode_schema(schema)
    yield columns.encode(schema, _renumbered(content.records))
    yield _kept(content.records, replaced[0].first_seq)
    yield columns.encode(schema, _rows(cells, 0))
    row, position = bytearray(), 0
    for cell in cells:
        for number in (cell.position - position, cell.scans, cell.absent):
            put_varint(row, number)
        position = cell.position
    yield bytes(row)
    for part in (1, 2, 3) if rule == QUARTERS else ():
        yield columns.encode(schema, _rows(cells, part))


def make_body(parts: list[bytes], codec: int, compress: "Compress") -> bytes:
    """Return the body bytes of what make_parts gave; compress as in batch.make_body."""
    body = encode(parts[:5] + [parts[5:]])
    return body if codec == batch.CODEC_RAW else compress(body)


def open_body(coarse: DownsampledBatch, inflate: "Inflate") -> Content:
    """Return the Content of a DownsampledBatch; raises FormatError.  inflate as in
    batch.open_body."""
    body = coarse.body
    if coarse.codec == batch.CODEC_DEFLATE:
        body = inflate(body, batch.INFLATED_MAX)
    if len(body) > batch.INFLATED_MAX:
        raise FormatError("coarse: body of %d bytes" % len(body))
    parts = decode(body, 2)
    if not isinstance(parts, list) or len(parts) != 6 or not isinstance(parts[5], list):
        raise FormatError("coarse: a body has 6 parts")
    for part in parts[:5] + parts[5]:
        if not isinstance(part, bytes):
            raise FormatError("coarse: the parts of a body are bytes")
    if len(parts[5]) != (3 if coarse.rule == QUARTERS else 0):
        raise FormatError("coarse: %d gauge parts under rule %d" % (len(parts[5]), coarse.rule))
    schema = decode_schema(parts[0])
    records = _placed(columns.decode(schema, 1, parts[1]), parts[2], coarse.replaced)
    return Content(schema, records, _cells(coarse, schema, parts))


def encode_payload(coarse: DownsampledBatch) -> bytes:
    """Return the payload bytes that are signed."""
    return encode([VERSION, coarse.cabinet, coarse.journal_id,
                   [list(one) for one in coarse.replaced], coarse.boot, coarse.rule, coarse.prev,
                   coarse.config_hash, list(coarse.clock), coarse.codec, coarse.body])


def decode_payload(data: bytes) -> DownsampledBatch:
    """Return the DownsampledBatch that payload bytes hold, its body not opened; raises
    FormatError."""
    parts = decode(data, 3)
    if not isinstance(parts, list) or len(parts) != 11 or parts[0] is True or parts[0] != VERSION:
        raise FormatError("coarse: not a coarsened batch of version %d" % VERSION)
    _, cabinet, journal_id, rows, boot, rule, prev, config_hash, clock, codec, body = parts
    check_text("coarse: device", cabinet)
    check_bytes("coarse: journal id", journal_id, JOURNAL_ID_BYTES)
    check_bytes("coarse: prev", prev, chain.CHAIN_HASH_BYTES)
    check_bytes("coarse: config hash", config_hash, batch.HASH_BYTES)
    check_int("coarse: boot", boot, 0, batch.NUMBER_MAX)
    check_int("coarse: rule", rule, QUARTERS, ENDS)
    check_int("coarse: codec", codec, batch.CODEC_RAW, batch.CODEC_DEFLATE)
    if not isinstance(body, bytes):
        raise FormatError("coarse: the body must be bytes")
    replaced = _replaced(rows)
    return DownsampledBatch(cabinet, journal_id, replaced[-1].number, boot, replaced[0].first_seq,
                            replaced[-1].last_seq, prev, config_hash, batch.read_clock(clock),
                            codec, body,
                            rule, replaced)


def seal(payload: bytes, kid: bytes, sign: "Sign") -> bytes:
    """Return the sealed batch; sign: callable from bytes to a 64-byte signature."""
    sealed = sign1(kid, payload, sign)
    if len(sealed) > batch.SEALED_MAX:
        raise Bug("coarse: sealed %d bytes, at most %d" % (len(sealed), batch.SEALED_MAX))
    return sealed


def open_any(data: bytes) -> "tuple[Sign1, Batch | DownsampledBatch, bytes]":
    """Return (Sign1, Batch or DownsampledBatch, chain value after it) of sealed bytes; raises
    FormatError.

    The signature is NOT checked.
    """
    if len(data) > batch.SEALED_MAX:
        raise FormatError("batch: %d bytes, at most %d" % (len(data), batch.SEALED_MAX))
    message = open_sign1(data)
    if not is_downsampled(message.payload):
        return message, batch.decode_payload(message.payload), chain.chain_hash(message.payload)
    content = decode_payload(message.payload)
    return message, content, content.replaced[-1].chain_hash


def open_records(content: "Batch | DownsampledBatch",
                 inflate: "Inflate") -> "tuple[Schema, list[Record]]":
    """Return (schema, records) of a Batch or DownsampledBatch; raises FormatError."""
    if isinstance(content, DownsampledBatch):
        opened = open_body(content, inflate)
        return opened.schema, opened.records
    return batch.open_body(content, inflate)


def _replaced(rows: object) -> list[Replaced]:
    if not isinstance(rows, list) or not 0 < len(rows) <= REPLACED_MAX:
        raise FormatError("coarse: 1..%d replaced batches" % REPLACED_MAX)
    found, number, seq = [], None, 0
    for row in rows:
        if not isinstance(row, list) or len(row) != 4:
            raise FormatError("coarse: a replaced batch is [number, first, last, link]")
        low = 1 if number is None else number + 1
        check_int("coarse: number", row[0], low, batch.NUMBER_MAX if number is None else low)
        check_int("coarse: first seq", row[1], seq + 1)
        check_int("coarse: last seq", row[2], row[1],
                  min(row[1] + columns.RECORDS_MAX - 1, SEQ_MAX))
        check_bytes("coarse: link", row[3], chain.CHAIN_HASH_BYTES)
        found.append(Replaced(row[0], row[1], row[2], row[3]))
        number, seq = row[0], row[2]
    return found


def _rows(cells: list[Cell], part: int) -> "list[Record]":
    """Return a record per cell: of each gauge the count (0), total, lowest or highest."""
    rows: "list[Record]" = []
    for i, cell in enumerate(cells):
        values = [Absent(NOT_KEPT) if one is None or part and not one[0] else one[part]
                  for one in cell.gauges]
        rows.append(ScanRecord(i + 1, cell.ticks_ms, cell.stream, tuple(values)))
    return rows


def _cells(coarse: DownsampledBatch, schema: "Schema", parts: "list[Any]") -> list[Cell]:
    """Return the Cells that the counts, cells and gauges parts of a body hold."""
    counts = columns.decode(schema, 1, parts[3])
    others: "list[Any]" = [columns.decode(schema, 1, part) for part in parts[5]]
    if len(counts) > CELLS_MAX:
        raise FormatError("coarse: %d cells" % len(counts))
    cells, position, at = [], 0, 0
    for i, row in enumerate(counts):
        step, at = varint(parts[4], at)
        scans, at = varint(parts[4], at)
        absent, at = varint(parts[4], at)
        position += step
        if is_event(row) or position >= len(coarse.replaced) or absent > scans or not 0 < scans:
            raise FormatError("coarse: cell %d cannot be" % i)
        for other in others:
            if len(other) != len(counts) or is_event(other[i]) or other[i][1:3] != row[1:3]:
                raise FormatError("coarse: the gauges are not those of cell %d" % i)
        cells.append(Cell(position, row.stream, row.ticks_ms, scans, absent,
                          _gauges(row.values, [other[i].values for other in others])))
    if at != len(parts[4]):
        raise FormatError("coarse: bytes behind the last cell")
    return cells


def _gauges(counts: "Values", others: "list[Values]") -> "tuple[Gauge, ...]":
    """Return the gauges of a Cell from its rows of counts and [totals, lows, highs]."""
    found: "list[Gauge]" = []
    for point, count in enumerate(counts):
        if not isinstance(count, int) or not others:
            found.append(None)
            continue
        total, low, high = [values[point] for values in others]
        if count == 0:
            found.append((0, 0, 0, 0))
            continue
        if not isinstance(total, int) or not isinstance(low, int) or not isinstance(high, int):
            raise FormatError("coarse: a gauge without its sum")
        if count < 0 or low > high or not low * count <= total <= high * count:
            raise FormatError("coarse: a sum that its extremes rule out")
        found.append((count, total, low, high))
    return tuple(found)


def _kept(records: "list[Record]", first_seq: int) -> bytes:
    """Return which sequences are there: varints of skipped, taken, skipped, taken ..."""
    out, at, i = bytearray(), first_seq, 0
    while i < len(records):
        end = i + 1
        while end < len(records) and records[end].seq == records[end - 1].seq + 1:
            end += 1
        put_varint(out, records[i].seq - at)
        put_varint(out, end - i)
        at, i = records[end - 1].seq + 1, end
    return bytes(out)


def _placed(records: "list[Record]", kept: bytes, replaced: "Sequence[Replaced]") -> "list[Record]":
    """Return the records with the sequences that `kept` says; raises FormatError."""
    found: "list[Record]"
    found, at, seq, span = [], 0, replaced[0].first_seq, 0
    while at < len(kept):
        skipped, at = varint(kept, at)
        taken, at = varint(kept, at)
        seq += skipped
        if not 0 < taken <= len(records) - len(found):
            raise FormatError("coarse: other records than it says are kept")
        for _ in range(taken):
            while span < len(replaced) and seq > replaced[span].last_seq:
                span += 1
            if span == len(replaced) or seq < replaced[span].first_seq:
                raise FormatError("coarse: sequence %d is of none of its batches" % seq)
            found.append(_numbered(records[len(found)], seq))
            seq += 1
    if len(found) != len(records):
        raise FormatError("coarse: other records than it says are kept")
    return found


def _renumbered(records: "list[Record]") -> "list[Record]":
    return [_numbered(item, i + 1) for i, item in enumerate(records)]


def _numbered(item: "Record", seq: int) -> "Record":
    if is_event(item):
        return EventRecord(seq, item.ticks_ms, item.kind, item.body)
    return ScanRecord(seq, item.ticks_ms, item.stream, item.values)
