"""The journals of a cabinet beside each other: what each covers, what is set aside, decisions.

A door beside the store, over its connection and inside its transactions.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fleet.formats import decision as decisions
from fleet.formats.decision import DECISIONS_MAX, Decision
from fleet.formats.values import AnyBatch, JournalSpan, SetAside
from gateway.core.errors import ConfigError

JOURNALS_MAX = 256          # of one cabinet that can count by their own right


class Ruling(NamedTuple):
    """What the order of the journals says of a batch: readings first_ms to last_ms count by their
    own right (None: none), conflicts are [(from_ms, to_ms, rival)]."""

    first_ms: int | None
    last_ms: int | None
    conflicts: Sequence[tuple[int, int, bytes]]


class JournalTables:
    """Journals, conflicts and decisions of one store."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self, batch: AnyBatch, batch_id: int, rank: int, explained: bool) -> None:
        """Enter a journal with its first batch."""
        self._connection.execute(
            "INSERT OR IGNORE INTO journals VALUES (?,?,?,?,?,NULL,NULL,0)",
            (batch.cabinet, batch.journal_id, rank, batch_id, int(explained)))

    def spans(self, cabinet: str) -> list[JournalSpan]:
        """Return a cabinet's journals in their order, the first JOURNALS_MAX."""
        rows = self._connection.execute(
            "SELECT journal, rank, arrived, explained, first_ms, last_ms, real FROM journals "
            "WHERE cabinet = ? ORDER BY rank, arrived LIMIT ?", (cabinet, JOURNALS_MAX))
        return [JournalSpan(bytes(row[0]), row[1], row[2], bool(row[3]), row[4], row[5],
                            bool(row[6])) for row in rows]

    def ruling(self, batch_id: int) -> Ruling | None:
        """Return what was ruled of a batch before, None if nothing was."""
        row = self._connection.execute("SELECT ruled, from_ms, to_ms FROM batches WHERE id = ?",
                                       (batch_id,)).fetchone()
        if not row or not row[0]:
            return None
        return Ruling(row[1], row[2], self._connection.execute(
            "SELECT from_ms, to_ms, rival FROM conflicts WHERE batch = ? ORDER BY from_ms",
            (batch_id,)).fetchall())

    def rule(self, batch: AnyBatch, batch_id: int, ruling: Ruling, real: bool) -> None:
        """Keep a ruling; what counts by its own right extends the time that its journal covers."""
        first_ms, last_ms, found = ruling
        self._connection.execute("UPDATE batches SET ruled = 1, from_ms = ?, to_ms = ? "
                                 "WHERE id = ?", (first_ms, last_ms, batch_id))
        self._connection.executemany("INSERT INTO conflicts VALUES (?,?,?,?,?)",
                                     [(batch.cabinet, batch_id, *one) for one in found])
        if first_ms is not None:
            self._connection.execute(
                "UPDATE journals SET first_ms = min(coalesce(first_ms, ?1), ?1), last_ms = "
                "max(coalesce(last_ms, ?2), ?2), real = max(real, ?3) WHERE cabinet = ?4 AND "
                "journal = ?5", (first_ms, last_ms, int(real), batch.cabinet, batch.journal_id))

    def set_aside(self, cabinet: str, batch_id: int, rows: Iterable[SetAside]) -> None:
        """Keep what of a batch is not counted."""
        self._connection.execute("DELETE FROM set_aside WHERE batch = ?", (batch_id,))
        self._connection.executemany("INSERT INTO set_aside VALUES (?,?,?,?,?,?,?)", [
            (cabinet, row.to_ms, row.from_ms, batch_id, row.journal, row.by, row.decision)
            for row in rows])

    def forget(self, cabinet: str, journal: bytes, ids: Iterable[tuple[int]]) -> None:
        """Take back the rulings on batches of a journal: they are ruled on again."""
        for one in ids:
            for table in ("conflicts", "set_aside"):
                self._connection.execute(f"DELETE FROM {table} WHERE batch = ?", one)
            self._connection.execute("UPDATE batches SET ruled = 0, from_ms = NULL, "
                                     "to_ms = NULL WHERE id = ?", one)
        self._connection.execute(
            "UPDATE journals SET first_ms = (SELECT min(from_ms) FROM batches WHERE cabinet = ?1 "
            "AND journal = ?2), last_ms = (SELECT max(to_ms) FROM batches WHERE cabinet = ?1 "
            "AND journal = ?2) WHERE cabinet = ?1 AND journal = ?2", (cabinet, journal))

    def counted(self, cabinet: str, journal: bytes, from_ms: int, to_ms: int) -> list[tuple[int]]:
        """Return the ids of batches of a journal with readings that count by their own right
        from from_ms to to_ms, both included."""
        return self._connection.execute(
            "SELECT id FROM batches WHERE cabinet = ? AND journal = ? AND to_ms >= ? AND "
            "from_ms <= ?", (cabinet, journal, from_ms, to_ms)).fetchall()

    def touched(self, cabinet: str, from_ms: int, to_ms: int) -> list[tuple[int]]:
        """Return the ids of batches of a cabinet with records from from_ms to to_ms (included),
        whether they count or not."""
        found = {row for one in self.spans(cabinet)
                 for row in self.counted(cabinet, one.journal, from_ms, to_ms)}
        rows = self._connection.execute("SELECT batch FROM conflicts WHERE cabinet = ? AND "
                                        "to_ms >= ? AND from_ms <= ?", (cabinet, from_ms, to_ms))
        return sorted(found | set(rows))

    def decisions(self, cabinet: str) -> list[Decision]:
        """Return what was decided about a cabinet, oldest first."""
        rows = self._connection.execute("SELECT signed FROM decisions WHERE cabinet = ? "
                                        "ORDER BY number", (cabinet,))
        return [decisions.open_sealed(signed)[1] for (signed,) in rows]

    def add_decision(self, decision: Decision, signed: bytes) -> None:
        """Keep a decision; raises ConfigError if there are too many."""
        if decision.number > DECISIONS_MAX:
            raise ConfigError(f"{decision.cabinet}: {DECISIONS_MAX} decisions, no more are kept")
        self._connection.execute("INSERT INTO decisions VALUES (?,?,?)",
                                 (decision.cabinet, decision.number, signed))
