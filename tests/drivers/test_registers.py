"""Number formats: bytes from makers' documents and IEEE 754, both ways."""

from drivers.registers import BadLength, cells_of, decode, encode, scaled, text
from gateway.core.errors import FormatError

GOLDEN = (
    # bytes, format, exponent, value
    (b"\x43\x66\x33\x33", "float32", -1, 2302),         # SDM120 document: 230.2 V
    (b"\x43\x66\x33\x33", "float32", -3, 230200),
    (b"\xc2\x48\x00\x00", "float32", 0, -50),
    (b"\x00\x00\x00\x01", "float32", -46, 14),          # smallest subnormal, 1.4e-45
    (b"\x7f\xc0\x00\x00", "float32", -1, None),
    (b"\xff\xff\xff\xff", "float32", -1, None),
    (b"\x7f\x80\x00\x00", "float32", -1, None),
    (b"\x80\x00\x00\x00", "float32", -1, 0),
    (b"\x33\x33\x43\x66", "float32_low_first", -1, 2302),
    (b"\x40\x59\x00\x00\x00\x00\x00\x00", "float64", 0, 100),
    (b"\x09\x29", "uint16", 0, 2345),
    (b"\xff\x33", "int16", 0, -205),                    # XY-MD02 page: -20.5 degC
    (b"\xff\xff", "uint16", 0, 65535),
    (b"\x00\x01\x00\x00", "uint32", 0, 65536),
    (b"\x00\x00\x00\x01", "uint32_low_first", 0, 65536),
    (b"\xff\xff\xff\xfe", "int32", 0, -2),
    (b"\xff\xfe\xff\xff", "int32_low_first", 0, -2),
    (b"\x00\x00\x00\x00\x00\x00\x00\x07", "uint64", 0, 7),
    (b"\x80\x00\x00\x00\x00\x00\x00\x00", "int64", 0, -(2 ** 63)),
)


def test_golden_bytes_decode_to_the_value_on_the_meters_display():
    for cells, name, exponent, value in GOLDEN:
        assert decode(cells, name, exponent) == value, (cells, name)


def test_values_encode_to_the_same_bytes():
    for value, name, exponent, cells in (
            (2302, "float32", -1, b"\x43\x66\x33\x33"),
            (-50, "float32", 0, b"\xc2\x48\x00\x00"),
            (0, "float32", 3, b"\x00\x00\x00\x00"),
            (1, "float32", 0, b"\x3f\x80\x00\x00"),
            (16777217, "float32", 0, b"\x4b\x80\x00\x00"),      # tie, to even
            (16777219, "float32", 0, b"\x4b\x80\x00\x02"),
            (14, "float32", -46, b"\x00\x00\x00\x01"),
            (100, "float64", 0, b"\x40\x59\x00\x00\x00\x00\x00\x00"),
            (-205, "int16", 0, b"\xff\x33"),
            (305, "uint16", 0, b"\x01\x31"),
            (65536, "uint32_low_first", 0, b"\x00\x00\x00\x01")):
        assert encode(value, name, exponent) == cells, (value, name)


def test_a_coarser_exponent_rounds_half_away_from_zero():
    for number, power, whole in ((25, -1, 3), (-25, -1, -3), (24, -1, 2), (-24, -1, -2),
                                 (5, 2, 500), (0, -3, 0), (-1, -1, 0)):
        assert scaled(number, power) == whole, (number, power)


def test_bytes_of_the_wrong_length_are_refused():
    for cells in (b"", b"\x00", b"\x00" * 3):
        try:
            decode(cells, "uint16", 0)
        except BadLength:
            continue
        raise AssertionError(cells)


def test_a_number_that_does_not_fit_is_refused_and_never_wraps():
    for value, name, exponent in ((65536, "uint16", 0), (-1, "uint16", 0), (32768, "int16", 0),
                                  (4, "float32", 38), (70000, "uint16", 0)):
        try:
            encode(value, name, exponent)
        except FormatError:
            continue
        raise AssertionError((value, name))
    try:
        cells_of((65536,))
    except FormatError:
        return
    raise AssertionError("a register of 17 bits")


def test_texts_end_at_the_first_nul_and_lose_their_padding():
    assert text(b"Symo 10.0-3-M\x00\x00") == "Symo 10.0-3-M"
    assert text(b"SE10K   ") == "SE10K"
    assert text(b"AB\xff\x01\x00garbage") == "AB??"
    assert text(b"\x00" * 8) == ""
