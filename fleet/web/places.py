"""A limited number of places for answers that take long; counted before one is given."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Places:
    """So many answers at once; used in one event loop only."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    def take(self) -> bool:
        """Take a place and return True, or return False if there is none."""
        if self.taken >= self.most:
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        """Give a place back."""
        self.taken -= 1


class PlacedStream(StreamingResponse):
    """A streamed answer that has taken a place and gives it back however it ends.

    Not the generator's `finally` does it: one that was never started has none.
    """

    def __init__(self, positions: Places, content: AsyncIterator[bytes] | AsyncIterator[str],
                 headers: Mapping[str, str], limit_s: float | None = None) -> None:
        """limit_s: for a reader who takes it slowly, None for no limit."""
        super().__init__(content, headers=headers)
        self._places, self._limit_s = positions, limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limit_s):
                    await super().__call__(scope, receive, send)
        finally:
            self._places.leave()
