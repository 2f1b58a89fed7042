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
from fleet.formats.values import Chain, Held, Neighbour, Opened, RecordRange
from fleet.store import damage, epoch, low_water, migration
from fleet.store.connection import FILE, connect
from fleet.store.incidents import RESTORED, Incidents
from fleet.store.rollup_tables import BOOKED, WAITS, RollupTables
from fleet.transparency.merkle_log import Log

# 2: the Merkle log, 3: incidents, 4: coarsened batches, 5: the clock of each batch, 6: which of
# two journals counts, and figures of issued reports; an older store gets what it lacks.
VERSION = 6
REFUSED_MAX = 1000          # refused batches that are told apart; older ones are only counted
DETAIL_CHARS_MAX = 300
SCHEMA = Path(__file__).with_name("schema.sql")
OLDER_COPY = "the store was put back from a copy or a backup"


class Store:
    """One fleet's database for writing; use one per data folder and thread."""

    def __init__(self, data: Path, now_ms: Callable[[], int] = clock.utc_ms) -> None:
        """Open or make DATA/fleet.db; a new one, and one that was put back from an older copy,
        gets a higher epoch.  now_ms: the fleet's clock."""
        data.mkdir(parents=True, exist_ok=True)
        self.path = data / FILE
        self._now_ms, self._epoch_file = now_ms, epoch.EpochFile(data)
        with damage.named(data):
            self._link = connect(self.path)
            self._link.execute("PRAGMA journal_mode = WAL")
            self._link.execute("PRAGMA synchronous = FULL")
            self.log, self.incidents = Log(self._link), Incidents(self._link)
            self.rollup = RollupTables(self._link)
            self._open()

    def _open(self) -> None:
        beside = self._epoch_file.read() or epoch.Position(0, 0)
        with self.transaction():
            if self._one("PRAGMA user_version")[0] < VERSION:
                self._make_tables()
                self._link.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)",
                                   (str(epoch.after(self._now_ms(), beside.epoch)),))
                self.log.append_missing()
                self._link.execute(f"PRAGMA user_version = {VERSION}")
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
        self._link.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (str(raised),))
        for held in self.chains():
            self.incidents.note(RESTORED, RecordRange(
                held.device, held.journal, held.low_water + 1, held.low_water + 1), raised,
                f"{why}; records after {held.low_water} are asked for again", now_ms)

    def _make_tables(self) -> None:
        there = {row[0] for row in self._link.execute("SELECT name FROM sqlite_master")}
        columns = [row[1] for row in self._link.execute("PRAGMA table_info(batches)")]
        if columns and "whole" not in columns:
            self._link.execute("ALTER TABLE batches ADD COLUMN whole INTEGER")
        if columns and "offset_ms" not in columns:
            migration.add_clocks(self._link)
        if columns and "ruled" not in columns:
            migration.add_times(self._link)
        for statement in _statements(SCHEMA.read_text(encoding="utf-8")):
            if statement.split()[2] not in there:       # CREATE TABLE name, CREATE INDEX name
                self._link.execute(statement)
        if columns and "ruled" not in columns:
            migration.add_journals(self._link)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens durably or not at all."""
        self._link.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._link.execute("ROLLBACK")
            raise
        self._link.execute("COMMIT")
        self._epoch_file.write(epoch.Position(self.epoch, self.log.size()))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Inside a transaction: undo only what happens in here when it raises."""
        self._link.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            self._link.execute("ROLLBACK TO attempt")
            self._link.execute("RELEASE attempt")
            raise
        self._link.execute("RELEASE attempt")

    def close(self) -> None:
        """Close the database; what was committed stays."""
        self._link.close()

    def held(self, opened: Opened) -> Held:
        """Return what is stored around a batch."""
        batch = opened.batch
        journal = batch.device, batch.journal_id
        overlap = self._neighbour("first_seq <= ? ORDER BY first_seq DESC LIMIT 1", *journal,
                                  batch.last_seq)
        if overlap and (overlap.number == batch.number or overlap.last_seq < batch.first_seq):
            overlap = None
        return Held(self._neighbour("number = ?", *journal, batch.number),
                    self._neighbour("number = ?", *journal, batch.number - 1),
                    self._neighbour("number = ?", *journal, batch.number + 1), overlap)

    def _neighbour(self, where: str, device: str, journal: bytes,
                   value: int) -> Neighbour | None:
        row = self._one("SELECT number, first_seq, last_seq, prev, link FROM batches "
                        f"WHERE device = ? AND journal = ? AND {where}", device, journal, value)
        return Neighbour(*row) if row else None

    def add_batch(self, opened: Opened, places: list[Opened], received_ms: int) -> int:
        """Store a batch's sealed bytes, make them the log's next leaf; return the id.

        places: what is new of it; the first has the bytes, others of a coarsened one name it.
        """
        batch_id = self._add_place(places[0], opened.sealed, None, received_ms)
        for place in places[1:]:
            self._add_place(place, b"", batch_id, received_ms)
        self.log.append(batch_id, opened.sealed, received_ms)
        return batch_id

    def _add_place(self, opened: Opened, sealed: bytes, whole: int | None,
                   received_ms: int) -> int:
        batch = opened.batch
        cursor = self._link.execute(
            "INSERT INTO batches (device, journal, number, boot, first_seq, last_seq, prev,"
            " link, config, sealed, received_ms, reduced, whole) "
            "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (batch.device, batch.journal_id, batch.number, batch.boot, batch.first_seq,
             batch.last_seq, batch.prev, opened.link, batch.config_hash, sealed,
             received_ms, WAITS if whole is None else BOOKED, whole))
        return int(cursor.lastrowid or 0)

    def numbers(self, batch_id: int) -> list[int]:
        """Return the numbers that came with a stored batch."""
        return [row[0] for row in self._link.execute(
            "SELECT number FROM batches WHERE id = ?1 OR whole = ?1", (batch_id,))]

    def advance(self, device: str, journal: bytes) -> Chain:
        """Move the low-water mark over every batch that follows; return where it stands."""
        mark = low_water.advanced(
            self.mark(device, journal),
            lambda number: self._neighbour("number = ?", device, journal, number),
            lambda number: self._lost_until(device, journal, number))
        self._link.execute("INSERT OR REPLACE INTO chains VALUES (?,?,?,?,?)",
                           (device, journal, *mark))
        return Chain(device, journal, mark.low_water, mark.link)

    def _lost_until(self, device: str, journal: bytes, number: int) -> int:
        """Return the last of the batches from a number on that are declared lost and not
        stored, 0 if that one is not."""
        last = self.incidents.lost_until(device, journal, number)
        stored = self._one("SELECT min(number) FROM batches WHERE device = ? AND journal = ? "
                           "AND number > ?", device, journal, number)[0]
        return last if stored is None else min(last, stored - 1)

    def mark(self, device: str, journal: bytes) -> low_water.Mark:
        """Return where the low-water mark of a journal stands."""
        row = self._one("SELECT low_water, link, number FROM chains WHERE device = ? "
                        "AND journal = ?", device, journal)
        return low_water.Mark(*row) if row else low_water.beginning(device, journal)

    def chains(self) -> list[Chain]:
        """Return every journal's low-water mark."""
        rows = self._link.execute("SELECT device, journal, low_water, link FROM chains")
        return [Chain(*row) for row in rows]

    def refuse(self, device: str, code: str, detail: str, item: tuple[int, bytes, int]) -> None:
        """Count a refused batch and keep its name; item: (received_ms, SHA-256, size)."""
        received_ms, digest, size = item
        self._link.execute(
            "INSERT INTO refused (received_ms, device, code, detail, sha256, size) "
            "VALUES (?,?,?,?,?,?)",
            (received_ms, device, code, detail[:DETAIL_CHARS_MAX], digest, size))
        self._link.execute("DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?",
                           (REFUSED_MAX,))
        self._link.execute(
            "INSERT INTO refused_counts VALUES (?,?,1) ON CONFLICT (device, code) "
            "DO UPDATE SET count = refused_counts.count + 1", (device, code))

    def journals(self, device: str) -> list[bytes]:
        """Return the ids of a device's journals."""
        return [row[0] for row in self._link.execute(
            "SELECT journal FROM chains WHERE device = ?", (device,))]

    def _one(self, statement: str, *values: object) -> Any:
        return self._link.execute(statement, values).fetchone()


def _statements(script: str) -> list[str]:
    """Split a script without triggers or quoted semicolons into its statements."""
    plain = "\n".join(line.split("--")[0] for line in script.splitlines())
    return [part.strip() for part in plain.split(";") if part.strip()]
