"""An event that one task waits for, with a limit: a future and its limit, nothing else.

asyncio.Event within asyncio.timeout makes a task's cancellation and an exception of every
limit that passes; here the limit passes each second on every bus.
"""

import asyncio

from gateway.aio.deadlines import running_deadlines
from gateway.core.errors import Bug


class Wakeup:
    """Set by anybody, waited for by one task.  Seconds are real."""

    def __init__(self) -> None:
        """Start unset."""
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Return whether it was set and not cleared since."""
        return self._is_set

    def set(self) -> None:
        """Set it and wake who waits."""
        self._is_set = True
        if self._waiter is not None:
            _wake(self._waiter)

    def clear(self) -> None:
        """Unset it."""
        self._is_set = False

    async def wait(self, limit_s: float) -> bool:
        """Wait until it is set or the limit has passed; return whether it is set."""
        if self._is_set:
            return True
        if self._waiter is not None:
            raise Bug("two tasks wait for one flag")
        ends = running_deadlines()
        waiter = self._waiter = ends.loop.create_future()
        ends.add(waiter, limit_s, _wake)
        try:
            await waiter
        finally:
            self._waiter = None
        return self._is_set


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
