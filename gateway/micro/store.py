"""A board's only door to flash: the journal's store over LittleFS.

LittleFS never overwrites: a change in the middle of a file copies everything behind it.  So a
segment slot holds only what was written, and the zeros that the journal puts into a new slot
are remembered, not stored: `size` and `read` tell the nominal size.  Commits append; offset 0
begins the file again, which happens only when all it held stands in durable batches.  A file's
new content counts from its `sync` on (LittleFS makes that atomic); a power cut shows the state
of the last sync.  Batches and cursor marks are written whole.
"""

import os

from gateway.core.errors import StoreError
from gateway.core.journal.tail import is_segment_file
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

EEXIST, EINVAL = 17, 22


class Names:
    """The names in a folder: one at a time, for hundreds of batches would fill the heap."""

    __slots__ = ("_folder",)

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __iter__(self) -> "Iterator[str]":
        """Return an iterator over the names, sorted.  Raises OSError."""
        if hasattr(os, "ilistdir"):             # LittleFS keeps them in order
            return map(_first, os.ilistdir(self._folder))
        return iter(sorted(os.listdir(self._folder)))


def _first(entry: tuple[str, int, int]) -> str:
    return entry[0]


class BoardStore:
    """One flat folder.  Counts: files changed (one flash erase each, at least) and bytes."""

    def __init__(self, folder: str, slot_bytes: int) -> None:
        """folder: made if missing.  slot_bytes: nominal size of a segment slot."""
        self._folder, self._slot_bytes = folder, slot_bytes
        self._name: str | None
        self._file: Any
        self._name, self._file = None, None         # the one file that is open for writing
        self.syncs = self.bytes = 0
        try:
            os.mkdir(folder)
        except OSError as error:
            if error.errno != EEXIST:
                raise _failed("mkdir", folder, error)

    def list(self) -> Names:
        """Return the names of all files, sorted; told again by each look at them."""
        names = Names(self._folder)
        try:
            iter(names)
        except OSError as error:
            raise _failed("list", self._folder, error)
        return names

    def size(self, name: str) -> int:
        """Return the size of a file in bytes, of a slot its nominal one."""
        return max(self._real(name),
                   self._slot_bytes) if is_segment_file(name) else self._real(name)

    def read(self, name: str, offset: int, count: int) -> bytes:
        """Return up to count bytes from offset; a slot ends with zeros up to its size."""
        if name == self._name:
            self._flush()
        try:
            with open(self._path(name), "rb") as file:
                file.seek(offset)
                if not is_segment_file(name):
                    return file.read(count)
                count = max(min(count, max(self._slot_bytes, self._real(name)) - offset), 0)
                data = bytearray(count)     # as zeros; one buffer, for it is the largest
                file.readinto(data)
                return data         # type: ignore[return-value]  # nobody writes into it
        except OSError as error:
            raise _failed("read", name, error)

    def create(self, name: str) -> None:
        """Make an empty file; an error if it exists."""
        self._open(name, "xb")

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Append data, or begin the file again at offset 0; anything else is an error."""
        if is_segment_file(name) and not any(data):
            return                                  # the zeros of a new slot
        if offset == 0 and (name != self._name or self._file.tell()):
            self._open(name, "wb")
        elif offset != self._real(name):
            raise StoreError("write %s at %d: not its end" % (name, offset), EINVAL)
        elif name != self._name:
            self._open(name, "ab")
        try:
            self._file.write(data)
        except OSError as error:
            self._drop()
            raise _failed("write", name, error)
        self.bytes += len(data)

    def sync(self, name: str) -> None:
        """Return only when the content of a file is on flash."""
        self.syncs += 1
        if name == self._name:
            self._flush()

    def sync_dir(self) -> None:
        """Return only when names are on flash: LittleFS writes them at once."""
        self._flush()

    def remove(self, name: str) -> None:
        """Delete a file."""
        if name == self._name:
            self._close()
        try:
            os.remove(self._path(name))
        except OSError as error:
            raise _failed("remove", name, error)

    def _real(self, name: str) -> int:
        if name == self._name:
            size: int = self._file.tell()
            return size
        try:
            return os.stat(self._path(name))[6]
        except OSError as error:
            raise _failed("size", name, error)

    def _path(self, name: str) -> str:
        return self._folder + "/" + name

    def _open(self, name: str, mode: str) -> None:
        self._close()
        try:
            self._file = open(self._path(name), mode)
            self._name = name
        except OSError as error:
            raise _failed("open", name, error)

    def _flush(self) -> None:
        """Put the content of the open file on flash; it stays open, for to find it takes long."""
        if self._file is None:
            return
        name = self._name
        try:
            self._file.flush()
        except OSError as error:
            self._drop()
            raise _failed("sync", name, error)

    def _close(self) -> None:
        """Put the open file on flash and close it."""
        if self._file is None:
            return
        name = self._name
        try:
            self._file.close()
        except OSError as error:
            raise _failed("sync", name, error)
        finally:
            self._name, self._file = None, None

    def _drop(self) -> None:
        try:
            self._close()
        except StoreError:
            return


def _failed(what: str, name: str | None, error: OSError) -> StoreError:
    return StoreError("%s %s: errno %s" % (what, name, error.errno), error.errno or 0)
