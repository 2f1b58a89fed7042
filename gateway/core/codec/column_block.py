"""Records as columns in RAM: what the encoder writes, and what is kept of commits until sealing.

Each point of a stream has a column of the numbers that are there, and runs that say where none
are.  Packed, a number is eight bytes: a fifth of what it takes as an object.
"""

import struct

from gateway.core.codec import absence
from gateway.core.codec.record import TICKS_MS_MAX, EventRecord, encode_body
from gateway.core.codec.series import check_range
from gateway.core.errors import Bug
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from gateway.core.codec.absence import Run, Runs
    from gateway.core.codec.record import Record
    from gateway.core.reading import Schema

    # Of a stream: Sequence[Sequence[int]] by point (a packed one is bytes), or bytes with one
    # after the other, or None; and its Sequence[Runs] or None.
    Columns = Any
    # [ticks, kind, body] of each event.
    Events = list[list[Any]]
    Split = tuple[list[int], list[list[int]], list[Columns], Events]

RECORDS_MAX = 1 << 17       # 32 meters at 1 Hz for an hour
EVENTS_MAX = 1 << 14        # of them; each costs a reader as much as many scans
CELLS_MAX = 1 << 22         # values of one batch; 20 meters x 34 points at 1 Hz for an hour: 2.4 M

# order: of the records, each its stream, or the number of streams for an event.  By stream: ticks:
# list of ms; columns: list by point, or bytes with one after the other (packed); runs: by point,
# see absence.py; the last two are None for a stream without a scan.  events: list of [ticks, kind,
# body].  fits: all numbers may be packed.
ColumnBlock = NamedTuple("ColumnBlock", [
    ("order", "list[int]"), ("ticks", "list[list[int]]"), ("columns", "list[Columns]"),
    ("runs", "list[Columns]"), ("events", "Events"), ("fits", bool)])


def block_of(schema: "Schema", records: "Iterable[Record]") -> ColumnBlock:
    """Return the ColumnBlock of records (contiguous seq, maybe none) under a schema.

    records: read once; those that do not fit the schema or the limits are a caller's Bug.
    """
    order, ticks, rows, events = _split(schema, records)
    columns: "list[Columns]"
    runs: "list[Columns]"
    columns, runs, low, high = [None] * len(schema), [None] * len(schema), 0, 0
    for s, stream in enumerate(schema):
        if rows[s]:
            columns[s], runs[s], ends = absence.apart(rows[s], len(stream.points))
            rows[s], low, high = None, min(low, ends[0]), max(high, ends[1])
    check_range(low, high)
    return ColumnBlock(order, ticks, columns, runs, events, -1 << 63 <= low and high < 1 << 63)


def packed(block: ColumnBlock) -> ColumnBlock | None:
    """Return the ColumnBlock with its streams packed, None if one number has more than 63 bits."""
    if not block.fits:
        return None
    columns: "list[Columns]"
    columns = [None if stream is None else _pack(_end_to_end(stream)) for stream in block.columns]
    return ColumnBlock(block.order, block.ticks, columns, block.runs, block.events, True)


def numbers(column: "Sequence[int]") -> "Sequence[int]":
    """Return the numbers of a column, packed or not."""
    if isinstance(column, bytes):
        return struct.unpack("%dq" % (len(column) >> 3), column)
    return column


def joined(blocks: "Sequence[ColumnBlock]") -> ColumnBlock:
    """Return the ColumnBlock of all records of sheets of one schema, one after the other.

    Its columns are packed one by one.  The sheets are used up: what they hold goes as the whole
    comes: otherwise a gateway at a reading a second needs 0.4 MiB more.
    """
    streams = len(blocks[0].ticks)
    ticks: list[list[int]]
    columns: "list[Columns]"
    runs: "list[Columns]"
    order, events, ticks = [], [], [[] for _ in range(streams)]
    columns, runs = [None] * streams, [None] * streams
    fits = min([block.fits for block in blocks])
    for block in blocks:
        order += block.order
        events += block.events
    for s in range(streams):
        parts = [block for block in blocks if block.columns[s] is not None]
        if not parts:
            continue
        opened = [_columns(block, s, fits) for block in parts]
        join: "Columns"
        points, join = range(len(opened[0])), b"".join if fits else _end_to_end
        columns[s] = [join([one[p] for one in opened]) for p in points]
        runs[s] = parts[0].runs[s]
        if any([any(block.runs[s]) for block in parts]):
            runs[s] = [_runs_end_to_end(parts, s, p) for p in points]
        for block in parts:
            ticks[s] += block.ticks[s]
            block.columns[s] = None
    return ColumnBlock(order, ticks, columns, runs, events, fits)


def _columns(block: ColumnBlock, s: int, fits: bool) -> "Sequence[Sequence[int]]":
    """Return the columns of a stream that has scans, each packed if it fits, else as numbers."""
    stream, columns, at = block.columns[s], [], 0
    if not isinstance(stream, bytes):
        return [_pack(column) for column in stream] if fits else stream
    size = 8 * len(block.ticks[s])
    for runs in block.runs[s]:
        end = at + size
        if runs:
            end -= 8 * sum([run[1] for run in runs])
        columns.append(stream[at:end])
        at = end
    return columns if fits else [numbers(column) for column in columns]


def _pack(column: "Sequence[int]") -> bytes:
    return struct.pack("%dq" % len(column), *column)


def _end_to_end(columns: "Iterable[Sequence[int]]") -> list[int]:
    whole: list[int] = []
    for column in columns:
        whole += column
    return whole


def _runs_end_to_end(parts: "Sequence[ColumnBlock]", s: int, p: int) -> "Runs":
    """Return the runs of one point over several sheets."""
    runs: "list[Run]"
    runs, there = [], 0                 # there: scans with a number since the last run
    for block in parts:
        rest = len(block.ticks[s])
        for skipped, scans, reason in block.runs[s][p]:
            rest -= skipped + scans
            there += skipped
            if runs and there == 0 and runs[-1][2] == reason:
                before, more, _ = runs.pop()        # it goes on from the sheet before
                runs.append((before, more + scans, reason))
            else:
                runs.append((there, scans, reason))
            there = 0
        there += rest
    return tuple(runs)


def _split(schema: "Schema", records: "Iterable[Record]") -> "Split":
    """Return (order, ticks and rows by stream, events) of records, checked."""
    order, events, seq = [], [], 0
    ticks: list[list[int]]
    rows: "list[Columns]"
    ticks, rows = [[] for _ in schema], [[] for _ in schema]
    widths = [len(stream.points) for stream in schema]
    for record in records:
        values: "Columns"
        number, tick, s, values = record        # of an event: its kind and its body
        seq = seq or number                     # of the first
        if number != seq or not 0 <= tick <= TICKS_MS_MAX:
            raise Bug("columns: record %d where %d was due, or its ticks" % (number, seq))
        seq += 1
        if isinstance(record, EventRecord):
            encode_body(values)                 # its limit
            order.append(len(schema))
            events.append([tick, s, values])
            continue
        if not 0 <= s < len(widths) or len(values) != widths[s]:
            raise Bug("columns: record %d does not fit stream %d" % (number, s))
        order.append(s)
        ticks[s].append(tick)
        rows[s].append(values)
    cells = sum([len(column) * width for column, width in zip(ticks, widths)])
    if cells > CELLS_MAX or len(order) > RECORDS_MAX or len(events) > EVENTS_MAX:
        raise Bug("columns: %d records of %d values, or %d events, are too many" % (
            len(order), cells, len(events)))
    return order, ticks, rows, events
