"""Our strict CBOR on published bytes; both interpreters."""

from gateway.core.codec.cbor import Tag, decode, encode
from gateway.core.errors import Bug, FormatError

# RFC 8949 appendix A, without floats, indefinite lengths and simple values.
RFC8949 = (
    (0, "00"), (1, "01"), (10, "0a"), (23, "17"), (24, "1818"), (25, "1819"), (100, "1864"),
    (1000, "1903e8"), (1000000, "1a000f4240"), (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"), (-1, "20"), (-10, "29"), (-100, "3863"),
    (-1000, "3903e7"), (-9223372036854775808, "3b7fffffffffffffff"),
    (False, "f4"), (True, "f5"), (None, "f6"),
    (b"", "40"), (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"), ("a", "6161"), ("IETF", "6449455446"), ("\"\\", "62225c"), ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"), ("\U00010151", "64f0908591"),
    ([], "80"), ([1, 2, 3], "83010203"), ([1, [2, 3], [4, 5]], "8301820203820405"),
    ({}, "a0"), ({1: 2, 3: 4}, "a201020304"), ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"),
    ({"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"},
     "a56161614161626142616361436164614461656145"),
    (Tag(1, 1363896240), "c11a514b67b0"), (Tag(23, b"\x01\x02\x03\x04"), "d74401020304"),
    (Tag(32, "http://www.example.com"), "d82076687474703a2f2f7777772e6578616d706c652e636f6d"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
)

REFUSED = (
    ("", "nothing"), ("0000", "trailing byte"), ("1817", "head not shortest"),
    ("190018", "head not shortest"), ("1a0000ffff", "head not shortest"),
    ("1b00000000ffffffff", "head not shortest"), ("18", "head cut"), ("1b00", "head cut"),
    ("1c", "reserved"), ("1f", "reserved"), ("5f40ff", "indefinite bytes"),
    ("7f60ff", "indefinite text"), ("9fff", "indefinite array"), ("bfff", "indefinite map"),
    ("ff", "break"), ("f7", "undefined"), ("f0", "simple 16"), ("f8ff", "simple 255"),
    ("f93c00", "float16"), ("fa47c35000", "float32"), ("fb3ff199999999999a", "float64"),
    ("3bffffffffffffffff", "-2**64"), ("3b8000000000000000", "-2**63 - 1"),
    ("41", "bytes cut"), ("5affffffff", "4 GiB of bytes"), ("61", "text cut"),
    ("5bffffffffffffffff00", "2**64 - 1 bytes"), ("7b8000000000000000", "2**63 of text"),
    ("9bffffffffffffffff", "2**64 - 1 items"),
    ("9affffffff", "4 G items"), ("bb7fffffffffffffff", "many pairs"), ("8101ff", "trailing"),
    ("a2020103", "map cut"), ("a203010102", "keys out of order"), ("a201010102", "key twice"),
    ("a2616201616101", "text keys out of order"), ("a1f501", "bool as key"),
    ("a14001", "bytes as key"), ("a18001", "array as key"), ("a1f601", "null key"),
    ("61ff", "not UTF-8"), ("62c080", "overlong"), ("63eda080", "surrogate"),
    ("64f4908080", "beyond 10FFFF"), ("62c328", "bad continuation"), ("63e28228", "bad third"),
    ("c0", "tag of nothing"), ("818181818181818181", "nine deep"),
)


def refuses(data, depth_max=8):
    try:
        decode(data, depth_max)
    except FormatError:
        return True
    return False


def test_examples_of_rfc_8949_encode_to_their_bytes():
    for value, expected in RFC8949:
        assert encode(value) == bytes.fromhex(expected), expected


def test_examples_of_rfc_8949_decode_to_their_value():
    for value, expected in RFC8949:
        back = decode(bytes.fromhex(expected))
        assert back == value and isinstance(back, bool) == isinstance(value, bool), expected


def test_everything_the_profile_does_not_write_is_refused():
    for text, why in REFUSED:
        assert refuses(bytes.fromhex(text)), why


def test_map_keys_are_ordered_by_their_encoded_bytes():
    # bytewise (RFC 8949 4.2.1), not length first: 0a, 18 64, 20, 61 7a, 62 61 61
    value = {"aa": 1, "z": 2, -1: 3, 100: 4, 10: 5}
    assert encode(value) == bytes.fromhex("a50a0518640420036 17a0262616101".replace(" ", ""))


def test_tuples_and_bytearrays_encode_as_lists_and_bytes():
    assert encode((1, bytearray(b"\x05"))) == bytes.fromhex("82014105")


def test_depth_is_bounded_both_ways():
    eight = bytes.fromhex("8181818181818180")
    assert encode(decode(eight)) == eight
    assert refuses(eight, 7)
    value = []
    for _ in range(9):
        value = [value]
    try:
        encode(value)
    except Bug:
        return
    raise AssertionError("nine levels were encoded")


def test_what_cannot_be_encoded_is_a_bug_of_the_caller():
    for value in (1 << 64, -(1 << 63) - 1, {True: 1}, {b"k": 1}, object(), {(1,): 2}):
        try:
            encode(value)
        except Bug:
            continue
        raise AssertionError(value)
