"""A real ext4 or tmpfs of its own for a test, and what a power cut would leave of it.

    make_image(image, 16384)
    with mounted(image, place): ...         write below `place`
    copy_at_once(image, copy)               what the power cut leaves

Needs root.  The disk is a file behind a loop device, so its bytes are there to be copied:
what the kernel had not written to it yet is missing from the copy, as after a power cut.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.parts import need, need_mounts

KIB = 1024
COPY_TRIES = 200
SECTOR = 512                        # unit of /sys/block/*/stat, whatever the device has
WRITES, SECTORS_WRITTEN = 4, 6      # its fields (kernel: Documentation/block/stat.rst)
# The background work of a young file system would write into our measurements.
MKFS = ("-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0")


class Written(NamedTuple):
    """What a block device took: write requests and bytes."""

    requests: int
    bytes: int


def make_image(image: Path, kib: int) -> None:
    """Make a file of so many KiB with an empty ext4 in it; one under 2 MiB has no journal."""
    need_mounts()
    with image.open("wb") as file:
        file.truncate(kib * KIB)
    _run(need("mkfs.ext4"), *MKFS, str(image))


@contextmanager
def mounted(image: Path, place: Path, options: str = "") -> Iterator[Path]:
    """Mount an image behind a loop device; both are released whatever happens inside.

    options: of mount, each with a comma before it.
    """
    with _mounted(place, "-o", "loop" + options, str(image)):
        yield place


@contextmanager
def tmpfs(place: Path, kib: int) -> Iterator[Path]:
    """Mount a tmpfs of so many KiB."""
    need_mounts()
    with _mounted(place, "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs"):
        yield place


@contextmanager
def _mounted(place: Path, *what: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    _run(need("mount"), *what, str(place))
    try:
        yield
    finally:
        detach(place)


def attach(image: Path, place: Path, options: str = "") -> None:
    """Mount an image behind a loop device until detach(); options: as of mounted()."""
    place.mkdir(exist_ok=True)
    _run(need("mount"), "-o", "loop" + options, str(image), str(place))


def detach(place: Path) -> None:
    """Take a mount away; one that is busy (a test failed with a file open) goes with its last
    user."""
    if subprocess.run([need("umount"), str(place)], capture_output=True, check=False).returncode:
        _run(need("umount"), "--lazy", str(place))


def remount(place: Path, options: str) -> None:
    """Mount what is mounted at a place again with other options: ro or rw."""
    _run(need("mount"), "-o", f"remount,{options}", str(place))


def fail_read_only(place: Path) -> None:
    """Let ext4 find an error in itself: mounted with errors=remount-ro it takes no write from
    now on, neither from files that are open; until it is detached and repaired."""
    device = place.stat().st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    name = Path(f"/sys/dev/block/{numbers}").resolve().name
    Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("chaos\n", encoding="ascii")


def repair(image: Path) -> None:
    """Let e2fsck repair an image that is not attached; 1 and 2 of its codes mean that it did."""
    done = subprocess.run([need("e2fsck"), "-fy", str(image)], capture_output=True, text=True,
                          check=False)
    if done.returncode > 2:
        raise AssertionError(f"e2fsck {image}: {done.stdout.strip()} {done.stderr.strip()}")


def copy_at_once(image: Path, copy: Path) -> bytes:
    """Copy a disk that is in use as it stood at one moment; return its bytes.

    Two readings that are equal show what stood there between them: a disk whose journal
    moves on does not come back to an earlier state.
    """
    before = image.read_bytes()
    for _ in range(COPY_TRIES):
        again = image.read_bytes()
        if again == before:
            copy.write_bytes(again)
            return again
        before = again
    raise AssertionError(f"{image} never stood still for one moment")


def settle(place: Path) -> None:
    """Return when everything on a mounted disk is on the medium."""
    _run(need("sync"), "-f", str(place))


def written(place: Path) -> Written:
    """Return the counters of the block device below a mounted place, after a sync of it."""
    settle(place)
    return counted(place)


def counted(place: Path) -> Written:
    """Return the counters of the block device below a mounted place as they stand."""
    device = place.stat().st_dev
    stat = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    fields = [int(field) for field in stat.read_text(encoding="ascii").split()]
    return Written(fields[WRITES], fields[SECTORS_WRITTEN] * SECTOR)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")

