"""The bus fault injector: a far end that spoils its answers, over TCP and over a serial line.

One table of faults (ROWS); a later fault is one row more.  The far end's registers change with
every poll, so that a value of another address, another unit or an earlier poll is seen as wrong.
Everything runs in one loop of virtual time: time-outs and drains cost nothing.
"""

import asyncio
import random
import socket
import struct
from collections import Counter
from typing import NamedTuple

from drivers import driver, modbus
from drivers.links import BusConfig, profile_files, wire_for
from drivers.links.serial_line import SerialLink
from drivers.links.tcp import TcpLink
from drivers.register_driver import exponent_of
from gateway.core.codec.crc import crc16_modbus
from gateway.core.errors import DeviceError, NoReply, Refused
from gateway.core.reading import Absent
from tests.support import virtual_time
from tests.support.paper_meter import meter

PROFILE = "eastron-sdm630-v2"     # on the serial line
# Of the meter on TCP, which wants no pause: nine reads, most of the same length, as a late answer
# likes it best.  The addresses are even, for the far end's registers are floats.
POINTS = tuple(zip((
    "voltage_l1_n", "voltage_l2_n", "voltage_l3_n", "current_l1", "current_l2", "current_l3",
    "power_active_total", "power_reactive_total", "power_apparent_total", "power_factor_total",
    "frequency", "energy_active_import_total", "energy_active_export_total"),
    (0, 2, 4, 20, 40, 42, 60, 80, 100, 120, 140, 160, 162), strict=True))
UNIT, OTHER_UNIT = 5, 6
TIMEOUT_S = 0.5
BAD_FRAMES_MAX = 2              # in one poll, as the poller has it
BYTE_S = 0.001
SPOILT = 0.1                    # share of the answers


class Answer(NamedTuple):
    """One answer to send.  request: as it came; good: the bytes of the right answer."""

    request: bytes
    good: bytes


def cut(far, answer):
    """Some bytes are missing at the end."""
    return [answer.good[:-far.random.randrange(1, min(len(answer.good), 14))]]


def cut_anywhere(far, answer):
    """Any number of bytes is missing at the end."""
    return [answer.good[:far.random.randrange(1, len(answer.good))]]


def doubled(_far, answer):
    """The answer comes twice."""
    return [answer.good, answer.good]


def byte_doubled(far, answer):
    """One byte comes twice."""
    at = far.random.randrange(len(answer.good))
    return [answer.good[:at + 1] + answer.good[at:]]


def foreign_unit(far, answer):
    """Another unit answers, under our id."""
    return [far.wire.answer(answer.request, far.registers(answer.request, 3), OTHER_UNIT)]


def foreign_before(far, answer):
    """The answer of another unit to somebody else comes first."""
    return [far.wire.foreign(answer.request, far.registers(answer.request, 3)), answer.good]


def silent(_far, _answer):
    """Nothing comes."""
    return []


def late(far, answer):
    """The answer comes after its time-out, just before the next one."""
    far.late.append(answer.good)
    return []


def late_under_the_next_id(far, answer):
    """A gateway to a serial line gives the late answer to the next question."""
    far.late.append(answer)
    return []


def garbage(far, _answer):
    """Noise comes."""
    return [far.random.randbytes(far.random.randrange(1, 30))]


def flipped(far, answer):
    """One bit of the answer is wrong."""
    at = far.random.randrange(len(answer.good))
    return [answer.good[:at] + bytes([answer.good[at] ^ 1 << far.random.randrange(8)])
            + answer.good[at + 1:]]


def noise_before(far, answer):
    """Up to eight stray bytes come before the answer."""
    return [far.random.randbytes(far.random.randrange(1, 9)) + answer.good]


def bytewise(_far, answer):
    """The answer comes byte by byte."""
    return [bytes([one]) for one in answer.good]


def refused(far, answer):
    """The device is busy (exception 6)."""
    return [far.wire.exception(answer.request, 6)]


