"""A process under measurement: started, watched by the kernel's own counters, ended."""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# As on a site: byte code is there from the installation.  Compiling it at each start would cost
# 0.1 s and leave a megabyte behind.
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if name != "PYTHONDONTWRITEBYTECODE"} | {
                   "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
WAIT_S = 20.0


class Process:
    """One child that prints JSON lines; its CPU is that of all its threads, to the ns."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        """Start the command now; its complaints go to the log."""
        self.name = name
        self.began_s = time.monotonic()
        with log.open("ab") as sink:
            self._child = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sink,
                bufsize=0,      # so that select tells what is there
                env=ENVIRONMENT)
        self._log = log
        self.pid = self._child.pid

    def line(self) -> Any:
        """Return the next JSON line it prints; one that does not come stops the bench."""
        out, text = self._child.stdout, b""
        if out is not None and select.select([out], [], [], WAIT_S)[0]:
            text = out.readline()
        if not text:
            raise SystemExit(f"{self.name} is silent:\n{self._log.read_text()[-2000:]}")
        return json.loads(text)

    def cpu_s(self) -> float:
        """Return the seconds its threads have run, from the scheduler (not in ticks)."""
        spent_ns = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(OSError):      # a thread that just ended
                spent_ns += int((task / "schedstat").read_text().split()[0])
        return spent_ns / 1e9

    def rss_mib(self) -> float:
        """Return its resident memory now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return kib / 1024

    def kill(self) -> None:
        """End it like a power cut does."""
        self._child.kill()

    def wait(self) -> None:
        """Wait for its own end."""
        self._child.wait(WAIT_S)

    def stop(self) -> None:
        """Ask it to end, and make it end."""
        self._child.terminate()
        try:
            self._child.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()


@contextlib.contextmanager
def running(name: str, command: list[str], log: Path) -> Iterator[Process]:
    """Give a started process; it has ended when the block is left."""
    process = Process(name, command, log)
    try:
        yield process
    finally:
        process.stop()


def compile_all() -> None:
    """Leave byte code of everything that a gateway imports, as an installer does."""
    command = [sys.executable, "-m", "compileall", "-q", "gateway", "drivers"]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True)


def python(module: str, *arguments: str) -> list[str]:
    """Return the command line of a module."""
    return [sys.executable, "-m", module, *arguments]
