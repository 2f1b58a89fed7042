"""A journal's store in memory, with the faults that flash has; on both interpreters.

    store = MemoryStore()                   as good flash, but for a power cut
    store.fault = Fault(first=store.ops, times=3, errno=ENOSPC)
    store.read_fault = Fault(name="t0001")  a bad block: this file cannot be read
    store.capacity = 3 << 20                a disk of 3 MiB
    store.rot("t0001", 30)                  a bit of the file flips
    MemoryStore(image, before_op=function)  function(store, operation) may count, note or raise
    store.snapshot()                        for power_loss.image_after_cut
    LyingStore()                            its last syncs may not have happened

Model: data reach the medium only with sync(name), names only with sync_dir(); before that any
512-byte sector of a write may be there, missing, torn, zero or garbage, in any order, and any
new or deleted name may or may not be on the medium.  A failed sync loses its writes although
they can still be read (fsyncgate).  `Snapshot`s are cheap: one run of a workload gives every cut.
"""

from collections import namedtuple

from gateway.core.errors import StoreError
from gateway.core.journal.policy import REFUSED

SECTOR, BLOCK = 512, 4096
ENOENT, EINTR, EIO, EEXIST, ENOSPC, EROFS = 2, 4, 5, 17, 28, 30
EACCES = 13
ALWAYS = 10 ** 9
LIES_MAX = 8            # of the last synced writes, so many may vanish from a LyingStore

# State before one operation.  names: of the medium, name -> file number.  name_changes:
# (change, name, number) not on the medium.  files: number -> (content, writes in flight).
Snapshot = namedtuple("Snapshot", ("names", "name_changes", "files"))


class Fault:
    """Operations first .. first + times - 1 fail with errno: changing ones, or reads."""

    __slots__ = ("first", "times", "errno", "short", "name", "operation")

    def __init__(self, first=0, times=ALWAYS, errno=EIO, short=False, **only):
        """short: half of a write is made, unless the store refuses it.  only: the name or the
        operation that it hits."""
        self.first, self.times, self.errno, self.short = first, times, errno, short
        self.name, self.operation = only.get("name", ""), only.get("operation", "")

    def __repr__(self):
        return "Fault(%d, %d, %d, %r, name=%r, operation=%r)" % (
            self.first, self.times, self.errno, self.short, self.name, self.operation)

    def hits(self, number, operation, name):
        """Return True if this operation fails."""
        return (self.first <= number < self.first + self.times
                and self.name in ("", name) and self.operation in ("", operation))


class _File:
    __slots__ = ("durable", "pending", "lost", "changed")

    def __init__(self, content=b""):
        self.durable = content
        self.pending = []               # (offset, bytes) that reach the medium with a sync
        self.lost = []                  # (offset, bytes) whose sync failed: nobody knows
        self.changed = None             # bytearray that a process sees, if not durable

    @property
    def seen(self):
        return self.durable if self.changed is None else self.changed


def patched(content, writes):
    """Return content with writes of (offset, bytes) made; zeros where nothing was."""
    data = bytearray(content)
    for offset, part in writes:
        _put(data, offset, part)
    return bytes(data)


def sectors_of(start, data):
    """Return a write in pieces of (offset, bytes) that each lie in one sector."""
    parts, at = [], 0
    while at < len(data):
        size = SECTOR - (start + at) % SECTOR
        parts.append((start + at, data[at:at + size]))
        at += size
    return parts


def _put(data, offset, part):
    if offset > len(data):
        data += bytes(offset - len(data))
    data[offset:offset + len(part)] = part


