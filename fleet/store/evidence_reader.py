"""Questions about evidence as it is stored: batches, configurations, leaves; read-only."""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from fleet.formats.values import Chain
from fleet.transparency.merkle_log import MerkleLog
from gateway.core.evidence import downsampled
from gateway.core.interval import SPREAD_MS_MAX
from gateway.core.reading import CLOCK_SIMULATED


class BatchRow(NamedTuple):
    """A stored batch as a bundle needs it; config: hash of the descriptor, leaf: index in the
    log, simulated: whether its own clock is a simulation's."""

    journal: bytes
    number: int
    first_seq: int
    last_seq: int
    config: bytes
    sealed: bytes
    leaf: int
    simulated: bool = False


class EvidenceReader:
    """Questions over one connection, best asked inside Reader.snapshot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.log = MerkleLog(connection)

    def epoch(self) -> int:
        """Return the store's epoch."""
        return int(
            self._connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])

    def descriptor(self, cabinet: str, digest: bytes) -> bytes | None:
        """Return the descriptor with this hash, if it has arrived."""
        row = self._connection.execute(
            "SELECT descriptor FROM configs WHERE cabinet = ? AND hash = ?",
            (cabinet, digest)).fetchone()
        return bytes(row[0]) if row else None

    def journals(self, cabinet: str, from_ms: int, to_ms: int) -> list[tuple[bytes, int, int]]:
        """Return (journal, first number, last number) of the batches that decide a period:
        those with scans inside, set aside or not, and for each counter the nearest readings
        before and after, as far as a counter is ever spread; up to the batch that reaches the
        end of the period and those that told the time of others."""
        rows = self._connection.execute(
            "WITH mine AS (SELECT id FROM channels WHERE cabinet = ?1),"
            " edges AS (SELECT id, (SELECT max(quarter_ms) FROM counter_parts WHERE channel = id"
            "   AND quarter_ms < ?2 AND quarter_ms >= ?2 - ?4) AS before,"
            "  (SELECT min(quarter_ms) FROM counter_parts WHERE channel = id"
            "   AND quarter_ms >= ?3 AND quarter_ms <= ?3 + ?4) AS after FROM mine)"
            " SELECT journal, min(number), max(number) FROM batches WHERE coalesce(whole, id) IN ("
            "  SELECT batch FROM scan_parts WHERE cabinet = ?1 AND quarter_ms >= ?2"
            "   AND quarter_ms < ?3 UNION SELECT batch FROM counter_parts JOIN edges"
            "   ON channel = id AND quarter_ms IN (before, after) UNION SELECT batch FROM set_aside"
            "   WHERE cabinet = ?1 AND to_ms >= ?2 AND from_ms < ?3) GROUP BY journal",
            (cabinet, from_ms, to_ms, SPREAD_MS_MAX)).fetchall()
        return [(bytes(journal), first, max(
            self._end(cabinet, (bytes(journal), first, last), to_ms),
            self._clock_teller(cabinet, (bytes(journal), first, last))))
            for journal, first, last in rows]

    def _end(self, cabinet: str, span: tuple[bytes, int, int], to_ms: int) -> int:
        """Return the number up to which a journal goes on to the end of a period: its first
        batch that reaches it, or its newest where none does (what has no time yet included)."""
        row = self._connection.execute(
            "SELECT number FROM scan_parts JOIN batches b ON b.id = batch WHERE scan_parts.cabinet "
            "= ? AND quarter_ms >= ? AND journal = ? ORDER BY quarter_ms, number LIMIT 1",
            (cabinet, to_ms, span[0])).fetchone()
        if row is None:
            row = self._connection.execute("SELECT max(number) FROM batches WHERE cabinet = ? AND "
                                           "journal = ?", (cabinet, span[0])).fetchone()
        return max(int(row[0]), span[2])

    def _clock_teller(self, cabinet: str, span: tuple[bytes, int, int]) -> int:
        """Return the last number of the batches that told the time of a span's boots."""
        row = self._connection.execute(
            "SELECT coalesce(max(c.number), 0) FROM batches b JOIN clocks c ON c.cabinet = "
            "b.cabinet "
            "AND c.journal = b.journal AND c.boot = b.boot WHERE b.cabinet = ? AND b.journal = ? "
            "AND b.number BETWEEN ? AND ? AND b.number < c.number", (cabinet, *span)).fetchone()
        return int(row[0])

    def batches(self, cabinet: str, span: tuple[bytes, int, int]) -> Iterator[BatchRow]:
        """Yield the batches of a journal that hold any number from first to last, in order; a
        downsampled one once, with the last number and all sequences that it stands for."""
        rows = self._connection.execute(
            "SELECT journal, number, first_seq, last_seq, config, sealed, idx FROM batches "
            "JOIN leaves ON batch = id WHERE id IN (SELECT coalesce(whole, id) FROM batches WHERE "
            "cabinet = ? AND journal = ? AND number BETWEEN ? AND ?) ORDER BY number",
            (cabinet, *span))
        for row in (BatchRow(*one) for one in rows):
            _, batch, _ = downsampled.open_any(row.sealed)
            yield row._replace(number=batch.number, first_seq=batch.first_seq,
                               last_seq=batch.last_seq,
                               simulated=batch.clock.source == CLOCK_SIMULATED)

    def chain(self, cabinet: str, journal: bytes) -> Chain:
        """Return the low-water mark of a journal that has batches."""
        row = self._connection.execute("SELECT cabinet, journal, low_water, chain_hash FROM chains "
                                       "WHERE cabinet = ? AND journal = ?", (cabinet,
                                                                             journal)).fetchone()
        return Chain._make(row)
