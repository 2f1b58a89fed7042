"""Two meters behind one Modbus TCP gateway, read by an implementation that is not ours."""

import asyncio
import struct

import pytest
from pymodbus.client import AsyncModbusTcpClient

from simulator.devices import electrical, registers
from simulator.runner import Runner
from simulator.scenario import load
from simulator.servers.rtu_pty import ServedUnit, ServerClock
from simulator.servers.tcp_gateway import TcpGateway
from simulator.world import SimulatedSite


@pytest.fixture
async def served():
    scene = load("board")
    runner = Runner(SimulatedSite(scene))
    runner.advance(60.0)
    units = {d.unit: ServedUnit(d.profile, registers(runner, d)) for d in scene.devices}
    gateway = TcpGateway(units, ServerClock(lambda: 60.0, 1))
    await gateway.start()
    yield gateway, runner, scene
    await gateway.close()


async def test_the_unit_identifier_chooses_the_meter_behind_the_gateway(served):
    gateway, runner, scene = served
    async with AsyncModbusTcpClient("127.0.0.1", port=gateway.port) as client:
        for device in scene.devices:
            reply = await client.read_input_registers(12, count=2, device_id=device.unit)
            seen = struct.unpack(">f", struct.pack(">HH", *reply.registers))[0]
            name = "power_active_l1" if device.unit == 1 else "power_active_total"
            assert seen == pytest.approx(electrical(runner, device)[name], rel=1e-6)


async def test_a_unit_that_is_not_there_and_a_wrong_address_are_exceptions(served):
    gateway, _, _ = served
    async with AsyncModbusTcpClient("127.0.0.1", port=gateway.port) as client:
        assert (await client.read_input_registers(0, count=2, device_id=9)).exception_code == 11
        assert (await client.read_input_registers(1, count=2, device_id=1)).exception_code == 2
        assert (await client.write_register(0, 1, device_id=1)).exception_code == 1


async def test_what_is_not_modbus_tcp_ends_the_connection(served):
    reader, writer = await asyncio.open_connection("127.0.0.1", served[0].port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await reader.read(100) == b""
    writer.close()
