"""A second decoder of columns, written from docs/formats.md section 6 and nothing else.

    records = decode(schema, first_seq, data)

Slow, plain and trusting: it exists so that the first one is not its own judge.  Names follow the
sections.  It shares with the product only the record types and the third-party cbor2.
"""

import math
from fractions import Fraction

import cbor2

from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.reading import Absent

# 6.9, second table: target -> rank, rules
TABLE = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 29), (0, [("neighbour",)])),
    7: (3, [("ratio", 15, 1), ("ratio", 18, 1)]),
    8: (3, [("ratio", 16, 2), ("ratio", 18, 2)]), 9: (3, [("ratio", 17, 3), ("ratio", 18, 3)]),
    10: (4, [("sum", 7, 8, 9)]), 14: (1, [("sum", 11, 12, 13)]),
    15: (1, [("root", 11, 19)]), 16: (1, [("root", 12, 20)]), 17: (1, [("root", 13, 21)]),
    18: (2, [("sum", 15, 16, 17), ("root", 14, 22)]), 22: (1, [("sum", 19, 20, 21)]),
    23: (2, [("ratio", 11, 15)]), 24: (2, [("ratio", 12, 16)]), 25: (2, [("ratio", 13, 17)]),
    26: (3, [("ratio", 14, 18)]), 27: (3, [("ratio", 14, 18)]), 28: (2, [("angle", 14, 22)]),
    43: (1, [("sum", 40, 41, 42)]), 47: (1, [("sum", 44, 45, 46)]),
    48: (1, [("sum", 40, 44)]), 49: (1, [("sum", 41, 45)]), 50: (1, [("sum", 42, 46)]),
    51: (2, [("sum", 43, 47), ("sum", 48, 49, 50)]), 54: (1, [("sum", 52, 53)]),
}


