"""Batches: fixed bytes, round trips, refusals; both interpreters."""

from gateway.core.codec.cbor import encode
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.errors import FormatError
from gateway.core.evidence.batch import (
    CODEC_DEFLATE,
    CODEC_RAW,
    INFLATED_MAX,
    Batch,
    decode_payload,
    encode_payload,
    make_body,
    open_body,
    open_sealed,
    seal,
)
from gateway.core.reading import ClockState, Point, Stream

SCHEMA = (Stream("a", (Point(1, -1, ""),)),)
RECORDS = [ScanRecord(7, 1000, 0, (2300,)), EventRecord(8, 1001, 9, ["stop"])]
# CBOR [h'schema', h'columns'], written by hand from docs/formats.md.
BODY = bytes.fromhex((
    "82 4c 82 81 81 83 01 20 60 81 82 61 61 00"
    + " 57 02 01 01 00 00 10 00 d00f f823"
    + " 81 83 1903e9 09 81 6473746f70").replace(" ", ""))
CLOCK = ClockState(3, 500, 1795400000123, 20)
START = bytes.fromhex("95e969b0d99d470d31f1297bc691ff38ce3a508476481254c6fc397ead05107b")
BATCH = Batch("shop-7-cabinet", bytes(range(16)), 1, 4, 7, 8, START, bytes(32), CLOCK,
              CODEC_RAW, BODY)


def golden():
    """Return {name: bytes} of tests/golden/core/batch.txt."""
    path = "/".join(__file__.replace("\\", "/").split("/")[:-4]) or "tests"
    with open(path + "/golden/core/batch.txt") as lines:
        rows = [line.split() for line in lines if not line.startswith("#")]
    return {name: bytes.fromhex(text) for name, text in rows}


def test_the_body_is_the_one_written_by_hand():
    assert make_body(SCHEMA, RECORDS, CODEC_RAW, None) == BODY
    assert open_body(BATCH, None) == (SCHEMA, RECORDS)


def test_a_payload_has_the_bytes_other_software_made():
    payload = golden()["batch_payload"]
    assert encode_payload(BATCH) == payload
    assert decode_payload(payload) == BATCH


def test_a_sealed_batch_opens_to_what_other_software_sealed():
    known = golden()
    message, batch = open_sealed(known["batch_sealed"])
    assert batch == BATCH and message.payload == known["batch_payload"]
    assert seal(message.payload, message.kid, lambda data: message.signature) \
        == known["batch_sealed"]


def test_the_injected_compressor_and_its_reverse_are_used_for_codec_1_only():
    body = make_body(SCHEMA, RECORDS, CODEC_DEFLATE, lambda data: b"#" + data)
    assert body == b"#" + BODY
    batch = with_part(10, body, with_part(9, CODEC_DEFLATE, BATCH))
    limits = []

    def inflate(data, limit):
        limits.append(limit)
        return data[1:]

    assert open_body(batch, inflate) == (SCHEMA, RECORDS)
    assert limits == [INFLATED_MAX]


def with_part(position, value, batch):
    parts = list(batch)
    parts[position] = value
    return Batch(*parts)


def test_a_body_that_is_not_exactly_the_records_named_is_refused():
    for batch in (with_part(5, 9, BATCH), with_part(5, 7, BATCH), with_part(10, b"", BATCH),
                  with_part(10, BODY + b"\x00", BATCH), with_part(10, encode([]), BATCH),
                  with_part(10, encode([b"", b"", b""]), BATCH),
                  with_part(10, encode([1, b""]), BATCH), with_part(10, encode({}), BATCH)):
        try:
            open_body(batch, None)
        except FormatError:
            continue
        raise AssertionError(batch)


def test_inflated_bytes_beyond_the_limit_are_refused():
    batch = with_part(9, CODEC_DEFLATE, BATCH)
    try:
        open_body(batch, lambda data, limit: Longer())
    except FormatError:
        return
    raise AssertionError("more than the limit was taken")


class Longer:
    """Stands for bytes that are longer than any test should hold."""

    def __len__(self):
        return INFLATED_MAX + 1


def test_parts_of_the_wrong_kind_or_size_are_refused():
    good = [3, "shop-7-cabinet", bytes(range(16)), 1, 4, 7, 8, START, bytes(32),
            [3, 500, 1795400000123, 20], 0, BODY]
    bad = ((0, 1), (0, 2), (0, True), (0, None), (1, ""), (1, "x" * 41), (1, 5), (2, bytes(15)),
           (3, 0), (3, -1), (3, True), (3, 1 << 32), (4, None), (4, -1), (5, 0), (5, 9),
           (6, 6), (6, 7 + (1 << 17)), (7, bytes(31)), (7, None), (8, bytes(33)), (9, []),
           (9, None), (9, [3, 500, 1]), (9, [-1, 0, 0, 0]), (9, [3, None, 0, 0]),
           (9, [3, 0, 1 << 60, 0]), (9, [3, 0, 0, -1]), (10, 2), (10, -1), (10, False),
           (11, None), (11, "text"))
    for position, value in bad:
        parts = list(good)
        parts[position] = value
        refused(encode(parts), (position, value))
    refused(encode(good[:11]), "eleven parts")
    refused(encode(good + [0]), "thirteen parts")
    refused(encode({1: 1}), "a map")
    refused(b"", "nothing")
    decode_payload(encode(good))            # the good one is not refused


def refused(data, why):
    for reader in (decode_payload, open_sealed):
        try:
            reader(data)
        except FormatError:
            continue
        raise AssertionError(why)
