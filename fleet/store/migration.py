"""What older stores lack and cannot get by a default: filled in once, from the evidence."""

import sqlite3
from collections import defaultdict

from gateway.core.errors import WattproofError
from gateway.core.evidence import downsampled
from gateway.core.reading import CLOCK_UNKNOWN, ClockState

RENAMED = (("device", "cabinet"), ("link", "chain_hash"), ("place", "position"),
           ("reduced", "rolled_up"))


def rename_columns(connection: sqlite3.Connection, table: str) -> None:
    """Give the columns of a store before version 6 the names they have now."""
    columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    for old, new in RENAMED:
        if old in columns:
            connection.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def add_clocks(connection: sqlite3.Connection) -> None:
    """Give each batch of a store before version 5 the clock it was rolled up with.

    That is its own or, where it had none, its boot's.
    """
    for column in ("offset_ms", "source"):
        connection.execute(f"ALTER TABLE batches ADD COLUMN {column} INTEGER")
    connection.execute("ALTER TABLE clocks ADD COLUMN number INTEGER NOT NULL DEFAULT 0")
    rows = connection.execute(
        "SELECT id, sealed FROM batches WHERE rolled_up = 1 AND whole IS NULL")
    for batch_id, sealed in rows.fetchall():
        clock = _own_clock(sealed) or _boot_clock(connection, batch_id)
        if clock is not None:
            connection.execute("UPDATE batches SET offset_ms = ?, source = ? WHERE id = ?",
                               (clock.anchor_utc_ms - clock.anchor_ticks_ms, clock.source,
                                batch_id))


def _own_clock(sealed: bytes) -> ClockState | None:
    try:
        clock = ClockState(*downsampled.open_any(sealed)[1].clock)
    except WattproofError:              # the store was damaged: `verify` names the batch
        return None
    return clock if clock.source != CLOCK_UNKNOWN else None


def _boot_clock(connection: sqlite3.Connection, batch_id: int) -> ClockState | None:
    row = connection.execute(
        "SELECT c.source, c.anchor_ticks_ms, c.anchor_utc_ms, c.uncertainty_ms FROM clocks c JOIN "
        "batches b ON c.cabinet = b.cabinet AND c.journal = b.journal AND c.boot = b.boot "
        "WHERE b.id = ?", (batch_id,)).fetchone()
    return ClockState(*row) if row else None


def add_times(connection: sqlite3.Connection) -> None:
    """Give the batches of a store before version 7 the columns of what counts of them."""
    for column in ("rolled_ms INTEGER", "ruled INTEGER NOT NULL DEFAULT 0", "from_ms INTEGER",
                   "to_ms INTEGER"):
        connection.execute(f"ALTER TABLE batches ADD COLUMN {column}")


def add_journals(connection: sqlite3.Connection) -> None:
    """Enter the journals of a store before version 7, and what each of its batches covers.

    Batches of a later journal that tell of time before the end of an earlier one are taken out of
    time; the roll-up rules on them again.
    """
    connection.execute(
        "UPDATE batches SET ruled = 1, rolled_ms = received_ms, from_ms = t.low, to_ms = t.high "
        "FROM (SELECT batch, min(first_ms) AS low, max(last_ms) AS high FROM (SELECT batch, "
        "first_ms, last_ms FROM counter_parts UNION ALL SELECT batch, last_ms, last_ms FROM "
        "gauge_parts) GROUP BY batch) AS t WHERE t.batch = id AND rolled_up = 1")
    connection.execute(
        "INSERT INTO journals SELECT b.cabinet, b.journal, 0, min(b.id), (SELECT count(*) FROM "
        "incidents i WHERE i.cabinet = b.cabinet AND i.journal = b.journal AND i.kind = "
        "'handover') > 0, min(from_ms), max(to_ms), max(coalesce(source, 9) != 9) FROM batches b "
        "GROUP BY b.cabinet, b.journal")
    journals: dict[str, list[int | None]] = defaultdict(list)
    for cabinet, journal, last_ms in connection.execute(
            "SELECT cabinet, journal, last_ms FROM journals ORDER BY cabinet, arrived").fetchall():
        ends = [one for one in journals[cabinet] if one is not None]
        journals[cabinet].append(last_ms)
        if ends:
            _take_out(connection, cabinet, journal, max(ends))


def _take_out(connection: sqlite3.Connection, cabinet: str, journal: bytes, end_ms: int) -> None:
    ids = connection.execute("SELECT id FROM batches WHERE cabinet = ? AND journal = ? AND "
                             "from_ms <= ?", (cabinet, journal, end_ms)).fetchall()
    for table in ("counter_parts", "gauge_parts", "scan_parts"):
        connection.executemany(f"DELETE FROM {table} WHERE batch = ?", ids)
    connection.executemany(
        "DELETE FROM events WHERE (cabinet, journal) = (SELECT cabinet, journal FROM batches WHERE "
        "id = ?1) AND seq BETWEEN (SELECT min(first_seq) FROM batches WHERE id = ?1 OR whole = "
        "?1) AND (SELECT max(last_seq) FROM batches WHERE id = ?1 OR whole = ?1)", ids)
    connection.executemany("UPDATE batches SET rolled_up = 0, ruled = 0, from_ms = NULL, to_ms = "
                           "NULL, offset_ms = NULL, source = NULL WHERE id = ?", ids)
    connection.execute(
        "UPDATE journals SET first_ms = (SELECT min(from_ms) FROM batches WHERE cabinet = ?1 AND "
        "journal = ?2), last_ms = (SELECT max(to_ms) FROM batches WHERE cabinet = ?1 AND "
        "journal = ?2) WHERE cabinet = ?1 AND journal = ?2", (cabinet, journal))
