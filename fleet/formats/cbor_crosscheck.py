"""The second opinion: cbor2, in a strict profile, reads what our own decoder read.

Nothing is booked unless two independent implementations agree on the signed content
(docs/formats.md section 1).  cbor2's defaults are loose: trailing bytes, duplicate keys, tags
that build cycles or compile regular expressions; all of that is refused here.
"""

import io
from typing import Any, NoReturn

import cbor2

from gateway.core.errors import BadSchema

DEPTH_MAX = 8
BUILT_IN_TAGS = (*range(64), 100, 256, 258, 260, 261, 1004, 43000, 55799)


def _refuse(*_: object) -> NoReturn:
    raise cbor2.CBORDecodeError("tag refused")


REFUSED_TAGS = dict.fromkeys(BUILT_IN_TAGS, _refuse)


def read(data: bytes) -> Any:
    """Return the CBOR value of data, or raise BadSchema."""
    source = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(
            source, tag_hook=_refuse, semantic_decoders=REFUSED_TAGS, max_depth=DEPTH_MAX,
            allow_indefinite=False, allow_duplicate_keys=False).decode()
    except (cbor2.CBORDecodeError, ValueError, OverflowError, RecursionError) as error:
        raise BadSchema(f"cbor2 refuses the payload: {error}") from error
    if source.tell() != len(data):
        raise BadSchema(f"cbor2: {len(data) - source.tell()} bytes after the payload")
    return value


def check(data: bytes, ours: object) -> None:
    """Raise BadSchema unless cbor2 reads in `data` exactly `ours`, what is going to count."""
    theirs = read(data)
    if not _same(theirs, ours):
        raise BadSchema("our decoder and cbor2 read the payload differently: report this batch")


def _same(one: object, other: object) -> bool:
    """Equal in value and kind: True is not 1, text is not bytes."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)
