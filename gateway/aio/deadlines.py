"""Waits with a limit, all under one timer of the event loop.

A timer of asyncio costs as much as a question to a meter, and nearly every limit of a question
is never reached: twenty meters that are asked in one moment need one timer, not twenty.  Seconds
are real: they are the loop's.
"""

import asyncio
import itertools
import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

Waiter = asyncio.Future[Any]
SHORTEST_S = 1e-6               # or who waits for a rounding error would find the clock unmoved
CLOCK_S = 1e-9                  # what a loop's clock is exact to
ENDED_MAX = 64                  # waits kept that have ended before their limit, at the least
IDLE_S = 0.05                   # a timer that strikes so much too early is worth setting again


class Deadlines:
    """The waits of one loop.  Who waits holds a future; its end is the end of the wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waits: list[tuple[float, int, Waiter, Callable[[Waiter], None]]] = []
        self._orders = itertools.count()
        self._sweep_at = ENDED_MAX
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = math.inf        # when it strikes

    def add(self, waiter: Waiter, seconds: float, late: Callable[[Waiter], None]) -> None:
        """Call late(waiter) after so many seconds, unless the waiter is done by then."""
        due_s = self.loop.time() + max(seconds, SHORTEST_S)
        heappush(self._waits, (due_s, next(self._orders), waiter, late))
        if due_s < self._timer_s:
            self._arm(due_s)
        if len(self._waits) > self._sweep_at:
            self._waits = [wait for wait in self._waits if not wait[2].done()]
            heapify(self._waits)
            self._sweep_at = max(2 * len(self._waits), ENDED_MAX)

    def ended(self) -> None:
        """Take note that a wait has ended: the timer need not strike for it."""
        waits = self._waits
        while waits and waits[0][2].done():
            heappop(waits)
        if waits and waits[0][0] > self._timer_s + IDLE_S:
            self._arm(waits[0][0])

    def _arm(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_s = self.loop.call_at(due_s, self._strike), due_s

    def _strike(self) -> None:
        """End the waits whose time has come, and sleep until the next."""
        self._timer, self._timer_s = None, math.inf
        waits, now_s = self._waits, self.loop.time() + CLOCK_S
        while waits and (waits[0][2].done() or waits[0][0] <= now_s):
            _, _, waiter, late = heappop(waits)
            if not waiter.done():
                late(waiter)
        if waits:
            self._arm(waits[0][0])


_newest: Deadlines | None = None


def running_deadlines() -> Deadlines:
    """Return the limits of the running loop."""
    global _newest
    found, loop = _newest, asyncio.get_running_loop()
    if found is None or found.loop is not loop:
        found = _newest = Deadlines(loop)
    return found
