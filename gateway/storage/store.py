"""The only door to flash on CPython: one flat directory of small files.

A directory or a file that a mount or its owner refuses is no reason to end: the directory is
opened as soon as that is allowed, and a file that cannot be opened for writing is opened for
reading.  What refuses a write (EPERM, EACCES, EROFS) has changed nothing.

In this file: pwrite, fdatasync, fsync of the directory, and the count of what they cost.
Not here: what the bytes mean (gateway.core.journal) and what to do after an error: every
OSError becomes a StoreError with its errno, and the journal decides.

One process per directory: the directory is locked while the store is open.
"""

import errno
import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gateway.core.errors import StoreError
from gateway.core.journal.policy import REFUSED, WHOLE

BLOCK_BYTES = 4096      # what a file system and most flash translate a write into
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
OPEN_MAX = 16           # descriptors kept open: tail, cursor slots, the batch being read
# Errors of the directory that may pass; any other is a mistake in the configuration.
PASSING = (*WHOLE, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ENXIO, errno.ENODEV)


class FlashCounts(NamedTuple):
    """What went through the door since it was opened: bytes, 4 KiB blocks, calls."""

    bytes_written: int
    blocks_touched: int
    syncs: int


class FlashStore:
    """Files of one journal directory.  Sizes in bytes; every failure is a StoreError."""

    block_bytes = BLOCK_BYTES       # the tail begins a block where that touches fewer

    def __init__(self, directory: Path,
                 lock: Callable[[int, int], None] = fcntl.flock) -> None:
        """Open (make, if missing) the directory and lock it against a second gateway.

        A directory that is refused for now is tried again by whatever is asked of the store;
        raises StoreError for one that another gateway has, and for what no waiting changes.
        lock: as flock(2).
        """
        self._path, self._lock = directory, lock
        self._files: dict[str, int] = {}
        self._read_only: set[str] = set()       # of those, opened for reading
        self._dirty: dict[str, set[int]] = {}
        self._bytes = self._blocks = self._syncs = 0
        self._directory = -1
        try:
            self._attached()
        except StoreError as error:
            if error.errno not in PASSING or error.errno == errno.EWOULDBLOCK:
                raise

    def _attached(self) -> int:
        """Return the descriptor of the directory, made and locked if it was not before."""
        if self._directory >= 0:
            return self._directory
        directory, opened = self._path, -1
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._lock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if opened >= 0:
                os.close(opened)
            raise self._not_opened(error, opened >= 0) from error
        self._directory = opened
        return opened

    def _not_opened(self, error: OSError, was_open: bool) -> StoreError:
        """Return why the directory cannot be used; was_open: only its lock failed."""
        if isinstance(error, BlockingIOError):
            return StoreError(f"{self._path}: another gateway has this journal open; stop it "
                              "first", error.errno or errno.EWOULDBLOCK)
        if isinstance(error, FileExistsError | NotADirectoryError):
            return StoreError(f"{self._path}: not a folder (a file stands there, or on the way); "
                              "next: move that file away or change [journal] directory",
                              error.errno or errno.ENOTDIR)
        if was_open:
            return StoreError(f"{self._path}: cannot be locked ({error.strerror}); next: put the "
                              "journal on a local disk whose file system has locks",
                              error.errno or errno.ENOLCK)
        return self._failed("open", "", error)

    def close(self) -> None:
        """Close all files and give up the lock; what was not synced stays so.  Whatever is asked
        of the store afterwards opens it again."""
        for name in list(self._files):
            self._forget(name)
        if self._directory >= 0:
            os.close(self._directory)
        self._directory = -1

    def counts(self) -> FlashCounts:
        """Return bytes handed over, 4 KiB blocks touched per sync, and syncs so far."""
        return FlashCounts(self._bytes, self._blocks, self._syncs)

    def list(self) -> list[str]:
        """Return the names of all plain files that could be ours, sorted."""
        self._attached()
        try:
            with os.scandir(self._path) as entries:
                return sorted(e.name for e in entries
                              if NAME.fullmatch(e.name) and e.is_file(follow_symlinks=False))
        except OSError as error:
            raise self._failed("list", "", error) from error

    def size(self, name: str) -> int:
        """Return the size of a file in bytes."""
        try:
            return os.fstat(self._open(name)).st_size
        except OSError as error:
            raise self._failed("size", name, error) from error

    def read(self, name: str, offset: int, count: int) -> bytes:
        """Return up to count bytes from offset; fewer only at the end of the file."""
        parts, got = [], 0
        try:
            fd = self._open(name)
            while got < count:
                part = os.pread(fd, count - got, offset + got)
                if not part:
                    break
                parts.append(part)
                got += len(part)
        except OSError as error:
            raise self._failed("read", name, error) from error
        return b"".join(parts)

    def create(self, name: str) -> None:
        """Make an empty file; an error if it exists.  Durable only after sync_dir()."""
        self._check(name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        directory = self._attached()
        try:
            self._keep(name, os.open(name, flags, 0o640, dir_fd=directory))
        except OSError as error:
            raise self._failed("create", name, error) from error

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Write all of data at offset; after an error any part of it may be there."""
        view, done = memoryview(data), 0
        try:
            fd = self._open(name, for_writing=True)
            while done < len(view):
                part = os.pwrite(fd, view[done:], offset + done)
                if not part:            # POSIX lets it; trying on could last for ever
                    raise OSError(errno.EIO, "nothing was written")
                done += part
        except OSError as error:
            if done and error.errno in REFUSED:     # what is refused has changed nothing
                error.errno = errno.EIO
            raise self._failed("write", name, error) from error
        finally:
            self._touch(name, offset, done)

    def sync(self, name: str) -> None:
        """Return only when the content of a file is on the medium.

        After an error the kernel may call lost pages clean, so the descriptor is dropped
        and the caller must write the same bytes somewhere else, never sync here again.
        """
        self._syncs += 1
        self._blocks += len(self._dirty.pop(name, ()))
        try:
            os.fdatasync(self._open(name, for_writing=True))
        except OSError as error:
            self._forget(name)
            raise self._failed("sync", name, error) from error

    def sync_dir(self) -> None:
        """Return only when created and removed names are on the medium."""
        self._syncs += 1
        self._blocks += 1
        directory = self._attached()
        try:
            os.fsync(directory)
        except OSError as error:
            raise self._failed("sync directory", "", error) from error

    def remove(self, name: str) -> None:
        """Delete a file.  Durable only after sync_dir()."""
        self._check(name)
        self._forget(name)
        directory = self._attached()
        try:
            os.unlink(name, dir_fd=directory)
        except OSError as error:
            raise self._failed("remove", name, error) from error

    def free_bytes(self) -> int:
        """Return how many bytes the file system still offers to this process."""
        state = self._space()
        return state.f_bavail * state.f_frsize

    def used_bytes(self) -> int:
        """Return how many bytes of the file system all its files take, not only the journal's."""
        state = self._space()
        return (state.f_blocks - state.f_bfree) * state.f_frsize

    def _space(self) -> os.statvfs_result:
        directory = self._attached()
        try:
            return os.fstatvfs(directory)
        except OSError as error:
            raise self._failed("statvfs", "", error) from error

    def _open(self, name: str, for_writing: bool = False) -> int:
        """Return the descriptor of a file; raises OSError and StoreError."""
        self._check(name)
        if for_writing and name in self._read_only:
            self._forget(name)                      # it may be allowed by now
        if name not in self._files:
            directory, flags = self._attached(), os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                self._keep(name, os.open(name, flags | os.O_RDWR, dir_fd=directory))
            except OSError as error:
                if for_writing or error.errno not in REFUSED:
                    raise
                self._keep(name, os.open(name, flags | os.O_RDONLY, dir_fd=directory))
                self._read_only.add(name)
        return self._files[name]

    def _keep(self, name: str, fd: int) -> None:
        clean = [other for other in self._files if other not in self._dirty]
        if len(self._files) >= OPEN_MAX and clean:
            self._forget(clean[0])
        self._files[name] = fd

    def _forget(self, name: str) -> None:
        self._dirty.pop(name, None)
        self._read_only.discard(name)
        fd = self._files.pop(name, -1)
        if fd >= 0:
            os.close(fd)

    def _touch(self, name: str, offset: int, count: int) -> None:
        if count:
            self._bytes += count
            last = (offset + count - 1) // BLOCK_BYTES
            self._dirty.setdefault(name, set()).update(range(offset // BLOCK_BYTES, last + 1))

    def _check(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise StoreError(f"{name!r} is not a name of a journal file", errno.EINVAL)

    def _failed(self, what: str, name: str, error: OSError) -> StoreError:
        if error.errno == errno.EROFS:
            self.close()                # another file system may be mounted over this one by now
        return StoreError(f"{what} {self._path / name}: {error.strerror}", error.errno or 0)


def replace_synced(path: Path, content: bytes) -> None:
    """Replace a small file outside the journal; return when it is on the medium.

    After a power cut the file is the old or the new one.  Raises OSError.
    """
    draft = path.with_name(path.name + ".new")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(file, content)
        os.fsync(file)
    finally:
        os.close(file)
    os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