class MemoryStore:
    """The store interface of the journal, with a hook before each changing operation."""

    block_bytes = 1024      # small, as the segments of these tests: commits begin blocks, too

    def __init__(self, image=None, before_op=None, fault=None):
        """image: {name: bytes} on the medium.  before_op: called with (store, operation)."""
        self._files = {}                # number -> _File
        self._medium, self._names = {}, {}      # name -> number: after a cut, now
        self._changes = []              # (change, name, number) since the last sync_dir
        self._before_op = before_op
        self.fault, self.read_fault = fault, None
        self.capacity = None            # bytes of the disk; None: as good as endless
        self.ops = self.reads = self.hits = 0           # hits: operations that a fault hit
        self.failed_syncs = set()
        self.resynced = 0               # syncs of a file whose sync had failed before
        for name, content in (image or {}).items():
            self._medium[name] = self._names[name] = len(self._files)
            self._files[len(self._files)] = _File(bytes(content))

    def calm(self):
        """Let nothing happen from here on: no fault, no hook."""
        self.fault = self._before_op = self.read_fault = None

    def snapshot(self):
        """Return what a power cut right now would find to choose from."""
        return Snapshot(dict(self._medium), tuple(self._changes), {
            i: (f.durable, tuple(f.lost + f.pending)) for i, f in self._files.items()})

    def image(self):
        """Return {name: bytes} as a running process sees the files."""
        return {name: bytes(self._file(name).seen) for name in self._names}

    def rot(self, name, offset, mask=1):
        """Flip bits of a synced byte, on the medium and for the process."""
        file = self._file(name)
        durable = bytearray(file.durable)
        durable[offset] ^= mask
        file.durable = bytes(durable)
        if file.changed is not None:
            file.changed[offset] ^= mask

    def list(self):
        """Return all names a running process sees, sorted."""
        return sorted(self._names)

    def size(self, name):
        """Return a file's size in bytes."""
        return len(self._file(name).seen)

    def read(self, name, offset, count):
        """Return bytes as a running process sees them."""
        seen = self._file(name).seen
        number, fault = self.reads, self.read_fault
        self.reads += 1
        if fault is not None and fault.hits(number, "read", name):
            raise StoreError("injected at read %d of %s" % (number, name), fault.errno)
        return bytes(seen[offset:offset + count])

    def free_bytes(self):
        """Return what is left of the capacity, where every file fills blocks of 4 KiB."""
        if self.capacity is None:
            return 1 << 30
        return self.capacity - self.used_bytes()

    def used_bytes(self):
        """Return the size of the blocks that all files fill."""
        return sum([-(-self.size(name) // BLOCK) * BLOCK for name in self._names])

    def create(self, name):
        """Make an empty file."""
        self._step("create", name)
        if name in self._names:
            raise StoreError("%s exists" % name, EEXIST)
        number = len(self._files)
        self._files[number], self._names[name] = _File(), number
        self._changes.append(("create", name, number))

    def write(self, name, offset, data):
        """Write; a short fault leaves half of it."""
        file = self._file(name)
        if self.capacity is not None and offset + len(data) - len(file.seen) > self.free_bytes():
            raise StoreError("%s: no space left" % name, ENOSPC)
        try:
            self._step("write", name)
        except StoreError:
            if self.fault is not None and self.fault.short and self.fault.errno not in REFUSED:
                self._write(file, offset, bytes(data[:len(data) // 2]))
            raise
        self._write(file, offset, bytes(data))

    def sync(self, name):
        """Move a file's writes to the medium; a failed sync loses them for good."""
        file = self._file(name)
        self.resynced += name in self.failed_syncs
        try:
            self._step("sync", name)
        except StoreError:
            self.failed_syncs.add(name)
            file.lost += [part for write in file.pending for part in sectors_of(*write)]
            file.pending = []
            raise
        synced = {at // SECTOR for start, data in file.pending
                  for at, _ in sectors_of(start, data)}
        file.lost = [(at, part) for at, part in file.lost if at // SECTOR not in synced]
        file.durable, file.pending = patched(file.durable, file.pending), []

    def sync_dir(self):
        """Move created and removed names to the medium."""
        self._step("sync_dir", "")
        self._medium, self._changes = dict(self._names), []

    def remove(self, name):
        """Delete a name; the content stays on a medium whose directory was not synced."""
        self._step("remove", name)
        self._file(name)
        self.failed_syncs.discard(name)
        self._changes.append(("remove", name, self._names.pop(name)))

    def close(self):
        """Do nothing: no descriptor is open."""

    def _file(self, name):
        if name not in self._names:
            raise StoreError("%s is not there" % name, ENOENT)
        return self._files[self._names[name]]

    def _write(self, file, offset, data):
        file.pending.append((offset, data))
        if file.changed is None:
            file.changed = bytearray(file.durable)
        _put(file.changed, offset, data)

    def _step(self, operation, name):
        if self._before_op is not None:
            self._before_op(self, operation)
        number, fault = self.ops, self.fault
        self.ops += 1
        if fault is not None and fault.hits(number, operation, name):
            self.hits += 1
            raise StoreError("injected at %s %d" % (operation, number), fault.errno)


class LyingStore(MemoryStore):
    """Flash that lies: a sync returns well, and the last writes are gone after a power cut.

    A cheap card answers from its RAM.  A write is one write of a synced file, or one name that
    a sync of the directory made durable; what was never synced is gone as well.  Nothing on
    the gateway can see this: only the fleet holds what the flash lost.
    """

    def __init__(self, image=None):
        """image: files by name, all of them on the medium."""
        super().__init__(image)
        self._base = {number: file.durable for number, file in self._files.items()}
        self._base_names = dict(self._medium)
        self._log = []                  # the last LIES_MAX: (file, offset, data) or (change, ...)

    def sync(self, name):
        """Say that a file is on the medium."""
        number = self._names[name]
        writes = [(number, offset, data) for offset, data in self._file(name).pending]
        super().sync(name)
        self._remember(writes)

    def sync_dir(self):
        """Say that all names are on the medium."""
        changes = list(self._changes)
        super().sync_dir()
        self._remember(changes)

    def image_without(self, vanished):
        """Return the files a start finds if some of the last writes vanished.

        vanished: places from the end, 1 = the last write of all.
        """
        contents, names = dict(self._base), dict(self._base_names)
        for back in range(len(self._log), 0, -1):
            if back not in vanished:
                _apply(self._log[-back], contents, names)
        return {name: contents.get(number, b"") for name, number in names.items()}

    def _remember(self, writes):
        self._log += writes
        while len(self._log) > LIES_MAX:
            _apply(self._log.pop(0), self._base, self._base_names)


def _apply(write, contents, names):
    what, second, third = write
    if what == "create":
        names[second] = third
    elif what == "remove":
        names.pop(second, None)
    else:
        contents[what] = patched(contents.get(what, b""), [(second, third)])
