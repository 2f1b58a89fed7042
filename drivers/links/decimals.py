"""Float registers as whole numbers on machines with doubles: registers.floats in half the time.

A float32 has 24 bits and 5**12 has 28, so a product with a power of ten up to 10**12 has 52 and is
exact in a double.  Adding a half is exact too, or too small to reach the next whole number: nothing
is rounded before the rounding that is meant (half away from zero).  What is not a plain number goes
the way of all machines.
"""

import functools
import struct
from collections.abc import Callable, Sequence
from math import floor

from drivers import registers

LOWEST_EXPONENT = -12
END = 1 << 31                   # from here on only registers.decode can tell

FloatDecoder = Callable[[bytes], tuple[Sequence[int | None], int | None]]


@functools.cache
def floats(rows: tuple[tuple[int, int], ...]) -> FloatDecoder:
    """Return the function that registers.floats returns; see there.  Equal meters share one."""
    whole: FloatDecoder = registers.floats(rows)
    if not rows or min(exponent for _, exponent in rows) < LOWEST_EXPONENT:
        return whole
    unpack = struct.Struct(registers.layout(rows, "f")).unpack_from
    scales = [float(10**-exponent) for _, exponent in rows]

    def read(cells: bytes) -> tuple[Sequence[int | None], int | None]:
        numbers = unpack(cells)
        try:                                # floor is the quickest way from a double to an int
            found = [floor(number * scale + 0.5) if number >= 0.0 else -floor(0.5 - number * scale)
                     for number, scale in zip(numbers, scales, strict=True)]
        except (ValueError, OverflowError):     # one is not a number, or infinite
            return whole(cells)
        lowest = min(found)             # a scale is at least 1: what is small now was small before
        if -END < lowest and max(found) < END or -END < min(numbers) and max(numbers) < END:
            return found, lowest
        return whole(cells)
    return read
