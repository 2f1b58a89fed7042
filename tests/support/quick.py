"""Make pure decoders remember their answers: the same bytes come back in a million cuts.

Only leaves are wrapped, functions of nothing but bytes; what decides about flash runs as
it is.  A planted mistake patches the deciding functions and therefore stays visible.
"""

from contextlib import contextmanager
from functools import lru_cache

from gateway.core import batch, cbor, columns, segment

ENTRIES = 4096
_cbor = lru_cache(ENTRIES)(cbor.decode)
_schema = lru_cache(ENTRIES)(columns.decode_schema)
_records = lru_cache(ENTRIES)(columns.decode)
_sealed = lru_cache(ENTRIES)(batch.open_sealed)
_encoded = lru_cache(ENTRIES)(columns.encode_schema)
LEAVES = ((segment, "cbor_decode", _cbor), (columns, "decode_schema", _schema),
          (columns, "decode", _records), (batch, "open_sealed", _sealed),
          (columns, "encode_schema", _encoded))


@contextmanager
def quick():
    """Within this block pure decoders are cached."""
    usual = [(room, name, getattr(room, name)) for room, name, _ in LEAVES]
    for room, name, remembered in LEAVES:
        setattr(room, name, remembered)
    try:
        yield
    finally:
        for room, name, function in usual:
            setattr(room, name, function)
