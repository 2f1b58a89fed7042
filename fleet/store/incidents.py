"""What happened to a journal that a person should know: holes, clones, resets, quarantine.

A door beside the store, over its connection and inside its transactions.  An incident is
never silent and never floods: one row for each kind and place, counted.  Beside it the bytes
that were refused although the right key had signed them: what a fork is proven with.
"""

import sqlite3
from dataclasses import dataclass

from fleet.formats.values import AnyBatch, RecordRange

DETAIL_CHARS_MAX = 300
KEPT_MAX = 64                   # refused batches kept as bytes, of one cabinet
POSITIONS_MAX = 4096               # rows of one cabinet and kind; more of a kind is one more count

GAP = "gap"                     # a hole that the chain itself states: nothing was ever sealed
LOST = "batch-lost"             # the cabinet says that a batch became unreadable on its flash
UNHELD = "not-held"             # asked for again after a restoration, no longer on its flash
CLONE = "clone"                 # two contents for one position: copied key or restored board
CHAIN = "broken-chain"          # a batch that does not fit its neighbours
RESET = "journal-reset"         # a known cabinet begins a new journal, unexplained
HANDOVER = "handover"           # ... explained by a statement of the old key
QUARANTINED = "quarantined"     # received, not rolled up
DOWNSAMPLED = "coarsened"         # a full gateway kept less than every scan of it
RESTATED = "restated"           # quarter hours changed after they had been closed
FUTURE = "clock-ahead"          # a clock that says tomorrow: a 2099 that nobody set
CLOCK_SET = "clock-set"         # the wall clock was set within a boot: time missing or passed twice
RESTORED = "restored"           # the fleet's store holds less than its receipts said
PLACED = "placed-later"         # records put into time by a later clock record


@dataclass(frozen=True)
class Incident:
    """What happened to a journal: one row for each kind and place.

    first_seq, last_seq: records concerned.  count: how often.  first_ms, last_ms: fleet's clock.
    """

    cabinet: str
    journal: bytes
    kind: str
    position: str
    first_seq: int
    last_seq: int
    detail: str
    count: int
    first_ms: int
    last_ms: int


class Incidents:
    """The incidents of one store; note() and keep() belong inside a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def note(self, kind: str, batch: AnyBatch | RecordRange, position: object, detail: str,
             now_ms: int) -> None:
        """Count an incident at a place of a batch's journal; the newest detail is kept."""
        where = (batch.cabinet, batch.journal_id, kind)
        held = self._connection.execute(
            "SELECT count(*) FROM incidents WHERE cabinet = ? AND journal = ?"
            " AND kind = ?", where).fetchone()[0]
        self._connection.execute(
            "INSERT INTO incidents VALUES (?,?,?,?,?,?,?,1,?,?) ON CONFLICT (cabinet, journal, "
            "kind, position) DO UPDATE SET first_seq = min(first_seq, excluded.first_seq), "
            "last_seq = max(last_seq, excluded.last_seq), detail = excluded.detail, "
            "count = incidents.count + 1, last_ms = excluded.last_ms",
            (*where, str(position) if held < POSITIONS_MAX else "more", batch.first_seq,
             batch.last_seq, detail[:DETAIL_CHARS_MAX], now_ms, now_ms))

    def keep(self, cabinet: str, code: str, digest: bytes, sealed: bytes) -> None:
        """Keep the bytes of a refused batch that the cabinet's own key signed; the newest."""
        self._connection.execute("INSERT OR IGNORE INTO quarantine (cabinet, code, sha256, sealed) "
                                 "VALUES (?,?,?,?)", (cabinet, code, digest, sealed))
        self._connection.execute(
            "DELETE FROM quarantine WHERE cabinet = ?1 AND id <= (SELECT id FROM quarantine "
            "WHERE cabinet = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)", (cabinet, KEPT_MAX))

    def all(self, cabinet: str) -> list[Incident]:
        """Return a cabinet's incidents, oldest first."""
        rows = self._connection.execute("SELECT * FROM incidents WHERE cabinet = ? "
                                        "ORDER BY first_ms, kind, position", (cabinet,))
        return [Incident(*row) for row in rows]

    def lost_until(self, cabinet: str, journal: bytes, number: int) -> int:
        """Return the last of the batches from a number on that the cabinet has declared lost, 0
        if that one is not.  A place is a number, or FIRST-LAST."""
        rows = self._connection.execute(
            "SELECT position FROM incidents WHERE cabinet = ? AND journal = ? AND kind IN (?, ?) "
            "AND (position = ? OR position LIKE '%-%')", (cabinet, journal, LOST, UNHELD,
                                                          str(number)))
        ranges = [[int(part) for part in position.split("-")] for (position,) in rows]
        return max((one[-1] for one in ranges if one[0] <= number <= one[-1]), default=0)

    def settle(self, cabinet: str, journal: bytes, number: int) -> None:
        """Withdraw that a batch was lost: it came after all."""
        self._connection.execute(
            "DELETE FROM incidents WHERE cabinet = ? AND journal = ? AND kind = ? "
            "AND position = ?", (cabinet, journal, LOST, str(number)))

    def disputed(self, cabinet: str, journal: bytes) -> bool:
        """Return whether somebody else has spoken for this journal with the cabinet's key."""
        return self._connection.execute(
            "SELECT 1 FROM incidents WHERE cabinet = ? AND journal = ? AND kind IN (?, ?)",
            (cabinet, journal, CLONE, CHAIN)).fetchone() is not None

    def refusals(self, digest: bytes) -> int:
        """Return how often these very bytes were refused, as far as that is remembered."""
        return int(self._connection.execute("SELECT count(*) FROM refused WHERE sha256 = ?",
                                            (digest,)).fetchone()[0])
