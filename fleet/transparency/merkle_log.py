"""The append-only log of sealed batches: a Merkle tree inside the fleet's database.

Leaf n is the n-th batch that was admitted.  Only the transaction that stores a batch appends,
and there is one writer, so leaves are numbered without a hole in the order of admission.
"""

import sqlite3
from collections.abc import Iterator

from fleet.formats.timetext import DAY_MS
from fleet.transparency import merkle
from fleet.transparency.merkle import Head


class MerkleLog:
    """The tree over one connection; a read-only connection may prove but not append."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def append(self, batch_id: int, sealed: bytes, received_ms: int) -> int:
        """Make a stored batch the next leaf and return its index; inside a transaction."""
        index = self.size()
        self._connection.execute(
            "INSERT INTO leaves VALUES (?,?,?)", (index, batch_id, received_ms))
        self._connection.executemany("INSERT INTO tree_nodes VALUES (?,?,?)",
                                     merkle.appended(index, merkle.leaf_hash(sealed), self.node))
        return index

    def append_missing(self) -> int:
        """Make leaves of batches that were stored before there was a log, in order of
        arrival; return how many.  Inside a transaction."""
        rows = self._connection.execute("SELECT id FROM batches WHERE id NOT IN (SELECT batch FROM "
                                        "leaves) ORDER BY id").fetchall()
        for (batch_id,) in rows:
            sealed, received_ms = self._connection.execute(
                "SELECT sealed, received_ms FROM batches WHERE id = ?", (batch_id,)).fetchone()
            self.append(batch_id, sealed, received_ms)
        return len(rows)

    def size(self) -> int:
        """Return how many leaves there are."""
        return int(self._connection.execute("SELECT coalesce(max(idx) + 1, 0) FROM leaves")
                   .fetchone()[0])

    def node(self, level: int, position: int) -> bytes:
        """Return the hash of a complete subtree: what merkle.py asks for."""
        row = self._connection.execute(
            "SELECT hash FROM tree_nodes WHERE level = ? AND position = ?",
            (level, position)).fetchone()
        return bytes(row[0])

    def index(self, batch_id: int) -> int:
        """Return the leaf of a batch."""
        return int(self._connection.execute("SELECT idx FROM leaves WHERE batch = ?",
                                            (batch_id,)).fetchone()[0])

    def head(self, size: int | None = None) -> Head:
        """Return the head of the first `size` leaves (all of them by default)."""
        size = self.size() if size is None else size
        row = self._connection.execute("SELECT received_ms FROM leaves WHERE idx = ?",
                                       (size - 1,)).fetchone()
        return Head(size, merkle.root(size, self.node), int(row[0]) if row else 0)

    def daily(self, from_ms: int) -> Iterator[Head]:
        """Yield the head at the end of each UTC day from from_ms on that has leaves and is
        over: the leaves before the first that arrived later."""
        rows = self._connection.execute(
            "SELECT min(idx) FROM leaves WHERE received_ms >= ? GROUP BY received_ms / ? "
            "ORDER BY 1", (from_ms // DAY_MS * DAY_MS + DAY_MS, DAY_MS)).fetchall()
        last = 0
        for (size,) in rows:
            if size > last:
                yield self.head(size)
                last = size

    def day(self, day_ms: int) -> Head:
        """Return the head at the end of the UTC day that holds day_ms, so far if it lasts."""
        end_ms = day_ms // DAY_MS * DAY_MS + DAY_MS
        row = self._connection.execute("SELECT min(idx) FROM leaves WHERE received_ms >= ?",
                                       (end_ms,)).fetchone()
        return self.head(row[0])
