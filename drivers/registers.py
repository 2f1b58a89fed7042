"""Number formats of Modbus registers: from cells to whole numbers, and back.

In this file: width, sign, word order, decimal exponent.
Not in this file: addresses and frames (modbus.py); which device has what, and which raw
value a device sends for "not implemented" (profiles: 0xFFFF is a number for some).

A register is 16 bits, sent high byte first (Modbus Application Protocol V1.1b3, 4.2).
How two or four registers make one number is each maker's choice, hence `low_first`.
All arithmetic is on integers: boards compute floats in single precision, and a rounding
that depends on the machine would make two gateways disagree.
"""

import struct

from gateway.core.errors import FormatError
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any
    # int, or None where only `decode` can tell.
    Numbers = Sequence[Any]
    # From a reply's cells to the numbers of its float32 points and the lowest of them.
    FloatReader = Callable[[bytes], tuple[Numbers, int | None]]


class BadLength(FormatError):
    """The bytes given are not as long as their format."""

    code = "bad-length"


# kind: "u" unsigned, "s" two's complement, "f" IEEE 754.  registers: 1, 2 or 4.
# low_first: the least significant register comes first.
Format = NamedTuple("Format", [("kind", str), ("registers", int), ("low_first", bool)])

FORMATS = {
    "uint16": Format("u", 1, False),
    "int16": Format("s", 1, False),
    "uint32": Format("u", 2, False),
    "int32": Format("s", 2, False),
    "float32": Format("f", 2, False),
    "uint64": Format("u", 4, False),
    "int64": Format("s", 4, False),
    "float64": Format("f", 4, False),
    "uint32_low_first": Format("u", 2, True),
    "int32_low_first": Format("s", 2, True),
    "float32_low_first": Format("f", 2, True),
    "uint64_low_first": Format("u", 4, True),
    "int64_low_first": Format("s", 4, True),
    "float64_low_first": Format("f", 4, True),
}

# registers -> (fraction bits, bias of the exponent, highest exponent field): IEEE 754.
FLOATS = {2: (23, 127, 255), 4: (52, 1023, 2047)}
# The parts of a float32.
SIGN, MAGNITUDE, IMPLIED, FRACTION = 0x80000000, 0x7FFFFFFF, 0x800000, 0x7FFFFF
LAST_EXPONENT = 157     # of the floats that are decoded at once: below 2**31
TOO_BIG = LAST_EXPONENT + 1 << 23


def width(name: str) -> int:
    """Return how many registers a format takes."""
    return FORMATS[name].registers


def bits(cells: bytes, name: str) -> int:
    """Return the cells as one unsigned number, most significant register first.

    This is what "not implemented" markers are compared with.  Raises BadLength.
    """
    form = FORMATS[name]
    if len(cells) != 2 * form.registers:
        raise BadLength("%s needs %d bytes, got %d" % (name, 2 * form.registers, len(cells)))
    if form.low_first:
        cells = _reversed_by_register(cells)
    return int.from_bytes(cells, "big")


def decode(cells: bytes, name: str, exponent: int) -> int | None:
    """Return the value as a whole number of 10**exponent of the register's own unit.

    cells: bytes, two for each register.  Rounded half away from zero where the exponent
    is coarser than the device.  None for a float that is infinite or not a number.
    Raises BadLength.
    """
    form, raw = FORMATS[name], bits(cells, name)
    if form.kind == "f":
        return _whole(raw, exponent, FLOATS[form.registers])
    if form.kind == "s" and raw >> (16 * form.registers - 1):
        raw -= 1 << (16 * form.registers)
    return scaled(raw, -exponent)


def floats(rows: tuple[tuple[int, int], ...]) -> "FloatReader":
    """Return a function from a reply's cells to the numbers of its float32 points, all at once.

    rows: (register in the reply, exponent from -30 to 0) of each point, apart and ascending, high
    register first.  The function gives the list of what `decode` gives, with None where only
    `decode` can tell (from 2**31 on, infinite, not a number), and the lowest of them, None if one
    is None.  One unpack for all: cell by cell this was a fifth of the gateway's CPU at a reading a
    second.
    """
    form = layout(rows, "I")
    scales = [2 * 10 ** -exponent << LAST_EXPONENT - 150 for _, exponent in rows]

    def read(cells: bytes) -> "tuple[Numbers, int | None]":
        numbers: "Numbers"
        raws = struct.unpack_from(form, cells, 0)
        # The shift down leaves nothing of zero and of subnormals, whose first bit is not implied.
        numbers = [
            None if raw & MAGNITUDE >= TOO_BIG else
            ((raw & FRACTION | IMPLIED) * scale >> LAST_EXPONENT - (raw >> 23 & 255)) + 1 >> 1
            for raw, scale in zip(raws, scales)]
        if raws and max(raws) >= SIGN:
            numbers = [-number if number and raw & SIGN else number
                       for number, raw in zip(numbers, raws)]
        return numbers, None if not raws or None in numbers else min(numbers)
    return read


