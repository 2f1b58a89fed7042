"""Is every task still making progress?  The watchdog is fed by the answer, never by a timer.

Also here: the status file, which is replaced atomically so that a reader never sees half of it.
"""

import json
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from gateway.aio.keep_alive import Progress, pause

LOG = logging.getLogger("wattproof.health")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


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


async def watch(progress: Progress, notifier: Notifier) -> None:
    """Feed the watchdog for ever, but only while no task is stalled."""
    period_s = notifier.watchdog_s / 3 if notifier.watchdog_s else 5.0
    reported: list[str] = []
    while True:
        stalled = progress.stalled()
        if not stalled:
            notifier.send("WATCHDOG=1")
        elif stalled != reported:
            LOG.error("no progress in %s: the watchdog is not fed", ", ".join(stalled))
        reported = stalled
        await pause(period_s)


def write_status(path: Path, status: Mapping[str, object]) -> bool:
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
