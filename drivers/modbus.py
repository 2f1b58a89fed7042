"""Modbus read transactions, RTU and TCP, without a transport.

A transaction knows one request and which bytes may answer it.  Everything else on the line
is refused: exact length, unit, function and byte count; over TCP also the transaction id,
which is never 0 (pymodbus takes 0 for "any").  RTU has no transaction id, so a reply that
comes after its time-out looks like the answer to the next request: the link drains the line
and the driver varies the register count, so that such a reply has the wrong length here.

Frames: Modbus over Serial Line V1.02, 2.5.1; Modbus Messaging on TCP/IP V1.0b, 3.1.3;
exceptions: Modbus Application Protocol V1.1b3, 7.  Only reads exist: a polling gateway that
cannot write cannot do harm (field pitfall 32).
"""

import struct

from gateway.core.codec.crc import crc16_modbus
from gateway.core.errors import BadFrame, Bug, Refused
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    # TcpBurst, or InTurn of links/in_turn.py.
    Burst = Any

READ_HOLDING, READ_INPUT = 3, 4
REGISTERS_MAX = 125             # one read: the byte count is one byte (V1.1b3, 6.3)
GLITCH_BYTES_MAX = 8            # stray bytes at the turn of the line that are forgiven
MBAP = 7                        # bytes of the TCP header
MBAP_LENGTH_MAX = 254           # unit + PDU of 253 bytes
TCP_HEAD = 9                    # bytes before the registers of a good answer over TCP

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge, ask again later",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}
UNIT_SILENT = (10, 11)          # by these a gateway reports that the unit says nothing


def refused(unit: int, function: int, code: int) -> Refused:
    """Return the error for a Modbus exception reply."""
    return Refused("unit %d, function %d: exception %d, %s" % (
        unit, function, code, EXCEPTIONS.get(code, "not a standard code")), code)


class _Read:
    """What both flavours share: the request's PDU and the check of the answer's PDU.

    rest: bytes behind the answer (the next one's beginning), or of a frame not yet whole.
    """

    gap_ms = 0                  # silence the device wants before this; its driver sets it
    turns = 1                   # answers that are waited for, one after the other

    def __init__(self, unit: int, function: int, address: int, count: int) -> None:
        if function not in (READ_HOLDING, READ_INPUT):
            raise Bug("function %d is not a register read" % function)
        if not (0 <= unit <= 255 and 1 <= count <= REGISTERS_MAX
                and 0 <= address <= 65536 - count):
            raise Bug("unit %d, address %d, count %d" % (unit, address, count))
        self.unit = unit
        self.function = function
        self.address = address
        self.count = count
        self.result: bytes | None = None
        self._pdu = struct.pack(">BHH", function, address, count)
        self.rest = b""

    def again(self) -> None:
        """Forget the answer, so that the same question can be asked again."""
        self.result = None
        self.rest = b""

    @property
    def registers(self) -> bytes | None:
        """The register bytes (2 x count) once feed said complete, else None."""
        return self.result

    @property
    def has_response(self) -> bool:
        """True if any byte has come, so that a time-out is a torn frame, not silence."""
        return len(self.rest) > 0

    def describe(self) -> str:
        """Return the question in words, for messages."""
        return "unit %d function %d address %d count %d" % (
            self.unit, self.function, self.address, self.count)

    def _bad(self, what: str) -> BadFrame:
        return BadFrame("%s: %s" % (self.describe(), what))

    def _check_pdu(self, pdu: bytes) -> bool:
        """Take the register bytes out of a whole reply PDU.  Raises BadFrame, Refused."""
        if len(pdu) == 2 and pdu[0] == self.function | 0x80:
            raise refused(self.unit, self.function, pdu[1])
        if not pdu or pdu[0] != self.function:
            raise self._bad("a reply to function %s" % (pdu[0] if pdu else "none"))
        if len(pdu) != 2 + 2 * self.count or pdu[1] != 2 * self.count:
            raise self._bad("%d bytes in the reply, expected %d" % (
                len(pdu), 2 + 2 * self.count))
        self.result = bytes(pdu[2:])
        return True


