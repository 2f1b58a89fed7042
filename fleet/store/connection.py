"""The connection to the store's file, for the writer, for readers, and for copies."""

import sqlite3
from pathlib import Path

FILE = "fleet.db"


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection; read-only ones see a stable state while the writer goes on."""
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(f"file:{path}?mode={mode}", uri=True, isolation_level=None,
                                 check_same_thread=False, timeout=10)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
