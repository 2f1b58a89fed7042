"""Flash that lies: a sync returns well, and the last k writes are gone at the next power cut.

A cheap card answers from its RAM.  A write is one write of a synced file, or one name that a
sync of the directory made durable; what was never synced is gone as well.  Nothing on the
gateway can see this: only the fleet holds what the flash forgot.
"""

from tests.support.flaky_store import FlakyStore, _patched

K_MAX = 8


class LyingStore(FlakyStore):
    """A FlakyStore whose last writes may vanish although they were synced."""

    def __init__(self, image=None):
        """image: files by name, all of them on the medium."""
        super().__init__(image)
        self._base = {number: file.durable for number, file in self._files.items()}
        self._base_names = dict(self._medium)
        self._log = []                  # the last K_MAX: (file, offset, data) or (change, ...)

    def sync(self, name):
        """Say that a file is on the medium."""
        number = self._names[name]
        told = [(number, offset, data) for offset, data in self._file(name).pending]
        super().sync(name)
        self._remember(told)

    def sync_dir(self):
        """Say that all names are on the medium."""
        told = list(self._changes)
        super().sync_dir()
        self._remember(told)

    def image_without(self, vanished):
        """Return the files a start finds if some of the last writes vanished.

        vanished: places from the end, 1 = the last write of all.
        """
        contents, names = dict(self._base), dict(self._base_names)
        for back in range(len(self._log), 0, -1):
            if back not in vanished:
                _apply(self._log[-back], contents, names)
        return {name: contents.get(number, b"") for name, number in names.items()}

    def _remember(self, told):
        self._log += told
        while len(self._log) > K_MAX:
            _apply(self._log.pop(0), self._base, self._base_names)


def _apply(write, contents, names):
    what, second, third = write
    if what == "create":
        names[second] = third
    elif what == "remove":
        names.pop(second, None)
    else:
        contents[what] = _patched(contents.get(what, b""), [(second, third)])