class RtuRead(_Read):
    """One read over a serial line.  Units 1..247; 0 is broadcast and never answers."""

    def __init__(self, unit: int, function: int, address: int, count: int) -> None:
        if not 1 <= unit <= 247:
            raise Bug("unit %d: a serial line has units 1..247" % unit)
        super().__init__(unit, function, address, count)
        body = bytes([unit]) + self._pdu
        self.request = body + struct.pack("<H", crc16_modbus(body))

    def feed(self, data: bytes) -> bool:
        """Take bytes off the line; return True when the answer is whole.

        Up to eight stray bytes before or behind are forgiven, if exactly the frame that was
        asked for remains.  Raises BadFrame (not this answer), Refused (exception reply).
        """
        if self.result is not None:
            raise Bug("fed after the answer")
        self.rest += bytes(data)
        buffer, size = self.rest, 5 + 2 * self.count
        for start in range(min(len(buffer), GLITCH_BYTES_MAX + 1)):
            if self._is_frame(start, size, self.function):
                if len(buffer) - start - size > GLITCH_BYTES_MAX:
                    raise self._bad("more than one frame came")
                return self._check_pdu(buffer[start + 1:start + size - 2])
            if self._is_frame(start, 5, self.function | 0x80):
                return self._check_pdu(buffer[start + 1:start + 3])
        self._refuse_early(size)
        return False

    def _is_frame(self, start: int, size: int, function: int) -> bool:
        frame = self.rest[start:start + size]
        return (len(frame) == size and frame[0] == self.unit and frame[1] == function
                and crc_ok(frame))

    def _refuse_early(self, size: int) -> None:
        """Do not wait for the time-out if a whole other frame is there, or too much."""
        buffer = self.rest
        if len(buffer) > size + GLITCH_BYTES_MAX:
            raise self._bad("%d bytes without the answer, expected %d" % (len(buffer), size))
        if len(buffer) >= 5 and buffer[1] & 0x7F in (READ_HOLDING, READ_INPUT):
            whole = 5 if buffer[1] & 0x80 else 5 + buffer[2]
            if len(buffer) == whole and crc_ok(buffer):
                raise self._bad("a whole frame of unit %d, function %d, %d bytes" % (
                    buffer[0], buffer[1], whole))


class TcpRead(_Read):
    """One read over Modbus TCP.  tid: 1..65535, different from the last few on this link."""

    def __init__(self, unit: int, function: int, address: int, count: int, tid: int) -> None:
        super().__init__(unit, function, address, count)
        self._tail = struct.pack(">HHB", 0, 1 + len(self._pdu), unit) + self._pdu
        # All of a good answer but its id and its registers.
        self._head = struct.pack(">HHBBB", 0, 3 + 2 * count, unit, function, 2 * count)
        self.size = TCP_HEAD + 2 * count    # of a good answer
        self.number(tid)

    def number(self, tid: int) -> None:
        """Make this a new question: the same read under another transaction id."""
        if not 1 <= tid <= 0xFFFF:
            raise Bug("transaction id %d: 0 is never used" % tid)
        self.result, self.rest, self.tid = None, b"", tid       # again(), without a call
        number = struct.pack(">H", tid)
        self.request = number + self._tail
        self.head = number + self._head     # of a good answer; its registers follow

    def feed(self, data: bytes) -> bool:
        """Take bytes of the stream; return True when the answer is whole.

        Frames of other transactions are dropped.  Raises BadFrame when the stream is not
        Modbus TCP or the answer is wrong (close the connection), Refused.
        """
        if self.result is not None:
            raise Bug("fed after the answer")
        buffer, at = self.rest + bytes(data), 0
        self.rest = buffer
        while True:
            size = frame_size(buffer, at)
            if size is None:
                self.rest = buffer[at:]
                return False
            frame, at = buffer[at:at + size], at + size
            if frame[0] << 8 | frame[1] == self.tid:    # a late or foreign answer is never ours
                self.rest = buffer[at:]
                return self.take(frame)

    def take(self, frame: bytes) -> bool:
        """Take one whole frame that has our transaction id.  Raises BadFrame, Refused."""
        if frame[2:TCP_HEAD] == self._head and len(frame) == self.size:
            self.result = frame[TCP_HEAD:]
            return True
        if frame[6] != self.unit:
            raise self._bad("a reply of unit %d" % frame[6])
        return self._check_pdu(frame[MBAP:])


