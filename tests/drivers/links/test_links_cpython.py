"""Links over real ptys and sockets, with a far end whose answers come when the test says.

Times are short real time (time-outs are real by design); the pacing clock is a fake one.
"""

import asyncio
import contextlib
import os
import tty

import pytest
from pymodbus.client import AsyncModbusSerialClient

from drivers import driver, modbus, pylontech
from drivers.links import BusConfig, open_link, profile_files, wire_for
from drivers.links.base import BackOff
from drivers.links.http import host_and_port
from gateway.core.codec.crc import crc16_modbus
from gateway.core.errors import BadFrame, ConfigError, NoReply, Refused
from tests.support.pylontech_answers import encode_analog


class FakeClock:
    """Ticks stand still until somebody sleeps; notes what was slept."""

    def __init__(self):
        self.now_ms = 1000
        self.slept = []

    def ticks_ms(self):
        """Return the fake milliseconds."""
        return self.now_ms

    async def sleep(self, seconds):
        """Jump."""
        self.slept.append(seconds)
        self.now_ms += round(seconds * 1000)
        await asyncio.sleep(0)


def answer_to(request, value=None):
    """Return the RTU answer to a read: each register holds its address, or value."""
    address, count = (int.from_bytes(request[i:i + 2], "big") for i in (2, 4))
    cells = b"".join((address + i if value is None else value).to_bytes(2, "big")
                     for i in range(count))
    body = request[:2] + bytes([len(cells)]) + cells
    return body + crc16_modbus(body).to_bytes(2, "little")


class FarEnd:
    """The devices on a pty: `script` gives, per request, [(delay in s, bytes or None)]."""

    def __init__(self, script):
        self.master, self._slave = os.openpty()
        tty.setraw(self.master)
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.requests = []
        self._script = list(script)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.master, self._heard)

    def _heard(self):
        request = os.read(self.master, 4096)
        self.requests.append(request)
        for delay_s, data in self._script.pop(0) if self._script else [(0, None)]:
            self._loop.call_later(delay_s, self.say, answer_to(request) if data is None else data)

    def say(self, data):
        """Send bytes now."""
        os.write(self.master, data)

    def close(self):
        """Take the line away."""
        self._loop.remove_reader(self.master)
        os.close(self.master)
        os.close(self._slave)


@contextlib.asynccontextmanager
async def line(script=(), protocol="modbus", **settings):
    """Give (far end, link, clock) on a pty."""
    far, clock = FarEnd(script), FakeClock()
    link = open_link(BusConfig("bus", "serial", protocol, tty=far.port, **settings), clock)
    try:
        yield far, link, clock
    finally:
        await link.close()
        with contextlib.suppress(OSError, ValueError):
            far.close()


LATE = [[(0.25, None)], [(0.15, None)]]      # the first answer comes while the second is waited for


async def test_pymodbus_takes_a_late_answer_for_the_next_one():
    # This is why the transaction layer is our own: the client reports no error at all.
    far = FarEnd(LATE)
    client = AsyncModbusSerialClient(far.port, baudrate=9600, timeout=0.2, retries=0)
    try:
        assert await client.connect()
        with contextlib.suppress(Exception):
            await client.read_input_registers(100, count=2, device_id=1)
        got = await client.read_input_registers(200, count=4, device_id=1)
        assert not got.isError()
        assert got.registers == [100, 101], "asked for four registers at 200"
    finally:
        client.close()
        far.close()


async def test_our_link_never_takes_a_late_answer_for_the_next_one():
    async with line(LATE) as (far, link, _):
        with pytest.raises(NoReply):
            await link.exchange(modbus.RtuRead(1, 4, 100, 2), 0.2)
        question = modbus.RtuRead(1, 4, 200, 4)
        await link.exchange(question, 0.5)
        assert question.registers == bytes([0, 200, 0, 201, 0, 202, 0, 203])
        assert link.counts.drains == 1 and link.counts.stray_bytes == 9


async def test_a_late_answer_that_survives_the_drain_has_the_wrong_length():
    script = [[(0, None)], [(0.3, None)], [(0.2, None)]]
    async with line(script) as (far, link, _):
        await link.exchange(modbus.RtuRead(1, 4, 0, 2), 0.5)     # fast: little drain is learned
        with pytest.raises(NoReply):
            await link.exchange(modbus.RtuRead(1, 4, 100, 2), 0.15)
        question = modbus.RtuRead(1, 4, 200, 4)
        with pytest.raises(BadFrame):
            await link.exchange(question, 0.5)
        assert question.registers is None


async def test_a_reply_is_stamped_when_it_begins_to_arrive():
    async with line([[(0.0, b"\x01\x04\x02")]]) as (far, link, clock):
        loop = asyncio.get_running_loop()
        rest = answer_to(b"\x01\x04\x00\x07\x00\x01")[3:]
        clock_jump = loop.call_later(0.05, setattr, clock, "now_ms", 9999)
        loop.call_later(0.06, far.say, rest)
        question = modbus.RtuRead(1, 4, 7, 1)
        assert await link.exchange(question, 0.5) == 1000
        assert question.registers == b"\x00\x07" and clock_jump.when() < loop.time()


