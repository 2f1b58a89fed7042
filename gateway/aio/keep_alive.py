"""Keeping a task alive: started again with back-off, watched by its beats, its crash logged.

One way for all: the buses, the services and the uplink's connection.  Seconds are real.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from gateway.aio.task_group import raise_if_cancelled
from gateway.aio.wakeup import Wakeup

LOG = logging.getLogger("wattproof.tasks")
BEAT_S = 10.0                   # longest silence of a task that waits
RESTART_S, RESTART_S_MAX = 1.0, 60.0

Beat = Callable[[], None]


def no_beat() -> None:
    """Beat of a task that nobody watches."""


class Progress:
    """When each task last did something, against how long it may be silent."""

    def __init__(self, real_s: Callable[[], float]) -> None:
        """real_s: monotonic real seconds."""
        self._real_s = real_s
        self._limits: dict[str, float] = {}
        self._beats: dict[str, float] = {}

    def expect(self, task: str, limit_s: float) -> Beat:
        """Watch a task that must beat at least every limit_s seconds; return its beat."""
        self._limits[task] = limit_s
        self._beats[task] = self._real_s()
        return lambda: self.beat(task)

    def beat(self, task: str) -> None:
        """Note that a task made progress."""
        self._beats[task] = self._real_s()

    def stalled(self) -> list[str]:
        """Return the names of tasks silent for longer than allowed, sorted."""
        now = self._real_s()
        return sorted(task for task, limit in self._limits.items()
                      if now - self._beats[task] > limit)


class Backoff:
    """How long to wait after each failure in a row: doubles up to a limit."""

    def __init__(self, first_s: float = RESTART_S, longest_s: float = RESTART_S_MAX,
                 jitter: Callable[[], float] = lambda: 1.0) -> None:
        """jitter: the part of a wait that is really waited."""
        self._first_s, self._longest_s, self._jitter = first_s, longest_s, jitter
        self.wait_s = first_s                   # the next wait, without jitter

    def next_s(self) -> float:
        """Return how long to wait now; the next wait is twice as long."""
        wait_s = self.wait_s * self._jitter()
        self.wait_s = min(2 * self.wait_s, self._longest_s)
        return wait_s

    def reset(self) -> None:
        """Begin with the shortest wait again."""
        self.wait_s = self._first_s


class Service(NamedTuple):
    """Something to be run again whenever it ends.

    silent_s: how long it may go without a beat.  failed: is told each Exception and may raise it
    on; None: it is a crash, and logged as one.  stop: ends it for good; None: only cancelling does.
    """

    name: str
    run: Callable[[Beat], Awaitable[None]]
    silent_s: float
    backoff: Backoff | None = None
    failed: Callable[[Exception], None] | None = None
    stop: Wakeup | None = None


async def keep_alive(service: Service, beat: Beat) -> None:
    """Run a service again and again; a crash of it does not reach the others."""
    stop, backoff = service.stop, service.backoff or Backoff()
    while stop is None or not stop.is_set():
        beat()
        try:
            await service.run(beat)
        except Exception as error:
            if service.failed is not None:
                service.failed(error)
            else:
                LOG.exception("%s crashed; next: report this; starting it again in %g s",
                              service.name, backoff.wait_s)
        raise_if_cancelled()
        await wait_alive(backoff.next_s(), beat, stop)


async def wait_alive(wait_s: float, beat: Beat, stop: Wakeup | None = None) -> None:
    """Wait in steps that show life; a stop ends it early."""
    while wait_s > 0 and not (stop is not None and stop.is_set()):
        beat()
        step_s = min(wait_s, BEAT_S)
        wait_s -= step_s
        if stop is None:
            await asyncio.sleep(step_s)
        else:
            await stop.wait(step_s)


async def pause(period_s: float) -> None:
    """Sleep until the loop's clock is at a multiple of a period, half a period at least: what is
    due in one moment wakes the gateway once, and each wake finds the caches cold."""
    left_s = period_s - asyncio.get_running_loop().time() % period_s
    await asyncio.sleep(left_s if left_s >= period_s / 2 else left_s + period_s)
