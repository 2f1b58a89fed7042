"""Real processes side by side: start, watch, stop, kill.  Used by the demo only.

Each process writes to a log file of its own.  Nothing is left running: stop_all() ends the
processes in the reverse order of their start, and a process that does not end in time is
killed.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STOP_S = 15.0           # a gateway drains for up to 10 s when it is asked to stop
LOG_TAIL_LINES = 12     # shown when a process ends by itself


class ProcessEnded(RuntimeError):
    """A process that should run has ended; the message holds the end of its log."""


@dataclass
class RunningProcess:
    """One started process: its name, handle and log file."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @property
    def alive(self) -> bool:
        """Tell whether the process still runs."""
        return self.process.returncode is None


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_open(port: int) -> bool:
    """Tell whether something listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def python(room: str, *arguments: str) -> list[str]:
    """Return the command line of one of our rooms: python -m ROOM ARGUMENTS."""
    return [sys.executable, "-m", room, *arguments]


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a log file, or a word that it is empty."""
    if not log.exists():
        return "(no output)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(no output)"


class Processes:
    """The demo's processes by name."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._running: dict[str, RunningProcess] = {}
        logs.mkdir(parents=True, exist_ok=True)

    async def start(self, name: str, command: list[str],
                    folder: Path | None = None) -> RunningProcess:
        """Start a process in a folder; its output is appended to LOGS/NAME.log."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=sink,
                stderr=asyncio.subprocess.STDOUT, start_new_session=True, cwd=folder,
                env=os.environ | {"PYTHONUNBUFFERED": "1"})
        self._running[name] = RunningProcess(name, process, log)
        return self._running[name]

    async def run(self, name: str, command: list[str]) -> None:
        """Run a command to its end; raises ProcessEnded when it fails."""
        started = await self.start(name, command)
        code = await started.process.wait()
        del self._running[name]
        if code:
            raise ProcessEnded(f"{name} ended with {code}:\n{tail(started.log)}")

    def check(self) -> None:
        """Raise ProcessEnded if one of the processes has ended by itself."""
        for running in self._running.values():
            if not running.alive:
                raise ProcessEnded(f"{running.name} ended with {running.process.returncode}"
                                   f":\n{tail(running.log)}")

    async def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal a process and wait for its end; returns its exit code."""
        running = self._running.pop(name)
        if running.alive:
            running.process.send_signal(how)
        try:
            async with asyncio.timeout(STOP_S):
                return await running.process.wait()
        except TimeoutError:
            running.process.kill()
            return await running.process.wait()

    async def stop_all(self) -> None:
        """End everything that still runs, the last started first."""
        for name in reversed(list(self._running)):
            await self.stop(name)

    def alive(self, name: str) -> bool:
        """Tell whether a process was started under a name and still runs."""
        return name in self._running and self._running[name].alive

    def pid(self, name: str) -> int:
        """Return the process id of a running process."""
        return self._running[name].process.pid


async def until(
    condition: Callable[[], bool], what: str, processes: Processes, timeout_s: float = 30.0
) -> None:
    """Wait until condition() is true; raises ProcessEnded with `what` when it never is."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not condition():
        processes.check()
        if asyncio.get_running_loop().time() > deadline:
            raise ProcessEnded(f"waited {timeout_s:.0f} s in vain for {what}")
        await asyncio.sleep(0.05)
