"""Batches with the real compressor and key, and under damage."""

import random
import zlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.codec.cbor import encode
from gateway.core.codec.record import ScanRecord
from gateway.core.errors import Bug, FormatError
from gateway.core.evidence import batch as batches
from gateway.core.evidence import chain, receipt
from gateway.core.reading import ClockState, Point, Stream

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
JOURNAL = bytes(range(16))
SCHEMA = (Stream("meter-1", (Point(1, -1, ""), Point(43, 0, ""))),)
RECORDS = [ScanRecord(5 + i, 10000 * i, 0, (2300 + i % 7, 1000 + 3 * i)) for i in range(90)]


def deflate(data):
    """Return raw deflate bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def inflate(data, limit):
    """Return at most limit bytes of raw deflate data; raises FormatError."""
    reader = zlib.decompressobj(-15)
    try:
        plain = reader.decompress(data, limit)
    except zlib.error as error:
        raise FormatError(f"deflate: {error}") from error
    if not reader.eof or reader.unused_data:
        raise FormatError("deflate: longer than allowed, cut short, or followed by bytes")
    return plain


def sealed(codec):
    """Return a sealed batch of RECORDS."""
    body = batches.make_body(SCHEMA, RECORDS, codec, deflate)
    value = batches.Batch("shop-7", JOURNAL, 1, 1, 5, 94, chain.start("shop-7", JOURNAL),
                          bytes(32), ClockState(3, 0, 1_795_400_000_000, 20), codec, body)
    return batches.seal(batches.encode_payload(value), b"kid-0001", KEY.sign)


@pytest.mark.parametrize("codec", [batches.CODEC_RAW, batches.CODEC_DEFLATE])
def test_a_sealed_batch_verifies_and_gives_its_records_back(codec):
    message, value = batches.open_sealed(sealed(codec))
    KEY.public_key().verify(message.signature, message.signed)
    assert batches.open_body(value, inflate) == (SCHEMA, RECORDS)


def test_a_batch_above_the_limit_is_neither_sealed_nor_opened():
    for reader in (batches.open_sealed, batches.decode_payload):
        with pytest.raises(FormatError):
            reader(bytes(batches.SEALED_MAX + 1))
    with pytest.raises(Bug):
        batches.seal(bytes(batches.SEALED_MAX), b"k", KEY.sign)
    with pytest.raises(Bug):
        batches.make_body(SCHEMA, RECORDS, 2, deflate)


def test_a_deflate_bomb_is_refused():
    _, value = batches.open_sealed(sealed(batches.CODEC_DEFLATE))
    bomb = deflate(bytes(batches.INFLATED_MAX + 1))
    parts = [*value[:10], bomb]
    with pytest.raises(FormatError):
        batches.open_body(batches.Batch(*parts), inflate)
    assert len(bomb) < 20_000


@pytest.mark.parametrize("codec", [batches.CODEC_RAW, batches.CODEC_DEFLATE])
def test_random_damage_raises_nothing_but_format_error(codec):
    rng, good, refused = random.Random(7), sealed(codec), 0
    for _ in range(1500):
        raw = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            _, value = batches.open_sealed(bytes(raw))
            batches.open_body(value, inflate)
        except FormatError:
            refused += 1
    assert refused > 300


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_arbitrary_bytes_are_refused_by_every_reader(data):
    for reader in (batches.open_sealed, batches.decode_payload, receipt.open_sealed,
                   receipt.decode_payload):
        with pytest.raises(FormatError):
            reader(data)


PARTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 2 ** 60), st.binary(max_size=33),
              st.text(max_size=5), st.sampled_from([bytes(16), bytes(32), "dev", 1, 0])),
    lambda one: st.lists(one, max_size=4), max_leaves=6)


@given(st.lists(PARTS, min_size=5, max_size=12))
@settings(max_examples=400)
def test_well_formed_cbor_of_wrong_parts_raises_nothing_but_format_error(parts):
    data = encode([1, *parts])
    for reader in (batches.decode_payload, receipt.decode_payload):
        try:
            value = reader(data)
        except FormatError:
            continue
        writer = batches if reader is batches.decode_payload else receipt
        assert writer.encode_payload(value) == data
