"""How many connections the page's server has at once, and how long a head may take.

uvicorn limits neither: a peer that opens connections and sends half a request line would keep a
file descriptor for each of them until the process has none left for the broker and the store.
"""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX = 512       # of these, half the file descriptors that a process has by default
HEAD_S = 10.0               # for a whole head; a browser needs milliseconds
HEAD_BYTES_MAX = 16384


class BoundedProtocol(H11Protocol):
    """A connection that is refused above CONNECTIONS_MAX and closed if no head comes."""

    _overdue: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:    # type: ignore[override]
        """Take a connection, or close it at once if there are too many."""
        if len(self.connections) >= CONNECTIONS_MAX:
            self._refused = True
            transport.abort()
            return
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; the time for a head ends with the head."""
        if self._refused:
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        if not self._refused:
            super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._overdue is None:
            self._overdue = self.loop.call_later(HEAD_S, self._close)

    def _stop_waiting(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _close(self) -> None:
        self._overdue = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
