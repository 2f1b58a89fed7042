"""Damaged bytes: every reader says FormatError or a value, and both interpreters say the same.

The damage comes from a small generator of our own, equal on every machine; the verdicts of all
cases are hashed, and the hash is pinned.  A reader that another interpreter's habits make more
lenient (UTF-8, slices, integers) would change it.
"""

import hashlib

from gateway.core.codec import cbor, columns, cose
from gateway.core.errors import FormatError
from gateway.core.evidence import batch, receipt
from tests.support.fuzz import SCHEMA, damaged, lcg, some_columns

CASES = 400


def golden(name):
    """Return {name: bytes} of a file in tests/golden/core."""
    path = "/".join(__file__.replace("\\", "/").split("/")[:-3]) or "tests"
    with open(path + "/golden/core/" + name) as lines:
        rows = [line.split() for line in lines if not line.startswith("#")]
    return {row[0]: bytes.fromhex(row[1]) for row in rows}


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
