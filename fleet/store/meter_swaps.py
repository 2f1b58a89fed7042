"""Meter swaps from stored events: which device was exchanged, when, and what both registers read.

An event names counters by their position in the schema of its batch, so that batch is opened
again.  Its body was checked when it was admitted.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

from fleet.formats import envelope, event_bodies
from fleet.formats.values import BatchClock, MeterSwap
from gateway.core import record
from gateway.core.codec import cbor
from gateway.core.errors import BadSchema
from gateway.core.reading import Stream

Schema = tuple[Stream, ...]

# The batch that holds an event, and for a place of a coarsened one the row with its bytes.
ROWS = ("SELECT e.utc_ms, e.body, b.journal, b.boot, coalesce(w.config, b.config), "
        "coalesce(w.offset_ms, b.offset_ms), coalesce(w.sealed, b.sealed), b.id FROM events e "
        "JOIN batches b ON b.device = e.device AND b.journal = e.journal AND b.first_seq = "
        "(SELECT max(first_seq) FROM batches c WHERE c.device = e.device AND c.journal = e.journal "
        "AND c.first_seq <= e.seq) LEFT JOIN batches w ON w.id = b.whole WHERE e.device = ? "
        "AND e.kind = ? AND e.utc_ms BETWEEN ? AND ? ORDER BY e.utc_ms, e.seq")


def between(connection: sqlite3.Connection, cabinet: str, from_ms: int,
            to_ms: int) -> Iterator[MeterSwap]:
    """Yield the swaps that a cabinet noticed in a time, both ends included, in order of time."""
    opened: tuple[int, Schema] = (0, ())
    for utc_ms, raw, journal, boot, config, offset_ms, sealed, batch_id in connection.execute(
            ROWS, (cabinet, record.METER_SWAP, from_ms, to_ms)):
        body: list[Any] = cbor.decode(raw)
        if offset_ms is None or event_bodies.fault(record.METER_SWAP, body) is not None:
            continue                    # waits for a better clock, or older than that check
        if opened[0] != batch_id:
            opened = batch_id, _schema(sealed)
        clock = BatchClock((bytes(journal), boot), offset_ms)
        if body[0] < len(opened[1]):
            yield _swap(body, opened[1], bytes(config), (clock, utc_ms))


def _schema(sealed: bytes) -> Schema:
    """Return the schema of a stored batch; an empty one if it was damaged: `verify` names it."""
    try:
        return envelope.reopen(sealed).schema
    except BadSchema:
        return ()


def _swap(body: list[Any], schema: Schema, config: bytes,
          at: tuple[BatchClock, int]) -> MeterSwap:
    stream, old, new, readings, *more = body
    device, points = schema[stream]
    ends = {(points[one[0]].item, points[one[0]].measurand, points[one[0]].exponent):
            (one[1], one[2]) for one in readings if one[0] < len(points)}
    old_ms = more[0] + at[0].offset_ms if more else None
    return MeterSwap(device, str(old), str(new), config, *at, old_ms, ends)
