"""Deterministic CBOR: one value has one encoding, and nothing else is accepted.

RFC 8949 section 4.2.1: shortest heads, definite lengths, map keys sorted by their encoded
bytes.  Values: None, bool, int (-2**63 .. 2**64-1), bytes, str, list or tuple (decoded as
list), dict with int or str keys, Tag.  No floats: boards compute them differently.
Decoding raises FormatError on anything else, before memory is taken for it.
"""


from gateway.core.errors import Bug, FormatError
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

DEPTH_MAX = 8               # containers and tags inside each other; also bounds our recursion
INT_MIN = -(1 << 63)
INT_END = 1 << 64

UINT, NINT, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = 0, 1, 2, 3, 4, 5, 6, 7

# A tagged value.  number: 0 .. 2**64-1.
Tag = NamedTuple("Tag", [("number", int), ("value", object)])


def encode(value: object) -> bytes:
    """Return the one encoding of a value; a type or size we do not write is a Bug."""
    out = bytearray()
    _put(out, value, DEPTH_MAX)
    return bytes(out)


def decode(data: bytes, depth_max: int = DEPTH_MAX) -> "Any":
    """Return the value that bytes encode; they must hold exactly one item.

    Raises FormatError for every byte string that `encode` could not have produced.
    """
    data = bytes(data)
    value, at = _item(data, 0, depth_max)
    if at != len(data):
        raise FormatError("cbor: %d bytes after the value" % (len(data) - at))
    return value


def array_head(data: bytes, at: int, most: int) -> tuple[int, int]:
    """Return (items, offset of the first) of an array, before any of them is decoded.

    Raises FormatError for anything else, and for more than `most` items.
    """
    major, number, at = _head(data, at)
    if major != ARRAY or number > most:
        raise FormatError("cbor: an array of at most %d was expected before %d" % (most, at))
    return number, at


def item(data: bytes, at: int, depth: int) -> tuple[object, int]:
    """Return (value, offset after it) of the item at an offset; raises FormatError.

    depth: containers that may lie inside each other; 0 = none.
    """
    return _item(data, at, depth)


def head(major: int, number: int) -> bytes:
    """Return the shortest head of a major type (0..7) and a number 0 .. 2**64-1."""
    if number < 24:
        return bytes((major << 5 | number,))
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes((major << 5 | info,)) + number.to_bytes(size, "big")
    raise Bug("cbor: a head cannot hold %d" % number)


def _put(out: bytearray, value: object, depth: int) -> None:
    if value is None or value is True or value is False:
        out.append(0xF6 if value is None else 0xF5 if value else 0xF4)
    elif isinstance(value, int):
        if 0 <= value < 24:             # most of them; UINT's head is the number itself
            out.append(value)
        else:
            out.extend(_int(value))
    elif isinstance(value, (bytes, bytearray)):
        out.extend(head(BYTES, len(value)))
        out.extend(value)
    elif isinstance(value, str):
        raw = _utf8(value)
        out.extend(head(TEXT, len(raw)))
        out.extend(raw)
    else:
        _put_container(out, value, depth)


def _put_container(out: bytearray, value: object, depth: int) -> None:
    if depth == 0:
        raise Bug("cbor: nested deeper than %d" % DEPTH_MAX)
    if isinstance(value, Tag):
        out.extend(head(TAG, value.number))
        _put(out, value.value, depth - 1)
    elif isinstance(value, (list, tuple)):
        out.extend(head(ARRAY, len(value)))
        for one in value:
            _put(out, one, depth - 1)
    elif isinstance(value, dict):
        out.extend(head(MAP, len(value)))
        # Sorted by encoded key, so that the order of the dict itself never matters.
        for key, name in sorted([(_key(name), name) for name in value]):
            out.extend(key)
            _put(out, value[name], depth - 1)
    else:
        raise Bug("cbor: cannot encode %s" % type(value).__name__)


def _int(value: int) -> bytes:
    if INT_MIN <= value < INT_END:
        return head(UINT, value) if value >= 0 else head(NINT, -1 - value)
    raise Bug("cbor: integer %d is out of range" % value)


def _key(name: object) -> bytes:
    if isinstance(name, str):
        raw = _utf8(name)
        return head(TEXT, len(raw)) + raw
    if isinstance(name, int) and not isinstance(name, bool):
        return _int(name)
    raise Bug("cbor: a key is int or str, not %s" % type(name).__name__)


def _utf8(text: str) -> bytes:
    try:
        raw = text.encode("utf-8")
    except UnicodeError:
        raise Bug("cbor: text holds half a surrogate pair")
    if not _is_utf8(raw):
        raise Bug("cbor: text is not valid Unicode")
    return raw


