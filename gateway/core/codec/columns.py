"""Records as columns: the bytes of a batch, of a commit, and of nothing else.

Scans of one stream differ little from poll to poll, so each point becomes a series of its
own (series.py), ordered so that like series of all devices stand side by side; a compressor
behind profits from that.  Layout, every byte, in docs/formats.md:

    count, order, nominal ticks, absences, modes, steps, bases, residuals, events

Pure and deterministic: equal records give equal bytes on both runtimes; what was absent
comes back absent with its reason.  `decode` raises FormatError and is bounded by the limits
below before it takes memory.
"""

from gateway.core.codec.absence import put_absences, read_absences
from gateway.core.codec.cbor import DEPTH_MAX, INT_END, INT_MIN, array_head, item
from gateway.core.codec.cbor import encode as cbor_encode
from gateway.core.codec.column_block import (
    CELLS_MAX,
    EVENTS_MAX,
    RECORDS_MAX,
    ColumnBlock,
    block_of,
    numbers,
)
from gateway.core.codec.order import put_order, read_order
from gateway.core.codec.predict import NEIGHBOUR, plan, predict
from gateway.core.codec.record import BODY_BYTES_MAX, SEQ_MAX, TICKS_MS_MAX, EventRecord, ScanRecord
from gateway.core.codec.schema import decode_schema, encode_schema, is_int
from gateway.core.codec.series import (
    CONSTANT,
    DELTA,
    choose,
    put_deltas,
    put_modes,
    put_residuals,
    put_steps,
    put_varint,
    read_modes,
    read_residuals,
    read_steps,
    restore,
    signed,
    step_of,
    varint,
    zigzag,
)
from gateway.core.errors import FormatError
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from gateway.core.codec.absence import Absences, Runs
    from gateway.core.codec.column_block import Events
    from gateway.core.codec.predict import Step
    from gateway.core.codec.record import Record
    from gateway.core.codec.series import Coded, Series
    from gateway.core.reading import Point, Schema, Value

    # By stream, or by stream and point, filled one after the other.
    Parts = list[Any]
    # What is read in turn: (modes, bases); and of each stream of a point: (columns, runs).
    Reader = tuple[Iterator[int], Iterator[int]]
    Streams = list[tuple[Sequence[Sequence[int]], Sequence[Runs]]]
    Shape = tuple[Schema, list[list[int]], list[int], Parts, Iterator[int]]

__all__ = ("RECORDS_MAX", "CELLS_MAX", "encode", "decode", "encode_schema", "decode_schema")

KIND_MAX = 255              # event kinds
PREDICTED = 4
EVENT_DEPTH = DEPTH_MAX - 2                 # of a body inside the list of events
EVENT_BYTES_MAX = BODY_BYTES_MAX + 32       # [ticks, kind, body] with its heads
WINDOW_BYTES = 65536        # of events looked at at once: one that lies about its size costs this
STEP_VALUES_MIN = 4         # a step found in fewer numbers is mostly chance


def encode(schema: "Schema", records: "Iterable[Record] | ColumnBlock",
           plain: bool = False) -> bytes:
    """Return the bytes of records (contiguous seq, maybe none) under a schema.

    plain: every series as deltas, in a third of the time, for what is read back once and soon.
    records: as sheet_of takes them, or their ColumnBlock.
    """
    block = records if isinstance(records, ColumnBlock) else block_of(schema, records)
    present = [s for s in range(len(schema)) if block.columns[s]]
    coded: "Coded"
    out, coded = bytearray(), ([], [], bytearray())
    put_varint(out, len(block.order))
    put_order(out, len(schema), block.order)
    _put_ticks(out, coded, [block.ticks[s] for s in present], plain)
    for s in present:
        put_absences(out, block.runs[s])
    steps = []
    for group in _groups(schema, present):
        points = schema[group[0]].points
        streams = [(block.columns[s], block.runs[s]) for s in group]
        for step in plan(points):
            if plain:
                put_deltas(coded, [columns[step[0]] for columns, _ in streams])
            else:
                steps.append(_put_point(coded, (points, step), streams))
    put_modes(out, coded[0])
    put_steps(out, steps)
    put_residuals(out, coded[1])
    out.extend(coded[2])
    out.extend(cbor_encode(block.events))
    return bytes(out)


