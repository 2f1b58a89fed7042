"""Check values of the published catalogues; both interpreters."""

from gateway.core.codec.crc import crc16_modbus, crc32


def test_crc16_gives_the_catalogue_check_value():
    # CRC RevEng catalogue: CRC-16/MODBUS check = 0x4B37, CRC-32/ISO-HDLC check = 0xCBF43926
    assert crc16_modbus(b"123456789") == 0x4B37
    assert crc16_modbus(b"") == 0xFFFF


def test_crc16_of_a_known_modbus_request_and_of_frame_plus_crc():
    frame = b"\x02\x07"                     # Modbus over Serial Line V1.02, figure 16: 0x1241
    assert crc16_modbus(frame) == 0x1241
    assert crc16_modbus(frame + b"\x41\x12") == 0


def test_crc32_gives_the_catalogue_check_value():
    assert crc32(b"123456789") == 0xCBF43926
    assert crc32(b"") == 0


def test_a_seed_continues_an_earlier_sum():
    assert crc32(b"6789", crc32(b"12345")) == 0xCBF43926
    assert crc32(b"x", 1) != crc32(b"x", 2)
