"""Is there a gateway process?  Asked of the kernel, not of the age of a file.  Reads /proc only.

A process is known by the machine's boot and the moment of its start, so that a number given to
another process is no life.  Who has a journal's folder is in the kernel's list of locks: asking
for the lock itself could keep a gateway from starting.
"""

import os
from pathlib import Path

PROC = Path("/proc")
START_FIELD = 22 - 3            # starttime among what follows the name (proc_pid_stat(5))


def mark(pid: int, proc: Path = PROC) -> str:
    """Return what tells a process from every other one that had or will have its number, "" if
    there is no such process."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()        # a name may hold blanks and brackets
    if len(fields) <= START_FIELD or fields[0] in "ZX":     # a zombie has ended
        return ""
    return f"{boot}/{fields[START_FIELD]}"


def age_s(pid: int, proc: Path = PROC) -> float | None:
    """Return how long ago a process was started, in real seconds; None if it is not there."""
    start = mark(pid, proc).rpartition("/")[2]
    try:
        up_s = float((proc / "uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return up_s - int(start) / os.sysconf("SC_CLK_TCK") if start else None


def holder(directory: Path, proc: Path = PROC) -> int:
    """Return the process that has locked a folder, 0 if none has (or nobody can tell)."""
    try:
        state = directory.stat()
        lines = (proc / "locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    wanted = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
    for line in lines:
        parts = line.split()
        if parts[1:2] == ["FLOCK"] and wanted in parts and parts[4].isdigit():
            return int(parts[4])
    return 0
