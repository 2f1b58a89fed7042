"""One meter by a table that provisioning compiled from its profile: spans and how to read them.

A poll is a generator as every driver's (drivers/driver.py): it yields transactions, gets their
cells or a DeviceError, and returns a value or an Absent for each point.  Planned on a PC, a
board neither plans nor knows measurands.  Table of a meter, as in board.cbor:

    [name, unit, gap_ms, points, spans]       points: how many values a poll returns
    span = [function, address, count, rows, absent]
    rows: 7 bytes for each point: place, cell, registers, format (index into FORMS),
          shift + 128, digits, is counter
    absent: {position: [raw bits that say "not implemented"]}
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
)
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from drivers.modbus import TcpReads
    from drivers.types import Steps
    from gateway.core.reading import Value, Values

FORMS = tuple(sorted(registers.FORMATS))
ROW = 7                     # bytes

SILENT = (10, 11)           # exceptions by which a Modbus gateway says that the unit is silent


class Meter:
    """One device.  wire: builds reads (modbus.TcpReads).  table: see above."""

    def __init__(self, wire: "TcpReads", table: "list[Any]") -> None:
        self._unit, self._points, self._spans = table[1], table[3], table[4]
        self._wire = wire

    def poll(self) -> "Steps[Values]":
        """Yield transactions; return the values by position."""
        values: list[Value] = [Absent(NO_REPLY)] * self._points
        for function, address, count, rows, absent in self._spans:
            reason = 0
            try:
                cells = yield self._wire.read(self._unit, function, address, count)
            except DeviceError as error:
                reason = reason_of(error)
            for at in range(0, len(rows), ROW):
                position = rows[at]
                values[position] = Absent(reason) if reason else value_of(
                    rows[at:at + ROW], cells, absent.get(position, ()))
            if reason == NO_REPLY:
                break                       # a dead unit costs one time-out
        return tuple(values)


def value_of(row: bytes, cells: bytes, absent: "Collection[int]") -> "Value":
    """Return the value of one row in the cells of its span, or an Absent."""
    _, cell, width, form, shift, digits, is_counter = row
    cells, name = cells[2 * cell:2 * (cell + width)], FORMS[form]
    if absent and registers.bits(cells, name) in absent:
        return Absent(NOT_IMPLEMENTED)
    value = registers.decode(cells, name, shift - 128)
    if value is None:
        return Absent(NOT_IMPLEMENTED)
    if abs(value) >= 10 ** digits or (value < 0 and is_counter):
        return Absent(OUT_OF_RANGE)
    return value


def reason_of(error: DeviceError) -> int:
    """Return the reason code in a reading for a DeviceError."""
    if isinstance(error, Refused):
        return NO_REPLY if error.exception in SILENT else REFUSED
    if isinstance(error, NoReply):
        return NO_REPLY
    return BAD_FRAME if isinstance(error, BadFrame) else NO_REPLY
