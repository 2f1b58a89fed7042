"""A loop for aiomqtt that never begins to watch a socket which was closed meanwhile.

aiomqtt asks the loop to watch a socket with the next turn, since it may be in another thread.  If
the connection breaks before that turn, the number is no socket any more, which is logged as an
error, or it belongs to a new one, of a bus perhaps.
"""

import asyncio
from collections.abc import Callable
from typing import cast

ADDED_BY = {"remove_reader": "add_reader", "remove_writer": "add_writer"}


class SocketsInOrder:
    """Everything of a loop; what is removed before its turn came is not added."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._later: dict[tuple[str, int], asyncio.Handle] = {}

    def __getattr__(self, name: str) -> object:
        """Return what the loop has."""
        return getattr(self._loop, name)

    def call_soon_threadsafe(self, call: Callable[..., object], *given: object) -> asyncio.Handle:
        """Call with the next turn, from any thread."""
        handle = self._loop.call_soon_threadsafe(call, *given)
        name, number = getattr(call, "__name__", ""), given[0] if given else None
        if name in ADDED_BY.values() and isinstance(number, int):
            self._later[name, number] = handle
        return handle

    def remove_reader(self, number: int) -> bool:
        """Watch a socket no more, also if that was to begin only now."""
        return self._remove("remove_reader", number)

    def remove_writer(self, number: int) -> bool:
        """Wait no more until a socket can be written, also if that was to begin only now."""
        return self._remove("remove_writer", number)

    def _remove(self, how: str, number: int) -> bool:
        later = self._later.pop((ADDED_BY[how], number), None)
        if later is not None:
            later.cancel()
        return bool(getattr(self._loop, how)(number))


class WithSocketsInOrder:
    """Stands before aiomqtt.Client among the bases of a client: its loop is wrapped."""

    _in_order: SocketsInOrder

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return cast(asyncio.AbstractEventLoop, self._in_order)

    @_loop.setter
    def _loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._in_order = SocketsInOrder(loop)
