"""A Modbus TCP line on a board: asks, hears, and closes after anything but a clean answer.

One transaction at a time.  A time-out closes the connection: the answer that comes late dies
with it, and the next exchange connects again.
"""

import asyncio

from gateway.core.errors import BadFrame, NoReply, Refused
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from drivers.types import Transaction
    from gateway.micro.clock import BoardClock

REPLY_BYTES_MAX = 260       # MBAP head and a PDU of 253 bytes


class TcpBus:
    """One server or gateway.  timeout_ms: real, for connecting and for each answer."""

    def __init__(self, host: str, port: int, timeout_ms: int, clock: "BoardClock") -> None:
        self._address, self._timeout_ms, self._clock = (host, port), timeout_ms, clock
        self._reader: Any = None
        self.counts = {"asked": 0, "failed": 0}

    async def exchange(self, transaction: "Transaction") -> int:
        """Return the ticks at which the reply began; transaction.result holds it then.

        Raises NoReply, BadFrame, Refused.
        """
        self.counts["asked"] += 1
        try:
            began_ms: int = await asyncio.wait_for_ms(  # type: ignore[attr-defined]
                self._ask(transaction), self._timeout_ms)
            return began_ms
        except asyncio.TimeoutError:
            self._fail()
            raise NoReply("%s: no answer in %d ms" % (self._address[0], self._timeout_ms))
        except (OSError, EOFError) as error:
            self._fail()
            raise NoReply("%s: connection lost: %s" % (self._address[0], error))
        except BadFrame:
            self._fail()
            raise
        except Refused:
            self.counts["failed"] += 1
            raise

    async def _ask(self, transaction: "Transaction") -> int:
        if self._reader is None:
            self._reader, _ = await asyncio.open_connection(self._address[0], self._address[1])
        self._reader.write(transaction.request)     # on boards a stream reads and writes
        await self._reader.drain()
        began_ms = 0
        while True:
            data = await self._reader.read(REPLY_BYTES_MAX)
            if not data:
                raise EOFError("closed")
            began_ms = began_ms or self._clock.ticks_ms()
            if transaction.feed(data):
                return began_ms

    def _fail(self) -> None:
        self.counts["failed"] += 1
        if self._reader is not None:
            self._reader.close()
            self._reader = None
