"""A Pylontech low-voltage stack on RS-485 (protocol V3.3), over a pty.

~ VER ADR CID1 CID2 LENGTH INFO CHKSUM CR, every byte as two upper-case hex digits.
A frame for another address is not answered; a frame with a mistake is answered with a
return code: 2 checksum, 3 length checksum, 4 command, 6 data.
"""

from collections.abc import Callable

from simulator.pylontech import Stack, stack
from simulator.servers.base import BusToServe, Opened, ServerClock
from simulator.servers.pty_line import PtyLine

FRAME_MAX = 18 + 4095           # head and checksum, LENID has 12 bits
TURNAROUND_S = 0.03
VERSION, CID1 = 0x20, 0x46
CHECKSUM_BAD, LENGTH_BAD, COMMAND_BAD, DATA_BAD = 2, 3, 4, 6


class PylontechServer:
    """One stack on a line of its own.  read: gives the stack as it is now."""

    def __init__(self, baud: int, address: int, now: ServerClock, read: Callable[[], Stack]):
        self._address, self._now, self._read = address, now, read
        self.line = PtyLine(baud, now.speed, self._receive)
        self._buffer = b""

    def close(self) -> None:
        """Take the line down."""
        self.line.close()

    def _receive(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.rfind(b"\r")
        if end < 0:
            if len(self._buffer) > FRAME_MAX:
                self._buffer = b""
            return
        frame = self._buffer[:end]
        self._buffer = self._buffer[end + 1:]
        start = frame.rfind(b"~")
        if start >= 0:
            self._take(frame[start + 1:])

    def _take(self, body: bytes) -> None:
        """Answer the text between ~ and CR if it is for us."""
        if len(body) < 16 or body[2:4] != b"%02X" % self._address:
            return
        delay_s = (len(body) + 2) * self.line.byte_s + TURNAROUND_S / self._now.speed
        self.line.later(delay_s, lambda: self._answer(body))

    def _answer(self, body: bytes) -> bytes:
        self._now.advance()
        code, info = respond(body, self._read)
        return frame_of(self._address, code, info)


async def serve(asked: BusToServe) -> Opened:
    """Open a line with the stack on it."""
    device = asked.devices[0]
    bms = PylontechServer(asked.bus.baud, device.unit, asked.now,
                          lambda: stack(asked.runner, device))
    return Opened(bms, bms.line.path)


def respond(body: bytes, read: Callable[[], Stack]) -> tuple[int, bytes]:
    """Return (return code, information bytes) for the text between ~ and CR."""
    if checksum(body[:-4]) != body[-4:]:
        return CHECKSUM_BAD, b""
    length = body[8:12]
    info = body[12:-4]
    if length_field(len(info)) != length:
        return LENGTH_BAD, b""
    try:
        command, argument = int(body[6:8], 16), bytes.fromhex(info.decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        return DATA_BAD, b""
    if body[4:6] != b"%02X" % CID1:
        return COMMAND_BAD, b""
    handlers = {0x4F: lambda stack, arg: b"", 0x42: Stack.analog, 0x51: Stack.manufacturer,
                0x92: Stack.management, 0x93: Stack.serial_number}
    if command not in handlers:
        return COMMAND_BAD, b""
    answered = handlers[command](read(), argument)
    return (DATA_BAD, b"") if answered is None else (0, answered)


def frame_of(address: int, code: int, info: bytes) -> bytes:
    """Return a whole answer frame."""
    text = info.hex().upper().encode("ascii")
    body = b"%02X%02X%02X%02X" % (VERSION, address, CID1, code) + length_field(len(text)) + text
    return b"~" + body + checksum(body) + b"\r"


def checksum(body: bytes) -> bytes:
    """Return the four hex digits: two's complement of the sum of the characters."""
    return b"%04X" % (-sum(body) & 0xFFFF)


def length_field(characters: int) -> bytes:
    """Return LENGTH: a nibble of checksum over the three nibbles of the character count."""
    nibbles = (characters >> 8 & 15) + (characters >> 4 & 15) + (characters & 15)
    return b"%04X" % ((-nibbles & 15) << 12 | characters)
