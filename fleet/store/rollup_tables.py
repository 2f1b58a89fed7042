"""What is computed from stored batches: quarter hours, and the clocks and descriptors they need.

A door beside the store, over its connection and inside its transactions.  Everything in these
tables can be built again from the evidence.
"""

import sqlite3
from typing import Any, NamedTuple

from fleet.formats.values import Opened, Reduction
from gateway.core.codec import cbor
from gateway.core.reading import ClockState

WAITS, BOOKED, NOT_BOOKED = 0, 1, 2     # column `reduced`


class Waiting(NamedTuple):
    """A stored batch that waits for its clock or its descriptor before it can be reduced."""

    id: int
    sealed: bytes


class RollupTables:
    """The computed tables of one store; all that changes them belongs inside a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add_config(self, device: str, digest: bytes, descriptor: bytes, utc_ms: int | None) -> None:
        """Keep a site descriptor under its hash."""
        self._connection.execute("INSERT OR IGNORE INTO configs VALUES (?,?,?,?)",
                                 (device, digest, descriptor, utc_ms))

    def config(self, device: str, digest: bytes) -> bytes | None:
        """Return the descriptor with this hash, if it has arrived."""
        row = self._one("SELECT descriptor FROM configs WHERE device = ? AND hash = ?",
                        device, digest)
        return row[0] if row else None

    def add_clock(self, opened: Opened, clock: ClockState) -> None:
        """Remember a known ClockState for batches of the same boot that had none: the
        earliest, since it is the nearest to what came before the clock was known."""
        batch = opened.batch
        self._connection.execute(
            "INSERT INTO clocks VALUES (?,?,?,?,?,?,?) ON CONFLICT (device, journal, boot) "
            "DO UPDATE SET source = excluded.source, anchor_ticks_ms = excluded.anchor_ticks_ms, "
            "anchor_utc_ms = excluded.anchor_utc_ms, uncertainty_ms = excluded.uncertainty_ms "
            "WHERE excluded.anchor_ticks_ms < clocks.anchor_ticks_ms",
            (batch.device, batch.journal_id, batch.boot, *clock))

    def clock(self, opened: Opened) -> ClockState | None:
        """Return the known clock of a batch's boot, if any."""
        batch = opened.batch
        row = self._one("SELECT source, anchor_ticks_ms, anchor_utc_ms, uncertainty_ms "
                        "FROM clocks WHERE device = ? AND journal = ? AND boot = ?",
                        batch.device, batch.journal_id, batch.boot)
        return ClockState(*row) if row else None

    def waiting(self, device: str, limit: int) -> list[Waiting]:
        """Return stored batches of a device that can be reduced now, oldest first."""
        rows = self._connection.execute(
            "SELECT id, sealed FROM batches b WHERE device = ? AND reduced = 0 AND EXISTS (SELECT "
            "1 FROM clocks c WHERE c.device = b.device AND c.journal = b.journal AND c.boot = "
            "b.boot) AND EXISTS (SELECT 1 FROM configs f WHERE f.device = b.device AND f.hash = "
            "b.config) ORDER BY id LIMIT ?", (device, limit))
        return [Waiting(*row) for row in rows]

    def mark(self, batch_id: int, state: int) -> None:
        """Set whether a batch WAITS, is BOOKED, or is NOT_BOOKED for good."""
        self._connection.execute("UPDATE batches SET reduced = ? WHERE id = ?", (state, batch_id))

    def newest_quarter_ms(self, device: str) -> int:
        """Return the newest quarter hour of which anything is booked; 0 before the first."""
        return int(self._one("SELECT coalesce(max(quarter_ms), 0) FROM scan_parts "
                             "WHERE device = ?", device)[0])

    def add_reduction(self, batch_id: int, opened: Opened, reduction: Reduction,
                      uncertainty_ms: int) -> None:
        """Store a batch's share of quarter hours and mark it reduced."""
        device, connection = opened.batch.device, self._connection
        channels = self._channels(opened, [*reduction.counters, *reduction.gauges])
        connection.executemany("INSERT INTO counter_parts VALUES (?,?,?,?,?,?,?,?)", sorted(
            (channels[key], part[0], batch_id, *part[1:])
            for key, parts in reduction.counters.items() for part in parts))
        connection.executemany("INSERT INTO gauge_parts VALUES (?,?,?,?,?,?,?,?,?)", sorted(
            (channels[key], quarter, batch_id, *held)
            for key, quarters in reduction.gauges.items() for quarter, held in quarters.items()))
        connection.executemany("INSERT INTO scan_parts VALUES (?,?,?,?,?,?,?)", [
            (device, quarter, opened.schema[stream].device, batch_id, *counts, uncertainty_ms)
            for (stream, quarter), counts in reduction.scans.items()])
        connection.executemany("INSERT INTO events VALUES (?,?,?,?,?,?)", [
            (device, opened.batch.journal_id, seq, kind, at, cbor.encode(body))
            for seq, kind, at, body in reduction.events])
        self.mark(batch_id, BOOKED)

    def _channels(self, opened: Opened, keys: list[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """Return {(stream, place): id} of points of a batch; new ones get an id."""
        device, found = opened.batch.device, {}
        known = {row[1:]: row[0] for row in self._connection.execute(
            "SELECT id, stream, item, measurand, exponent FROM channels WHERE device = ?",
            (device,))}
        for stream, place in keys:
            name, points = opened.schema[stream]
            point = points[place]
            key = name, point.item, point.measurand, point.exponent
            if key not in known:
                known[key] = self._connection.execute(
                    "INSERT INTO channels (device, stream, item, measurand, exponent) "
                    "VALUES (?,?,?,?,?)", (device, *key)).lastrowid
            found[stream, place] = known[key]
        return found

    def _one(self, statement: str, *values: object) -> Any:
        return self._connection.execute(statement, values).fetchone()
