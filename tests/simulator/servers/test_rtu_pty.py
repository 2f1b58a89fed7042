"""The RTU line behaves as RS-485 does: right frames, right pace, silence where it belongs."""

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusSerialClient

from simulator.devices import registers
from simulator.faults import InjectedFault
from simulator.runner import Runner
from simulator.scenario import load
from simulator.servers.rtu_pty import RtuServer, ServedUnit, ServerClock
from simulator.world import SimulatedSite
from tests.support.serial_peer import Peer, in_pty_time, mbpoll

# Unit 1, function 4, address 72, 2 registers; the CRC by the bitwise algorithm of the standard.
IMPORT_KWH = bytes.fromhex("01 04 00 48 00 02 F1 DD")


def crc(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


def framed(text):
    body = bytes.fromhex(text)
    return body + crc(body)


@asynccontextmanager
async def shop_line(bus="rtu-1", speed=60, t_s=3600.0, faults=()):
    scene = load("shop")
    runner = Runner(SimulatedSite(scene))
    runner.advance(t_s)
    units = {d.unit: ServedUnit(d.profile, registers(runner, d)) for d in scene.devices if d.bus
             == bus}
    server = RtuServer((bus, 9600), units, ServerClock(lambda: t_s, speed), faults)
    try:
        yield server, runner
    finally:
        server.close()


@asynccontextmanager
async def shop_peer(**how):
    async with shop_line(**how) as (server, runner):
        peer = Peer(server.line.path)
        try:
            yield peer, runner
        finally:
            peer.close()


async def test_pymodbus_reads_the_grid_meter_over_the_line():
    async with shop_line() as (server, runner):
        client = AsyncModbusSerialClient(server.line.path, baudrate=9600, timeout=2, retries=0)
        assert await client.connect()
        reply = await client.read_input_registers(72, count=4, device_id=1)
        serial = await client.read_holding_registers(0xFC00, count=2, device_id=1)
        client.close()
    kwh = client.convert_from_registers(reply.registers, client.DATATYPE.FLOAT32)
    truth = 4182733 + int(runner.book("grid_import"))
    assert round(kwh[0] * 1000) == truth
    assert round(kwh[1] * 1000) == 2960410 + int(runner.book("grid_export"))
    assert serial.registers == [22080001 >> 16, 22080001 & 0xFFFF]


async def test_mbpoll_reads_a_single_phase_meter_over_the_line():
    async with shop_line() as (server, runner):
        code, text = await mbpoll("-m", "rtu", "-a", "2", "-b", "9600", "-P", "none", "-t",
                                  "3:float", "-B", "-0", "-r", "72", "-c", "1", "-1",
                                  server.line.path)
    shown = float(text.split("[72]:")[1].split()[0])
    assert code == 0
    assert shown == pytest.approx((1512208 + runner.book("node:node-1")) / 1000, rel=1e-5)


async def test_mbpoll_reads_the_climate_sensor_from_address_1():
    async with shop_line(bus="rtu-2") as (server, runner):
        code, text = await mbpoll("-m", "rtu", "-a", "3", "-b", "9600", "-P", "none", "-t", "3",
                                  "-0", "-r", "1", "-c", "2", "-1", server.line.path)
    assert code == 0
    assert int(text.split("[1]:")[1].split()[0]) == round(runner.before.cabinet_c * 10)
    assert 50 <= int(text.split("[2]:")[1].split()[0]) <= 950


@in_pty_time
async def test_a_unit_that_is_not_there_stays_silent():
    async with shop_peer() as (peer, _):
        assert await peer.ask(framed("09 04 00 48 00 02"), 1) == b""
        assert await peer.ask(framed("00 04 00 48 00 02"), 1) == b""        # broadcast
        assert len(await peer.ask(IMPORT_KWH, 9)) == 9


@in_pty_time
async def test_every_refusal_is_the_exception_of_the_standard():
    cases = (("01 04 01 F4 00 02", "01 84 02"),       # no such address
             ("01 04 00 49 00 02", "01 84 02"),       # half a float
             ("01 04 00 00 00 51", "01 84 03"),       # 81 registers: one more than allowed
             ("01 04 00 00 00 00", "01 84 03"),       # none
             ("01 06 00 14 00 02", "01 86 01"),       # writing
             ("01 10 00 14 00 02 04 00 00 40 40", "01 90 01"),
             ("01 2B 0E 01 00", "01 AB 01"))          # a function nobody has here
    async with shop_peer() as (peer, _):
        for question, answer in cases:
            assert await peer.ask(framed(question), 5) == framed(answer), question


@in_pty_time
async def test_at_9600_baud_a_long_answer_takes_the_time_of_its_bytes():
    async with shop_peer(speed=1) as (peer, _):
        begun = asyncio.get_running_loop().time()
        reply = await peer.ask(framed("01 04 00 00 00 50"), 165)
        first, last = peer.stamps[0] - begun, peer.stamps[-1] - peer.stamps[0]
    assert len(reply) == 165
    assert 0.020 < first < 0.040        # 8 bytes and 3.5 of silence on the wire, then thinking
    assert last == pytest.approx(164 * 10 / 9600, abs=0.01)


@in_pty_time
async def test_at_speed_60_the_same_answer_takes_a_sixtieth():
    async with shop_peer(speed=60) as (peer, _):
        begun = asyncio.get_running_loop().time()
        reply = await peer.ask(framed("01 04 00 00 00 50"), 165)
        took = peer.stamps[-1] - begun
    assert len(reply) == 165
    assert took == pytest.approx((11.5 + 164) * 10 / 9600 / 60 + 0.015 / 60, abs=0.002)


@in_pty_time
async def test_a_question_that_arrives_during_an_answer_is_lost():
    async with shop_peer(speed=1) as (peer, _):
        peer.say(framed("01 04 00 00 00 50"))
        first = await peer.hear(10)
        peer.say(framed("02 04 00 48 00 02"))
        everything = await peer.hear(400)
    assert len(first) >= 10 and len(everything) == 165


@in_pty_time
async def test_garbage_on_the_line_never_gets_an_answer_and_never_stops_the_units():
    async with shop_peer() as (peer, _):
        for noise in (b"\x00", b"\xff" * 300, IMPORT_KWH[:-1], IMPORT_KWH[:-1] + b"\x00",
                      bytes(range(256)) * 12, b"~20024642E00202FD33\r"):
            assert await peer.ask(noise, 1, 0.2) == b"", noise
            assert len(await peer.ask(IMPORT_KWH, 9)) == 9


@in_pty_time
async def test_stray_bytes_just_before_a_question_do_not_hide_it():
    async with shop_peer() as (peer, _):
        assert len(await peer.ask(b"\x00\xff" + IMPORT_KWH, 9)) == 9


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(noise=st.binary(max_size=300))
def test_whatever_is_sent_the_next_question_is_answered(noise):
    @in_pty_time
    async def hostile():
        async with shop_peer(t_s=5.0) as (peer, _):
            await peer.ask(noise, 400, 0.3)
            reply = await peer.ask(IMPORT_KWH, 9)
            assert len(reply) == 9 and crc(reply[:-2]) == reply[-2:]
    hostile()


@in_pty_time
async def test_each_scripted_fault_happens_to_its_unit_at_its_time_only():
    clean = None
    async with shop_peer(t_s=100.0) as (peer, _):
        clean = await peer.ask(IMPORT_KWH, 9)
    expected = {"dead": lambda got: got == b"",
                "crc": lambda got: len(got) == 9 and crc(got[:-2]) != got[-2:],
                "garbage": lambda got: len(got) == 9 and got != clean,
                "truncate": lambda got: got == clean[:4]}
    for kind, holds in expected.items():
        fault = InjectedFault("test", "rtu-1", 1, kind, 50.0, 150.0)
        async with shop_peer(t_s=100.0, faults=(fault,)) as (peer, _):
            assert holds(await peer.ask(IMPORT_KWH, 9)), kind
            assert len(await peer.ask(framed("02 04 00 48 00 02"), 9)) == 9
        async with shop_peer(t_s=150.0, faults=(fault,)) as (peer, _):
            reply = await peer.ask(IMPORT_KWH, 9)
            assert struct.unpack(">f", reply[3:7])[0] > 4000.0


@in_pty_time
async def test_a_late_answer_comes_after_the_time_out_in_real_seconds():
    fault = InjectedFault("slow", "rtu-1", 1, "late", 0.0, 1e6, 1.5)
    async with shop_peer(faults=(fault,)) as (peer, _):
        assert await peer.ask(IMPORT_KWH, 9, 1.4) == b""
        late = await peer.hear(9, 1.0)
    assert len(late) == 9 and crc(late[:-2]) == late[-2:]