async def test_silences_between_frames_are_paced_on_the_clock_given():
    async with line() as (far, link, clock):
        for _ in range(2):
            question = modbus.RtuRead(1, 4, 0, 1)
            question.gap_ms = 60
            await link.exchange(question, 0.5)
        await link.exchange(modbus.RtuRead(1, 4, 0, 1), 0.5)
        assert [round(seconds, 4) for seconds in clock.slept] == [0.06, 0.004]


@pytest.mark.parametrize(("data", "error"), [
    (b"\x01\x84\x02\xc2\xc1", Refused),
    (b"\x01\x04\x02\x00", BadFrame),
    (b"\x55" * 40, BadFrame),
    (answer_to(b"\x02\x04\x00\x00\x00\x01"), BadFrame),
])
async def test_bad_answers_are_told_apart_and_the_line_goes_on(data, error):
    async with line([[(0, data)]]) as (far, link, _):
        with pytest.raises(error):
            await link.exchange(modbus.RtuRead(1, 4, 0, 1), 0.5)
        await link.exchange(modbus.RtuRead(1, 4, 0, 1), 0.5)
        assert link.counts.answered == 1


async def test_a_local_echo_is_stripped_where_the_site_has_one():
    request = modbus.RtuRead(1, 4, 5, 1).request
    async with line([[(0, request[:3]), (0.02, request[3:] + answer_to(request))]],
                    echo=True) as (far, link, _):
        question = modbus.RtuRead(1, 4, 5, 1)
        await link.exchange(question, 0.5)
        assert question.registers == b"\x00\x05"


async def test_a_cancelled_caller_does_not_cut_a_transaction_in_half():
    async with line([[(0.1, None)]]) as (far, link, _):
        task = asyncio.create_task(link.exchange(modbus.RtuRead(1, 4, 100, 1), 0.5))
        while not far.requests:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        question = modbus.RtuRead(1, 4, 7, 1)
        await link.exchange(question, 0.5)
        assert question.registers == b"\x00\x07" and link.counts.answered == 2


async def test_a_babbling_line_is_not_talked_into(monkeypatch):
    monkeypatch.setattr("drivers.links.serial_line.DRAIN_LIMIT_S", 0.2)
    async with line([[(0, b"\x55" * 40)]]) as (far, link, _):
        with pytest.raises(BadFrame):
            await link.exchange(modbus.RtuRead(1, 4, 0, 1), 0.5)
        loop = asyncio.get_running_loop()
        for step in range(10):
            loop.call_later(step * 0.05, far.say, b"\xaa")
        with pytest.raises(BadFrame, match="talks without being asked"):
            await link.exchange(modbus.RtuRead(1, 4, 0, 1), 0.5)
        assert len(far.requests) == 1


async def test_a_port_that_is_missing_or_vanishes_is_silence_with_back_off(tmp_path):
    link = open_link(BusConfig("bus", "serial", "modbus", tty=str(tmp_path / "none")), FakeClock())
    for told in ("cannot be opened", "next try in"):
        with pytest.raises(NoReply, match=told):
            await link.exchange(modbus.RtuRead(1, 4, 0, 1), 0.1)
    async with line([[(9, b"")]]) as (far, link, _):
        asyncio.get_running_loop().call_later(0.05, far.close)
        with pytest.raises(NoReply, match="gone|no answer"):
            await link.exchange(modbus.RtuRead(1, 4, 0, 1), 0.3)


async def test_a_battery_stack_is_polled_over_a_pty():
    modules = (pylontech.BatteryModule((3300,), (250, 240), 10, 49500, 25000, 50000, 3),) * 2
    frame = pylontech.encode_frame(2, 0, encode_analog(2, modules))
    script = [[(0, frame[:7]), (0.02, frame[7:])]]
    async with line(script, protocol="pylontech", baud=115200) as (far, link, _):
        bus = BusConfig("bms", "serial", "pylontech")
        made = profile_files.find("pylontech-rs485")
        steps = driver.build(made, driver.Setup(wire_for(bus), unit=2)).poll()
        question = next(steps)
        await link.exchange(question, 0.5)
        with pytest.raises(StopIteration) as stop:
            steps.send(question.result)
        assert stop.value.value[:3] == (4950, 20, 500)


@contextlib.asynccontextmanager
async def server(handle):
    """Give the port of a TCP server on this machine."""
    running = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()


def tcp_answer(request, tid=None):
    """Return the Modbus TCP answer to a read: each register holds its address."""
    body = answer_to(request[6:])[:-2]
    head = request[:2] if tid is None else tid.to_bytes(2, "big")
    return head + b"\x00\x00" + len(body).to_bytes(2, "big") + body


