"""Sealed batches: encoded once, the same bytes on flash, on the wire and in the bundle.

One batch = records without a hole, of one boot, one configuration, one key and one clock
state.  The payload is CBOR [3, cabinet, journal_id, number, boot, first_seq, last_seq, prev,
config_hash, [source, anchor_ticks_ms, anchor_utc_ms, uncertainty_ms], codec, body]; it is
signed as a COSE_Sign1 (cose.py) and chained (chain.py).  The body is CBOR [schema, columns],
as it is (codec 0) or as raw deflate (codec 1).  Layout, every byte: docs/formats.md.
"""


from gateway.core.codec.cbor import decode, encode
from gateway.core.codec.columns import RECORDS_MAX
from gateway.core.codec.columns import decode as decode_columns
from gateway.core.codec.columns import encode as encode_columns
from gateway.core.codec.cose import open_sign1, sign1
from gateway.core.codec.record import SEQ_MAX, TICKS_MS_MAX
from gateway.core.codec.schema import decode_schema, encode_schema
from gateway.core.errors import Bug, FormatError
from gateway.core.evidence.chain import CHAIN_HASH_BYTES
from gateway.core.evidence.receipt import JOURNAL_ID_BYTES, check_bytes, check_int, check_text
from gateway.core.reading import ClockState
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.codec.column_block import ColumnBlock
    from gateway.core.codec.cose import Sign1
    from gateway.core.codec.record import Record
    from gateway.core.reading import Schema
    from gateway.core.types import Compress, Inflate, Sign

VERSION = 3
CODEC_RAW, CODEC_DEFLATE = 0, 1
SEALED_MAX = 1 << 20            # a sealed batch, signature included
INFLATED_MAX = 1 << 24          # a body after inflating
HASH_BYTES = 32
NUMBER_MAX = (1 << 32) - 1      # batches and boots of one journal
UTC_MS_MAX = 253402300799999    # end of the year 9999
UNCERTAINTY_MS_MAX = SEQ_MAX

# cabinet: text of 1..40 characters.  journal_id: 16 bytes.  number: 1, 2, 3 ... in a journal.
# first_seq, last_seq: both included.  prev: 32 bytes, see chain.py.  config_hash: 32 bytes.
# clock: reading.ClockState.  body: bytes as codec says.
Batch = NamedTuple("Batch", [
    ("cabinet", str), ("journal_id", bytes), ("number", int), ("boot", int), ("first_seq", int),
    ("last_seq", int), ("prev", bytes), ("config_hash", bytes), ("clock", ClockState),
    ("codec", int), ("body", bytes)])


def make_body(schema: "Schema", records: "Iterable[Record] | ColumnBlock", codec: int,
              compress: "Compress") -> bytes:
    """Return the body bytes of records, or of their ColumnBlock, under a schema.

    compress: callable from bytes to raw deflate bytes; not called for CODEC_RAW.
    """
    body = encode([encode_schema(schema), encode_columns(schema, records)])
    if len(body) > INFLATED_MAX:
        raise Bug("batch: body of %d bytes; seal earlier" % len(body))
    if codec == CODEC_RAW:
        return body
    if codec == CODEC_DEFLATE:
        return compress(body)
    raise Bug("batch: codec %d" % codec)


def open_body(batch: Batch, inflate: "Inflate") -> "tuple[Schema, list[Record]]":
    """Return (schema, list of records) of a batch.

    inflate: callable (raw deflate bytes, limit) -> bytes of at most limit; it must stop at
    the limit and raise FormatError for bytes that do not inflate.  Raises FormatError too
    if the records are not exactly first_seq .. last_seq.
    """
    body = batch.body
    if batch.codec == CODEC_DEFLATE:
        body = inflate(body, INFLATED_MAX)
    if len(body) > INFLATED_MAX:
        raise FormatError("batch: body of %d bytes, at most %d" % (len(body), INFLATED_MAX))
    parts = decode(body, 1)
    if not isinstance(parts, list) or len(parts) != 2:
        raise FormatError("batch: a body is [schema, columns]")
    for part in parts:
        if not isinstance(part, bytes):
            raise FormatError("batch: schema and columns are bytes")
    schema = decode_schema(parts[0])
    records = decode_columns(schema, batch.first_seq, parts[1])
    if len(records) != batch.last_seq - batch.first_seq + 1:
        raise FormatError("batch: %d records for %d..%d" % (
            len(records), batch.first_seq, batch.last_seq))
    return schema, records


