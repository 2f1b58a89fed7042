"""Damage behind repaired checks: lengths, CRC and signature fit, so the inner layers must decide.

test_fuzz_core.py spoils bytes, and outer checks catch most of that.  Here a forger with the key
(or a fault before the CRC was made) changes one part and does everything around it again.  The
verdict of each case - what was read, or the words of the refusal - goes into one hash, which is
pinned: both interpreters must read and refuse the same for the same reason.

Signatures are made by a keyed hash: this room takes the verifier as an argument, and Ed25519
itself is compared between both runtimes in tests/gateway/micro/test_ed25519.py.
"""

import hashlib

from gateway.core.codec import cbor, columns, cose, frame
from gateway.core.codec.crc import crc32
from gateway.core.codec.record import ScanRecord
from gateway.core.errors import FormatError
from gateway.core.evidence import batch, downsampled, handover, receipt
from gateway.core.journal import cursor, segment
from tests.support.fuzz import SCHEMA, damaged, either, lcg, some_columns

CASES = 120                 # thousands more in tests/portable/test_fuzz_alike.py
KID, ID = b"kid-0001", bytes(range(16))
CLOCK = [3, 0, 1790000000000, 50]
def sign(signed):
    """Return 64 bytes that only this key makes."""
    return hashlib.sha256(b"secret" + signed).digest() * 2


def checked(opened):
    """Return the content of an opened message whose signature fits."""
    message, content = opened
    assert sign(message.signed) == message.signature, "the repaired signature must fit"
    return content


# -- each of these makes one repaired case and reads it


def a_value(below):
    tree = {"k": [1, -2, None, True, "\u6c34", [b"a", {}]], 5: {"x": b"yz", "\u00fc": 1 << 40}}
    data = either(below, tree)
    value = cbor.decode(data)
    assert cbor.encode(value) == data           # what is accepted has one encoding
    return data


def a_frame(below):
    block = [segment.DATA, 1, 1, 25, 1, 72, some_columns()]
    payload = either(below, block) or b"\x00"
    seed = frame.seed(ID, 7)
    found = frame.decode_at(frame.encode(payload, seed), 0, seed)
    assert found == payload
    value = segment.decode_block(found)
    columns.decode(SCHEMA, value.first_seq, value.columns)
    return cbor.encode(list(value))


def a_segment_header(below):
    header = [segment.HEADER, segment.VERSION, "shop-7", ID, 7, 1, bytes(32),
              columns.encode_schema(SCHEMA), CLOCK, "1.0", [0, 0, bytes(32)]]
    older = header[:4] + [3] + header[5:]
    data = b""
    for payload in (either(below, header) or b"\x00", cbor.encode(older)):
        one = frame.encode(payload, 0)
        data += one + bytes(frame.padded(len(one)) - len(one))
    found, behind = segment.find_header(data)
    if found.generation == 3 and found.cabinet == "shop-7":
        raise FormatError("segment: only the older copy is a header")
    return cbor.encode([found.cabinet, found.generation, list(found.sealed), behind])


def a_cursor(below):
    mark = cursor.Mark(9, ID, 3, 500, 77, 1790000000000, 4, 500, bytes(32))
    data = bytearray(cursor.encode(mark))
    data[below(100)] = below(256)
    data[100:104] = crc32(bytes(data[:100])).to_bytes(4, "big")
    found = cursor.decode(bytes(data))
    if found is None:
        raise FormatError("cursor: not a slot")
    assert cursor.encode(found) == bytes(data)
    return bytes(data)


def an_envelope(below):
    protected = either(below, {1: -19, 4: KID})
    parts = [protected, {}, b"payload", sign(cose.to_be_signed(protected, b"payload"))]
    found = cose.open_sign1(either(below, cbor.Tag(18, parts)))
    return found.kid + found.payload


def a_receipt(below):
    payload = either(below, [1, "shop-7", ID, 77, 500, bytes(32), 1790000000000])
    return receipt.encode_payload(checked(receipt.open_sealed(cose.sign1(KID, payload, sign))))


def a_handover(below):
    payload = either(below, [1, "handover", "shop-7", ID, bytes(32), None, 17, "lightning"])
    return handover.encode_payload(checked(handover.open_sealed(cose.sign1(KID, payload, sign))))


def a_batch(below):
    layer = below(4)
    schema = cbor.decode(columns.encode_schema(SCHEMA))
    schema = either(below, schema) if layer == 0 else cbor.encode(schema)
    inner = damaged(below, some_columns()) if layer == 1 else some_columns()
    body = either(below, [schema, inner]) if layer == 2 else cbor.encode([schema, inner])
    said = [batch.VERSION, "shop-7", ID, 1, 1, 1, 25, bytes(32), bytes(32), CLOCK, 0, body]
    payload = either(below, said) if layer == 3 else cbor.encode(said)
    content = checked(batch.open_sealed(cose.sign1(KID, payload, sign)))
    found, records = batch.open_body(content, no_inflate)
    return columns.encode_schema(found) + columns.encode(found, records)


