"""Where scans and events wait for the writer: bounded, and whoever brings too many waits.

Here begins the loss window: the schedule gets the time of the first record.
"""

import asyncio

from gateway.aio.wakeup import Wakeup
from gateway.core.event import Event
from gateway.core.journal.policy import Schedule
from gateway.core.reading import Scan
from gateway.timekeeping.clock import Clock

WAITING_MAX = 4096              # items; 12 devices at 1 s fill it in five minutes


class InputQueue:
    """Items on their way into the journal.  Seconds are real."""

    def __init__(self, clock: Clock, schedule: Schedule, wakes: bool) -> None:
        """wakes: the writer has to be woken for a first item to keep the loss window."""
        self._clock, self._schedule, self._wakes = clock, schedule, wakes
        self._items: list[Scan | Event] = []
        self._wake, self._space = Wakeup(), asyncio.Event()
        self.closed = False

    def __len__(self) -> int:
        """Return how many items wait."""
        return len(self._items)

    async def put(self, item: Scan | Event) -> None:
        """Add an item; waits while there is no space."""
        while len(self._items) >= WAITING_MAX:
            self._space.clear()
            self._wake.set()
            await self._space.wait()
        self._items.append(item)
        if self._schedule.dirty_ms is None:
            self._schedule.record(self._clock.ticks_ms())
            if self._wakes:
                self._wake.set()
        if isinstance(item, Event) or len(self._items) > WAITING_MAX // 2:
            self._wake.set()

    def take(self) -> list[Scan | Event]:
        """Return everything that waits, oldest first, and make space."""
        items, self._items = self._items, []
        self._space.set()
        return items

    def wake(self) -> None:
        """End the writer's rest now."""
        self._wake.set()

    def close(self) -> None:
        """Ask the writer to end after what waits."""
        self.closed = True
        self._wake.set()

    async def rest(self, limit_s: float) -> None:
        """Return when something is urgent, at the latest after limit_s."""
        await self._wake.wait(limit_s)
        self._wake.clear()
