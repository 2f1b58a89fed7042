"""A copy of the store while it is in use, checked; and putting one in place of the store.

The copy has everything that was committed when it began.  Putting it back raises the epoch, so
that cabinets send again what it lacks; what was there before is kept beside it.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from fleet.errors import StoreDamaged, StoreInUse
from fleet.formats.timetext import rfc3339
from fleet.store import damage, epoch
from fleet.store.connection import FILE, connect
from fleet.store.writer import EvidenceStore

LOCK = "fleet.lock"
PAGES = 4096                # copied at once, 16 MiB; the fleet goes on in between
SIDE_FILES = ("-wal", "-shm")


class Backup(NamedTuple):
    """What a checked copy holds."""

    batches: int
    epoch: int
    bytes: int


@contextmanager
def lock(data: Path) -> Iterator[None]:
    """Hold a data folder for oneself; raises StoreInUse if another process has it."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreInUse(f"{data}: another `fleet serve` or `fleet restore` uses it; next: "
                             "stop it first") from error
        yield


def take(data: Path, out: Path) -> Backup:
    """Copy the store of a folder into a file, check the copy, then replace an older file.

    Raises StoreDamaged: the older file stays as it is.
    """
    part = out.with_name(out.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with damage.named(data):
            _copy(data / FILE, part)
            wrong = damage.first_fault(part)
            if wrong:
                raise damage.error_of(data, wrong)
            found = _contents(part)
        _sync(part)
        os.replace(part, out)
        _sync(out.absolute().parent)
    finally:
        part.unlink(missing_ok=True)
    return found


def restore(data: Path, backup: Path | None, now_ms: Callable[[], int]) -> Path | None:
    """Put a backup, or an empty store, in place of a folder's; return what was there before.

    The folder must be locked.  The epoch is higher than that of either store and of the file
    beside them.  Raises StoreDamaged if the backup is not whole: nothing was changed.
    """
    known = [_epoch_of(data / FILE), (epoch.EpochFile(data).read() or epoch.Position(0, 0)).epoch]
    part = data / (FILE + ".part")
    part.unlink(missing_ok=True)
    if backup is not None:
        wrong = damage.first_fault(backup)
        if wrong:
            raise StoreDamaged(f"{backup} is no whole backup: {wrong}; nothing was changed; "
                               "next: take an older one, or --empty")
        known.append(_epoch_of(backup))
        _copy(backup, part)
        _sync(part)
    epoch.EpochFile(data).write(epoch.Position(max(known), epoch.LEAVES_MAX))
    before = _set_aside(data, now_ms())
    if backup is not None:
        os.replace(part, data / FILE)
    _sync(data)
    EvidenceStore(data, now_ms).close()         # it sees that the file beside it is ahead
    return before


def _copy(source: Path, target: Path) -> None:
    with closing(connect(source, read_only=True)) as chain_hash, closing(
            sqlite3.connect(target)) as copy:
        chain_hash.backup(copy, pages=PAGES)
        copy.execute("PRAGMA journal_mode = DELETE")        # one file, complete in itself


def _contents(file: Path) -> Backup:
    with closing(connect(file, read_only=True)) as copy:
        count, = copy.execute("SELECT count(*) FROM batches").fetchone()
        return Backup(int(count), _epoch(copy), file.stat().st_size)


def _set_aside(data: Path, now_ms: int) -> Path | None:
    """Give the store's files other names; return the new one, None if there was no store."""
    if not (data / FILE).exists():
        return None
    with suppress(sqlite3.Error), closing(connect(data / FILE)) as old:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stamp = rfc3339(now_ms).replace("-", "").replace(":", "")
    before = data / f"{FILE}.before-{stamp}"
    while before.exists():
        before = before.with_name(before.name + "+")
    for end in (*SIDE_FILES, ""):       # a log of changes must never stand beside another file
        with suppress(FileNotFoundError):
            os.replace(data / (FILE + end), before.with_name(before.name + end))
    return before


def _epoch(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0])


def _epoch_of(file: Path) -> int:
    """Return the epoch of a store, as far as it can still be read."""
    try:
        with closing(connect(file, read_only=True)) as connection:
            return _epoch(connection)
    except (sqlite3.Error, TypeError, ValueError):
        return 0


def _sync(path: Path) -> None:
    """Return when a file or a folder is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
