"""A journal store in memory that forgets what a power cut would make it forget.

Model: data reach the medium only with sync(name), names only with sync_dir(); before that any
512-byte sector of a write may be there, missing, torn, zero or garbage, in any order, and any
new or deleted name may or may not be known.  A failed sync loses its writes although they
can still be read (fsyncgate).  `Snapshot`s are cheap: one run of a workload gives every cut.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from gateway.core.errors import StoreError

SECTOR = 512
ENOSPC, EIO, EROFS, EINTR = 28, 5, 30, 4

# (what happens to unsynced sectors, what happens to unsynced names)
DAMAGE = (
    ("none", "none"), ("none", "all"), ("all", "none"), ("all", "all"),
    ("prefix", "prefix"), ("prefix", "all"), ("suffix", "all"), ("subset", "subset"),
    ("subset", "all"), ("subset", "none"), ("torn", "all"), ("torn", "prefix"),
    ("zeros", "all"), ("zeros", "subset"), ("garbage", "all"), ("garbage", "subset"),
)


class Snapshot(NamedTuple):
    """State before one operation: names on the medium, name changes and files in flight."""

    names: dict[str, int]
    name_changes: tuple[tuple[str, str, int], ...]
    files: dict[int, tuple[bytes, tuple[tuple[int, bytes], ...]]]


class Fault(NamedTuple):
    """Operations first .. first + times - 1 fail with errno; short: half a write is made."""

    first: int
    times: int
    errno: int
    short: bool = False


class ReadFault(NamedTuple):
    """Reads first .. first + times - 1 fail with EIO; or all reads of a file do: a bad block."""

    first: int
    times: int
    name: str = ""


class _File:
    __slots__ = ("durable", "pending", "lost", "changed")

    def __init__(self, content: bytes = b"") -> None:
        self.durable = content
        self.pending: list[tuple[int, bytes]] = []      # reaches the medium with a sync
        self.lost: list[tuple[int, bytes]] = []         # its sync failed: nobody knows
        self.changed: bytearray | None = None           # what a process sees, if not durable

    @property
    def seen(self) -> bytes | bytearray:
        return self.durable if self.changed is None else self.changed


def _patched(content: bytes, writes: list[tuple[int, bytes]]) -> bytes:
    data = bytearray(content)
    for offset, part in writes:
        if offset > len(data):
            data += bytes(offset - len(data))
        data[offset:offset + len(part)] = part
    return bytes(data)


class FlakyStore:
    """The store interface of the journal, with a hook before each changing operation."""

    block_bytes = 1024      # small, as the segments of these tests: commits begin blocks, too

    def __init__(self, image: dict[str, bytes] | None = None,
                 before_op: "Callable[[FlakyStore, str], None] | None" = None,
                 fault: Fault | None = None) -> None:
        self._files: dict[int, _File] = {}
        self._medium: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._changes: list[tuple[str, str, int]] = []
        self._before_op = before_op
        self.fault = fault
        self.free = 1 << 30             # bytes that free_bytes() tells
        self.read_fault: ReadFault | None = None
        self.ops = self.reads = self.hits = 0           # hits: operations that a fault hit
        self.failed_syncs: set[str] = set()
        self.resynced = 0               # syncs of a file whose sync had failed before
        for name, content in (image or {}).items():
            self._medium[name] = self._names[name] = len(self._files)
            self._files[len(self._files)] = _File(content)

    def calm(self) -> None:
        """Let nothing happen from here on: no fault, no hook."""
        self.fault = self._before_op = self.read_fault = None

    def snapshot(self) -> Snapshot:
        """Return what a power cut right now would find to choose from."""
        return Snapshot(dict(self._medium), tuple(self._changes), {
            i: (f.durable, tuple(f.lost + f.pending)) for i, f in self._files.items()})

    def list(self) -> list[str]:
        """Return all names a running process sees."""
        return sorted(self._names)

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        return len(self._file(name).seen)

    def read(self, name: str, offset: int, count: int) -> bytes:
        """Return bytes as a running process sees them."""
        seen = self._file(name).seen
        number, fault = self.reads, self.read_fault
        self.reads += 1
        if fault is not None and (name == fault.name or not fault.name
                                  and fault.first <= number < fault.first + fault.times):
            raise StoreError(f"injected at read {number} of {name}", EIO)
        return bytes(seen[offset:offset + count])

    def free_bytes(self) -> int:
        """Return the room that is left: enough, unless a test says otherwise."""
        return self.free

    def create(self, name: str) -> None:
        """Make an empty file."""
        self._step("create")
        if name in self._names:
            raise StoreError(f"{name} exists", 17)
        number = len(self._files)
        self._files[number], self._names[name] = _File(), number
        self._changes.append(("create", name, number))

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Write; a short fault leaves half of it."""
        file = self._file(name)
        try:
            self._step("write")
        except StoreError:
            if self.fault is not None and self.fault.short:
                self._put(file, offset, bytes(data[:len(data) // 2]))
            raise
        self._put(file, offset, bytes(data))

    def sync(self, name: str) -> None:
        """Move a file's writes to the medium; a failed sync loses them for good."""
        file = self._file(name)
        self.resynced += name in self.failed_syncs
        try:
            self._step("sync")
        except StoreError:
            self.failed_syncs.add(name)
            file.lost += [part for write in file.pending for part in _sectors(*write)]
            file.pending = []
            raise
        synced = {at // SECTOR for start, data in file.pending for at, _ in _sectors(start, data)}
        file.lost = [(at, part) for at, part in file.lost if at // SECTOR not in synced]
        file.durable, file.pending = _patched(file.durable, file.pending), []

    def sync_dir(self) -> None:
        """Move created and removed names to the medium."""
        self._step("sync_dir")
        self._medium, self._changes = dict(self._names), []

    def remove(self, name: str) -> None:
        """Delete a name; the content stays with a medium that did not hear of it."""
        self._step("remove")
        self._file(name)
        self.failed_syncs.discard(name)
        self._changes.append(("remove", name, self._names.pop(name)))

    def _file(self, name: str) -> _File:
        if name not in self._names:
            raise StoreError(f"{name} is not there", 2)
        return self._files[self._names[name]]

    def _put(self, file: _File, offset: int, data: bytes) -> None:
        file.pending.append((offset, data))
        if file.changed is None:
            file.changed = bytearray(file.durable)
        if offset > len(file.changed):
            file.changed += bytes(offset - len(file.changed))
        file.changed[offset:offset + len(data)] = data

    def _step(self, operation: str) -> None:
        if self._before_op is not None:
            self._before_op(self, operation)
        number, fault = self.ops, self.fault
        self.ops += 1
        if fault is not None and fault.first <= number < fault.first + fault.times:
            self.hits += 1
            raise StoreError(f"injected at {operation} {number}", fault.errno)


def image_after_cut(snapshot: Snapshot, damage: tuple[str, str], seed: int) -> dict[str, bytes]:
    """Return the files a start would find after a cut with one kind of damage."""
    chance = random.Random(seed)
    writes, names = damage
    medium = dict(snapshot.names)
    for change, name, number in _surviving(snapshot.name_changes, names, chance):
        if change == "create":
            medium[name] = number
        else:
            medium.pop(name, None)
    sectors = [(number, offset, part) for number, (_, pending) in snapshot.files.items()
               for start, data in pending for offset, part in _sectors(start, data)]
    parts: dict[int, list[tuple[int, bytes]]] = {}
    for number, offset, part in _damaged(sectors, writes, chance):
        parts.setdefault(number, []).append((offset, part))
    return {name: _patched(snapshot.files[number][0], parts[number])
            if number in parts else snapshot.files[number][0]
            for name, number in medium.items()}


def _sectors(start: int, data: bytes) -> list[tuple[int, bytes]]:
    parts, at = [], 0
    while at < len(data):
        size = SECTOR - (start + at) % SECTOR
        parts.append((start + at, data[at:at + size]))
        at += size
    return parts


def _surviving(items, how, chance):
    if how == "none":
        return ()
    if how == "prefix":
        return items[:chance.randint(0, len(items))]
    if how == "subset":
        return tuple(item for item in items if chance.random() < 0.5)
    return items


def _damaged(sectors, how, chance):
    """Return the sectors that reached the medium, in the state in which they did."""
    if how in ("none", "all", "prefix", "subset"):
        return _surviving(sectors, how, chance)
    if how == "suffix":
        return sectors[chance.randint(0, len(sectors)):]
    if not sectors:
        return sectors
    if how == "torn":
        at = chance.randrange(len(sectors))
        number, offset, part = sectors[at]
        return sectors[:at] + [(number, offset, part[:chance.randint(0, len(part))])]
    spoiled = []
    for number, offset, part in sectors:
        if chance.random() < 0.5:
            part = bytes(len(part)) if how == "zeros" else chance.randbytes(len(part))
        spoiled.append((number, offset, part))
    return spoiled
