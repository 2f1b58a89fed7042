"""Damage for fuzzing, the same on both interpreters: of bytes, and of values written again.

    below = lcg(7)                          below(n): the next whole number under n
    data = damaged(below, good)

The choices come from a small generator of our own, equal on every machine.
"""

from gateway.core.codec import cbor, columns
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.reading import Absent, Point, Stream

POINTS = tuple([Point(m, 0, "") for m in (1, 7, 15, 11, 19, 43)])
SCHEMA = (Stream("a", POINTS), Stream("b", POINTS[:2]))
ODD = (
    None, False, True, 0, 1, -1, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32,
    1 << 53, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63), b"", b"\x00",
    bytes(15), bytes(16), bytes(17), bytes(31), bytes(32), bytes(33), "", "a", "x" * 40, "x" * 41,
    "\u00fc\u6c34", [], {}, {1: 2}, [[[[[[[[[1]]]]]]]]], cbor.Tag(18, []))
# What no writer of ours writes: floats, undefined, reserved and indefinite heads, text that is
# no UTF-8, a bignum, an integer below -2**63, long heads.
JUNK = (b"\xf9\x3c\x00", b"\xfb" + bytes(8), b"\xf7", b"\xf8\x20", b"\xe0", b"\x1c", b"\x1f",
        b"\x5f\x41a\xff", b"\x7f\xff", b"\x62\xc0\x80", b"\x61\xff", b"\xc2\x41\x01",
        b"\x3b" + b"\xff" * 8, b"\x18\x05", b"\x19\x00\xff", b"\xd8\x12\x80", b"")


def lcg(seed):
    """Return a function from n to a number below n."""
    state = [seed]

    def below(n):
        state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
        return (state[0] >> 8) % n
    return below


def some_columns():
    """Return the columns of 25 records under SCHEMA, with absences and an event."""
    records = []
    for i in range(12):
        values = (230, i, 230 * i, 200 * i, 113 * i, 7 * i)
        if i % 5 == 3:
            values = (Absent(1),) * 6
        records.append(ScanRecord(len(records) + 1, 1000 * i, 0, values))
        records.append(ScanRecord(len(records) + 1, 1000 * i + 5, 1, (i, Absent(2))))
    records.append(EventRecord(len(records) + 1, 12000, 2, [-1, None, 5, "text \u00fc"]))
    return columns.encode(SCHEMA, records)


def damaged(below, good):
    """Return a copy of good bytes with a few bytes set, cut, doubled or dropped."""
    data = bytearray(good)
    for _ in range(1 + below(3)):
        at = below(len(data))
        kind = below(8)
        if kind == 0:
            data = data[:at + 1]
        elif kind == 1:
            data = data[:at] + data[at // 2:]
        elif kind == 2 and at:
            data = data[:at - 1] + data[at:]
        elif kind < 5:
            data[at] = (0, 1, 0x7F, 0x80, 0xFF, 0xF6, 0x18, 0x9F)[below(8)]
        else:
            data[at] = data[at] ^ 1 << below(8)
    return bytes(data)


def altered(below, value):
    """Return a value of which one part is another one: kind, size, edge, place or depth."""
    if isinstance(value, cbor.Tag):
        return cbor.Tag(value.number + below(2), altered(below, value.value))
    if isinstance(value, list) and value and below(6):
        at, copy = below(len(value)), list(value)
        copy[at] = altered(below, copy[at])
        return copy
    if isinstance(value, dict) and value and below(6):
        names = sorted(value, key=str)
        name, copy = names[below(len(names))], dict(value)
        copy[name] = altered(below, copy[name])
        return copy
    kind = below(3)
    if isinstance(value, list) and value and kind:
        at = below(len(value))
        return value[:at] + value[at + 1:] if kind == 1 else value[:at] + value[at // 2:]
    if isinstance(value, bytes) and value and kind:
        return damaged(below, value)
    if isinstance(value, int) and not isinstance(value, bool) and kind == 1:
        return value + 1 - 2 * below(2)
    return ODD[below(len(ODD))]


def loose(below, value):
    """Return bytes of a value, lengths right; now and then not as the profile wants them."""
    kind = below(60)
    if kind == 0:
        return JUNK[below(len(JUNK))]
    if isinstance(value, cbor.Tag):
        return cbor.head(cbor.TAG, value.number) + loose(below, value.value)
    if isinstance(value, list):
        parts = b"".join([loose(below, one) for one in value])
        if kind == 1:
            return b"\x9f" + parts + b"\xff"
        return _head(kind, cbor.ARRAY, len(value)) + parts
    if isinstance(value, dict):
        pairs = sorted([(cbor.encode(name), name) for name in value])
        pairs = [key + loose(below, value[name]) for key, name in pairs]
        if kind == 1:
            pairs = [pairs[len(pairs) - 1 - i] for i in range(len(pairs))]
        if kind == 2:
            pairs = pairs + pairs[:1]
        return _head(kind, cbor.MAP, len(pairs)) + b"".join(pairs)
    if isinstance(value, bytes):
        return _head(kind, cbor.BYTES, len(value)) + value
    return cbor.encode(value)


def _head(kind, major, number):
    """Return the head of an item, for one kind in sixty a needlessly long one."""
    return bytes((major << 5 | 27,)) + number.to_bytes(8, "big") if kind == 3 else cbor.head(
        major, number)


def either(below, value):
    """Return bytes of a value of which a part was altered, or of the value written loosely."""
    return loose(below, altered(below, value) if below(4) else value)
