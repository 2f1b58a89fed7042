"""Float registers as whole numbers on machines with doubles: registers.floats in half the time.

A float32 has 24 bits and 5**12 has 28, so a product with a power of ten up to 10**12 has 52 and is
exact in a double.  Adding a half is exact too, or too small to reach the next whole number: nothing
is rounded before the rounding that is meant (half away from zero).  What is not a plain number goes
the way of all machines.
"""

import functools
import operator
import struct
from collections.abc import Callable

from drivers import registers

LOWEST_EXPONENT = -12
END = 2.0**31                   # from here on only registers.decode can tell

Read = Callable[[bytes], list[int | None]]


@functools.cache
def floats(rows: tuple[tuple[int, int], ...]) -> Read:
    """Return the function that registers.floats returns; see there.  Equal meters share one."""
    whole: Read = registers.floats(rows)
    if not rows or min(exponent for _, exponent in rows) < LOWEST_EXPONENT:
        return whole
    unpack = struct.Struct(registers.layout(rows, "f")).unpack_from
    scales = [float(10**-exponent) for _, exponent in rows]

    def read(cells: bytes) -> list[int | None]:
        numbers = unpack(cells)
        if not (-END < min(numbers) and max(numbers) < END):
            return whole(cells)
        try:
            return [int(number + 0.5) if number >= 0.0 else int(number - 0.5)
                    for number in map(operator.mul, numbers, scales)]
        except ValueError:                  # one is not a number at all
            return whole(cells)
    return read
