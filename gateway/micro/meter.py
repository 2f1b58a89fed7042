"""One meter by a table that provisioning compiled from its profile: spans and how to read them.

A poll is a generator as every driver's (drivers/driver.py): it yields transactions, gets their
cells or a DeviceError, and returns a value or an Absent for each point.  Planned on a PC, a
board neither plans nor knows measurands.  Table of a meter, as in board.cbor:

    [name, unit, gap_ms, points, spans]       points: [measurand, exponent, item]
    span = [function, address, count, wanted]
    wanted = [place, cell, registers, format, shift, digits, is_counter, absent raw bits]
"""

from drivers import registers
from gateway.core.errors import BadFrame, DeviceError, NoReply, Refused
from gateway.core.reading import (
    BAD_FRAME,
    NO_REPLY,
    NOT_IMPLEMENTED,
    OUT_OF_RANGE,
    REFUSED,
    Absent,
    Point,
    Stream,
)

SILENT = (10, 11)           # exceptions by which a Modbus gateway says that the unit is silent


class Meter:
    """One device.  wire: builds reads (modbus.TcpReads).  table: see above."""

    def __init__(self, wire, table):
        name, self._unit, self.gap_ms, points, self._spans = table
        self._wire = wire
        self.stream = Stream(name, tuple([Point(p[0], p[1], p[2]) for p in points]))

    def poll(self):
        """Yield transactions; return the values by position."""
        values = [Absent(NO_REPLY)] * len(self.stream.points)
        for function, address, count, wanted in self._spans:
            try:
                cells = yield self._wire.read(self._unit, function, address, count)
            except DeviceError as error:
                reason = reason_of(error)
                for row in wanted:
                    values[row[0]] = Absent(reason)
                if reason == NO_REPLY:
                    break                   # a dead unit costs one time-out
                continue
            for row in wanted:
                values[row[0]] = value_of(row, cells)
        return tuple(values)


def value_of(row, cells):
    """Return the value of one wanted point in the cells of its span, or an Absent."""
    _, cell, width, form, shift, digits, is_counter, absent = row
    cells = cells[2 * cell:2 * (cell + width)]
    if absent and registers.bits(cells, form) in absent:
        return Absent(NOT_IMPLEMENTED)
    value = registers.decode(cells, form, shift)
    if value is None:
        return Absent(NOT_IMPLEMENTED)
    if abs(value) >= 10 ** digits or (value < 0 and is_counter):
        return Absent(OUT_OF_RANGE)
    return value


def reason_of(error):
    """Return the reason code in a reading for a DeviceError."""
    if isinstance(error, Refused):
        return NO_REPLY if error.exception in SILENT else REFUSED
    if isinstance(error, NoReply):
        return NO_REPLY
    return BAD_FRAME if isinstance(error, BadFrame) else NO_REPLY
