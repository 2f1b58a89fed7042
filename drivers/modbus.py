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

from gateway.core.crc import crc16_modbus
from gateway.core.errors import BadFrame, Bug, Refused

READ_HOLDING, READ_INPUT = 3, 4
REGISTERS_MAX = 125             # one read: the byte count is one byte (V1.1b3, 6.3)
GLITCH_BYTES_MAX = 8            # stray bytes at the turn of the line that are forgiven
MBAP = 7                        # bytes of the TCP header
MBAP_LENGTH_MAX = 254           # unit + PDU of 253 bytes

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


def refused(unit, function, code):
    """Return the error for a Modbus exception reply."""
    return Refused("unit %d, function %d: exception %d, %s" % (
        unit, function, code, EXCEPTIONS.get(code, "not a standard code")), code)


class _Read:
    """What both flavours share: the request's PDU and the check of the answer's PDU."""

    gap_ms = 0                  # silence the device wants before this; its driver sets it

    def __init__(self, unit, function, address, count):
        if function not in (READ_HOLDING, READ_INPUT):
            raise Bug("function %d is not a register read" % function)
        if not (0 <= unit <= 255 and 1 <= count <= REGISTERS_MAX
                and 0 <= address <= 65536 - count):
            raise Bug("unit %d, address %d, count %d" % (unit, address, count))
        self.unit = unit
        self.function = function
        self.address = address
        self.count = count
        self.result = None
        self._pdu = struct.pack(">BHH", function, address, count)
        self._buffer = b""

    @property
    def registers(self):
        """The register bytes (2 x count) once feed said complete, else None."""
        return self.result

    @property
    def heard(self):
        """True if any byte has come, so that a time-out is a torn frame, not silence."""
        return len(self._buffer) > 0

    def describe(self):
        """Return the question in words, for messages."""
        return "unit %d function %d address %d count %d" % (
            self.unit, self.function, self.address, self.count)

    def _bad(self, what):
        return BadFrame("%s: %s" % (self.describe(), what))

    def _check_pdu(self, pdu):
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

    def __init__(self, unit, function, address, count):
        if not 1 <= unit <= 247:
            raise Bug("unit %d: a serial line has units 1..247" % unit)
        super().__init__(unit, function, address, count)
        body = bytes([unit]) + self._pdu
        self.request = body + struct.pack("<H", crc16_modbus(body))

    def feed(self, data):
        """Take bytes off the line; return True when the answer is whole.

        Up to eight stray bytes before or behind are forgiven, if exactly the frame that was
        asked for remains.  Raises BadFrame (not this answer), Refused (exception reply).
        """
        if self.result is not None:
            raise Bug("fed after the answer")
        self._buffer += bytes(data)
        buffer, size = self._buffer, 5 + 2 * self.count
        for start in range(min(len(buffer), GLITCH_BYTES_MAX + 1)):
            if self._is_frame(start, size, self.function):
                if len(buffer) - start - size > GLITCH_BYTES_MAX:
                    raise self._bad("more than one frame came")
                return self._check_pdu(buffer[start + 1:start + size - 2])
            if self._is_frame(start, 5, self.function | 0x80):
                return self._check_pdu(buffer[start + 1:start + 3])
        self._refuse_early(size)
        return False

    def _is_frame(self, start, size, function):
        frame = self._buffer[start:start + size]
        return (len(frame) == size and frame[0] == self.unit and frame[1] == function
                and crc_ok(frame))

    def _refuse_early(self, size):
        """Do not wait for the time-out if a whole other frame is there, or too much."""
        buffer = self._buffer
        if len(buffer) > size + GLITCH_BYTES_MAX:
            raise self._bad("%d bytes without the answer, expected %d" % (len(buffer), size))
        if len(buffer) >= 5 and buffer[1] & 0x7F in (READ_HOLDING, READ_INPUT):
            whole = 5 if buffer[1] & 0x80 else 5 + buffer[2]
            if len(buffer) == whole and crc_ok(buffer):
                raise self._bad("a whole frame of unit %d, function %d, %d bytes" % (
                    buffer[0], buffer[1], whole))


class TcpRead(_Read):
    """One read over Modbus TCP.  tid: 1..65535, different from the last few on this link."""

    def __init__(self, unit, function, address, count, tid):
        if not 1 <= tid <= 0xFFFF:
            raise Bug("transaction id %d: 0 is never used" % tid)
        super().__init__(unit, function, address, count)
        self.tid = tid
        self.request = struct.pack(">HHHB", tid, 0, 1 + len(self._pdu), unit) + self._pdu

    @property
    def rest(self):
        """Bytes behind the answer, or of a frame not yet whole: the next one's beginning."""
        return self._buffer

    def feed(self, data):
        """Take bytes of the stream; return True when the answer is whole.

        Frames of other transactions are dropped.  Raises BadFrame when the stream is not
        Modbus TCP or the answer is wrong (close the connection), Refused.
        """
        if self.result is not None:
            raise Bug("fed after the answer")
        self._buffer += bytes(data)
        while len(self._buffer) >= MBAP:
            head = self._buffer
            tid = head[0] << 8 | head[1]
            protocol, length = head[2] << 8 | head[3], head[4] << 8 | head[5]
            if protocol != 0 or not 3 <= length <= MBAP_LENGTH_MAX:
                raise self._bad("not Modbus TCP: protocol %d, length %d" % (protocol, length))
            if len(head) < 6 + length:
                return False
            self._buffer = head[6 + length:]
            if tid != self.tid:
                continue                # a late or foreign answer is never ours
            if head[6] != self.unit:
                raise self._bad("a reply of unit %d" % head[6])
            return self._check_pdu(head[MBAP:6 + length])
        return False


class RtuReads:
    """Builds the reads of a serial line."""

    def read(self, unit, function, address, count):
        """Return a new RtuRead."""
        return RtuRead(unit, function, address, count)


class TcpReads:
    """Builds reads with transaction ids 1..65535 in turn: one of these per connection."""

    def __init__(self):
        self._tid = 0

    def read(self, unit, function, address, count):
        """Return a new TcpRead with the next id."""
        self._tid = self._tid % 0xFFFF + 1
        return TcpRead(unit, function, address, count, self._tid)


def crc_ok(frame):
    """Return whether the last two bytes of an RTU frame are its CRC."""
    return len(frame) > 2 and crc16_modbus(frame[:-2]) == frame[-2] | frame[-1] << 8
