"""Modbus TCP on pymodbus: the counterpart that nobody here wrote.

Registers are brought up to date inside the request that reads them.  The action never
awaits: pymodbus 3.16 answers pipelined requests with swapped replies if it does.
"""

from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from simulator.devices import RegisterBlocks, registers
from simulator.servers.base import BusToServe, Opened, ServerClock
from simulator.servers.rtu_pty import units_of
from simulator.servers.tcp_gateway import TcpGateway

READ_HOLDING = 3
HOST = "127.0.0.1"


class TcpServer:
    """One device at one port of this machine.  port: 0 before start()."""

    def __init__(self, unit: int, blocks: RegisterBlocks, now: ServerClock):
        self._unit, self._blocks, self._now = unit, blocks, now
        self._server: ModbusTcpServer | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port."""
        first, cells = self._blocks(READ_HOLDING)[0]
        data = SimData(first, count=len(cells) // 2, values=0, datatype=DataType.REGISTERS)
        device = SimDevice(self._unit, data, action=self._refresh)
        self._server = ModbusTcpServer([device], address=(HOST, 0))
        await self._server.serve_forever(background=True)
        listening = self._server.transport
        self.port = listening.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server:
            await self._server.shutdown()  # type: ignore[no-untyped-call]

    async def _refresh(self, *request: Any) -> ExcCodes | None:
        """Bring the held registers up to date, or refuse: simulated devices are read only.

        request: pymodbus' (function, first address, address, count, registers, written).
        """
        function, registers, written = request[0], request[4], request[5]
        if written is not None or function != READ_HOLDING:
            return ExcCodes.ILLEGAL_FUNCTION
        self._now.advance()
        cells = self._blocks(READ_HOLDING)[0][1]
        registers[:] = [int.from_bytes(cells[i:i + 2], "big") for i in range(0, len(cells), 2)]
        return None


async def serve(asked: BusToServe) -> Opened:
    """Open a SunSpec device's own server, or the gateway of a line of meters."""
    device = asked.devices[0]
    server: TcpServer | TcpGateway
    if device.profile == "sunspec-generic":
        server = TcpServer(device.unit, registers(asked.runner, device), asked.now)
    else:
        server = TcpGateway(units_of(asked), asked.now)
    await server.start()
    return Opened(server, server.port)
