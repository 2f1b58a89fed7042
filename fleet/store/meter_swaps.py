"""Meter swaps from stored events: which device was exchanged, when, and what both registers read.

An event names counters by their position in the schema of its batch, so that batch is opened
again.  Its body was checked when it was admitted.
"""

import sqlite3
from collections.abc import Iterator

from fleet.formats import envelope, event_bodies
from fleet.formats.values import BatchClock, MeterSwap
from gateway.core.codec import cbor, record
from gateway.core.errors import BadSchema
from gateway.core.reading import Point, Stream

Schema = tuple[Stream, ...]
EndsByChannel = dict[tuple[str, int, int], tuple[int | None, int | None]]    # as in MeterSwap

# The batch that holds an event, and for a place of a downsampled one the row with its bytes.
ROWS = ("SELECT e.utc_ms, e.body, b.journal, b.boot, coalesce(w.config, b.config), "
        "coalesce(w.offset_ms, b.offset_ms), coalesce(w.sealed, b.sealed), b.id FROM events e "
        "JOIN batches b ON b.cabinet = e.cabinet AND b.journal = e.journal AND b.first_seq = "
        "(SELECT max(first_seq) FROM batches c WHERE c.cabinet = e.cabinet AND c.journal = "
        "e.journal AND c.first_seq <= e.seq) LEFT JOIN batches w ON w.id = b.whole "
        "WHERE e.cabinet = ? AND e.kind = ? AND e.utc_ms BETWEEN ? AND ? ORDER BY e.utc_ms, e.seq")


def between(connection: sqlite3.Connection, cabinet: str, from_ms: int,
            to_ms: int) -> Iterator[MeterSwap]:
    """Yield the swaps that a cabinet noticed in a time, both ends included, in order of time."""
    opened: tuple[int, Schema] = (0, ())
    for utc_ms, raw, journal, boot, config, offset_ms, sealed, batch_id in connection.execute(
            ROWS, (cabinet, record.METER_SWAP, from_ms, to_ms)):
        body = cbor.decode(raw)
        if offset_ms is None or event_bodies.fault(record.METER_SWAP, body) is not None:
            continue                    # waits for a better clock, or older than that check
        if opened[0] != batch_id:
            opened = batch_id, _schema(sealed)
        stream, old, new, readings, *ticks_ms = body
        if stream < len(opened[1]):
            device, points = opened[1][stream]
            yield MeterSwap(device, old, new, bytes(config),
                            BatchClock((bytes(journal), boot), offset_ms), utc_ms,
                            ticks_ms[0] + offset_ms if ticks_ms else None, _ends(readings, points))


def _schema(sealed: bytes) -> Schema:
    """Return the schema of a stored batch; an empty one if it was damaged: `verify` names it."""
    try:
        return envelope.reopen(sealed).schema
    except BadSchema:
        return ()


def _ends(readings: list[list[int]], points: tuple[Point, ...]) -> EndsByChannel:
    """Return what was read of each counter on both sides."""
    return {(points[position].item, points[position].measurand, points[position].exponent):
            (old, new) for position, old, new, *_ in readings if position < len(points)}
