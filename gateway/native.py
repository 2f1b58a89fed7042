"""Loops of the core in CPython's own ways: the same numbers and bytes in a third of the time.

The core is written for small boards too, and there these ways are missing.  `use` puts them in.
"""

import struct
from collections.abc import Sequence
from math import isqrt

from gateway.core import predict, series

WIDE = 1024                     # numbers of either sign whose bytes are kept: 100 KB

# The zigzag of each signed byte; what needs a second byte of a varint is 128 or more.
_ZIGZAG = bytes([series.zigzag(b - 256 if b > 127 else b) for b in range(256)])


def use() -> None:
    """Let the core go these ways, in this process."""
    series.use(residuals)
    predict.use(roots)


def leave() -> None:
    """Let the core go its own ways again."""
    series.use(None)
    predict.use(None)


def residuals(numbers: Sequence[int]) -> bytes | None:
    """Return series.put_residuals' bytes, None if a number is not near zero."""
    try:
        small = struct.pack(f"{len(numbers)}b", *numbers).translate(_ZIGZAG)
    except struct.error:
        small = b"\x80"
    if small.isascii():
        return small
    if -WIDE <= min(numbers) and max(numbers) < WIDE:
        table = _table
        return b"".join([table[number] for number in numbers])
    return None


def roots(columns: Sequence[Sequence[int]]) -> list[int]:
    """Return sqrt(a*a + b*b) of two columns, rounded to the nearest whole number."""
    return [isqrt(4 * (a * a + b * b)) + 1 >> 1 for a, b in zip(*columns, strict=False)]


def _varint(number: int) -> bytes:
    out = bytearray()
    series.put_varint(out, number)
    return bytes(out)


# By number: a negative one counts from the end.
_table = [_varint(series.zigzag(number))
          for number in (*range(WIDE), *range(-WIDE, 0))]
