"""The PV inverter's SunSpec map over Modbus TCP, read by two implementations not ours."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusTcpClient

from simulator.devices import registers
from simulator.runner import Runner
from simulator.scenario import load
from simulator.servers.rtu_pty import ServerClock
from simulator.servers.tcp import TcpServer
from simulator.world import SimulatedSite
from tests.support.serial_peer import mbpoll

NOON, NIGHT = "2026-10-06T10:00:00Z", "2026-10-06T22:00:00Z"
READ_MARKER = bytes.fromhex("0001 0000 0006 01 03 9C40 0002")


class Hand:
    """A clock moved by hand: the server advances the runner to t_s."""

    def __init__(self, origin):
        self.scene = load("shop", origin=origin)
        self.runner = Runner(SimulatedSite(self.scene))
        self.t_s = 60.0

    def advance(self):
        """Move the world to where the hand is."""
        self.runner.advance(self.t_s)
        return self.t_s


@asynccontextmanager
async def inverter(origin=NOON):
    hand = Hand(origin)
    hand.advance()
    device = next(d for d in hand.scene.devices if d.name == "pv")
    server = TcpServer(1, registers(hand.runner, device), ServerClock(hand.advance, 60))
    await server.start()
    try:
        yield server, hand
    finally:
        await server.close()


async def raw(port, data, size):
    """Return what a raw connection hears after sending data: up to size bytes, within 2 s."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(2):
            return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, TimeoutError) as error:
        return getattr(error, "partial", b"")
    finally:
        writer.close()


async def test_pymodbus_walks_the_sunspec_map_to_its_end():
    async with inverter() as (server, hand):
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=3, retries=0)
        assert await client.connect()
        cells = (await client.read_holding_registers(40000, count=124, device_id=1)).registers
        client.close()
    assert cells[:4] == [0x5375, 0x6E53, 1, 66]
    assert cells[70:72] == [103, 50]
    assert cells[122:] == [0xFFFF, 0]
    model = cells[70:]
    assert model[14] == round(hand.runner.flow.pv_w) > 1000 and model[15] == 0
    assert model[24] << 16 | model[25] == 9120455 + int(hand.runner.book("pv"))
    assert model[38] == 4
    assert model[31] == round(hand.runner.flow.pv_dc_w)
    volts, amps = [c / 10 for c in model[10:13]], [c / 100 for c in model[3:6]]
    apparent = sum(v * a for v, a in zip(volts, amps, strict=True))
    assert apparent == pytest.approx(model[18], rel=0.005)


async def test_mbpoll_reads_the_marker():
    async with inverter() as (server, _):
        code, text = await mbpoll("-m", "tcp", "-a", "1", "-p", str(server.port), "-0", "-t",
                                  "4:hex", "-r", "40000", "-c", "2", "-1", "127.0.0.1")
    assert code == 0
    assert "0x5375" in text and "0x6E53" in text


async def test_the_registers_are_those_of_the_moment_of_the_question():
    async with inverter() as (server, hand):
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=3, retries=0)
        assert await client.connect()
        readings = []
        for t_s in (60.0, 3660.0):
            hand.t_s = t_s
            reply = await client.read_holding_registers(40094, count=2, device_id=1)
            readings.append(reply.registers[0] << 16 | reply.registers[1])
        client.close()
    assert readings[1] - readings[0] > 1000


async def test_at_night_the_inverter_says_that_it_sleeps():
    async with inverter(NIGHT) as (server, _):
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=3, retries=0)
        assert await client.connect()
        cells = (await client.read_holding_registers(40070, count=52, device_id=1)).registers
        client.close()
    assert (cells[38], cells[14]) == (2, 0)


async def test_writing_and_addresses_outside_the_map_are_refused():
    async with inverter() as (server, _):
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port, timeout=3, retries=0)
        assert await client.connect()
        outside = await client.read_holding_registers(50000, count=2, device_id=1)
        beyond = await client.read_holding_registers(40120, count=10, device_id=1)
        written = await client.write_register(40084, 5, device_id=1)
        client.close()
    assert (outside.exception_code, beyond.exception_code, written.exception_code) == (2, 2, 1)


async def test_questions_keep_their_own_transaction_ids():
    async with inverter() as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        heard = []
        for question, size in ((READ_MARKER, 13),
                               (bytes.fromhex("ABCD 0000 0006 01 03 9C86 0001"), 11)):
            writer.write(question)
            heard.append(await asyncio.wait_for(reader.readexactly(size), 5))
        writer.close()
    assert heard == [bytes.fromhex("0001 0000 0007 01 03 04 53756E53"),
                     bytes.fromhex("ABCD 0000 0005 01 03 02 0067")]


async def test_hostile_bytes_do_not_stop_the_server():
    hostile = (b"", b"\x00" * 7, b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 5000, READ_MARKER[:-1],
               bytes.fromhex("0001 0001 0006 01 03 9C40 0002"),
               bytes.fromhex("0001 0000 0000 01 03 9C40 0002"),
               bytes.fromhex("0001 0000 FFFF 01 03 9C40 0002"))
    async with inverter() as (server, _):
        for data in hostile:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data)
            writer.close()
            assert (await raw(server.port, READ_MARKER, 13))[9:] == b"SunS", data
