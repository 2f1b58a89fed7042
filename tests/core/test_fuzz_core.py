"""Damaged bytes: every reader says FormatError or a value, and both interpreters say the same.

The damage comes from a small generator of our own, equal on every machine; the verdicts of all
cases are hashed, and the hash is pinned.  A reader that another interpreter's habits make more
lenient (UTF-8, slices, integers) would change it.
"""

import hashlib

from gateway.core import batch, cbor, columns, cose, receipt
from gateway.core.errors import FormatError
from gateway.core.reading import Absent, Point, Stream
from gateway.core.record import EventRecord, ScanRecord

CASES = 400
POINTS = tuple([Point(m, 0, "") for m in (1, 7, 15, 11, 19, 43)])
SCHEMA = (Stream("a", POINTS), Stream("b", POINTS[:2]))


def lcg(seed):
    """Return a function from n to a number below n."""
    state = [seed]

    def below(n):
        state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
        return (state[0] >> 8) % n
    return below


def golden(name):
    """Return {name: bytes} of a file in tests/golden/core."""
    path = "/".join(__file__.replace("\\", "/").split("/")[:-2]) or "tests"
    with open(path + "/golden/core/" + name) as lines:
        rows = [line.split() for line in lines if not line.startswith("#")]
    return {row[0]: bytes.fromhex(row[1]) for row in rows}


def some_columns():
    records = []
    for i in range(12):
        values = (230, i, 230 * i, 200 * i, 113 * i, 7 * i)
        if i % 5 == 3:
            values = (Absent(1),) * 6
        records.append(ScanRecord(len(records) + 1, 1000 * i, 0, values))
        records.append(ScanRecord(len(records) + 1, 1000 * i + 5, 1, (i, Absent(2))))
    records.append(EventRecord(len(records) + 1, 12000, 2, [-1, None, 5, "text \u00fc"]))
    return columns.encode(SCHEMA, records)


def readers():
    """Return (name, reader, good bytes) of every decoder of this room's formats."""
    envelopes = golden("envelopes.txt")
    sealed = golden("batch.txt")["batch_sealed"]
    payload = golden("batch.txt")["batch_payload"]
    mixed = cbor.encode({"k": [1, -2, None, True, "\u6c34"], 5: {"x": b"yz", "\u00fc": 1 << 40}})
    body = batch.decode_payload(payload)
    return (
        ("cbor", cbor.decode, mixed),
        ("cose", cose.open_sign1, envelopes["sign1_hello"]),
        ("receipt", receipt.open_sealed, envelopes["receipt_sealed"]),
        ("receipt payload", receipt.decode_payload, envelopes["receipt_payload"]),
        ("batch", batch.open_sealed, sealed),
        ("batch payload", batch.decode_payload, payload),
        ("body", lambda data: batch.open_body(with_body(body, data), None), body.body),
        ("schema", columns.decode_schema, columns.encode_schema(SCHEMA)),
        ("columns", lambda data: columns.decode(SCHEMA, 1, data), some_columns()),
    )


def with_body(value, body):
    return batch.Batch(*(list(value[:10]) + [body]))


def damaged(below, good):
    """Return a copy of good bytes with a few bytes set, cut, doubled or dropped."""
    data = bytearray(good)
    for _ in range(1 + below(3)):
        at = below(len(data))
        kind = below(8)
        if kind == 0:
            data = data[:at + 1]
        elif kind == 1:
            data = data[:at] + data[at // 2:]
        elif kind == 2 and at:
            data = data[:at - 1] + data[at:]
        elif kind < 5:
            data[at] = (0, 1, 0x7F, 0x80, 0xFF, 0xF6, 0x18, 0x9F)[below(8)]
        else:
            data[at] = data[at] ^ 1 << below(8)
    return bytes(data)


VERDICTS = "542b5fd88d0399189407717d589a3fa59594ad305e180eea5447228549c82e65"


def test_every_reader_refuses_or_reads_and_both_interpreters_agree():
    below, verdicts = lcg(20261123), bytearray()
    for name, reader, good in readers():
        reader(good)
        refused = 0
        for _ in range(CASES):
            try:
                reader(damaged(below, good))
                verdicts.append(1)
            except FormatError:
                verdicts.append(0)
                refused += 1
        assert refused > CASES // 8, name
    digest = hashlib.sha256(bytes(verdicts)).digest()
    assert digest == bytes.fromhex(VERDICTS), digest
