"""The compressors: raw deflate, for columns of residuals and for live messages.

Z_FILTERED because residuals are small numbers with few long repeats; a small memory level makes
blocks short, so that each keeps to the statistics of one kind of series.  Together they save
5 % against zlib's defaults (`python -m tests.bench uplink`).  Any inflater reads the result.
"""

import zlib

from gateway.core import live_words

LEVEL, RAW_WINDOW_BITS, MEMORY_LEVEL = 9, -15, 5
LIVE_WINDOW_BITS = -12      # 4 KiB hold dictionary and message; the usual 32 KiB cost memory


def deflate(data: bytes) -> bytes:
    """Return raw deflate (RFC 1951) of data."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW_WINDOW_BITS, MEMORY_LEVEL,
                              zlib.Z_FILTERED)
    return packer.compress(data) + packer.flush()


def pack_live(text: bytes) -> bytes:
    """Return a live message as it travels: JSON against the dictionary both ends have."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, LIVE_WINDOW_BITS, MEMORY_LEVEL,
                              zlib.Z_DEFAULT_STRATEGY, live_words.WORDS)
    return live_words.FORMAT + packer.compress(text) + packer.flush()