class Bytes:
    """A place in the data."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def varint(self):
        """Return the next LEB128 number."""
        number = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            number += (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    def signed(self):
        """Return the next zigzag number."""
        number = self.varint()
        return -(number + 1) // 2 if number % 2 else number // 2


def decode(schema, first_seq, data):
    """Return the list of records."""
    reader = Bytes(data)
    order = read_order(reader, reader.varint(), len(schema))                        # 6.1, 6.2
    present = [s for s in range(len(schema)) if s in order]
    steps, step = {}, 0
    for s in present:                                                               # 6.3
        step += reader.signed()
        steps[s] = step
    holes = {s: read_absences(reader) for s in present}                             # 6.4
    points_order = series_order(schema, present)
    places = [(s, None) for s in present] + points_order
    modes = []
    while len(modes) < len(places):                                                 # 6.5
        number = reader.varint()
        modes += [number % 8] * (number // 8)
    scans = {(s, p): [i for i in range(order.count(s)) if (p, i) not in holes[s]]
             for s, p in places}
    each = read_steps(reader, schema, points_order)                                 # 6.6
    bases = read_bases(reader, schema, zip(places, modes, strict=True), scans)      # 6.7
    cells = {(s, p, i): Absent(reason) for s in present for (p, i), reason in holes[s].items()}
    before = {}
    for (s, p), mode in zip(places, modes, strict=True):                            # 6.8
        numbers = read_series(reader, mode % 4, len(scans[s, p]), bases.get((s, p)))
        if p is None:
            cells.update({(s, p, i): number + i * steps[s] for i, number in enumerate(numbers)})
            continue
        points = schema[s].points
        last, step = before.get((points, p)), each[points, p]
        for k, i in enumerate(scans[s, p]):
            expected = 0
            if mode >= 4:                                                           # 6.9
                expected = predicted(points, p, lambda q, s=s, i=i: cells[s, q, i],
                                     lambda k=k, last=last: cells[(*last, scans[last][k])])
            cells[s, p, i] = (numbers[k] + expected // step) * step
        if numbers:
            before[points, p] = s, p
    return records(schema, first_seq, order, cells, cbor2.loads(data[reader.at:]))  # 6.10


def read_steps(reader, schema, order):
    """Return {(points, place): step} of section 6.6."""
    places = list(dict.fromkeys((schema[s].points, p) for s, p in order))
    found, at = dict.fromkeys(places, 1), -1
    for _ in range(reader.varint()):
        at += reader.varint() + 1
        found[places[at]] = reader.varint()
    return found


def read_bases(reader, schema, places, scans):
    """Return {(stream, point): base} of section 6.7."""
    found, latest = {}, {}
    for (s, p), mode in places:
        family = "ticks" if p is None else (schema[s].points, p, mode // 4)
        if scans[s, p]:
            found[s, p] = latest[family] = latest.get(family, 0) + reader.signed()
    return found


def read_order(reader, count, streams):
    """Return the list of symbols of section 6.2."""
    after = {s: (s + 1) % streams for s in range(streams)}
    order, before, expected = [], streams - 1, None
    while len(order) < count:
        for _ in range(reader.varint()):
            expected = after[before]
            order.append(expected)
            before = expected
        if len(order) < count:
            symbol = reader.varint()
            order.append(symbol)
            if symbol < streams:
                after[before] = symbol
                before = symbol
    return order


def read_absences(reader):
    """Return {(point, scan): reason} of one stream, section 6.4."""
    found, point = {}, 0
    for _ in range(reader.varint()):
        point += reader.varint()
        width, scan = reader.varint() + 1, 0
        for _ in range(reader.varint()):
            scan += reader.varint()
            length, reason = reader.varint() + 1, reader.varint()
            found.update({(point + p, scan + i): reason
                          for p in range(width) for i in range(length)})
            scan += length
        point += width
    return found


def series_order(schema, present):
    """Return [(stream, point)] of section 6.5."""
    kinds = []
    for s in present:
        if schema[s].points not in kinds:
            kinds.append(schema[s].points)
    found = []
    for points in kinds:
        ranked = sorted(range(len(points)),
                        key=lambda p, points=points: (TABLE.get(points[p].measurand, (0,))[0], p))
        found += [(s, p) for p in ranked for s in present if schema[s].points == points]
    return found


def read_series(reader, mode, count, base):
    """Return the numbers of one series, section 6.8."""
    if count == 0:
        return []
    if mode == 0:
        return [base] * count
    if mode == 1:
        return [base + reader.signed() for _ in range(count)]
    values, delta = [base], 0
    for _ in range(count - 1):
        delta = reader.signed() + (delta if mode == 3 else 0)
        values.append(values[-1] + delta)
    return values


def predicted(points, p, cell, neighbour):
    """Return the whole number that section 6.9 predicts."""
    target = points[p]
    for name, *measurands in TABLE[target.measurand][1]:
        if name == "neighbour":
            return neighbour()
        sources = [next((q for q, point in enumerate(points) if
                         (point.measurand, point.item) == (m, target.item)), None)
                   for m in measurands]
        if None not in sources and usable(name, [points[q].exponent for q in sources], target):
            break
    else:
        raise ValueError(f"no rule for {target}")
    values = [cell(q) for q in sources]
    if name == "sum":
        return sum(values)
    if name == "root":
        return (math.isqrt(4 * (values[0] ** 2 + values[1] ** 2)) + 1) // 2
    if name == "angle":
        a, b = abs(values[0]), abs(values[1])
        top = 90 * 10 ** -target.exponent * values[1] * (11 * b + 7 * a)
        return math.floor(Fraction(top, 11 * a ** 2 + 14 * a * b + 11 * b ** 2)) if a + b else 0
    power = points[sources[0]].exponent - points[sources[1]].exponent - target.exponent
    scale = 10 ** power * (100 if target.measurand == 27 else 1)
    top, bottom = values
    return math.floor(Fraction(top * scale, bottom) + Fraction(1, 2)) if bottom > 0 else scale


def usable(name, exponents, target):
    """Return whether the third column of the first table of 6.9 holds."""
    if name == "ratio":
        return exponents[0] - exponents[1] >= target.exponent
    if name == "angle":
        return len(set(exponents)) == 1 and target.exponent <= 0
    return {*exponents} == {target.exponent}


def records(schema, first_seq, order, cells, events):
    """Return the records, section 6.2 once more."""
    found, turns, rest = [], dict.fromkeys(range(len(schema)), 0), iter(events)
    for seq, symbol in enumerate(order, first_seq):
        if symbol == len(schema):
            found.append(EventRecord(seq, *next(rest)))
            continue
        i = turns[symbol]
        turns[symbol] += 1
        values = tuple(cells[symbol, p, i] for p in range(len(schema[symbol].points)))
        found.append(ScanRecord(seq, cells[symbol, None, i], symbol, values))
    return found
