"""What is computed from stored batches: quarter hours, and the clocks and descriptors they need.

A door beside the store, over its connection and inside its transactions.  Everything in these
tables can be built again from the evidence.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from fleet.formats.values import OpenedBatch, Reduction
from fleet.store.journal_tables import JournalTables
from gateway.core.codec import cbor
from gateway.core.reading import CLOCK_RTC, ClockState

WAITING, ROLLED_UP, NOT_ROLLED_UP = 0, 1, 2     # column `reduced`


class Waiting(NamedTuple):
    """A stored batch that waits for its clock or its descriptor before it can be reduced."""

    id: int
    sealed: bytes


class RollupTables:
    """The computed tables of one store; all that changes them belongs inside a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.journals = JournalTables(connection)

    def add_config(self, cabinet: str, digest: bytes, descriptor: bytes,
                   utc_ms: int | None) -> None:
        """Keep a site descriptor under its hash."""
        self._connection.execute("INSERT OR IGNORE INTO configs VALUES (?,?,?,?)",
                                 (cabinet, digest, descriptor, utc_ms))

    def config(self, cabinet: str, digest: bytes) -> bytes | None:
        """Return the descriptor with this hash, if it has arrived."""
        row = self._one("SELECT descriptor FROM configs WHERE cabinet = ? AND hash = ?",
                        cabinet, digest)
        return row[0] if row else None

    def add_clock(self, opened: OpenedBatch, clock: ClockState) -> None:
        """Remember a known ClockState for batches of the same boot that had none or only a
        real-time clock's: the earliest of the better source, since it is the nearest to what
        came before; batches that a real-time clock placed wait for it from now on."""
        batch = opened.batch
        changed = self._connection.execute(
            "INSERT INTO clocks VALUES (?1,?2,?3,?4,?5,?6,?7,?8) ON CONFLICT (cabinet, journal, "
            "boot) DO UPDATE SET source = excluded.source, "
            "anchor_ticks_ms = excluded.anchor_ticks_ms, "
            "anchor_utc_ms = excluded.anchor_utc_ms, uncertainty_ms = excluded.uncertainty_ms, "
            "number = excluded.number "
            "WHERE (excluded.source > ?9) > (clocks.source > ?9) OR (excluded.source > ?9) = "
            "(clocks.source > ?9) AND (excluded.anchor_ticks_ms, excluded.number) < "
            "(clocks.anchor_ticks_ms, clocks.number)",
            (batch.cabinet, batch.journal_id, batch.boot, *clock, batch.number,
             CLOCK_RTC)).rowcount
        if changed and clock.source > CLOCK_RTC:
            self._displace(opened)

    def _displace(self, opened: OpenedBatch) -> None:
        """Take out of time what a real-time clock put there in a boot that now has a better
        one; it is rolled up again like a batch that waited for its clock."""
        batch = opened.batch
        ids = self._connection.execute(
            "SELECT id FROM batches WHERE cabinet = ? AND journal = ? AND boot = ? AND number < ? "
            "AND source = ? AND rolled_up = ?", (batch.cabinet, batch.journal_id, batch.boot,
                                                 batch.number, CLOCK_RTC, ROLLED_UP)).fetchall()
        self.take_out(ids)
        self.journals.forget(batch.cabinet, batch.journal_id, ids)

    def take_out(self, ids: Sequence[tuple[int]]) -> None:
        """Take stored batches out of time again; they wait for the next roll-up."""
        for table in ("counter_parts", "gauge_parts", "scan_parts"):
            self._connection.executemany(f"DELETE FROM {table} WHERE batch = ?", ids)
        self._connection.executemany(
            "DELETE FROM events WHERE (cabinet, journal) = (SELECT cabinet, journal FROM batches "
            "WHERE id = ?1) AND seq BETWEEN (SELECT min(first_seq) FROM batches WHERE id = ?1 OR "
            "whole = ?1) AND (SELECT max(last_seq) FROM batches WHERE id = ?1 OR whole = ?1)", ids)
        self._connection.executemany("UPDATE batches SET rolled_up = 0, offset_ms = NULL, "
                                     "source = NULL WHERE id = ?", ids)

    def clock(self, opened: OpenedBatch) -> tuple[ClockState, int] | None:
        """Return the known clock of a batch's boot and the number of the batch that told it."""
        batch = opened.batch
        row = self._one("SELECT source, anchor_ticks_ms, anchor_utc_ms, uncertainty_ms, number "
                        "FROM clocks WHERE cabinet = ? AND journal = ? AND boot = ?",
                        batch.cabinet, batch.journal_id, batch.boot)
        return (ClockState(*row[:4]), row[4]) if row else None

    def waiting(self, cabinet: str, limit: int) -> list[Waiting]:
        """Return stored batches of a device that can be reduced now, oldest first."""
        rows = self._connection.execute(
            "SELECT id, sealed FROM batches b WHERE cabinet = ? AND rolled_up = 0 AND EXISTS "
            "(SELECT "
            "1 FROM clocks c WHERE c.cabinet = b.cabinet AND c.journal = b.journal AND c.boot = "
            "b.boot) AND EXISTS (SELECT 1 FROM configs f WHERE f.cabinet = b.cabinet AND f.hash = "
            "b.config) ORDER BY id LIMIT ?", (cabinet, limit))
        return [Waiting(*row) for row in rows]

    def mark(self, batch_id: int, state: int) -> None:
        """Set whether a batch WAITING, is ROLLED_UP, or is NOT_ROLLED_UP for good."""
        self._connection.execute("UPDATE batches SET rolled_up = ? WHERE id = ?", (state, batch_id))

    def newest_quarter_ms(self, cabinet: str) -> int:
        """Return the newest quarter hour of which anything is booked; 0 before the first."""
        return int(self._one("SELECT coalesce(max(quarter_ms), 0) FROM scan_parts "
                             "WHERE cabinet = ?", cabinet)[0])

    def add_reduction(self, batch_id: int, opened: OpenedBatch, reduction: Reduction,
                      placed: tuple[ClockState, int]) -> None:
        """Store a batch's share of quarter hours and mark it reduced; placed: by which clock, and
        when."""
        clock, now_ms = placed
        cabinet, connection = opened.batch.cabinet, self._connection
        channels = self._channels(opened, [*reduction.counters, *reduction.gauges])
        connection.executemany("INSERT INTO counter_parts VALUES (?,?,?,?,?,?,?,?)", sorted(
            (channels[key], part[0], batch_id, *part[1:])
            for key, parts in reduction.counters.items() for part in parts))
        connection.executemany("INSERT INTO gauge_parts VALUES (?,?,?,?,?,?,?,?,?)", sorted(
            (channels[key], quarter, batch_id, *held)
            for key, quarters in reduction.gauges.items() for quarter, held in quarters.items()))
        connection.executemany("INSERT INTO scan_parts VALUES (?,?,?,?,?,?,?)", [
            (cabinet, quarter, opened.schema[stream].device, batch_id, *counts,
             clock.uncertainty_ms)
            for (stream, quarter), counts in reduction.scans.items()])
        connection.executemany("INSERT OR REPLACE INTO events VALUES (?,?,?,?,?,?)", [
            (cabinet, opened.batch.journal_id, seq, kind, at, cbor.encode(body))
            for seq, kind, at, body in reduction.events])
        connection.execute(
            "UPDATE batches SET rolled_up = ?, offset_ms = ?, source = ?, rolled_ms = ? WHERE id = "
            "?",
            (ROLLED_UP, clock.anchor_utc_ms - clock.anchor_ticks_ms, clock.source, now_ms,
             batch_id))

    def clock_before(self, batch_id: int) -> int | None:
        """Return the offset (UTC less ticks, ms) of the batch before this one in its boot, or
        None if there is none that was rolled up."""
        row = self._one(
            "SELECT a.offset_ms FROM batches a JOIN batches b ON a.cabinet = b.cabinet AND "
            "a.journal = b.journal AND a.boot = b.boot AND a.number < b.number WHERE b.id = ? "
            "AND a.offset_ms IS NOT NULL ORDER BY a.number DESC LIMIT 1", batch_id)
        return row[0] if row else None

    def _channels(self, opened: OpenedBatch, keys: list[tuple[int, int]]) -> dict[tuple[int, int],
                                                                                  int]:
        """Return {(stream, place): id} of points of a batch; new ones get an id."""
        cabinet, found = opened.batch.cabinet, {}
        known = {row[1:]: row[0] for row in self._connection.execute(
            "SELECT id, stream, item, measurand, exponent FROM channels WHERE cabinet = ?",
            (cabinet,))}
        for stream, position in keys:
            name, points = opened.schema[stream]
            point = points[position]
            key = name, point.item, point.measurand, point.exponent
            if key not in known:
                known[key] = self._connection.execute(
                    "INSERT INTO channels (cabinet, stream, item, measurand, exponent) "
                    "VALUES (?,?,?,?,?)", (cabinet, *key)).lastrowid
            found[stream, position] = known[key]
        return found

    def _one(self, statement: str, *values: object) -> Any:
        return self._connection.execute(statement, values).fetchone()
