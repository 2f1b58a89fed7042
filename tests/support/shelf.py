"""The smallest store of a journal: files in a dict, for tests that need no faults."""

from gateway.core.errors import StoreError

EEXIST, ENOENT = 17, 2


class Shelf:
    """Files in memory.  free: what free_bytes() tells."""

    def __init__(self, files=None):
        self.files = {name: bytearray(data) for name, data in (files or {}).items()}
        self.free = 1 << 30

    def list(self):
        """Return all names, sorted."""
        return sorted(self.files)

    def size(self, name):
        """Return a file's size."""
        return len(self._file(name))

    def read(self, name, offset, count):
        """Return up to count bytes from offset."""
        return bytes(self._file(name)[offset:offset + count])

    def create(self, name):
        """Make an empty file."""
        if name in self.files:
            raise StoreError(f"{name} exists", EEXIST)
        self.files[name] = bytearray()

    def write(self, name, offset, data):
        """Write data at offset, zeros before it where nothing was."""
        content = self._file(name)
        content.extend(bytes(max(offset + len(data) - len(content), 0)))
        content[offset:offset + len(data)] = data

    def sync(self, name):
        """Everything is durable here."""
        self._file(name)

    def sync_dir(self):
        """Everything is durable here."""

    def remove(self, name):
        """Delete a file."""
        self._file(name)
        self.files.pop(name)

    def free_bytes(self):
        """Return the room that is left."""
        return self.free

    def _file(self, name):
        if name not in self.files:
            raise StoreError(f"{name} is not there", ENOENT)
        return self.files[name]