async def test_tcp_drops_a_late_answer_and_takes_its_own_on_the_same_connection():
    async def handle(reader, writer):
        late = tcp_answer(await reader.readexactly(12))
        writer.write(late[:5])                  # in time, but torn by the time-out
        second = await reader.readexactly(12)
        writer.write(late[5:] + tcp_answer(second, 0) + tcp_answer(second))
        third = await reader.readexactly(12)
        writer.write(tcp_answer(third))
        await reader.read()
        writer.close()

    async with server(handle) as port:
        bus = BusConfig("pv", "tcp", "modbus", host="127.0.0.1", port=port)
        link, wire = open_link(bus, FakeClock()), wire_for(bus)
        with pytest.raises(NoReply):
            await link.exchange(wire.read(1, 3, 100, 2), 0.1)
        for address in (200, 300):
            question = wire.read(1, 3, address, 2)
            await link.exchange(question, 0.5)
            assert question.registers[:2] == address.to_bytes(2, "big")
        assert link.counts.opened == 1
        await link.close()


async def test_tcp_reconnects_after_garbage_a_close_and_repeated_silence():
    seen = []

    async def handle(reader, writer):
        seen.append(1)
        request = await reader.readexactly(12)
        if len(seen) == 1:
            writer.write(b"\x00\x01\x00\x09\x00\x06\x01\x03\x02\x00\x00")
        elif len(seen) == 2:
            while request:
                request = await reader.read(12)
        else:
            writer.write(tcp_answer(request))
        await writer.drain()
        await reader.read()
        writer.close()

    async with server(handle) as port:
        bus = BusConfig("pv", "tcp", "modbus", host="127.0.0.1", port=port)
        link, wire = open_link(bus, FakeClock()), wire_for(bus)
        with pytest.raises(BadFrame):
            await link.exchange(wire.read(1, 3, 0, 1), 0.2)
        for _ in range(3):
            with pytest.raises(NoReply):
                await link.exchange(wire.read(1, 3, 0, 1), 0.05)
        question = wire.read(1, 3, 9, 1)
        await link.exchange(question, 0.5)
        assert question.registers == b"\x00\x09" and link.counts.opened == 3
        await link.close()


async def test_a_cancelled_tcp_caller_costs_the_connection_and_the_next_one_gets_a_new_one():
    asked = asyncio.Event()

    async def handle(reader, writer):
        request = await reader.readexactly(12)
        if asked.is_set():
            writer.write(tcp_answer(request))
        asked.set()
        await reader.read()
        writer.close()

    async with server(handle) as port:
        bus = BusConfig("pv", "tcp", "modbus", host="127.0.0.1", port=port)
        link, wire = open_link(bus, FakeClock()), wire_for(bus)
        task = asyncio.create_task(link.exchange(wire.read(1, 3, 0, 1), 5))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        question = wire.read(1, 3, 9, 1)
        await link.exchange(question, 5)
        assert question.registers == b"\x00\x09" and link.counts.opened == 2
        await link.close()


async def test_a_tcp_server_that_talks_unasked_is_left():
    async def handle(reader, writer):
        request = await reader.readexactly(12)
        writer.write(tcp_answer(request))
        writer.write(tcp_answer(request, 77) * 1000)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        left.set()
        writer.close()

    left = asyncio.Event()
    async with server(handle) as port:
        bus = BusConfig("pv", "tcp", "modbus", host="127.0.0.1", port=port)
        link, wire = open_link(bus, FakeClock()), wire_for(bus)
        await link.exchange(wire.read(1, 3, 0, 1), 5)
        await asyncio.wait_for(left.wait(), 5)
        await link.close()
        assert link.counts.answered == 1


async def test_a_refused_connection_backs_off():
    async with server(lambda reader, writer: None) as port:
        pass
    link = open_link(BusConfig("pv", "tcp", "modbus", host="127.0.0.1", port=port), FakeClock())
    for told in (str(port), "next try in"):
        with pytest.raises(NoReply, match=told):
            await link.exchange(modbus.TcpRead(1, 3, 0, 1, 1), 0.2)


async def test_http_reads_a_body_and_refuses_slow_torn_and_foreign_ones():
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nnode_cpus 8\n",
               b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nnode_cpus 8\n",
               b"HTTP/1.1 500 no\r\n\r\n", None]

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        data = answers.pop(0)
        if data is None:
            await reader.read()
        else:
            writer.write(data)
        writer.close()

    async with server(handle) as port:
        bus = BusConfig("node", "http", "prometheus", url=f"http://127.0.0.1:{port}/metrics")
        link, wire = open_link(bus, FakeClock()), wire_for(bus)
        question = wire.get()
        assert await link.exchange(question, 1) == 1000
        assert question.result == b"node_cpus 8\n"
        for error in (BadFrame, Refused, NoReply):
            with pytest.raises(error):
                await link.exchange(wire.get(), 0.2)


def test_the_back_off_doubles_to_a_minute_and_forgets_after_a_success():
    pauses, back_off = [], BackOff("")
    for _ in range(9):
        back_off.failed(100.0)
        pauses.append(back_off.wait_s(100.0))
    assert pauses == [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0, 45.0]
    back_off.worked()
    assert back_off.wait_s(100.0) == 0


@pytest.mark.parametrize("url", ["https://a/b", "http://", "http://a:x/", "ftp://a", "http://a b/"])
def test_urls_that_are_not_plain_http_are_refused(url):
    with pytest.raises(ConfigError):
        host_and_port(url)
