"""What happened to a journal that a person should know: holes, clones, resets, quarantine.

A door beside the store, over its connection and inside its transactions.  An incident is
never silent and never floods: one row for each kind and place, counted.  Beside it the bytes
that were refused although the right key had signed them: what a fork is proven with.
"""

import sqlite3
from dataclasses import dataclass

from fleet.formats.values import AnyBatch, RecordRange

DETAIL_CHARS_MAX = 300
KEPT_MAX = 64                   # refused batches kept as bytes, of one device
PLACES_MAX = 4096               # rows of one device and kind; more of a kind is one more count

GAP = "gap"                     # a hole that the chain itself states: nothing was ever sealed
LOST = "batch-lost"             # the device says that a batch became unreadable on its flash
UNHELD = "not-held"             # asked for again after a restoration, no longer on its flash
CLONE = "clone"                 # two contents for one place: copied key or restored board
CHAIN = "broken-chain"          # a batch that does not fit its neighbours
RESET = "journal-reset"         # a known device begins a new journal, unexplained
HANDOVER = "handover"           # ... explained by a statement of the old key
QUARANTINED = "quarantined"     # received, not booked
COARSENED = "coarsened"         # a full gateway kept less than every scan of it
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

    device: str
    journal: bytes
    kind: str
    place: str
    first_seq: int
    last_seq: int
    detail: str
    count: int
    first_ms: int
    last_ms: int


class Incidents:
    """The incidents of one store; note() and keep() belong inside a transaction."""

    def __init__(self, link: sqlite3.Connection) -> None:
        self._link = link

    def note(self, kind: str, batch: AnyBatch | RecordRange, place: object, detail: str,
             now_ms: int) -> None:
        """Count an incident at a place of a batch's journal; the newest detail is kept."""
        where = (batch.device, batch.journal_id, kind)
        held = self._link.execute("SELECT count(*) FROM incidents WHERE device = ? AND journal = ?"
                                  " AND kind = ?", where).fetchone()[0]
        self._link.execute(
            "INSERT INTO incidents VALUES (?,?,?,?,?,?,?,1,?,?) ON CONFLICT (device, journal, "
            "kind, place) DO UPDATE SET first_seq = min(first_seq, excluded.first_seq), "
            "last_seq = max(last_seq, excluded.last_seq), detail = excluded.detail, "
            "count = incidents.count + 1, last_ms = excluded.last_ms",
            (*where, str(place) if held < PLACES_MAX else "more", batch.first_seq,
             batch.last_seq, detail[:DETAIL_CHARS_MAX], now_ms, now_ms))

    def keep(self, device: str, code: str, digest: bytes, sealed: bytes) -> None:
        """Keep the bytes of a refused batch that the device's own key signed; the newest."""
        self._link.execute("INSERT OR IGNORE INTO quarantine (device, code, sha256, sealed) "
                           "VALUES (?,?,?,?)", (device, code, digest, sealed))
        self._link.execute(
            "DELETE FROM quarantine WHERE device = ?1 AND id <= (SELECT id FROM quarantine "
            "WHERE device = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)", (device, KEPT_MAX))

    def all(self, device: str) -> list[Incident]:
        """Return a device's incidents, oldest first."""
        rows = self._link.execute("SELECT * FROM incidents WHERE device = ? "
                                  "ORDER BY first_ms, kind, place", (device,))
        return [Incident(*row) for row in rows]

    def lost_until(self, device: str, journal: bytes, number: int) -> int:
        """Return the last of the batches from a number on that the cabinet has declared lost, 0
        if that one is not.  A place is a number, or FIRST-LAST."""
        rows = self._link.execute(
            "SELECT place FROM incidents WHERE device = ? AND journal = ? AND kind IN (?, ?) "
            "AND (place = ? OR place LIKE '%-%')", (device, journal, LOST, UNHELD, str(number)))
        ranges = [[int(part) for part in place.split("-")] for (place,) in rows]
        return max((one[-1] for one in ranges if one[0] <= number <= one[-1]), default=0)

    def settle(self, device: str, journal: bytes, number: int) -> None:
        """Withdraw that a batch was lost: it came after all."""
        self._link.execute("DELETE FROM incidents WHERE device = ? AND journal = ? AND kind = ? "
                           "AND place = ?", (device, journal, LOST, str(number)))

    def disputed(self, device: str, journal: bytes) -> bool:
        """Return whether somebody else has spoken for this journal with the device's key."""
        return self._link.execute(
            "SELECT 1 FROM incidents WHERE device = ? AND journal = ? AND kind IN (?, ?)",
            (device, journal, CLONE, CHAIN)).fetchone() is not None

    def refusals(self, digest: bytes) -> int:
        """Return how often these very bytes were refused, as far as that is remembered."""
        return int(self._link.execute("SELECT count(*) FROM refused WHERE sha256 = ?",
                                      (digest,)).fetchone()[0])
