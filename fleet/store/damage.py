"""A store whose file has rotted: what is wrong with it, in words that lead on.

SQLite notices a page that cannot be one; it has no check sums, so batches and descriptors are
compared with the hashes that stand beside them.  What is met while reading shows as a value of
the wrong type or as bytes that do not decode: it is named as damage, never as a bug, but a wrong
value only if the check of the whole file agrees.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path

from fleet.errors import StoreDamaged, StoreUnavailable
from fleet.store.connection import FILE, connect
from fleet.transparency import merkle
from gateway.core.codec import cbor, record
from gateway.core.errors import AdmissionError, FormatError

FAULTS_MAX = 20
# Not damage, https://sqlite.org/rescode.html: BUSY LOCKED NOMEM READONLY INTERRUPT FULL CANTOPEN
PASSING = (5, 6, 7, 8, 9, 13, 14)
WRONG_VALUE = (TypeError, ValueError, LookupError, ArithmeticError)
NEXT = ("next: restore it from a backup: stop `fleet serve`, then wattproof-fleet restore --data "
        "{data} --backup FILE, or with --empty instead if there is none; cabinets send again what "
        "they still hold")


def faults(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite's check of the whole file finds, each with its page; [] if nothing."""
    try:
        rows = connection.execute(f"PRAGMA integrity_check({FAULTS_MAX})").fetchall()
        found = [line for (text,) in rows for line in str(text).splitlines()
                 if not line.startswith("***")]
    except sqlite3.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found[:FAULTS_MAX]


def changed(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield what is not what was stored: batches and descriptors by their hashes, and events."""
    rows = connection.execute(
        "SELECT b.cabinet, b.number, b.sealed, n.hash FROM leaves l JOIN batches b "
        "ON b.id = l.batch LEFT JOIN tree_nodes n ON n.level = 0 AND n.position = l.idx")
    for cabinet, number, sealed, known in rows:
        if merkle.leaf_hash(sealed) != known:
            yield f"batch {number} of {cabinet}: its bytes changed on the disk"
    for cabinet, digest, descriptor in connection.execute(
            "SELECT cabinet, hash, descriptor FROM configs"):
        if hashlib.sha256(descriptor).digest() != digest:
            yield f"the site descriptor {digest.hex()[:12]} of {cabinet} changed on the disk"
    for cabinet, seq, kind, body in connection.execute(
            "SELECT cabinet, seq, kind, body FROM events"):
        if not _is_event(kind, body):
            yield f"the event in record {seq} of {cabinet} changed on the disk"


def _is_event(kind: int, body: bytes) -> bool:
    try:
        found = cbor.decode(body)
        return kind != record.CONFIG or hashlib.sha256(found[1]).digest() == found[0]
    except (FormatError, *WRONG_VALUE):
        return False


def first_fault(file: Path) -> str:
    """Return what a check of a whole store finds first, "" if nothing."""
    try:
        with closing(connect(file, read_only=True)) as connection:
            return next(chain(faults(connection), changed(connection)), "")
    except (sqlite3.Error, *WRONG_VALUE) as error:
        return str(error)


def error_of(data: Path, what: object) -> StoreDamaged:
    """Return the error that names what is wrong with a folder's store and the next step."""
    return StoreDamaged(f"{data / FILE} is damaged: {what}; {NEXT.format(data=data)}")


@contextmanager
def named(data: Path) -> Iterator[None]:
    """Raise StoreDamaged for what goes wrong inside because the store of a folder is damaged,
    StoreUnavailable if it cannot be used just now."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF in PASSING:
            raise StoreUnavailable(f"{data / FILE}: {error}") from error
        raise error_of(data, error) from error
    except (FormatError, AdmissionError) as error:      # all that is stored was decoded once
        raise error_of(data, error) from error
    except WRONG_VALUE as error:
        found = first_fault(data / FILE)
        if not found:
            raise
        raise error_of(data, found) from error