TCP, RTU = "tcp", "rtu"
# fault -> the transports it can happen on.  TCP has no check sum of its own, so that a flipped
# bit is TCP's to find.
ROWS = {
    cut: (TCP, RTU), cut_anywhere: (TCP, RTU), doubled: (TCP, RTU), byte_doubled: (TCP, RTU),
    foreign_unit: (TCP, RTU), foreign_before: (TCP, RTU), silent: (TCP, RTU), late: (TCP, RTU),
    late_under_the_next_id: (TCP,), garbage: (TCP, RTU), flipped: (RTU,), noise_before: (RTU,),
    bytewise: (TCP, RTU), refused: (TCP, RTU),
}


class TcpWire:
    """Frames of Modbus TCP."""

    size = 12

    def answer(self, request, cells, unit=None, tid=None):
        """Return the answer to a request."""
        tid = struct.unpack(">H", request[:2])[0] if tid is None else tid
        return struct.pack(">HHHBBB", tid, 0, 3 + len(cells),
                           request[6] if unit is None else unit, request[7], len(cells)) + cells

    def again(self, old, request):
        """Return an answer under the id of another question."""
        return request[:2] + old.good[2:]

    def foreign(self, request, cells):
        """Return an answer that nobody here asked for."""
        return self.answer(request, cells, OTHER_UNIT, 0xFFF0)

    def exception(self, request, code):
        """Return a refusal."""
        return request[:5] + bytes([3, request[6], request[7] | 0x80, code])

    def span(self, request):
        """Return (unit, address, count) of a request."""
        return request[6], *struct.unpack(">HH", request[8:12])


class RtuWire:
    """Frames of a serial line."""

    size = 8

    def answer(self, request, cells, unit=None):
        """Return the answer to a request."""
        return _with_crc(bytes([request[0] if unit is None else unit, request[1], len(cells)])
                         + cells)

    def foreign(self, request, cells):
        """Return an answer that nobody here asked for."""
        return self.answer(request, cells, OTHER_UNIT)

    def exception(self, request, code):
        """Return a refusal."""
        return _with_crc(bytes([request[0], request[1] | 0x80, code]))

    def span(self, request):
        """Return (unit, address, count) of a request."""
        return request[0], *struct.unpack(">HH", request[2:6])


def _with_crc(body):
    return body + crc16_modbus(body).to_bytes(2, "little")


def raw_value(address, generation, salt=0):
    """Return what the meter shows at an even address during a poll, as its float says it."""
    return 1000 * (1 + (generation + salt) % 100) + address // 2 + 1


class FarEnd(asyncio.Protocol):
    """The meter and what lies before it: every tenth answer is spoilt by one of the rows."""

    def __init__(self, transport_kind, seed, rows):
        self.wire = TcpWire() if transport_kind == TCP else RtuWire()
        self.rows = [row for row in rows if transport_kind in ROWS[row]]
        self.random = random.Random(seed)
        self.generation, self.questions = 0, 0
        self.late, self.seen = [], Counter()
        self._buffer, self._transport, self._queue = b"", None, []

    def connection_made(self, transport):
        """Begin with a new connection; what was queued died with the old one."""
        self._transport, self._buffer = transport, b""
        self._queue.clear()

    def data_received(self, data):
        """Answer each request that is whole."""
        self._buffer += data
        while len(self._buffer) >= self.wire.size:
            request = self._buffer[:self.wire.size]
            self._buffer = self._buffer[self.wire.size:]
            self.questions += 1
            self._answer(request)

    def registers(self, request, salt=0):
        """Return the cells of a request's span, of this poll."""
        _, address, count = self.wire.span(request)
        cells = b""
        for at in range(address, address + count):
            number = struct.pack(">f", raw_value(at, self.generation, salt))
            cells += number[2 * (at % 2):2 * (at % 2) + 2]
        return cells

    def _answer(self, request):
        answer = Answer(request, self.wire.answer(request, self.registers(request)))
        late, self.late = self.late, []
        pieces = [one if isinstance(one, bytes) else self.wire.again(one, request)
                  for one in late]
        if self.random.random() < SPOILT:
            row = self.random.choice(self.rows)
            self.seen[row.__name__] += 1
            pieces += row(self, answer)
        else:
            pieces.append(answer.good)
        is_idle = not self._queue
        self._queue += pieces
        if is_idle:
            self._send()

    def _send(self):
        """Send the next piece; single bytes go one by one."""
        while self._queue and len(self._queue[0]) > 1:
            self._transport.write(self._queue.pop(0))
        if self._queue:
            self._transport.write(self._queue.pop(0))
            asyncio.get_running_loop().call_later(BYTE_S, self._send)


