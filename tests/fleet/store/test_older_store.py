"""A store that an earlier version made is brought up to date when it is opened."""

import sqlite3
from contextlib import closing

import pytest

from fleet.errors import ReportError
from fleet.store.connection import FILE
from fleet.store.migration import RENAMED
from fleet.store.reader import StoreReader
from fleet.store.writer import EvidenceStore


def columns(connection):
    """Return (table, column) of everything in a database."""
    return [(table, row[1]) for (table,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for row in connection.execute(f"PRAGMA table_info({table})")]


def aged(folder):
    """Give a store's columns the names they had before version 6."""
    old = {new: old for old, new in RENAMED}
    with closing(sqlite3.connect(folder / FILE)) as connection:
        for table, column in columns(connection):
            if column in old:
                connection.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO {old[column]}")
        connection.execute("PRAGMA user_version = 5")
        connection.commit()


def test_a_store_of_version_5_gets_the_columns_of_version_6(ingest, gateway, tmp_path):
    for _ in range(3):
        ingest.process_one("shop-1", gateway.seal())
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        before = columns(connection)
    aged(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert columns(connection) != before
    store = EvidenceStore(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert columns(connection) == before
        found = connection.execute("SELECT count(*) FROM batches WHERE rolled_up = 1").fetchone()
    assert found == (3,)
    low = [held.low_water for held in store.chains()]
    store.close()
    assert low == [StoreReader(tmp_path).journals("shop-1")[0].stored_seq]


def test_a_report_of_an_older_store_says_what_to_do(ingest, gateway, tmp_path):
    ingest.process_one("shop-1", gateway.seal())
    aged(tmp_path)
    with pytest.raises(ReportError, match="older version.*next: python -m fleet serve"):
        StoreReader(tmp_path)
