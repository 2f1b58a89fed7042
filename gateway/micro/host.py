"""A board made of a file: mounts the partitions of a flash image and starts what is in it.

Runs before the image does, on the unix port only; started by `python -m simulator.demo.board`,
which maps the file into memory.

CUT > 0: the power goes in the middle of the CUT-th flash operation: half of what was to be
programmed is there, or half of the block is erased.
"""

import os
import sys

import vfs

BLOCK, BLOCKS = 4096, 448   # the LittleFS partition
PART = 256                  # a 4 KiB buffer would come out of the board's heap
ERASED = b"\xff" * PART
COUNT, SIZE, ERASE = 4, 5, 6                # vfs.AbstractBlockDev.ioctl of MicroPython


class FlashFile:
    """The LittleFS partition as a block device over the file."""

    def __init__(self, path: str, cut: int) -> None:
        self._file = open(path, "r+b")
        self._left = cut

    def readblocks(self, number: int, data: bytearray, offset: int = 0) -> None:
        """Fill data from a place."""
        self._file.seek(number * BLOCK + offset)
        self._file.readinto(data)

    def writeblocks(self, number: int, data: bytes, offset: int = 0) -> None:
        """Program bytes at a place that was erased."""
        self._file.seek(number * BLOCK + offset)
        if self._is_cut():
            self._file.write(memoryview(data)[:len(data) // 2])
            self._die()
        self._file.write(data)

    def ioctl(self, operation: int, number: int) -> int:
        """Answer what LittleFS asks of a device."""
        if operation == COUNT:
            return BLOCKS
        if operation == SIZE:
            return BLOCK
        if operation == ERASE:
            self._file.seek(number * BLOCK)
            cut = self._is_cut()
            for _ in range(BLOCK // PART // (2 if cut else 1)):
                self._file.write(ERASED)
            if cut:
                self._die()
        return 0

    def _is_cut(self) -> bool:
        self._left -= 1
        return self._left == 0

    def _die(self) -> None:
        os.system("kill -9 $PPID")


def main(path: str, cut: int, rom: bool) -> None:
    """Mount the image as the root and run its main.

    rom: True if its second partition is mounted at /rom already, which this file came from.
    """
    sys.path[:] = ["", ".frozen"] + (["/rom"] if rom else [])
    vfs.mount(FlashFile(path, cut), "/")
    os.chdir("/")
    __import__("main")
