"""A second decoder of columns, written from docs/formats.md section 6 and nothing else.

Slow, plain and trusting: it exists so that the first one is not its own judge.  Names follow the
sections.  It shares with the product only the record types and the third-party cbor2.
"""

import math
from fractions import Fraction

import cbor2

from gateway.core.reading import Absent
from gateway.core.record import EventRecord, ScanRecord

# 6.7, second table: target -> rank, rules
TABLE = {
    10: (1, [("sum", 7, 8, 9)]), 14: (1, [("sum", 11, 12, 13)]),
    15: (1, [("product", 1, 7)]), 16: (1, [("product", 2, 8)]), 17: (1, [("product", 3, 9)]),
    18: (2, [("sum", 15, 16, 17), ("product", 1, 7)]),
    19: (2, [("leg", 15, 11)]), 20: (2, [("leg", 16, 12)]), 21: (2, [("leg", 17, 13)]),
    22: (3, [("sum", 19, 20, 21), ("leg", 18, 14)]),
    23: (2, [("ratio", 11, 15)]), 24: (2, [("ratio", 12, 16)]), 25: (2, [("ratio", 13, 17)]),
    26: (3, [("ratio", 14, 18)]), 27: (3, [("ratio", 14, 18)]),
    43: (1, [("sum", 40, 41, 42)]), 47: (1, [("sum", 44, 45, 46)]),
    51: (2, [("sum", 43, 47), ("sum", 48, 49, 50)]),
}
NUMBER = {"sum": 1, "product": 2, "leg": 3, "ratio": 4}


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
    places = [(s, None) for s in present] + series_order(schema, present)
    modes = []
    while len(modes) < len(places):                                                 # 6.5
        number = reader.varint()
        modes += [number % 32] * (number // 32)
    cells, bases = {}, {}
    for (s, p), mode in zip(places, modes, strict=True):                            # 6.6
        scans = [i for i in range(order.count(s)) if (p, i) not in holes[s]]
        family = ("ticks",) if p is None else (schema[s].points, p, mode // 4)
        values = read_series(reader, mode % 4, len(scans), family, bases)
        if p is None:
            values = [value + i * steps[s] for i, value in enumerate(values)]
        for i, value in zip(scans, values, strict=True):
            if mode // 4:
                value += predicted(mode // 4, schema[s].points, p, lambda q, s=s, i=i:
                                   cells[s, q, i])
            cells[s, p, i] = value
        for (q, i), reason in holes[s].items():
            cells[s, q, i] = Absent(reason)
    return records(schema, first_seq, order, cells, cbor2.loads(data[reader.at:]))  # 6.8


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


def read_series(reader, mode, count, family, bases):
    """Return the numbers of one series, section 6.6."""
    if count == 0:
        return []
    base = bases[family] = bases.get(family, 0) + reader.signed()
    if mode == 0:
        return [base] * count
    if mode == 1:
        return [base + reader.signed() for _ in range(count)]
    values, delta = [base], 0
    for _ in range(count - 1):
        delta = reader.signed() + (delta if mode == 3 else 0)
        values.append(values[-1] + delta)
    return values


def predicted(number, points, p, cell):
    """Return the whole number that section 6.7 predicts."""
    target = points[p]
    for name, *measurands in TABLE[target.measurand][1]:
        sources = [next((q for q, point in enumerate(points) if
                         (point.measurand, point.item) == (m, target.item)), None)
                   for m in measurands]
        if None not in sources and usable(name, [points[q].exponent for q in sources], target):
            break
    if number not in (NUMBER[name], 5 if name == "leg" else None):
        raise ValueError(f"prediction {number} at a {name}")
    values = [cell(q) for q in sources]
    if name == "sum":
        return sum(values)
    if name == "product":
        places = target.exponent - points[sources[0]].exponent - points[sources[1]].exponent
        return math.floor(Fraction(values[0] * values[1], 10 ** places) + Fraction(1, 2))
    if name == "leg":
        square = values[0] ** 2 - values[1] ** 2
        root = (math.isqrt(4 * square) + 1) // 2 if square > 0 else 0
        return root if number == 3 else -root
    scale = 10 ** -target.exponent * (100 if target.measurand == 27 else 1)
    top, bottom = values
    return (2 * top * scale + bottom) // (2 * bottom) if bottom > 0 else scale


def usable(name, exponents, target):
    """Return whether the third column of the first table of 6.7 holds."""
    if name == "product":
        return sum(exponents) <= target.exponent
    if name == "ratio":
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
