"""Receipts against bytes made by other software; both interpreters."""

from gateway.core.codec.cbor import encode
from gateway.core.errors import FormatError
from gateway.core.evidence.receipt import Receipt, decode_payload, encode_payload, open_sealed, seal

JOURNAL_ID = bytes(range(16))
CHAIN = bytes.fromhex("95e969b0d99d470d31f1297bc691ff38ce3a508476481254c6fc397ead05107b")
RECEIPT = Receipt("shop-7-cabinet", JOURNAL_ID, 3, 4711, CHAIN, 1795400000123)


def golden():
    """Return {name: bytes} of tests/golden/core/envelopes.txt."""
    path = "/".join(__file__.replace("\\", "/").split("/")[:-4]) or "tests"
    with open(path + "/golden/core/envelopes.txt") as lines:
        rows = [line.split() for line in lines if not line.startswith("#")]
    return {name: bytes.fromhex(text) for name, text in rows}


def test_a_receipt_encodes_to_the_known_bytes_and_back():
    payload = golden()["receipt_payload"]
    assert encode_payload(RECEIPT) == payload
    assert decode_payload(payload) == RECEIPT


def test_a_signed_receipt_opens_to_its_parts():
    known = golden()
    message, receipt = open_sealed(known["receipt_sealed"])
    assert receipt == RECEIPT and message.kid == known["kid"]
    assert seal(RECEIPT, known["kid"], lambda data: message.signature) == known["receipt_sealed"]


def test_parts_of_the_wrong_kind_are_refused():
    good = [1, "shop-7-cabinet", JOURNAL_ID, 3, 4711, CHAIN, 1795400000123]
    bad = ((0, 2), (0, True), (0, None), (1, ""), (1, b"x"), (1, "x" * 41), (2, b"short"),
           (2, "text"), (3, -1), (3, True), (4, None), (4, 1 << 54), (5, CHAIN[:31]),
           (5, None), (6, "now"))
    for position, value in bad:
        parts = list(good)
        parts[position] = value
        refused(encode(parts))
    refused(encode(good[:6]))
    refused(encode(good + [0]))
    refused(encode({1: 2}))
    refused(b"")
    refused(encode(b"x" * 2000))


def refused(data):
    for reader in (decode_payload, open_sealed):
        try:
            reader(data)
        except FormatError:
            continue
        raise AssertionError(data)