class TcpBurst:
    """Several reads of one unit under way at once: one write, usually one wake-up.

    A transaction like the others, without a gap.  Each answer finds its question by the
    transaction id alone, in whatever order; a second one, a late one and a foreign one fit none.
    A refused read ends as None here: it is for the driver to ask it alone and hear why.

    TCP Modbus has no check sum, and an answer that was cut short takes its missing bytes from
    the next one's header, or from what is left of it: so no read of a burst that ended in an
    error has a good result.
    """

    gap_ms = 0
    turns = 1

    def __init__(self, reads: "Sequence[TcpRead]") -> None:
        """reads: TcpRead of this connection with different ids, at least two."""
        self.reads = tuple(reads)
        self._size = sum([read.size for read in reads])     # of all good answers
        self.again()

    def again(self) -> None:
        """Ask again, the reads having new ids."""
        self.request = b"".join([read.request for read in self.reads])
        self.result: tuple[bytes | None, ...] | None = None
        # The reads by id, once answers do not simply come in turn.
        self._open: dict[int, TcpRead] | None = None
        self.rest = b""
        self.has_response = False

    def describe(self) -> str:
        """Return the questions in words, for messages."""
        return "%d questions at once, first %s" % (len(self.reads), self.reads[0].describe())

    def feed(self, data: bytes) -> bool:
        """Take bytes of the stream; return True when each read was answered or refused.

        Raises BadFrame as TcpRead.feed does.  result: the registers of each read.
        """
        if self.result is not None:
            raise Bug("fed after the answer")
        self.rest += bytes(data)
        self.has_response = self.has_response or len(data) > 0
        if self._open is None:
            if len(self.rest) == self._size and self._in_turn():
                return True
            self._open = {read.tid: read for read in self.reads}
        buffer, at = self.rest, 0
        while self._open:
            size = frame_size(buffer, at)
            if size is None:
                self.rest = buffer[at:]
                return False
            frame, at = buffer[at:at + size], at + size
            read = self._open.pop(frame[0] << 8 | frame[1], None)
            if read is None:            # late, foreign, or a second time
                self._check_second(frame)
                continue
            try:
                read.take(frame)
            except Refused:
                pass
        self.rest = buffer[at:]
        if not self._holds_no_head():
            raise BadFrame("%s: an answer lies inside another one" % self.describe())
        self.result = tuple([read.result for read in self.reads])
        return True

    def _holds_no_head(self) -> bool:
        answers = b"".join([read.result or b"" for read in self.reads])
        for read in self.reads:
            if answers.find(read.head) >= 0:
                return False
        return True

    def _check_second(self, frame: bytes) -> None:
        """Raise BadFrame for a second answer to one question that says something else."""
        for read in self.reads:
            if frame[:2] == read.request[:2]:
                if frame[TCP_HEAD:] != (read.result or b""):
                    raise BadFrame("%s: two answers that differ" % read.describe())

    def _in_turn(self) -> bool:
        """Return True if all good answers stand there in the order of the questions, as nearly
        always; nothing is taken out of the buffer if they do not."""
        buffer, at = self.rest, 0
        for read in self.reads:
            if not buffer.startswith(read.head, at) or buffer.count(read.head) > 1:
                return False
            end = at + read.size
            read.result = buffer[at + TCP_HEAD:end]
            at = end
        self.result, self.rest = tuple([read.result for read in self.reads]), b""
        return True


def frame_size(buffer: bytes, at: int = 0) -> int | None:
    """Return the bytes of the Modbus TCP frame at an offset of a buffer, None if cut.

    Raises BadFrame when that is no Modbus TCP.
    """
    if len(buffer) < at + MBAP:
        return None
    protocol, length = buffer[at + 2] << 8 | buffer[at + 3], buffer[at + 4] << 8 | buffer[at + 5]
    if protocol != 0 or not 3 <= length <= MBAP_LENGTH_MAX:
        raise BadFrame("not Modbus TCP: protocol %d, length %d" % (protocol, length))
    return 6 + length if len(buffer) >= at + 6 + length else None


class RtuReads:
    """Builds the reads of a serial line."""

    at_once = 1

    def read(self, unit: int, function: int, address: int, count: int) -> RtuRead:
        """Return a new RtuRead."""
        return RtuRead(unit, function, address, count)

    def again(self, question: RtuRead) -> None:
        """Make a question that was asked before a new one."""
        question.again()


class TcpReads:
    """Builds reads with transaction ids 1..65535 in turn: one of these per connection.

    at_once: how many reads are one transaction: of this class, how many questions the far end
    may be sent before it answered the first; 1 unless its maker says more (Messaging on TCP/IP
    V1.0b, NumberMaxOfServerTransaction: 1 to 16).
    """

    def __init__(self, at_once: int = 1) -> None:
        self.at_once = at_once
        self._tid = 0

    def read(self, unit: int, function: int, address: int, count: int) -> TcpRead:
        """Return a new TcpRead with the next id."""
        return TcpRead(unit, function, address, count, self._next())

    def burst(self, reads: "Sequence[TcpRead]") -> "Burst":
        """Return the transaction that asks several reads at once."""
        return TcpBurst(reads)

    def again(self, question: TcpRead) -> None:
        """Make a question that was asked before a new one, with the next id."""
        question.number(self._next())

    def burst_again(self, burst: "Burst") -> None:
        """Make a burst that was asked before a new one, with the next ids."""
        tid = self._tid
        for read in burst.reads:
            tid = tid % 0xFFFF + 1
            read.number(tid)
        self._tid = tid
        burst.again()

    def _next(self) -> int:
        self._tid = self._tid % 0xFFFF + 1
        return self._tid


def crc_ok(frame: bytes) -> bool:
    """Return whether the last two bytes of an RTU frame are its CRC."""
    return len(frame) > 2 and crc16_modbus(frame[:-2]) == frame[-2] | frame[-1] << 8