def a_coarse_batch(below):
    layer = below(3)
    replaced = [downsampled.Replaced(n, 10 * n, 10 * n + 8, bytes(32)) for n in (4, 5)]
    gauges = tuple([(9, 90, 8, 12)] * 5 + [None])
    cells = [downsampled.Cell(0, 0, 800000, 9, 0, gauges),
             downsampled.Cell(1, 1, 900000, 3, 1, gauges[:2])]
    records = [ScanRecord(41, 1000, 0, (230, 1, 230, 200, 113, 7)),
               ScanRecord(58, 800000, 0, (231, 1, 231, 201, 113, 9))]
    parts = list(downsampled.make_parts(downsampled.Content(SCHEMA, records, cells), replaced,
                                   downsampled.QUARTERS))
    if layer == 0:
        at = below(len(parts))
        parts[at] = damaged(below, parts[at]) if parts[at] else b"\x00"
    body = parts[:5] + [parts[5:]]
    body = either(below, body) if layer == 1 else cbor.encode(body)
    said = [2, "shop-7", ID, [list(one) for one in replaced], 1, downsampled.QUARTERS, bytes(32),
            bytes(32), CLOCK, 0, body]
    payload = either(below, said) if layer == 2 else cbor.encode(said)
    message, content, _ = downsampled.open_any(cose.sign1(KID, payload, sign))
    found = downsampled.open_body(checked((message, content)), no_inflate)
    return b"".join(downsampled.make_parts(found, content.replaced, content.rule))


def no_inflate(data, limit):
    raise FormatError("deflate: not on every board")


# What is made and read, and the hash of its verdicts.
READERS = (
    ("value", a_value, "d5bcf946b96ba113"),
    ("frame", a_frame, "ffd0957ae1241fdd"),
    ("segment header", a_segment_header, "a9c2d08ef17de9f9"),
    ("cursor", a_cursor, "658801de87e07845"),
    ("envelope", an_envelope, "e740ce25fa7ee5ac"),
    ("receipt", a_receipt, "5d44dde62ffe22d6"),
    ("handover", a_handover, "85291579d094d650"),
    ("batch", a_batch, "a327fcdd1dd9ef45"),
    ("coarsened batch", a_coarse_batch, "dee2bd08d6e37773"))


def verdicts(reader, seed, cases):
    """Return (how many cases were read, 8 bytes that stand for all verdicts)."""
    below, read, digest = lcg(seed), 0, hashlib.sha256()
    for _ in range(cases):
        try:
            said = reader(below)
            read += 1
        except FormatError as error:
            said = str(error).encode()
        digest.update(len(said).to_bytes(4, "big") + said)
    return read, digest.digest()[:8]


def test_repaired_damage_is_read_or_refused_alike_by_both_interpreters():
    for name, reader, pinned in READERS:
        read, digest = verdicts(reader, 20261126, CASES)
        assert CASES // 50 < read < CASES - CASES // 50, (name, read)
        assert digest == bytes.fromhex(pinned), (name, digest)


def a_signed_batch(version=3):
    """Return a sealed batch of SCHEMA."""
    body = cbor.encode([columns.encode_schema(SCHEMA), some_columns()])
    said = [version, "shop-7", ID, 1, 1, 1, 25, bytes(32), bytes(32), CLOCK, 0, body]
    return cose.sign1(KID, cbor.encode(said), sign)


def refused(data):
    """Return the words with which a sealed batch is refused, None if it is read."""
    try:
        batch.open_body(batch.open_sealed(data)[1], no_inflate)
    except FormatError as error:
        return str(error)
    return None


def test_unknown_versions_and_what_is_too_large_or_too_deep_are_refused_by_name():
    assert refused(a_signed_batch()) is None
    assert refused(a_signed_batch(version=1)) == "batch: not a batch of version 3"
    deep = cose.sign1(KID, b"\x81" * 9 + b"\x01", sign)
    assert refused(deep).startswith("cbor: nested too deep")
    assert refused(bytes(batch.SEALED_MAX + 1)) == "batch: 1048577 bytes, at most 1048576"
    large = cbor.head(cbor.BYTES, (1 << 40)) + b"x"
    assert refused(cose.sign1(KID, large, sign)).startswith("cbor: 1099511627776 bytes announced")
