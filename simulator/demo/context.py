"""What a run of the demo is and knows: its folders, processes, clock and the gateway's figures.

Below everything that acts on it (gateway_run, board_run) or judges it (report).
"""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

from gateway.core.counter import HOUR_MS
from simulator.clock import ScaledClock
from simulator.demo.processes import Processes, free_port

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def print_line(text: str) -> None:
    """Print one line of progress at once."""
    print(text, flush=True)


class ProcessMoment(NamedTuple):
    """One look at a process: CPU seconds, wall seconds of its life, resident MiB."""

    at: str
    pid: int
    cpu_s: float
    life_s: float
    rss_mib: float


class Usage:
    """CPU time and memory of the gateway's process, read at named moments."""

    def __init__(self) -> None:
        self.moments: list[ProcessMoment] = []
        self._pid = 0

    def begin(self, pid: int) -> None:
        """Watch this process from now on."""
        self._pid = pid

    def mark(self, name: str) -> None:
        """Note CPU seconds, wall seconds of life and resident MiB; nothing if it is gone."""
        process = Path("/proc") / str(self._pid)
        try:
            fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
            status = (process / "status").read_text()
        except OSError:
            return
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        self.moments.append(ProcessMoment(
            name, self._pid, (int(fields[11]) + int(fields[12])) / CLOCK_TICKS,
            uptime_s - int(fields[19]) / CLOCK_TICKS, int(resident.split()[1]) / 1024))

    def summary(self) -> dict[str, object]:
        """Return the gateway's share of a core over its lives, and its memory over time."""
        lives = {moment.pid: moment for moment in self.moments}
        cpu_s = sum(moment.cpu_s for moment in lives.values())
        life_s = sum(moment.life_s for moment in lives.values())
        return {"cpu_share": round(cpu_s / life_s, 4) if life_s else None,
                "rss_mib": {m.at: round(m.rss_mib, 1) for m in self.moments},
                "rss_mib_max": round(max((m.rss_mib for m in self.moments), default=0), 1)}


class Context:
    """One cabinet's run.  origin_ms: start of its books, a quarter hour, UTC; clock: once it runs.

    The first one of a fleet has the folder of the demo to itself; the others share its fleet,
    broker and processes and have a folder of their own in it.
    """

    def __init__(self, args: argparse.Namespace, first: "Context | None" = None,
                 number: int = 1) -> None:
        """number: of the cabinet; from 2 on with the first one."""
        self.args, self.number = args, number
        self.out: Path = first.out / f"cabinet-{number}" if first else Path(args.out).resolve()
        self.site, self.witness = self.out / "site", self.out / "witness.txt"
        self.fleet: Path = first.fleet if first else self.out / "fleet"
        self.processes: Processes = first.processes if first else Processes(self.out / "logs")
        self.broker_port: int = first.broker_port if first else free_port()
        self.usage = Usage()
        self.clock: ScaledClock
        self.origin_ms = 0                  # start of the books, a quarter hour, UTC

    def named(self, what: str) -> str:
        """Return the name of a process or log of this cabinet."""
        return what if self.number == 1 else f"{what}-{self.number}"

    def witnessed(self) -> int:
        """Return the highest sequence the gateway has declared durable, 0 for none."""
        if not self.witness.exists():
            return 0
        lines = self.witness.read_bytes().split(b"\n")[:-1]     # a torn last line is no witness
        return max((int(line) for line in lines[-3:] if line.isdigit()), default=0)

    def hours(self) -> float:
        """Return the simulated hours since the books opened."""
        return (self.clock.utc_ms() - self.origin_ms) / HOUR_MS