def decode(schema: "Schema", first_seq: int, data: bytes) -> "list[Record]":
    """Return the list of records that bytes hold, numbered from first_seq on.

    Raises FormatError for bytes that do not hold exactly that.
    """
    data = bytes(data)
    count, at = varint(data, 0)
    if count > RECORDS_MAX or not is_int(first_seq, 0, SEQ_MAX + 1 - count):
        raise FormatError("columns: %d records, at most %d" % (count, RECORDS_MAX))
    order, at = read_order(data, at, len(schema), count)
    rows = [0] * (len(schema) + 1)
    for symbol in order:
        rows[symbol] += 1
    present = [s for s in range(len(schema)) if rows[s]]
    if rows[len(schema)] > EVENTS_MAX:
        raise FormatError("columns: %d events, at most %d" % (rows[len(schema)], EVENTS_MAX))
    cells = sum([rows[s] * len(schema[s].points) for s in present])
    if cells > CELLS_MAX:
        raise FormatError("columns: %d values, at most %d" % (cells, CELLS_MAX))
    nominal, at = _read_nominal(data, at, len(present))
    absences: Parts = [None] * len(schema)
    for s in present:
        absences[s], at = read_absences(data, at, rows[s], len(schema[s].points))
    groups = _groups(schema, present)
    modes, at = read_modes(data, at, len(present) + sum(
        [len(schema[s].points) for s in present]))
    steps, at = read_steps(data, at, sum([len(schema[group[0]].points) for group in groups]))
    bases, at = read_residuals(data, at, len(present) + sum(
        [one.count < rows[s] for s in present for one in absences[s]]))
    coded = modes, iter(bases)
    ticks, at = _read_ticks(data, at, coded, nominal, [rows[s] for s in present])
    columns, at = _read_points(data, at, coded, (schema, groups, rows, absences, steps))
    events = _read_events(data, at, rows[len(schema)])
    scans: Parts = [None] * len(schema)
    for i, s in enumerate(present):
        scans[s] = iter(list(zip(ticks[i], zip(*columns[s]))))
    return _join(first_seq, order, scans, iter(events))


def _groups(schema: "Schema", present: list[int]) -> list[list[int]]:
    """Return lists of present streams with equal points, in order of first appearance."""
    positions: "dict[tuple[Point, ...], int]"
    groups: list[list[int]]
    positions, groups = {}, []
    for s in present:
        position = positions.setdefault(schema[s].points, len(groups))
        if position == len(groups):
            groups.append([])
        groups[position].append(s)
    return groups


def _put_ticks(out: bytearray, coded: "Coded", ticks: list[list[int]], plain: bool) -> None:
    """Write each stream's usual step to out and what departs from it to coded."""
    before, bases = 0, [0, 0]
    for column in ticks:
        steps = [b - a for a, b in zip(column, column[1:])]
        nominal = sorted(steps)[len(steps) >> 1] if steps else before
        put_varint(out, zigzag(nominal - before))
        before = nominal
        astray = [step - nominal for step in steps]
        if plain and any(astray):
            series: "Series" = 0, DELTA, column[0], astray
        else:
            grid = [tick - i * nominal for i, tick in enumerate(column)]
            series = choose(grid, min(grid), max(grid))
        _put_series(coded, 0, series, bases)


