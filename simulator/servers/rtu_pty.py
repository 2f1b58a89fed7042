"""A Modbus RTU line with several units, over a pty.

Modbus over Serial Line V1.02: a frame ends with silence of 3.5 characters, has at most 256
bytes, a unit that is not there stays silent, unit 0 is a broadcast that nobody answers.
Simulated units are read only: every writing function is answered with exception 1.
"""

import asyncio
from typing import NamedTuple

from gateway.core.codec.crc import crc16_modbus
from simulator import faults
from simulator.devices import ILLEGAL_FUNCTION, RegisterBlocks, read, registers
from simulator.servers.base import BusToServe, Opened, ServerClock
from simulator.servers.pty_line import PtyLine

FRAME_MAX = 256
SHORTEST = 4                # unit, function, CRC
READ_REQUEST = 8            # unit, function, address, count, CRC
TURNAROUND_S = 0.015        # a meter's thinking time on the simulated wire
SILENCE_S = 0.005           # real; the least that a scheduler lets us tell from a pause


class ServedUnit(NamedTuple):
    """One unit on the line: which device it plays and how to get its registers."""

    profile: str
    blocks: RegisterBlocks


class RtuServer:
    """All units of one line.  bus: (name, baud); faults: what goes wrong on it and when."""

    def __init__(self, bus: tuple[str, int], units: dict[int, ServedUnit], now: ServerClock,
                 scripted: tuple[faults.InjectedFault, ...] = ()):
        self.name, baud = bus
        self._units, self._now, self._faults = units, now, scripted
        self.line = PtyLine(baud, now.speed, self._receive)
        self._buffer = b""
        self._silence: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Take the line down."""
        if self._silence:
            self._silence.cancel()
        self.line.close()

    def _receive(self, data: bytes) -> None:
        self._buffer += data
        if self._silence:
            self._silence.cancel()
            self._silence = None
        request = self._buffer[-READ_REQUEST:]
        if (len(self._buffer) <= FRAME_MAX and len(request) == READ_REQUEST
                and request[1] in (3, 4) and crc_ok(request)):
            self._take(request)
            return
        if len(self._buffer) > FRAME_MAX:
            self._buffer = self._buffer[:FRAME_MAX + 1]     # too long to be a frame: wait it out
        silence_s = max(3.5 * self.line.byte_s, SILENCE_S)
        self._silence = self._loop.call_later(silence_s, self._silent)

    def _silent(self) -> None:
        """The line went quiet: what is here is one frame of another function, or garbage."""
        frame, self._silence = self._buffer, None
        self._buffer = b""
        if SHORTEST <= len(frame) <= FRAME_MAX and crc_ok(frame):
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        self._buffer = b""
        if frame[0] not in self._units:
            return
        delay_s = (len(frame) + 3.5) * self.line.byte_s + TURNAROUND_S / self._now.speed
        self.line.later(delay_s, lambda: self._answer(frame))

    def _answer(self, frame: bytes) -> bytes | None:
        t_s = self._now.advance()
        reply = with_crc(frame[:1] + answer(self._units[frame[0]], frame[1:-2]))
        spoilt = faults.apply(self._faults, (self.name, frame[0]), t_s, reply)
        if spoilt.data is not None and spoilt.delay_s > 0.0:
            self._loop.call_later(spoilt.delay_s, self.line.send, spoilt.data)
            return None
        return spoilt.data


async def serve(asked: BusToServe) -> Opened:
    """Open a line with all its units; a line without units is silent."""
    bus = asked.bus
    line = RtuServer((bus.name, bus.baud), units_of(asked), asked.now,
                     asked.runner.site.scenario.faults)
    return Opened(line, line.line.path)


def units_of(asked: BusToServe) -> dict[int, ServedUnit]:
    """Return the units of a bus by address."""
    return {device.unit: ServedUnit(device.profile, registers(asked.runner, device))
            for device in asked.devices}


def answer(unit: ServedUnit, pdu: bytes) -> bytes:
    """Return the answer of a unit to a request PDU (function and data), exceptions included."""
    if len(pdu) != READ_REQUEST - 3 or pdu[0] not in (3, 4):
        return bytes((pdu[0] & 0x7F | 0x80, ILLEGAL_FUNCTION))
    address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    result = read(unit.blocks, (pdu[0], address, count), unit.profile)
    if isinstance(result, int):
        return bytes((pdu[0] | 0x80, result))
    return bytes((pdu[0], len(result))) + result


def crc_ok(frame: bytes) -> bool:
    """Return whether a frame ends with the CRC of what stands before (low byte first)."""
    return int(crc16_modbus(frame[:-2])) == int.from_bytes(frame[-2:], "little")


def with_crc(body: bytes) -> bytes:
    """Return a body with its CRC behind it, low byte first."""
    return body + int(crc16_modbus(body)).to_bytes(2, "little")