class Ticks:
    """The loop's time as a link's clock."""

    def ticks_ms(self):
        """Return milliseconds of the loop."""
        return int(asyncio.get_running_loop().time() * 1000)

    async def sleep(self, seconds):
        """Sleep."""
        await asyncio.sleep(seconds)


class Port:
    """The near end of a serial line: what pyserial would have opened."""

    def __init__(self, sock):
        sock.setblocking(False)
        self.fileno, self.close = sock.fileno, sock.close


class Outcome(NamedTuple):
    """What came of a run.  questions: that the far end was asked; wrong: (point, right, taken)."""

    questions: int
    taken: int
    wrong: list
    faults: Counter


def run(kind, questions, seed=1, at_once=1, rows=tuple(ROWS)):
    """Poll until so many questions were asked; return the Outcome.  kind: TCP or RTU."""
    return virtual_time.run(_run(FarEnd(kind, seed, rows), kind, questions, at_once))


async def _run(far, kind, questions, at_once):
    close, link, bus = await (_tcp if kind == TCP else _rtu)(far, at_once)
    setup = driver.Setup(modbus.RtuReads() if kind == RTU else wire_for(bus), UNIT,
                         everything=True)
    setup.alone_polls = (1, 1)          # or a burst that failed would be the last for an hour
    made = (meter(POINTS, {"gap_max": 0}, 0, "float32") if kind == TCP
            else profile_files.find(PROFILE))
    device, taken, wrong = driver.build(made, setup), 0, []
    while far.questions < questions:
        far.generation += 1
        for place, value in enumerate(await _poll(device.poll(), link)):
            if isinstance(value, Absent):
                continue
            taken += 1
            point = made.points[place]
            right = raw_value(point.address, far.generation) * 10 ** (
                point.exponent - exponent_of(point.measurand, setup))
            if value != right:
                wrong.append((point.measurand, right, value))
    await link.close()
    await close()
    return Outcome(far.questions, taken, wrong, far.seen)


async def _tcp(far, at_once):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: far, "127.0.0.1", 0)
    bus = BusConfig("b", "tcp", "modbus", host="127.0.0.1", at_once=at_once,
                    port=server.sockets[0].getsockname()[1])

    async def close():
        server.close()
    return close, TcpLink(bus, Ticks()), bus


async def _rtu(far, _at_once):
    near, other = socket.socketpair()
    await asyncio.get_running_loop().create_connection(lambda: far, sock=other)
    bus = BusConfig("b", "serial", "modbus", tty="none", baud=19200)

    async def close():
        other.close()
    return close, SerialLink(bus, Ticks(), lambda *_, **__: Port(near)), bus


async def _poll(steps, link):
    """Return the values of one poll; as the poller does, ask no more after a silence."""
    bad, answer = [], next
    try:
        while True:
            question = answer(steps)
            answer = await _exchanged(question, link, bad)
    except StopIteration as stop:
        return stop.value


async def _exchanged(question, link, bad):
    """Return what goes on with the poll; bad: its errors so far, a silence last."""
    try:
        if bad and (isinstance(bad[-1], NoReply) or len(bad) >= BAD_FRAMES_MAX):
            raise bad[-1]
        await link.exchange(question, TIMEOUT_S)
    except DeviceError as error:
        if not isinstance(error, Refused):
            bad.append(error)
        return lambda steps, error=error: steps.throw(error)
    return lambda steps: steps.send(question.result)
