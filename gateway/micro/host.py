"""A board made of a file: mounts a flash image and starts what is in it (unix port only).

    micropython -X heapsize=128K host.py IMAGE [--cut N]

IMAGE is the file that would be flashed.  --cut N: the power goes in the middle of the N-th
flash operation; half of what was to be programmed is there, or half of the block is erased.
"""

import os
import sys

import vfs

BLOCK = 4096
PART = 256                  # a 4 KiB buffer would come out of the board's heap
ERASED = b"\xff" * PART
COUNT, SIZE, ERASE = 4, 5, 6       # docs/library/os.AbstractBlockDev of MicroPython


class Flash:
    """A block device over an image file; counts its operations."""

    def __init__(self, path, cut):
        self._file = open(path, "r+b")
        self._blocks = os.stat(path)[6] // BLOCK
        self._left = cut

    def readblocks(self, number, data, offset=0):
        """Fill data from a place."""
        self._file.seek(number * BLOCK + offset)
        self._file.readinto(data)

    def writeblocks(self, number, data, offset=0):
        """Program bytes at a place that was erased."""
        self._put(number * BLOCK + offset, data)

    def ioctl(self, operation, number):
        """Answer what LittleFS asks of a device."""
        if operation == COUNT:
            return self._blocks
        if operation == SIZE:
            return BLOCK
        if operation == ERASE:
            for part in range(BLOCK // PART):
                self._put(number * BLOCK + part * PART, ERASED)
        return 0

    def _put(self, place, data):
        self._left -= 1
        self._file.seek(place)
        if self._left == 0:
            self._file.write(memoryview(data)[:len(data) // 2])
            os.system("kill -9 $PPID")
        self._file.write(data)


def main(path, cut):
    """Mount the image as the root and run its main."""
    vfs.mount(Flash(path, cut), "/")
    os.chdir("/")
    sys.path[:] = ["", ".frozen"]
    __import__("main")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
