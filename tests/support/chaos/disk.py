"""A disk of its own for each party of a chaos run: ext4 on a loop device, needs root.

    disk = Disk(folder / "gateway", journal, 65536)
    disk.attach() ... disk.fill() ... disk.relieve() ... disk.fail() ... disk.repair()

repair(), move() and flip() want that nothing on the disk is open.
"""

import contextlib
import shutil
import subprocess

from tests.support import loop_disk

BLOCK = 4096
OPTIONS = ",errors=remount-ro"


class Disk:
    """One party's disk, mounted at a place."""

    def __init__(self, image, place, kib):
        """image: a path without suffix, outside of the place."""
        self.place, self._kib, self._number = place, kib, 0
        self._stem = image
        self._ballast = place / "ballast"
        self.image = None

    def attach(self):
        """Mount a new, empty disk."""
        self.place.mkdir(parents=True, exist_ok=True)
        self._make(self.place)

    def settle(self):
        """Let the medium have all that was written: what lies there for long is there."""
        loop_disk.settle(self.place)

    def detach(self):
        """Take the disk away, whatever is open on it."""
        if self.place.is_mount():
            loop_disk.detach(self.place)

    def fill(self):
        """Let another program take all the space there is."""
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(BLOCK))

    def relieve(self):
        """Give that space back."""
        self._ballast.unlink(missing_ok=True)

    def fail(self):
        """From now on no write is taken, as after an error that the file system found."""
        loop_disk.fail_read_only(self.place)

    def set_read_only(self, read_only):
        """Mount it again for reading only, while nothing on it is open for writing, or back."""
        loop_disk.remount(self.place, "ro" if read_only else "rw")

    def repair(self):
        """Unmount, check and mount again."""
        self._take_away(self.place)
        loop_disk.repair(self.image)
        loop_disk.attach(self.image, self.place, OPTIONS)

    def move(self):
        """Copy everything to a new disk and put that in its place, as with a new card."""
        old, beside = self.image, self.place.with_name(self.place.name + ".new")
        self._make(beside)
        subprocess.run(["cp", "-a", f"{self.place}/.", str(beside)], check=True)
        loop_disk.settle(beside)
        self._take_away(beside)
        beside.rmdir()
        self._take_away(self.place)
        loop_disk.attach(self.image, self.place, OPTIONS)
        old.unlink()

    def _make(self, place):
        self._number += 1
        self.image = self._stem.with_name(f"{self._stem.name}-{self._number}.img")
        self.image.parent.mkdir(parents=True, exist_ok=True)
        loop_disk.make_image(self.image, self._kib)
        loop_disk.attach(self.image, place, OPTIONS)
        shutil.rmtree(place / "lost+found")

    def _take_away(self, place):
        done = subprocess.run(["umount", str(place)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stderr}: something on it is still open"


def flip(path, chance, start=0, end=None):
    """Flip one to three bits of a file between two offsets; return the offsets."""
    data = bytearray(path.read_bytes())
    end = len(data) if end is None else end
    places = sorted(chance.sample(range(start, end), min(chance.randint(1, 3), end - start)))
    for place in places:
        data[place] ^= 1 << chance.randrange(8)
    with path.open("r+b") as file:
        file.write(data)
    return places