def layout(rows: "Iterable[tuple[int, int]]", letter: str) -> str:
    """Return the struct layout of the rows of `floats`; letter: of one number."""
    form, at = ">", 0
    for register, _ in rows:
        form += "xx" * (register - at) + letter
        at = register + 2
    return form


def encode(value: int, name: str, exponent: int) -> bytes:
    """Return the cells of `value` x 10**exponent, in the register's own unit.

    The way back of `decode` with the same exponent; for simulators and tests.
    Floats are rounded to the nearest, ties to even.  Raises FormatError if it cannot fit.
    """
    form = FORMATS[name]
    size = 16 * form.registers
    if form.kind == "f":
        raw = _float_bits(value, exponent, FLOATS[form.registers])
    else:
        raw = scaled(value, exponent)
        low = -(1 << (size - 1)) if form.kind == "s" else 0
        if not low <= raw < low + (1 << size):
            raise FormatError("%d does not fit in %s" % (raw, name))
        raw &= (1 << size) - 1
    cells = raw.to_bytes(2 * form.registers, "big")
    return _reversed_by_register(cells) if form.low_first else cells


def scaled(number: int, power: int) -> int:
    """Return number x 10**power as a whole number, rounded half away from zero."""
    if power >= 0:
        scale: int = 10 ** power
        return number * scale
    return divided(number, 10 ** -power)


def divided(top: int, bottom: int) -> int:
    """Return top / bottom (bottom > 0) as a whole number, rounded half away from zero."""
    if top < 0:
        return -((-2 * top + bottom) // (2 * bottom))
    return (2 * top + bottom) // (2 * bottom)


def text(cells: bytes) -> str:
    """Return registers as text: up to the first NUL, spaces cut, only printable ASCII.

    Devices pad with NUL or space and some send garbage behind the NUL (field pitfall 20).
    """
    out = ""
    for byte in cells:
        if byte == 0:
            break
        out += chr(byte) if 32 <= byte < 127 else "?"
    return out.strip()


def cells_of(words: "Iterable[int]") -> bytes:
    """Return 16-bit numbers as register bytes.  Raises FormatError outside 0..65535."""
    for word in words:
        if not 0 <= word <= 0xFFFF:
            raise FormatError("%d is not a register: allowed is 0..65535" % word)
    return b"".join([struct.pack(">H", word) for word in words])


def _whole(raw: int, exponent: int, shape: tuple[int, int, int]) -> int | None:
    fraction_bits, bias, power_max = shape
    power = raw >> fraction_bits & power_max
    fraction = raw & (1 << fraction_bits) - 1
    if power == power_max:
        return None                     # infinite or not a number: nothing to say
    if power:
        fraction |= 1 << fraction_bits
    shift = max(power, 1) - bias - fraction_bits       # value = fraction * 2**shift
    top = fraction * 10 ** max(-exponent, 0)
    bottom = 10 ** max(exponent, 0)
    if shift >= 0:
        top <<= shift
    else:
        bottom <<= -shift
    whole = divided(top, bottom)
    negative = raw > (power_max << fraction_bits | (1 << fraction_bits) - 1)
    return -whole if negative else whole


def _float_bits(value: int, exponent: int, shape: tuple[int, int, int]) -> int:
    fraction_bits, bias, power_max = shape
    sign = (power_max + 1) << fraction_bits if value < 0 else 0
    if value == 0:
        return 0
    top: int = abs(value) * 10 ** max(exponent, 0)
    bottom: int = 10 ** max(-exponent, 0)
    shift, lowest = 0, 1 - bias - fraction_bits
    while top >= bottom << (fraction_bits + 1):
        bottom <<= 1
        shift += 1
    while shift > lowest and top < bottom << fraction_bits:
        top <<= 1
        shift -= 1
    fraction, rest = top // bottom, top % bottom
    if 2 * rest > bottom or (2 * rest == bottom and fraction & 1):
        fraction += 1                   # ties to even; a carry into the next power is right
    if fraction >> fraction_bits == 0:
        return sign | fraction          # subnormal
    raw = ((shift + bias + fraction_bits - 1) << fraction_bits) + fraction
    if raw >> fraction_bits >= power_max:
        raise FormatError("%d x 10**%d does not fit in a float" % (value, exponent))
    return sign | raw


def _reversed_by_register(cells: bytes) -> bytes:
    return b"".join([cells[i:i + 2] for i in range(len(cells) - 2, -1, -2)])