def _read_nominal(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    steps, step = [], 0
    for _ in range(count):
        number, at = varint(data, at)
        step += signed(number)
        steps.append(step)
    return steps, at


def _read_ticks(data: bytes, at: int, coded: "Reader", nominal: list[int],
                rows: list[int]) -> tuple[list[list[int]], int]:
    ticks, bases = [], [0, 0]
    for step, count in zip(nominal, rows):
        mode, column, at = _read_series(data, at, coded, bases, count)
        if mode >= PREDICTED:
            raise FormatError("columns: ticks have no prediction")
        column = [tick + i * step for i, tick in enumerate(column)]
        if min(column) < 0 or max(column) > TICKS_MS_MAX:
            raise FormatError("columns: ticks out of range before %d" % at)
        ticks.append(column)
    return ticks, at


def _put_point(coded: "Coded", which: "tuple[tuple[Point, ...], Step]", streams: "Streams") -> int:
    """Write the series of one point of all streams that have equal points; return its step.

    which: (points, step of the plan).  streams: (columns, runs of absences) of each.
    """
    points, (position, number, sources) = which
    there = [numbers(columns[position]) for columns, _ in streams]
    step = step_of(there) if sum(map(len, there)) >= STEP_VALUES_MIN else 1
    before: "Sequence[int]"
    bases, before = [0, 0], ()              # neighbours: one chain of the values, one of the rest
    for (columns, runs), values in zip(streams, there):
        if not values:
            coded[0].append(CONSTANT)
            continue
        low, high = min(values), max(values)
        if low == high:                     # nothing is shorter than a constant
            before = values
            _put_series(coded, 0, (0, CONSTANT, low // step, ()), bases)
            continue
        expected: "Sequence[int] | None" = None
        if number == NEIGHBOUR:
            expected = before if len(before) == len(values) else None
        elif number and _absent_alike(runs, position, sources):
            expected = _expected(number, points, (position, sources), columns)
        before = values
        if step > 1:
            values = [value // step for value in values]
            low, high = low // step, high // step
            expected = expected and [value // step for value in expected]
        predicted, series = _best(values, expected, (low, high))
        _put_series(coded, predicted, series, bases)
    return step


def _absent_alike(runs: "Sequence[Runs]", position: int, sources: tuple[int, ...]) -> bool:
    """Return True if a point and its sources are absent in the same scans."""
    for source in sources:
        if runs[source] != runs[position]:
            return False
    return True


def _best(values: "Sequence[int]", expected: "Sequence[int] | None",
          ends: tuple[int, int]) -> "tuple[int, Series]":
    """Return (1 if predicted else 0, coding) of the better of both ways."""
    low, high = ends
    if not expected:
        return 0, choose(values, low, high)
    left = [value - other for value, other in zip(values, expected)]
    ahead = choose(left, min(left), max(left))
    if ahead[0] < high - low:
        return 1, ahead                     # hardly any coding of the values costs less
    plain = choose(values, low, high)
    return (1, ahead) if ahead[0] < plain[0] else (0, plain)


def _expected(number: int, points: "tuple[Point, ...]", positions: tuple[int, tuple[int, ...]],
              columns: "Sequence[Sequence[int]]") -> "Sequence[int]":
    position, sources = positions
    return predict(number, [points[source] for source in sources], points[position],
                   [numbers(columns[source]) for source in sources])


def _put_series(coded: "Coded", predicted: int, series: "Series", bases: list[int]) -> None:
    """Add one series to coded and remember its base, from which the next one's is stated."""
    _, mode, base, residuals = series
    coded[0].append(PREDICTED * predicted + mode)
    coded[1].append(base - bases[predicted])
    if residuals:
        put_residuals(coded[2], residuals)
    bases[predicted] = base


def _read_points(data: bytes, at: int, coded: "Reader",
                 shape: "Shape") -> "tuple[list[list[Sequence[Value]]], int]":
    """Return (columns by stream, offset after them)."""
    schema, groups, rows, absences, steps = shape
    columns: Parts = [[None] * len(stream.points) for stream in schema]
    for group in groups:
        points = schema[group[0]].points
        streams = [(columns[s], absences[s], rows[s]) for s in group]
        for step in plan(points):
            at = _read_point(data, at, coded, (points, step, next(steps)), streams)
    for group in groups:
        for s in group:
            columns[s] = [one.fill(values) for one, values in zip(absences[s], columns[s])]
    return columns, at


def _read_point(data: bytes, at: int, coded: "Reader", which: "tuple[tuple[Point, ...], Step, int]",
                streams: "list[tuple[list[Sequence[int]], tuple[Absences, ...], int]]") -> int:
    """Set the series of one point in each stream's columns; return the offset after them."""
    points, (position, number, sources), step = which
    before: "Sequence[int]"
    expected: "Sequence[int]"
    bases, before = [0, 0], ()
    for columns, absences, rows in streams:
        mode, values, at = _read_series(data, at, coded, bases, rows - absences[position].count)
        if mode >= PREDICTED:
            expected = before
            if number != NEIGHBOUR:
                _check_rule(number, [one.runs for one in absences], position, sources)
                expected = _expected(number, points, (position, sources), columns)
            if len(expected) != len(values):
                raise FormatError("columns: a prediction from what is absent before %d" % at)
            if step > 1:
                expected = [other // step for other in expected]
            values = [value + other for value, other in zip(values, expected)]
        if step > 1:
            values = [value * step for value in values]
        if values and (min(values) < INT_MIN or max(values) >= INT_END):
            raise FormatError("columns: value out of range before %d" % at)
        before = values or before
        columns[position] = values
    return at


def _check_rule(number: int, runs: "list[Runs]", position: int, sources: tuple[int, ...]) -> None:
    """Raise FormatError unless a point has a rule and is absent where its sources are."""
    if not number or not _absent_alike(runs, position, sources):
        raise FormatError("columns: a prediction of a point that has none")


def _read_series(data: bytes, at: int, coded: "Reader", bases: list[int],
                 count: int) -> tuple[int, list[int], int]:
    """Return (mode, values before prediction and step, offset after the residuals)."""
    mode = next(coded[0])
    if count == 0:
        if mode != CONSTANT:
            raise FormatError("columns: mode %d for a series without values" % mode)
        return mode, [], at
    base = bases[mode >> 2] + next(coded[1])
    bases[mode >> 2] = base
    values, at = restore(mode & 3, base, data, at, count)
    return mode, values, at


def _read_events(data: bytes, at: int, count: int) -> "Events":
    """Return the list of [ticks_ms, kind, body], the last part; raises FormatError."""
    stated, at = array_head(data, at, count)
    if stated != count:
        raise FormatError("columns: %d events expected" % count)
    events, base, window = [], at, data[at:at + WINDOW_BYTES]
    for _ in range(count):
        if at + EVENT_BYTES_MAX > base + len(window) < len(data):
            base, window = at, data[at:at + WINDOW_BYTES]
        event, end = _read_event(window, at - base)
        events.append(event)
        at = base + end
    if at != len(data):
        raise FormatError("columns: %d bytes after the events" % (len(data) - at))
    return events


def _read_event(data: bytes, at: int) -> tuple[list[object], int]:
    parts, at = array_head(data, at, 3)
    ticks_ms, at = item(data, at, 0)
    kind, start = item(data, at, 0)
    body, at = item(data, start, EVENT_DEPTH)
    if (parts != 3 or not is_int(ticks_ms, 0, TICKS_MS_MAX) or not is_int(kind, 1, KIND_MAX)
            or not isinstance(body, list) or at - start > BODY_BYTES_MAX):
        raise FormatError("columns: an event is [ticks, kind, body]")
    return [ticks_ms, kind, body], at


def _join(first_seq: int, order: list[int], scans: "Parts",
          events: "Iterator[list[Any]]") -> "list[Record]":
    records: "list[Record]"
    records, events_symbol = [], len(scans)
    for seq, symbol in enumerate(order, first_seq):
        if symbol == events_symbol:
            ticks_ms, kind, body = next(events)
            records.append(EventRecord(seq, ticks_ms, kind, body))
        else:
            ticks_ms, values = next(scans[symbol])
            records.append(ScanRecord(seq, ticks_ms, symbol, values))
    return records
