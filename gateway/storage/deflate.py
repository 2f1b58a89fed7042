"""The compressor of sealed batches: raw deflate, set for columns of residuals.

Z_FILTERED because residuals are small numbers with few long repeats; a small memory level makes
blocks short, so that each keeps to the statistics of one kind of series.  Together they save
5 % against zlib's defaults (`python -m tests.bench uplink`).  Any inflater reads the result.
"""

import zlib

LEVEL, RAW_WINDOW_BITS, MEMORY_LEVEL = 6, -15, 5


def deflate(data: bytes) -> bytes:
    """Return raw deflate (RFC 1951) of data."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW_WINDOW_BITS, MEMORY_LEVEL,
                              zlib.Z_FILTERED)
    return packer.compress(data) + packer.flush()
