"""The journals of a cabinet beside each other: what each covers, what is set aside, decisions.

A door beside the store, over its connection and inside its transactions; and questions about
it over a reader's connection.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fleet.formats import decision as decisions
from fleet.formats.decision import DECISIONS_MAX, Decision
from fleet.formats.values import AnyBatch, AsideStretch, JournalSpan
from gateway.core.errors import ConfigError

JOURNALS_MAX = 256          # of one cabinet that can count by their own right
ROWS_MAX = 20_000          # batches with something set aside that one question reads

SignedDecision = tuple[bytes, Decision]


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

    def set_aside(self, cabinet: str, batch_id: int, rows: Iterable[AsideStretch]) -> None:
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


class RivalReader:
    """Questions over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def spans(self, cabinet: str) -> list[JournalSpan]:
        """Return a cabinet's journals in their order, with the time that each covers."""
        return JournalTables(self._connection).spans(cabinet)

    def set_aside(self, cabinet: str, from_ms: int, to_ms: int) -> list[AsideStretch]:
        """Return what of a period [from_ms, to_ms) is not counted, one row for each batch, by
        journal and time."""
        rows = self._connection.execute(
            "SELECT journal, from_ms, to_ms, rival, decision FROM set_aside WHERE cabinet = ? AND "
            "to_ms >= ? AND from_ms < ? ORDER BY journal, from_ms LIMIT ?",
            (cabinet, from_ms, to_ms, ROWS_MAX))
        return [AsideStretch(bytes(row[0]), row[1], row[2], bytes(row[3]), row[4]) for row in rows]

    def summary(self, cabinet: str) -> list[AsideStretch]:
        """Return what is not counted at any time, one row for each two journals and decision, from
        its first to its last moment."""
        rows = self._connection.execute(
            "SELECT journal, min(from_ms), max(to_ms), rival, decision FROM set_aside WHERE "
            "cabinet = ? GROUP BY journal, rival, decision ORDER BY 2 LIMIT ?", (cabinet, ROWS_MAX))
        return [AsideStretch(bytes(row[0]), row[1], row[2], bytes(row[3]), row[4]) for row in rows]

    def of_batches(self, cabinet: str,
                   span: tuple[bytes, int, int]) -> dict[int, list[AsideStretch]]:
        """Return what is not counted of a journal's batches from one number to another, by their
        index in the log."""
        found: dict[int, list[AsideStretch]] = {}
        for leaf, *row in self._connection.execute(
                "SELECT idx, s.journal, from_ms, to_ms, rival, decision FROM set_aside s JOIN "
                "leaves l ON l.batch = s.batch WHERE s.batch IN (SELECT coalesce(whole, id) FROM "
                "batches WHERE cabinet = ? AND journal = ? AND number BETWEEN ? AND ?) "
                "ORDER BY from_ms", (cabinet, *span)):
            found.setdefault(leaf, []).append(
                AsideStretch(bytes(row[0]), row[1], row[2], bytes(row[3]), row[4]))
        return found

    def decisions(self, cabinet: str) -> list[SignedDecision]:
        """Return what was decided about a cabinet, oldest first; signatures are not checked."""
        rows = self._connection.execute("SELECT signed FROM decisions WHERE cabinet = ? "
                                        "ORDER BY number", (cabinet,))
        return [(bytes(signed), decisions.open_sealed(signed)[1]) for (signed,) in rows]

    def newest_decision(self) -> int:
        """Return how many decisions there are about all cabinets."""
        return int(self._connection.execute("SELECT count(*) FROM decisions").fetchone()[0])

    def stored_after(self, cabinet: str, quarter_ms: tuple[int, int],
                     since_ms: int) -> tuple[bool, bool]:
        """Return whether batches with scans in some quarter hours (first, last) came after a
        time, and whether others were put into time after it."""
        row = self._connection.execute(
            "SELECT max(received_ms) > ?4, max(received_ms <= ?4 AND rolled_ms > ?4) FROM batches "
            "WHERE id IN (SELECT batch FROM scan_parts WHERE cabinet = ?1 AND quarter_ms BETWEEN "
            "?2 "
            "AND ?3)", (cabinet, *quarter_ms, since_ms)).fetchone()
        return bool(row[0]), bool(row[1])
