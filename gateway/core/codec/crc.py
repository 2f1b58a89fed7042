"""Check sums: CRC-16 of Modbus RTU frames, CRC-32 of journal frames.

CRC-16: Modbus over Serial Line V1.02, 6.2.2 (polynomial 0xA001 reflected, start 0xFFFF,
sent low byte first).  CRC-32: ISO 3309 as in zlib; a seed continues an earlier sum.
"""

import binascii


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


_TABLE = tuple([_entry(i) for i in range(256)])


def crc16_modbus(data: bytes) -> int:
    """Return the CRC-16 (0..65535) of bytes; on the wire its low byte comes first."""
    table, crc = _TABLE, 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def crc32(data: bytes, seed: int = 0) -> int:
    """Return the CRC-32 (0..2**32-1) of bytes, continued from `seed`."""
    return binascii.crc32(data, seed) & 0xFFFFFFFF