def _item(data: bytes, at: int, depth: int) -> tuple[object, int]:
    """Return (value, offset after it)."""
    if at < len(data) and data[at] < 24:    # most of them: a small UINT
        return data[at], at + 1
    major, number, at = _head(data, at)
    if major == UINT:
        return number, at
    if major == NINT:
        if number >> 63:
            raise FormatError("cbor: negative integer below -2**63 at %d" % at)
        return -1 - number, at
    if major == SIMPLE:
        return _simple(number, at), at
    if major == BYTES or major == TEXT:
        if number > len(data) - at:         # before slicing: boards cannot slice by 2**63
            raise FormatError("cbor: %d bytes announced at %d, too many" % (number, at))
        raw = data[at:at + number]
        return (raw if major == BYTES else _text(raw, at)), at + number
    if depth == 0:
        raise FormatError("cbor: nested too deep at %d" % at)
    if major == ARRAY:
        return _array(data, at, number, depth - 1)
    if major == MAP:
        return _map(data, at, number, depth - 1)
    value, at = _item(data, at, depth - 1)
    return Tag(number, value), at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return (major, number, offset after the head); the shortest form or FormatError."""
    if at >= len(data):
        raise FormatError("cbor: ends at %d where an item was expected" % at)
    first = data[at]
    major, info, at = first >> 5, first & 31, at + 1
    if info < 24:
        return major, info, at
    if info > 27 or major == SIMPLE:
        raise FormatError("cbor: head 0x%02x at %d is not allowed" % (first, at - 1))
    size = 1 << info - 24
    raw = data[at:at + size]
    if len(raw) != size:
        raise FormatError("cbor: head cut short at %d" % at)
    number = int.from_bytes(raw, "big")
    if number < (24 if size == 1 else 1 << 4 * size):
        raise FormatError("cbor: head at %d is not the shortest" % (at - 1))
    return major, number, at + size


def _simple(number: int, at: int) -> bool | None:
    if number == 22:
        return None
    if number == 20 or number == 21:
        return number == 21
    raise FormatError("cbor: simple value %d at %d is not allowed" % (number, at - 1))


def _array(data: bytes, at: int, count: int, depth: int) -> tuple[list[object], int]:
    if count > len(data) - at:          # every item takes at least one byte
        raise FormatError("cbor: array of %d at %d is longer than the data" % (count, at))
    values = []
    for _ in range(count):
        value, at = _item(data, at, depth)
        values.append(value)
    return values, at


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[int | str, object], int]:
    if 2 * count > len(data) - at:
        raise FormatError("cbor: map of %d at %d is longer than the data" % (count, at))
    values, last = {}, b""
    for _ in range(count):
        start = at
        name, at = _item(data, at, 0)
        if not isinstance(name, (int, str)) or isinstance(name, bool):
            raise FormatError("cbor: key at %d is neither integer nor text" % start)
        key = data[start:at]
        if key <= last:
            raise FormatError("cbor: key at %d is out of order or repeated" % start)
        last = key
        values[name], at = _item(data, at, depth)
    return values, at


def _text(raw: bytes, at: int) -> str:
    if not _is_utf8(raw):
        raise FormatError("cbor: text at %d is not UTF-8" % at)
    return str(raw, "utf-8")


# First byte of a UTF-8 sequence -> (continuation bytes, lowest and highest second byte);
# The Unicode Standard 15.0, table 3-7.  MicroPython's own check lets overlong forms pass.
def _lead(byte: int) -> tuple[int, int, int]:
    if 0xC2 <= byte <= 0xDF:
        return 1, 0x80, 0xBF
    if 0xE0 <= byte <= 0xEF:
        return 2, 0xA0 if byte == 0xE0 else 0x80, 0x9F if byte == 0xED else 0xBF
    if 0xF0 <= byte <= 0xF4:
        return 3, 0x90 if byte == 0xF0 else 0x80, 0x8F if byte == 0xF4 else 0xBF
    return 0, 1, 0                      # no second byte fits


def _is_utf8(raw: bytes) -> bool:
    if not raw or max(raw) < 0x80:
        return True
    at, end = 0, len(raw)
    while at < end:
        byte = raw[at]
        at += 1
        if byte < 0x80:
            continue
        more, low, high = _lead(byte)
        if more == 0 or at + more > end or not low <= raw[at] <= high:
            return False
        for offset in range(1, more):
            if raw[at + offset] & 0xC0 != 0x80:
                return False
        at += more
    return True
