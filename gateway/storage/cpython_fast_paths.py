"""Loops of the core in CPython's own ways: the same numbers and bytes in less time.

The core is written for small boards too, and there these ways are missing.  `use` puts them in.
"""

import struct
from collections.abc import Sequence
from math import isqrt

from gateway.core.codec import predict, series

WIDE = 1024                     # numbers of either sign whose bytes are kept: 100 KB

# The zigzag of each signed byte; what needs a second byte of a varint is 128 or more.
_ZIGZAG = bytes([series.zigzag(b - 256 if b > 127 else b) for b in range(256)])


def install() -> None:
    """Let the core go these ways, in this process."""
    series.install(residuals)
    predict.install(roots)


def residuals(numbers: Sequence[int]) -> bytes:
    """Return the bytes that series.put_residuals appends."""
    try:
        small = struct.pack(f"{len(numbers)}b", *numbers).translate(_ZIGZAG)
        if small.isascii():
            return small
    except struct.error:                # a number is no signed byte
        pass
    table = _table
    return b"".join([table[number] if -WIDE <= number < WIDE else _varint(number)
                     for number in numbers])


def roots(columns: Sequence[Sequence[int]]) -> list[int]:
    """Return sqrt(a*a + b*b) of two columns, rounded to the nearest whole number."""
    return [isqrt(4 * (a * a + b * b)) + 1 >> 1 for a, b in zip(*columns, strict=False)]


def _varint(number: int) -> bytes:
    out = bytearray()
    series.put_varint(out, series.zigzag(number))
    return bytes(out)


# By number: a negative one counts from the end.
_table = [_varint(number) for number in (*range(WIDE), *range(-WIDE, 0))]
