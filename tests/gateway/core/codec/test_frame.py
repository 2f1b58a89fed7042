"""Frames: golden bytes, seeds, and every damaged byte found."""

import binascii

from gateway.core.codec import frame

ID = bytes(range(16))


def test_a_frame_is_a_cbor_array_of_a_checksum_and_a_byte_string():
    data = frame.encode(b"hello", 0)
    crc = binascii.crc32(b"\x00\x05hello") & 0xFFFFFFFF
    assert data == b"\x82\x1a" + crc.to_bytes(4, "big") + b"\x59\x00\x05hello"


def test_the_seed_is_the_checksum_of_journal_and_generation():
    expected = binascii.crc32(ID + b"\x00\x00\x00\x00\x00\x00\x00\x07") & 0xFFFFFFFF
    assert frame.seed(ID, 7) == expected


def test_a_frame_of_another_generation_is_no_frame():
    data = frame.encode(b"payload", frame.seed(ID, 1))
    assert frame.decode_at(data, 0, frame.seed(ID, 1)) == b"payload"
    assert frame.decode_at(data, 0, frame.seed(ID, 2)) is None


def test_every_flipped_bit_is_found():
    seed = frame.seed(ID, 3)
    data = frame.encode(b"0123456789", seed)
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        assert frame.decode_at(bytes(broken), 0, seed) is None, bit


def test_a_frame_cut_at_any_byte_is_no_frame():
    data = frame.encode(b"0123456789", 5)
    for length in range(len(data)):
        assert frame.decode_at(data[:length], 0, 5) is None


def test_zeros_and_erased_flash_are_no_frame():
    assert frame.decode_at(bytes(64), 0, 0) is None
    assert frame.decode_at(b"\xff" * 64, 0, 0) is None


def test_sizes_are_padded_to_whole_sectors():
    assert [frame.padded(n) for n in (1, 512, 513)] == [512, 512, 1024]