def encode_payload(batch: Batch) -> bytes:
    """Return the payload bytes that are signed and hashed."""
    return encode([VERSION] + list(batch[:8]) + [list(batch.clock), batch.codec, batch.body])


def decode_payload(data: bytes) -> Batch:
    """Return the Batch that payload bytes hold, its body not opened; raises FormatError."""
    if len(data) > SEALED_MAX:
        raise FormatError("batch: %d bytes, at most %d" % (len(data), SEALED_MAX))
    parts = decode(data, 2)
    if not isinstance(parts, list) or not parts or parts[0] is True or parts[0] != VERSION:
        raise FormatError("batch: not a batch of version %d" % VERSION)
    if len(parts) != 12:
        raise FormatError("batch: 12 parts expected, not %d" % len(parts))
    batch = Batch(parts[1], parts[2], parts[3], parts[4], parts[5], parts[6], parts[7],
                  parts[8], read_clock(parts[9]), parts[10], parts[11])
    _check(batch)
    return batch


def seal(payload: bytes, kid: bytes, sign: "Sign") -> bytes:
    """Return the sealed batch; sign: callable from bytes to a 64-byte signature.

    A batch above SEALED_MAX is a Bug: the caller seals at a size limit long before.
    """
    sealed = sign1(kid, payload, sign)
    if len(sealed) > SEALED_MAX:
        raise Bug("batch: sealed %d bytes, at most %d" % (len(sealed), SEALED_MAX))
    return sealed


def open_sealed(data: bytes) -> "tuple[Sign1, Batch]":
    """Return (Sign1, Batch) of a sealed batch, its signature NOT checked.

    Raises FormatError; the caller verifies `Sign1.signed` before it believes anything.
    """
    if len(data) > SEALED_MAX:
        raise FormatError("batch: %d bytes, at most %d" % (len(data), SEALED_MAX))
    message = open_sign1(data)
    return message, decode_payload(message.payload)


def read_clock(parts: object) -> ClockState:
    """Return the ClockState of a payload's clock part; raises FormatError."""
    if not isinstance(parts, list) or len(parts) != 4:
        raise FormatError("batch: a clock is [source, ticks, utc, uncertainty]")
    for name, value, high in (("source", parts[0], 255), ("ticks", parts[1], TICKS_MS_MAX),
                              ("utc", parts[2], UTC_MS_MAX),
                              ("uncertainty", parts[3], UNCERTAINTY_MS_MAX)):
        check_int("batch: clock " + name, value, 0, high)
    return ClockState(parts[0], parts[1], parts[2], parts[3])


def _check(batch: Batch) -> None:
    check_text("batch: device", batch.cabinet)
    check_bytes("batch: journal id", batch.journal_id, JOURNAL_ID_BYTES)
    check_bytes("batch: prev", batch.prev, CHAIN_HASH_BYTES)
    check_bytes("batch: config hash", batch.config_hash, HASH_BYTES)
    check_int("batch: number", batch.number, 1, NUMBER_MAX)
    check_int("batch: boot", batch.boot, 0, NUMBER_MAX)
    check_int("batch: first seq", batch.first_seq, 1)
    check_int("batch: last seq", batch.last_seq, batch.first_seq,
              min(batch.first_seq + RECORDS_MAX - 1, SEQ_MAX))
    check_int("batch: codec", batch.codec, CODEC_RAW, CODEC_DEFLATE)
    if not isinstance(batch.body, bytes):
        raise FormatError("batch: the body must be bytes")
