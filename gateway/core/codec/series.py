"""One series of whole numbers as bytes: a residual mode and zigzag LEB128 varints.

    mode 0  constant        nothing but the base
    mode 1  value           each value minus the base (the base is the median)
    mode 2  delta           each value minus the one before (the base is the first value)
    mode 3  delta of delta  each delta minus the one before, the first delta as it is

The mode with the smallest residuals is taken, because a compressor behind makes most of those.
A series may hold numbers of any sign up to 68 bits: predictions and deltas of 64 bits fit.
"""

from gateway.core.codec.cbor import INT_END, INT_MIN
from gateway.core.errors import Bug, FormatError
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    # (cost, mode, base, residuals), and what a batch collects: (modes, bases, body).
    Series = tuple[int, int, int, Sequence[int]]
    Coded = tuple[list[int], list[int], bytearray]
    ZigzagBytes = Callable[[Sequence[int]], bytes]

CONSTANT, VALUE, DELTA, DELTA2 = 0, 1, 2, 3

MODE_BITS = 3           # of a run of modes: the mode in the lower two, above them 1 if predicted
STEP_MAX = INT_END - 1  # all values may be 2**64 - 1, as a register that hangs reads
VARINT_BYTES_MAX = 10   # 70 bits: a delta of deltas of 64-bit counters needs 67


# The zigzag of -64 .. 63, each at its own index: a negative one counts from the end.  And back.
_ZIGZAG = tuple(range(0, 128, 2)) + tuple(range(127, 0, -2))
_SIGNED = tuple([i >> 1 if i & 1 == 0 else -(i >> 1) - 1 for i in range(128)])


def put_varint(out: bytearray, number: int) -> None:
    """Append a whole number >= 0, seven bits a byte, lowest first (LEB128)."""
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return (number, offset after it); raises FormatError if it is cut, long or padded."""
    number, shift, end = 0, 0, min(len(data), at + VARINT_BYTES_MAX)
    while at < end:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            if byte == 0 and shift:
                raise FormatError("varint: padded at %d" % (at - 1))
            return number, at
        shift += 7
    raise FormatError("varint: cut short or too long at %d" % at)


def zigzag(number: int) -> int:
    """Return 0, 1, 2, 3 ... for 0, -1, 1, -2 ..."""
    return number << 1 if number >= 0 else (~number << 1) | 1


def signed(number: int) -> int:
    """Return the number whose zigzag this is."""
    return number >> 1 if number & 1 == 0 else -(number >> 1) - 1


def put_residuals(out: bytearray, residuals: "Sequence[int]") -> None:
    """Append signed numbers as zigzag varints."""
    if not residuals:
        return
    if _fast_path[0]:
        out.extend(_fast_path[0](residuals))
    elif -64 <= min(residuals) and max(residuals) < 64:
        table = _ZIGZAG
        out.extend(bytes([table[number] for number in residuals]))
    else:
        for number in residuals:
            put_varint(out, number << 1 if number >= 0 else (~number << 1) | 1)


_fast_path: "list[ZigzagBytes | None]" = [None]


def install(way: "ZigzagBytes | None") -> None:
    """Let a platform's way make bytes of residuals (storage/cpython_fast_paths.py); None: ours."""
    _fast_path[0] = way


