"""What stands in a fleet's database, over a connection of its own: what is committed, no more.

    rows(store, "SELECT count(*) FROM batches")     [(1,)]
    change(store, "UPDATE batches SET prev = ?", bytes(32))
"""

from contextlib import closing

from fleet.store.writer import connect


def rows(store, statement, *values):
    """Return all rows that a statement finds in the database of a store.Store."""
    with closing(connect(store.path, read_only=True)) as connection:
        return connection.execute(statement, values).fetchall()


def change(store, statement, *values):
    """Run a statement on the database of a store.Store."""
    with closing(connect(store.path)) as connection:
        connection.execute(statement, values)
