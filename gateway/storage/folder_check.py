"""Can this process keep a journal in a folder?  Tried, not guessed, and leaving nothing behind.

    for fault in folder_faults(Path("/var/lib/wattproof/journal")): ...

Works beside a running gateway: its one file has a name that no journal uses.
"""

import contextlib
import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

BLOCK_BYTES = 4096
NAMED_MAX = 3                   # of files that cannot be read or written
READ, WRITE = ("read", os.O_RDONLY), ("written", os.O_WRONLY)

NEXT = {
    errno.EROFS: "mount it writable: mount -o remount,rw",
    errno.EACCES: "give it to the user that runs the gateway: chown -R",
    errno.EPERM: "give it to the user that runs the gateway (chown -R), and see lsattr",
    errno.ENOSPC: "delete or move what is not Wattproof's",
    errno.EDQUOT: "raise the quota of the user that runs the gateway",
    errno.EIO: "replace the flash",
    errno.ENOTDIR: "move the file away that stands on the way",
}


def folder_faults(folder: Path) -> list[str]:
    """Return what keeps this process from using a journal's folder, each with the next step; []
    if nothing does."""
    try:
        missing = not folder.exists()
    except OSError as error:
        return [_fault(folder, f"cannot be reached: {error.strerror}", error.errno)]
    if missing:
        return _could_make(folder)
    faults = _tried(folder)
    return faults + _refused(folder, (READ,) if faults else (READ, WRITE))


def _could_make(folder: Path) -> list[str]:
    parent = next(one for one in folder.absolute().parents if one.exists())
    if not parent.is_dir():
        return [_fault(parent, "is no folder", errno.ENOTDIR)]
    if os.access(parent, os.W_OK | os.X_OK):
        return []
    refusal = errno.EROFS if os.statvfs(parent).f_flag & os.ST_RDONLY else errno.EACCES
    return [_fault(folder, f"cannot be made: {os.strerror(refusal)}", refusal)]


def _tried(folder: Path) -> list[str]:
    """Make, write and delete a file; it is on the medium when the write returns."""
    path = folder / f"check-{os.getpid()}"
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DSYNC | os.O_CLOEXEC,
                         0o640)
        try:
            if os.write(opened, bytes(BLOCK_BYTES)) < BLOCK_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(opened)
            with contextlib.suppress(OSError):
                path.unlink()
    except OSError as error:
        return [_fault(folder, f"cannot be written: {error.strerror}", error.errno)]
    return []


def _refused(folder: Path, uses: Iterable[tuple[str, int]]) -> list[str]:
    """Return which files that are there cannot be read, or read and not written."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder)
                       if entry.is_file(follow_symlinks=False))
    except OSError as error:
        return [_fault(folder, f"cannot be listed: {error.strerror}", error.errno)]
    faults = []
    for what, flags in uses:
        found = {name: _error(folder / name, flags) for name in names}
        refused = {name: error for name, error in found.items() if error is not None}
        if refused:
            names = [name for name in names if name not in refused]
            faults.append(_named(folder, what, refused))
    return faults


def _named(folder: Path, what: str, refused: Mapping[str, OSError]) -> str:
    shown = " ".join([*refused][:NAMED_MAX])
    more = f" and {len(refused) - NAMED_MAX} more" if len(refused) > NAMED_MAX else ""
    first = next(iter(refused.values()))
    return _fault(folder, f"{shown}{more} cannot be {what}: {first.strerror}", first.errno)


def _error(path: Path, flags: int) -> OSError | None:
    try:
        os.close(os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC))
    except FileNotFoundError:
        return None                 # a gateway that runs has deleted it
    except OSError as error:
        return error
    return None


def _fault(where: Path, what: str, number: int | None) -> str:
    step = NEXT.get(number or 0, "look at the folder and its disk")
    return f"journal folder {where}: {what}; next: {step}"
