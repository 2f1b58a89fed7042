"""A board without the board: MicroPython's unix port on a flash image, in a limited heap.

    python -m simulator.demo.board IMAGE [--heap 128K] [--cut N]

The file is the flash.  Its second partition is mapped into memory, as a microcontroller maps
its own flash; the first is mounted as a block device by gateway/micro/host.py.  SIGKILL is the
power cut; --cut N cuts in the middle of the N-th flash operation.
"""

import argparse
import ctypes
import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path

HEAP = "128K"               # the least that holds; docs/board.md, "Memory"
HOST = Path(__file__).resolve().parents[2] / "gateway" / "micro"
FLASH_BYTES = 448 * 4096       # the LittleFS partition; code that runs in place lies behind it
WITH_ROM = """\
import sys, uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at(%d, %d)), "/rom")
sys.path[:] = ["/rom", ".frozen"]
import host
host.main(%r, %d, True)
"""
WITHOUT_ROM = """\
import sys
sys.path[:] = [%r, ".frozen"]
import host
host.main(%r, %d, False)
"""


def mapped(image: Path) -> tuple[int, int]:
    """Return (address, size in bytes) of the file, mapped read-only; raises OSError."""
    size = image.stat().st_size
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int,
                             ctypes.c_int, ctypes.c_long]
    handle = os.open(image, os.O_RDONLY)
    address = library.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, handle, 0)
    os.close(handle)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), f"{image} cannot be mapped")
    return int(address), size


def main(argv: Sequence[str] | None = None) -> int:
    """Switch the board on; returns when its program ends, which it never should."""
    parser = argparse.ArgumentParser(prog="python -m simulator.demo.board", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, help="made by `python -m provisioning image`")
    parser.add_argument("--heap", default=HEAP, help=f"memory for Python (default {HEAP})")
    parser.add_argument("--cut", type=int, default=0, metavar="N", help="power cut at the N-th "
                        "flash operation")
    args = parser.parse_args(argv)
    try:
        from micropython_run import run_main
    except ImportError:
        print("simulator.board: MicroPython is not here; next: make setup (x86-64 Linux only)",
              file=sys.stderr)
        return 2
    address, size = mapped(args.image)
    if size > FLASH_BYTES:
        program = WITH_ROM % (address + FLASH_BYTES, size - FLASH_BYTES, str(args.image), args.cut)
    else:
        program = WITHOUT_ROM % (str(HOST), str(args.image), args.cut)
    return int(run_main(["micropython", "-X", f"heapsize={args.heap}", "-c", program]))


if __name__ == "__main__":
    sys.exit(main())
