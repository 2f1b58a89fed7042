"""A Modbus TCP gateway in front of several units, as cabinets without a serial port use one.

Modbus Messaging on TCP/IP V1.0b, 3.1.3 and 4.4.2: the header's unit identifier chooses the unit
behind the gateway; a unit that is not there is answered with exception 11.  Requests of one
connection are answered in order.  Read only, as everything here.
"""

import asyncio
from collections.abc import Mapping

from simulator.servers.base import ServerClock
from simulator.servers.rtu_pty import ServedUnit, answer

HOST = "127.0.0.1"
HEAD = 7                    # transaction 2, protocol 2, length 2, unit 1
PDU_MAX = 253
TARGET_SILENT = 11          # exception: gateway target device failed to respond


class TcpGateway:
    """All units behind one port of this machine.  port: 0 before start()."""

    def __init__(self, units: Mapping[int, ServedUnit], now: ServerClock) -> None:
        self._units, self._now = units, now
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server:
            self._server.close()
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(HEAD)
                length = int.from_bytes(head[4:6], "big") - 1
                if head[2:4] != b"\0\0" or not 0 < length <= PDU_MAX:
                    return                      # not Modbus TCP: a gateway hangs up
                writer.write(self._reply(head, await reader.readexactly(length)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _reply(self, head: bytes, pdu: bytes) -> bytes:
        self._now.advance()
        unit = self._units.get(head[6])
        said = answer(unit, pdu) if unit else bytes((pdu[0] | 0x80, TARGET_SILENT))
        return head[:4] + (1 + len(said)).to_bytes(2, "big") + head[6:] + said
