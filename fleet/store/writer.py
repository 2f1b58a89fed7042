"""The fleet's store: SQLite, one writer, durable before anything is promised.

A door: it only keeps and finds.  Whether a batch is welcome is admission.py's question, how
far a receipt reaches is low_water.py's rule; the mark is moved inside the transaction that
stores the batch, so that a receipt can never say more than the disk holds (synchronous=FULL
in WAL mode syncs at every commit).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet import clock
from fleet.formats.values import Chain, Neighbour, OpenedBatch, RecordRange, StoredAround
from fleet.store import damage, epoch, low_water, migration
from fleet.store.connection import FILE, VERSION, connect
from fleet.store.incidents import DETAIL_CHARS_MAX, RESTORED, Incidents
from fleet.store.rollup_tables import ROLLED_UP, WAITING, RollupTables
from fleet.transparency.merkle_log import MerkleLog

REFUSED_MAX = 1000          # refused batches that are told apart; older ones are only counted
SCHEMA = Path(__file__).with_name("schema.sql")
OLDER_COPY = "the store was put back from a copy or a backup"


class EvidenceStore:
    """One fleet's database for writing; use one per data folder and thread."""

    def __init__(self, data: Path, now_ms: Callable[[], int] = clock.utc_ms) -> None:
        """Open or make DATA/fleet.db; a new one, and one that was put back from an older copy,
        gets a higher epoch.  now_ms: the fleet's clock."""
        data.mkdir(parents=True, exist_ok=True)
        self.path = data / FILE
        self._now_ms, self._epoch_file = now_ms, epoch.EpochFile(data)
        with damage.named(data):
            self._connection = connect(self.path)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self.log, self.incidents = MerkleLog(self._connection), Incidents(self._connection)
            self.rollup = RollupTables(self._connection)
            self._open()

    def _open(self) -> None:
        beside = self._epoch_file.read() or epoch.Position(0, 0)
        with self.transaction():
            if self._one("PRAGMA user_version")[0] < VERSION:
                self._make_tables()
                self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)",
                                         (str(epoch.after(self._now_ms(), beside.epoch)),))
                self.log.append_missing()
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
            if beside > epoch.Position(self.epoch, self.log.size()):
                self.raise_epoch(beside.epoch, OLDER_COPY)

    @property
    def epoch(self) -> int:
        """The epoch that receipts speak in."""
        return int(self._one("SELECT value FROM meta WHERE key = 'epoch'")[0])

    def raise_epoch(self, known: int, why: str) -> None:
        """Speak in a higher epoch from now on, above the highest that is known, and note why for
        every journal; inside a transaction.  Cabinets send again what this store lacks."""
        raised, now_ms = epoch.after(self._now_ms(), self.epoch, known), self._now_ms()
        self._connection.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (str(raised),))
        for held in self.chains():
            self.incidents.note(RESTORED, RecordRange(
                held.cabinet, held.journal, held.low_water + 1, held.low_water + 1), raised,
                f"{why}; records after {held.low_water} are asked for again", now_ms)

    def _make_tables(self) -> None:
        there = {row[0] for row in self._connection.execute("SELECT name FROM sqlite_master")}
        tables = [row[0] for row in self._connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [row[1] for row in self._connection.execute("PRAGMA table_info(batches)")]
        if columns and "whole" not in columns:
            self._connection.execute("ALTER TABLE batches ADD COLUMN whole INTEGER")
        for table in tables:
            migration.rename_columns(self._connection, table)
        if columns and "offset_ms" not in columns:
            migration.add_clocks(self._connection)
        if columns and "ruled" not in columns:
            migration.add_times(self._connection)
        for statement in _statements(SCHEMA.read_text(encoding="utf-8")):
            if statement.split()[2] not in there:       # CREATE TABLE name, CREATE INDEX name
                self._connection.execute(statement)
        if columns and "ruled" not in columns:
            migration.add_journals(self._connection)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens durably or not at all."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self._epoch_file.write(epoch.Position(self.epoch, self.log.size()))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Inside a transaction: undo only what happens in here when it raises."""
        self._connection.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK TO attempt")
            self._connection.execute("RELEASE attempt")
            raise
        self._connection.execute("RELEASE attempt")

    def close(self) -> None:
        """Close the database; what was committed stays."""
        self._connection.close()

    def held(self, opened: OpenedBatch) -> StoredAround:
        """Return what is stored around a batch."""
        batch = opened.batch
        journal = batch.cabinet, batch.journal_id
        overlap = self._neighbour("first_seq <= ? ORDER BY first_seq DESC LIMIT 1", *journal,
                                  batch.last_seq)
        if overlap and (overlap.number == batch.number or overlap.last_seq < batch.first_seq):
            overlap = None
        return StoredAround(self._neighbour("number = ?", *journal, batch.number),
                            self._neighbour("number = ?", *journal, batch.number - 1),
                            self._neighbour("number = ?", *journal, batch.number + 1), overlap)

    def _neighbour(self, where: str, cabinet: str, journal: bytes,
                   value: int) -> Neighbour | None:
        row = self._one("SELECT number, first_seq, last_seq, prev, chain_hash FROM batches "
                        f"WHERE cabinet = ? AND journal = ? AND {where}", cabinet, journal, value)
        return Neighbour(*row) if row else None

    def add_batch(self, opened: OpenedBatch, positions: list[OpenedBatch], received_ms: int) -> int:
        """Store a batch's sealed bytes, make them the log's next leaf; return the id.

        positions: what is new of it; the first has the bytes, others of a downsampled one name it.
        """
        batch_id = self._add_position(positions[0], opened.sealed, None, received_ms)
        for position in positions[1:]:
            self._add_position(position, b"", batch_id, received_ms)
        self.log.append(batch_id, opened.sealed, received_ms)
        return batch_id

    def _add_position(self, opened: OpenedBatch, sealed: bytes, whole: int | None,
                      received_ms: int) -> int:
        batch = opened.batch
        cursor = self._connection.execute(
            "INSERT INTO batches (cabinet, journal, number, boot, first_seq, last_seq, prev,"
            " chain_hash, config, sealed, received_ms, rolled_up, whole) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (batch.cabinet, batch.journal_id, batch.number, batch.boot, batch.first_seq,
             batch.last_seq, batch.prev, opened.chain_hash, batch.config_hash, sealed,
             received_ms, WAITING if whole is None else ROLLED_UP, whole))
        return int(cursor.lastrowid or 0)

    def not_stored(self, cabinet: str, journal: bytes, first: int,
                   last: int) -> list[tuple[int, int]]:
        """Return which of the batches first to last are not stored: (first, last) of each run."""
        rows = self._connection.execute(
            "SELECT number FROM batches WHERE cabinet = ? AND journal = ? "
            "AND number BETWEEN ? AND ? ORDER BY number", (cabinet, journal, first, last))
        missing, next_number = [], first
        for (number,) in rows:
            if number > next_number:
                missing.append((next_number, number - 1))
            next_number = number + 1
        return missing + ([(next_number, last)] if next_number <= last else [])

    def numbers(self, batch_id: int) -> list[int]:
        """Return the numbers that came with a stored batch."""
        return [row[0] for row in self._connection.execute(
            "SELECT number FROM batches WHERE id = ?1 OR whole = ?1", (batch_id,))]

    def advance(self, cabinet: str, journal: bytes) -> Chain:
        """Move the low-water mark over every batch that follows; return where it stands."""
        mark = low_water.advanced(
            self.mark(cabinet, journal),
            lambda number: self._neighbour("number = ?", cabinet, journal, number),
            lambda number: self._lost_until(cabinet, journal, number))
        self._connection.execute("INSERT OR REPLACE INTO chains VALUES (?,?,?,?,?)",
                                 (cabinet, journal, *mark))
        return Chain(cabinet, journal, mark.low_water, mark.chain_hash)

    def _lost_until(self, cabinet: str, journal: bytes, number: int) -> int:
        """Return the last of the batches from a number on that are declared lost and not
        stored, 0 if that one is not."""
        last = self.incidents.lost_until(cabinet, journal, number)
        stored = self._one("SELECT min(number) FROM batches WHERE cabinet = ? AND journal = ? "
                           "AND number > ?", cabinet, journal, number)[0]
        return last if stored is None else min(last, stored - 1)

    def mark(self, cabinet: str, journal: bytes) -> low_water.LowWaterMark:
        """Return where the low-water mark of a journal stands."""
        row = self._one("SELECT low_water, chain_hash, number FROM chains WHERE cabinet = ? "
                        "AND journal = ?", cabinet, journal)
        return low_water.LowWaterMark(*row) if row else low_water.beginning(cabinet, journal)

    def chains(self) -> list[Chain]:
        """Return every journal's low-water mark."""
        rows = self._connection.execute(
            "SELECT cabinet, journal, low_water, chain_hash FROM chains")
        return [Chain(*row) for row in rows]

    def refuse(self, cabinet: str, code: str, detail: str, item: tuple[int, bytes, int]) -> None:
        """Count a refused batch and keep its name; item: (received_ms, SHA-256, size)."""
        received_ms, digest, size = item
        self._connection.execute(
            "INSERT INTO refused (received_ms, cabinet, code, detail, sha256, size) "
            "VALUES (?,?,?,?,?,?)",
            (received_ms, cabinet, code, detail[:DETAIL_CHARS_MAX], digest, size))
        self._connection.execute(
            "DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?",
            (REFUSED_MAX,))
        self._connection.execute(
            "INSERT INTO refused_counts VALUES (?,?,1) ON CONFLICT (cabinet, code) "
            "DO UPDATE SET count = refused_counts.count + 1", (cabinet, code))

    def journals(self, cabinet: str) -> list[bytes]:
        """Return the ids of a device's journals."""
        return [row[0] for row in self._connection.execute(
            "SELECT journal FROM chains WHERE cabinet = ?", (cabinet,))]

    def _one(self, statement: str, *values: object) -> Any:
        return self._connection.execute(statement, values).fetchone()


def _statements(script: str) -> list[str]:
    """Split a script without triggers or quoted semicolons into its statements."""
    plain = "\n".join(line.split("--")[0] for line in script.splitlines())
    return [part.strip() for part in plain.split(";") if part.strip()]
