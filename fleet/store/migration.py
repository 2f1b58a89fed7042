"""What older stores lack and cannot get by a default: filled in once, from the evidence."""

import sqlite3

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
