"""Is every task still making progress?  The watchdog is fed by the answer, never by a timer.

Also here: metrics as OpenMetrics text and the status file, which is replaced atomically so
that a reader never sees half of it.  Limits are in real seconds.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

LOG = logging.getLogger("wattproof.health")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class Progress:
    """When each task last did something, against how long it may be silent."""

    def __init__(self, real_s: Callable[[], float]) -> None:
        """real_s: monotonic real seconds."""
        self._real_s = real_s
        self._limits: dict[str, float] = {}
        self._beats: dict[str, float] = {}

    def expect(self, task: str, limit_s: float) -> None:
        """Watch a task that must beat at least every limit_s real seconds."""
        self._limits[task] = limit_s
        self._beats[task] = self._real_s()

    def beat(self, task: str) -> None:
        """Note that a task made progress."""
        self._beats[task] = self._real_s()

    def stalled(self) -> list[str]:
        """Return the names of tasks silent for longer than allowed, sorted."""
        now = self._real_s()
        return sorted(task for task, limit in self._limits.items()
                      if now - self._beats[task] > limit)


class Notifier:
    """systemd's notification socket; silent when there is none (sd_notify(3))."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Read NOTIFY_SOCKET and WATCHDOG_USEC from the environment."""
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        micros = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(micros) / 1e6 if micros.isdigit() else 0.0

    def send(self, text: str) -> None:
        """Send one state line, e.g. READY=1; a lost line is not an error."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.sendto(text.encode(), self._address)
        except OSError as error:
            LOG.warning("sd_notify: %s", error)


async def pause(period_s: float) -> None:
    """Sleep until the loop's clock is at a multiple of a period, half a period at least: what is
    due in one moment wakes the gateway once, and each wake finds the caches cold."""
    left_s = period_s - asyncio.get_running_loop().time() % period_s
    await asyncio.sleep(left_s if left_s >= period_s / 2 else left_s + period_s)


async def watch(progress: Progress, notifier: Notifier) -> None:
    """Feed the watchdog for ever, but only while no task is stalled."""
    period_s = notifier.watchdog_s / 3 if notifier.watchdog_s else 5.0
    told: list[str] = []
    while True:
        stalled = progress.stalled()
        if not stalled:
            notifier.send("WATCHDOG=1")
        elif stalled != told:
            LOG.error("no progress in %s: the watchdog is not fed", ", ".join(stalled))
        told = stalled
        await pause(period_s)


def write_status(path: Path, status: Mapping[str, Any]) -> bool:
    """Replace the status file by this one; return False (and log) if that is impossible.

    No sync: the file describes a running process and may die with it, so it can lie in a
    tmpfs and costs no flash.
    """
    part = f"{path}.part"
    try:
        with open(part, "wb") as file:          # buffered: all of it, or an error
            file.write(json.dumps(status).encode() + b"\n")
        os.replace(part, path)
    except OSError as error:
        LOG.warning("status file %s: %s", path, error.strerror)
        return False
    return True


def rss_kib() -> int:
    """Return this process' resident memory in KiB, 0 where /proc does not tell."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read(100).split()[1]) * PAGE_KIB    # proc_pid_statm(5)
    except OSError:
        return 0


def cpu_s() -> float:
    """Return the CPU seconds this process has used, user and system."""
    times = os.times()
    return times.user + times.system


def open_metrics(counts: Mapping[str, float]) -> str:
    """Return numbers as OpenMetrics text; keys become wattproof_<key>, all gauges."""
    lines = []
    for key in sorted(counts):
        name = "wattproof_" + key.replace("-", "_").replace(".", "_")
        lines += [f"# TYPE {name} gauge", f"{name} {counts[key]:g}"]
    return "\n".join([*lines, "# EOF", ""])
