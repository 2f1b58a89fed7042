"""The connection to the store's file, for the writer, for readers, and for copies."""

import sqlite3
from pathlib import Path

FILE = "fleet.db"
# 2: the Merkle log, 3: incidents, 4: downsampled batches, 5: the clock of each batch, 6: column
# names, 7: which of two journals counts, and figures of issued reports; an older store gets what it
# lacks when the fleet opens it for writing.
VERSION = 7


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection; read-only ones see a stable state while the writer goes on."""
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(f"file:{path}?mode={mode}", uri=True, isolation_level=None,
                                 check_same_thread=False, timeout=10)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
