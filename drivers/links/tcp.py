"""Modbus TCP: one connection per bus, strict transaction ids, reconnection with back-off.

Old answers are dropped by their id until the time-out; what does not frame as Modbus TCP closes
the connection.  Three time-outs in a row close it too: the peer may be gone without a FIN.
"""

import asyncio
import socket
from typing import Any

from drivers.links.base import BackOff, Counts, LinkClock, uninterrupted
from gateway.core.errors import BadFrame, Bug, NoReply, Refused

MISSES_MAX = 3                  # unanswered in a row before the connection is given up
KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
READ_BYTES = 4096


class TcpLink:
    """One Modbus TCP server or gateway; one transaction at a time."""

    def __init__(self, bus: Any, clock: LinkClock) -> None:
        self.name = str(bus.name)
        self.counts = Counts()
        self._host, self._port = str(bus.host), int(bus.tcp_port)
        self._clock = clock
        self._lock = asyncio.Lock()
        self._back_off = BackOff(self.name)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._rest = b""                # bytes of an answer that came after its time-out
        self._misses = 0
        self._quiet_ticks_ms = 0

    async def exchange(self, transaction: Any, timeout_s: float) -> int:
        """Ask and hear: see base.Link."""
        return await uninterrupted(self._exchange(transaction, timeout_s))

    async def close(self) -> None:
        """Close the connection; the next exchange opens it again."""
        async with self._lock:
            self._shut()

    async def _exchange(self, transaction: Any, timeout_s: float) -> int:
        async with self._lock:
            await self._connect(timeout_s)
            await self._pace(transaction.gap_ms)
            self.counts.asked += 1
            try:
                began = await self._ask(transaction, timeout_s)
            except TimeoutError:
                self._missed(transaction)
                raise NoReply(f"{self.name}: {transaction.describe()}: "
                              f"no answer in {timeout_s:g} s") from None
            except OSError as error:
                self.counts.no_reply += 1
                self._lose()
                raise NoReply(f"{self.name}: connection lost: {error}") from error
            except BadFrame:
                self.counts.bad_frame += 1
                self._shut()
                raise
            except Refused:
                self.counts.refused += 1
                self._answered(transaction)
                raise
            self.counts.answered += 1
            self._answered(transaction)
            return began

    async def _connect(self, timeout_s: float) -> None:
        if self._writer is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._back_off.wait_s(loop.time())
        if wait_s > 0:
            raise NoReply(f"{self.name}: not connected, next try in {wait_s:.0f} s")
        try:
            async with asyncio.timeout(timeout_s):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:        # TimeoutError is one
            self._back_off.failed(loop.time())
            why = str(error) or f"no connection in {timeout_s:g} s"
            raise NoReply(f"{self.name}: {self._host}:{self._port}: {why}") from error
        self.counts.opened += 1
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    async def _ask(self, transaction: Any, timeout_s: float) -> int:
        if self._reader is None or self._writer is None:
            raise Bug("asked without a connection")
        if self._rest:
            transaction.feed(self._rest)
            self._rest = b""
        self._writer.write(transaction.request)
        began_ms = 0
        async with asyncio.timeout(timeout_s):
            await self._writer.drain()
            while True:
                data = await self._reader.read(READ_BYTES)
                if not data:
                    raise ConnectionResetError("closed by the other side")
                if not transaction.rest:
                    began_ms = self._clock.ticks_ms()
                if transaction.feed(data):
                    return began_ms

    async def _pace(self, gap_ms: int) -> None:
        silent_ms = self._clock.ticks_ms() - self._quiet_ticks_ms
        if silent_ms < gap_ms:
            await self._clock.sleep((gap_ms - silent_ms) / 1000)

    def _answered(self, transaction: Any) -> None:
        self._misses, self._rest = 0, transaction.rest
        self._back_off.worked()
        self._quiet_ticks_ms = self._clock.ticks_ms()

    def _missed(self, transaction: Any) -> None:
        self.counts.no_reply += 1
        self._misses += 1
        self._rest = transaction.rest
        self._quiet_ticks_ms = self._clock.ticks_ms()
        if self._misses >= MISSES_MAX:
            self._shut()

    def _lose(self) -> None:
        self._shut()
        self._back_off.failed(asyncio.get_running_loop().time())

    def _shut(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
        self._rest, self._misses = b"", 0
