"""How fast flash wears, and how much of its life the flash itself says is used.

Reads /sys and /proc only.  The store counts blocks of 4 KiB; what the file system adds was
measured on a loop device (docs/figures.md, "The journal").
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

ENDURANCE_GB = 3000     # 4 GB MLC eMMC: 3,000 erases (Octavo FAQ), write amplification 4
DAYS_MIN = 0.01         # a rate over less than a quarter of an hour says nothing
DAYS_MAX = 36500
# Names, inodes and ext4's journal of the files that come and go: an eighth of the blocks.
FILE_SYSTEM_PARTS = 9, 8
STAMP_BYTES = 3 * 4096  # ext4 writes a file's new time stamp in three blocks of its journal ...
ROUND_S_MIN = 60        # ... after each commit, unless its rounds come this rarely (default 5 s)
STAMP_ADVICE = ("ext4 writes 12 KiB for a time stamp after each commit; next: mount {} with "
                "noatime,commit=600 (all that must be durable is synced all the same)")

# EXT_CSD of eMMC 5.0 and later (JEDEC JESD84-B51, 7.4): life time estimates A and B in steps
# of 10 %, 0x01 = 0 to 10 % used, 0x0B = exceeded; state of the spare blocks.
STEPS_WARN = 9          # 80 to 90 % used
STEP_OVER = 11
SPARES = {2: "80 % of its spare blocks are used", 3: "90 % of its spare blocks are used"}


class FlashWear(NamedTuple):
    """What an eMMC says of itself.  used_steps: worse of both estimates, 0 = it does not say;
    spares: 0 (not told), 1 (normal), 2 or 3."""

    name: str
    used_steps: int
    spares: int


def rate(status: Mapping[str, Any], now: datetime, stamped: bool) -> dict[str, object]:
    """Return bytes per day since the gateway's start and the date flash would last to.

    status: of the running gateway.  stamped: each commit costs a time stamp as well.  The date
    assumes a new 4 GB card and this rate for ever.
    """
    days = status.get("process", {}).get("up_s", 0) / 86400
    if days < DAYS_MIN:
        return {"bytes_per_day": None, "with_file_system_per_day": None, "end_of_life": None}
    counted = status["journal"]["device_bytes"]
    times, of = FILE_SYSTEM_PARTS
    stamps = STAMP_BYTES * status["journal"].get("commits", 0) if stamped else 0
    per_day = (counted * times / of + stamps) / days
    end = now + timedelta(days=min(ENDURANCE_GB * 1e9 / max(per_day, 1), DAYS_MAX))
    return {"bytes_per_day": round(counted / days), "with_file_system_per_day": round(per_day),
            "end_of_life": end.date().isoformat()}


def emmc(blocks: Path = Path("/sys/block")) -> list[FlashWear]:
    """Return what each eMMC tells of its life; a card without EXT_CSD tells nothing."""
    found = []
    for device in sorted(blocks.glob("mmcblk*/device")):
        steps = _numbers(device / "life_time")
        if steps:
            spares = _numbers(device / "pre_eol_info")
            found.append(FlashWear(device.parent.name, max(steps), spares[0] if spares else 0))
    return found


def worn(found: list[FlashWear]) -> list[str]:
    """Return one line for each flash whose life is nearly used up."""
    lines = []
    for one in found:
        used = (f"more than its life is used ({one.name})" if one.used_steps >= STEP_OVER else
                f"{10 * one.used_steps - 10} to {10 * one.used_steps} % of its life is used "
                f"({one.name})")
        if one.used_steps >= STEPS_WARN:
            lines.append(f"flash: {used}; next: replace it soon")
        if one.spares in SPARES:
            lines.append(f"flash: {SPARES[one.spares]} ({one.name}); next: replace it soon")
    return lines


def stamped(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return where the ext4 of a directory is mounted if each commit costs a time stamp, else "".

    A file system that cannot be told counts as one that costs none.
    """
    mount, kind, options = _mount_of(directory.resolve(), mounts)
    rounds = [part.partition("=")[2] for part in options.split(",") if part.startswith("commit=")]
    rare = any(value.isdigit() and int(value) >= ROUND_S_MIN for value in rounds)
    return mount if kind == "ext4" and not rare else ""


def _mount_of(directory: Path, mounts: Path) -> tuple[str, str, str]:
    """Return (place, kind, super options) of the mount that a directory lies in (proc(5))."""
    best = ("", "", "")
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return best
    for line in lines:
        head, _, tail = line.partition(" - ")
        mount, parts = head.split(" ")[4], tail.split(" ")
        if directory.is_relative_to(mount) and len(mount) >= len(best[0]) and len(parts) == 3:
            best = (mount, parts[0], parts[2])
    return best


def _numbers(path: Path) -> list[int]:
    """Return the hexadecimal numbers of a file in /sys; none if it is not there or says else."""
    try:
        return [int(part, 16) for part in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []
