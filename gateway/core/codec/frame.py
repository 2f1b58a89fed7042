"""Journal frames: a payload with its length and a checksum that only fits one place.

In this file: one frame to bytes and back.  Not here: what payloads mean (segment.py).

Layout: 82 1A crc32 59 len16 payload, big-endian; as CBOR an array of a uint32 and a byte
string, so any CBOR tool reads a segment.  The CRC covers len16 and payload and starts from
a seed made of journal id and segment generation: a frame that an earlier use of the same
flash block left behind never checks out.  Each frame starts at a multiple of SECTOR, hence
a torn sector cannot hurt a frame that was synced before.
"""

import struct

from gateway.core.codec.crc import crc32
from gateway.core.errors import Bug

SECTOR = 512            # smallest unit a disk tears at
HEAD = 9                # bytes before the payload
PAYLOAD_AIM = 10240     # CRC-32 keeps Hamming distance 4 up to 11 KiB; split commits here
PAYLOAD_MAX = 65535     # what len16 can say; only one very large record goes beyond the aim


def seed(journal_id: bytes, generation: int) -> int:
    """Return the CRC seed of a segment: journal_id 16 bytes, generation 0..2**64-1."""
    return crc32(journal_id + generation.to_bytes(8, "big"))


def encode(payload: bytes, crc_seed: int) -> bytes:
    """Return the frame of a payload (1..PAYLOAD_MAX bytes), not padded.  Raises Bug."""
    if not 0 < len(payload) <= PAYLOAD_MAX:
        raise Bug("frame payload of %d bytes" % len(payload))
    size = len(payload).to_bytes(2, "big")
    crc = crc32(size + payload, crc_seed)
    return b"\x82\x1a" + crc.to_bytes(4, "big") + b"\x59" + size + payload


def decode_at(data: bytes, offset: int, crc_seed: int) -> bytes | None:
    """Return the payload of the frame that starts at offset, or None if there is none.

    Believes the size of data, not the length field: what reaches beyond is no frame.
    """
    start = offset + HEAD
    if start > len(data) or data[offset:offset + 2] != b"\x82\x1a" or data[offset + 6] != 0x59:
        return None
    end = start + (data[offset + 7] << 8) + data[offset + 8]
    if end == start or end > len(data):
        return None
    crc = struct.unpack(">I", data[offset + 2:offset + 6])[0]
    if crc32(data[offset + 7:end], crc_seed) != crc:
        return None
    return data[start:end]


def claimed(data: bytes, offset: int) -> int:
    """Return how many bytes the frame at offset says it has, 0 if no frame starts there."""
    if data[offset:offset + 2] != b"\x82\x1a" or len(data) < offset + HEAD:
        return 0
    return HEAD + (data[offset + 7] << 8) + data[offset + 8]


def padded(size: int) -> int:
    """Return size rounded up to whole sectors, all in bytes."""
    return (size + SECTOR - 1) // SECTOR * SECTOR