def read_residuals(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    """Return (list of count signed numbers, offset after them); raises FormatError."""
    chunk, table = data[at:at + count], _SIGNED
    if len(chunk) != count:
        raise FormatError("series: %d numbers announced at %d" % (count, at))
    if not chunk or max(chunk) < 128:
        return [table[byte] for byte in chunk], at + count
    numbers: list[int]
    numbers, end = [], len(data)
    append = numbers.append
    for _ in range(count):
        if at >= end:
            raise FormatError("series: ends at %d" % at)
        byte = data[at]
        if byte < 128:
            append(table[byte])
            at += 1
            continue
        if at + 1 < end and 0 < data[at + 1] < 128:     # two bytes, as nearly all of the rest
            number = byte & 127 | data[at + 1] << 7
            at += 2
        else:
            number, at = varint(data, at)
        append(number >> 1 if number & 1 == 0 else -(number >> 1) - 1)
    return numbers, at


def choose(values: "Sequence[int]", low: int, high: int) -> "Series":
    """Return (cost, mode, base, residuals) of the best coding of a non-empty series.

    low, high: the smallest and the largest value.  cost: the sum of the residuals' magnitudes;
    comparable between codings of the same number of values.
    """
    first = values[0]
    if low == high:
        return 0, CONSTANT, first, ()
    deltas = [b - a for a, b in zip(values, values[1:])]
    cost = sum(map(abs, deltas))
    mode, base, best = DELTA, first, deltas
    if cost > high - low:                       # it turns back
        ordered, half = sorted(values), len(values) >> 1
        middle = ordered[half]
        # What the values are away from their middle, in all; there is one more above it if odd.
        other = sum(ordered[half:]) - sum(ordered[:half]) - (len(values) & 1) * middle
        if other <= cost:
            cost, mode, base = other, VALUE, middle
            best = [value - middle for value in values]
    if cost == high - low:                      # it never does, as counters do not
        second = [b - a for a, b in zip(deltas, deltas[1:])]
        other = abs(deltas[0]) + sum(map(abs, second))
        if other < cost:
            return other, DELTA2, first, deltas[:1] + second
    return cost, mode, base, best


def put_deltas(coded: "Coded", series: "Iterable[Sequence[int]]") -> None:
    """Add one point's series, one for each stream, to (modes, bases, body) as their deltas."""
    modes, bases, body = coded
    before, residuals = 0, []
    for values in series:
        if not values:
            modes.append(CONSTANT)
            continue
        first = values[0]
        bases.append(first - before)
        before = first
        if values.count(first) == len(values):
            modes.append(CONSTANT)
            continue
        modes.append(DELTA)
        residuals += [b - a for a, b in zip(values, values[1:])]
    put_residuals(body, residuals)


def check_range(low: int, high: int) -> None:
    """Raise Bug for values beyond what a record can hold."""
    if low < INT_MIN or high >= INT_END:
        raise Bug("columns: a value is out of range")


def step_of(columns: "Sequence[Sequence[int]]") -> int:
    """Return the largest whole number >= 1 that divides every number of all columns."""
    step = 0
    for column in columns:
        if column and column.count(column[0]) == len(column):
            column = column[:1]
        for number in column:
            if step == 0 or number % step:
                step = _divisor(step, abs(number))
            if step == 1:
                return 1
    return step or 1


def _divisor(one: int, other: int) -> int:
    """Return the greatest common divisor; that of a number and 0 is the number."""
    while other:
        one, other = other, one % other
    return one


def restore(mode: int, base: int, data: bytes, at: int, count: int) -> tuple[list[int], int]:
    """Return (list of count values, offset after them) of a non-empty coded series."""
    if mode == CONSTANT:
        return [base] * count, at
    if mode == VALUE:
        residuals, at = read_residuals(data, at, count)
        return [base + number for number in residuals], at
    residuals, at = read_residuals(data, at, count - 1)
    if mode == DELTA2:
        step = 0
        for i, number in enumerate(residuals):
            step += number
            residuals[i] = step
    values = [base]
    append = values.append
    for number in residuals:
        if number:                          # else the same object again, which saves memory
            base += number
        append(base)
    return values, at


def put_modes(out: bytearray, modes: list[int]) -> None:
    """Write modes as runs: run << 5 | mode."""
    last, run = -1, 0
    for mode in modes:
        if mode != last and run:
            put_varint(out, run << MODE_BITS | last)
            run = 0
        last, run = mode, run + 1
    if run:
        put_varint(out, run << MODE_BITS | last)


def read_modes(data: bytes, at: int, count: int) -> "tuple[Iterator[int], int]":
    """Return (iterator over count modes, offset after them)."""
    modes: list[int]
    modes, last = [], -1
    while len(modes) < count:
        number, at = varint(data, at)
        run, mode = number >> MODE_BITS, number & (1 << MODE_BITS) - 1
        if not 0 < run <= count - len(modes) or mode == last:
            raise FormatError("columns: a run of %d modes before %d" % (run, at))
        modes.extend([mode] * run)
        last = mode
    return iter(modes), at


def put_steps(out: bytearray, steps: list[int]) -> None:
    """Write the steps that are not 1: how many, then for each: points skipped, step."""
    put_varint(out, sum([step > 1 for step in steps]))
    skipped = 0
    for step in steps:
        if step > 1:
            put_varint(out, skipped)
            put_varint(out, step)
            skipped = -1
        skipped += 1


def read_steps(data: bytes, at: int, count: int) -> "tuple[Iterator[int], int]":
    """Return (iterator over the steps of count points, offset after them)."""
    steps, position = [1] * count, -1
    stated, at = varint(data, at)
    if stated > count:
        raise FormatError("columns: %d steps before %d" % (stated, at))
    for _ in range(stated):
        skipped, at = varint(data, at)
        step, at = varint(data, at)
        position += skipped + 1
        if position >= count or not 1 < step <= STEP_MAX:
            raise FormatError("columns: a step before %d" % at)
        steps[position] = step
    return iter(steps), at
