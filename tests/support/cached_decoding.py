"""Make pure functions remember their answers: the same bytes come back in a million cuts.

    with cached_decoding(): ...

Only leaves are wrapped, functions of nothing but what they are given; what decides about
flash runs as it is.  What is wrapped is what stands there when the block begins, so that a
planted mistake stays one.
"""

from contextlib import contextmanager
from functools import lru_cache

from gateway.core.codec import columns
from gateway.core.evidence import batch
from gateway.core.journal import segment

ENTRIES = 4096
LEAVES = ((segment, "cbor_decode"), (segment, "decode_block"), (segment, "_header"),
          (segment, "encode_header"), (columns, "decode_schema"), (columns, "decode"),
          (columns, "encode_schema"), (batch, "open_sealed"))


@contextmanager
def cached_decoding():
    """Within this block pure functions are cached."""
    usual = [(room, name, getattr(room, name)) for room, name in LEAVES]
    for room, name, function in usual:
        setattr(room, name, lru_cache(ENTRIES)(function))
    try:
        yield
    finally:
        for room, name, function in usual:
            setattr(room, name, function)
