"""Questions about the journals of a cabinet beside each other; read-only."""

import sqlite3

from fleet.formats import decision as decisions
from fleet.formats.decision import Decision
from fleet.formats.values import JournalSpan, SetAside
from fleet.store.journal_tables import JournalTables

ROWS_MAX = 20_000          # batches with something set aside that one question reads

SignedDecision = tuple[bytes, Decision]


class RivalReader:
    """Questions over one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def spans(self, cabinet: str) -> list[JournalSpan]:
        """Return a cabinet's journals in their order, with the time that each covers."""
        return JournalTables(self._connection).spans(cabinet)

    def set_aside(self, cabinet: str, from_ms: int, to_ms: int) -> list[SetAside]:
        """Return what of a period [from_ms, to_ms) is not counted, one row for each batch, by
        journal and time."""
        rows = self._connection.execute(
            "SELECT journal, from_ms, to_ms, rival, decision FROM set_aside WHERE cabinet = ? AND "
            "to_ms >= ? AND from_ms < ? ORDER BY journal, from_ms LIMIT ?",
            (cabinet, from_ms, to_ms, ROWS_MAX))
        return [SetAside(bytes(row[0]), row[1], row[2], bytes(row[3]), row[4]) for row in rows]

    def summary(self, cabinet: str) -> list[SetAside]:
        """Return what is not counted at any time, one row for each two journals and decision, from
        its first to its last moment."""
        rows = self._connection.execute(
            "SELECT journal, min(from_ms), max(to_ms), rival, decision FROM set_aside WHERE "
            "cabinet = ? GROUP BY journal, rival, decision ORDER BY 2 LIMIT ?", (cabinet, ROWS_MAX))
        return [SetAside(bytes(row[0]), row[1], row[2], bytes(row[3]), row[4]) for row in rows]

    def of_batches(self, cabinet: str, span: tuple[bytes, int, int]) -> dict[int, list[SetAside]]:
        """Return what is not counted of a journal's batches from one number to another, by their
        index in the log."""
        found: dict[int, list[SetAside]] = {}
        for leaf, *row in self._connection.execute(
                "SELECT idx, s.journal, from_ms, to_ms, rival, decision FROM set_aside s JOIN "
                "leaves l ON l.batch = s.batch WHERE s.batch IN (SELECT coalesce(whole, id) FROM "
                "batches WHERE cabinet = ? AND journal = ? AND number BETWEEN ? AND ?) "
                "ORDER BY from_ms", (cabinet, *span)):
            found.setdefault(leaf, []).append(
                SetAside(bytes(row[0]), row[1], row[2], bytes(row[3]), row[4]))
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
