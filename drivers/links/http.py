"""HTTP GET for compute nodes: one short connection per poll, everything limited.

The body's limits stand in drivers/prometheus.py; here: 5 seconds for all of it, however slowly the
bytes come.  Redirects are not followed, TLS is not spoken: nodes are inside the cabinet.
"""

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from drivers.links.base import BackOff, BusConfig, LinkClock, LinkCounts, uninterrupted
from gateway.core.errors import BadFrame, ConfigError, NoReply, Refused

if TYPE_CHECKING:
    from drivers.types import HttpTransaction

WHOLE_MAX_S = 5.0
READ_BYTES = 65536


def host_and_port(url: str) -> tuple[str, int, str]:
    """Return (host, port, path) of an http URL; path /metrics if it has none.

    Raises ConfigError.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or 80
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port or not url.isascii() \
            or any(c.isspace() for c in url):
        raise ConfigError(f"url = {url!r}: expected http://host:port/path")
    return parts.hostname, port, parts.path if parts.path not in ("", "/") else "/metrics"


class HttpLink:
    """One compute node's metrics."""

    def __init__(self, bus: BusConfig, clock: LinkClock) -> None:
        self.name = bus.name
        self.counts = LinkCounts()
        self._host, self._port, _ = host_and_port(bus.url)
        self._clock = clock
        self._lock = asyncio.Lock()
        self._back_off = BackOff(self.name)

    async def exchange(self, transaction: Any, timeout_s: float) -> int:
        """Ask and hear: see base.Link."""
        return await uninterrupted(self._exchange(transaction, min(timeout_s, WHOLE_MAX_S)))

    async def close(self) -> None:
        """Nothing stays open between exchanges."""

    async def _exchange(self, transaction: "HttpTransaction", timeout_s: float) -> int:
        async with self._lock:
            loop = asyncio.get_running_loop()
            wait_s = self._back_off.wait_s(loop.time())
            if wait_s > 0:
                raise NoReply(f"{self.name}: not connected, next try in {wait_s:.0f} s")
            self.counts.asked += 1
            try:
                async with asyncio.timeout(timeout_s):
                    began_ms = await self._get(transaction)
            except OSError as error:    # TimeoutError is one
                self.counts.no_reply += 1
                self._back_off.failed(loop.time())
                why = str(error) or f"no whole answer in {timeout_s:g} s"
                raise NoReply(f"{self.name}: {transaction.describe()}: {why}") from error
            except BadFrame:
                self.counts.bad_frame += 1
                raise
            except Refused:
                self.counts.refused += 1
                raise
            self._back_off.worked()
            self.counts.answered += 1
            return began_ms

    async def _get(self, transaction: "HttpTransaction") -> int:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        self.counts.opened += 1
        try:
            writer.write(transaction.request)
            await writer.drain()
            began_ms = None
            while data := await reader.read(READ_BYTES):
                if began_ms is None:
                    began_ms = self._clock.ticks_ms()
                if transaction.feed(data):
                    return began_ms
            transaction.closed()
            return self._clock.ticks_ms() if began_ms is None else began_ms
        finally:
            writer.close()
