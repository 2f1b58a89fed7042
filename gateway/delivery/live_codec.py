"""Live messages as they travel: JSON, deflated against the dictionary that both ends have."""

import zlib

from gateway.core import live_dictionary

# 4 KiB hold the dictionary and a message; the usual 32 KiB would cost memory for nothing.
LEVEL, WINDOW_BITS, MEMORY_LEVEL = 9, -12, 5


def pack_live(text: bytes) -> bytes:
    """Return the message of a JSON text (docs/formats.md, 14)."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
                              zlib.Z_DEFAULT_STRATEGY, live_dictionary.DICTIONARY)
    return live_dictionary.FORMAT + packer.compress(text) + packer.flush()
