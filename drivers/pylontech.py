"""Pylontech low-voltage battery stacks over RS485: ASCII frames, protocol V3.3.

Frame: ~ VER ADR CID1 CID2 LENGTH INFO CHKSUM CR, each byte as two upper-case hex digits.  The
length carries its own checksum, which is checked before the length is believed.  The answer's
CID2 is a return code, so it does not say which command it answers: after a failure the driver
first asks for the protocol version, whose answer has another length.
Only questions exist here; the commands that switch a stack off or set it are not built.
"""


from drivers.register_driver import checked, exponent_of, reason_of
from drivers.registers import divided
from gateway.core.errors import BadFrame, Bug, DeviceError, NoReply, Refused
from gateway.core.measurand import BY_NAME
from gateway.core.reading import NOT_IMPLEMENTED, Absent, Point
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.driver import Setup
    from drivers.profile import PointRow, Profile, Shape
    from drivers.types import Identification, Steps
    from gateway.core.reading import Values
    # (top, bottom, power): top / bottom x 10**power, None where not given.
    Fraction = tuple[int, int, int] | None

VERSION, BATTERY = 0x20, 0x46               # VER and CID1
GET_ANALOG, GET_VERSION, GET_MANUFACTURER, GET_SERIAL = 0x42, 0x4F, 0x51, 0x93
QUESTIONS = (GET_ANALOG, GET_VERSION, GET_MANUFACTURER, GET_SERIAL)
ALL_MODULES = b"\xff"
STRAY_MAX = 8                               # bytes before the ~ that are forgiven
HEAD = 13                                   # characters: ~, 4 bytes, length
INFO_MAX = 4095                             # characters: the length has 12 bits
ZERO_CELSIUS = 2731                         # temperatures are 0.1 K
FULL_16 = 0xFFFF                            # capacity does not fit 16 bits
HEX = b"0123456789ABCDEF"

RETURN_CODES = {
    1: "protocol version", 2: "checksum", 3: "length checksum", 4: "command not valid",
    5: "format", 6: "data not valid", 0x90: "address", 0x91: "communication with a module",
}

# One battery module.  cells: mV.  temperatures: 0.1 degC, the BMS board first.
# current: 0.1 A, positive = charging.  voltage: mV.  capacities: mAh or None.
BatteryModule = NamedTuple("BatteryModule", [
    ("cells", "tuple[int, ...]"), ("temperatures", "tuple[int, ...]"), ("current", int),
    ("voltage", int), ("remaining", "int | None"), ("total", "int | None"), ("cycles", int)])


# For profile.py: a [[point]] says no more than its measurand.
HAS_REGISTERS = False
POINT_KEYS: "Shape" = {}

# A value the stack gives, already named by its measurand.
StackPoint = NamedTuple("StackPoint", [
    ("measurand", str), ("group", str), ("source", "tuple[str, ...]")])


def point(row: "PointRow") -> StackPoint:
    """Return the StackPoint of a checked row of a profile."""
    return StackPoint(row.got["measurand"], row.got["group"], row.source)


def location(_made: StackPoint) -> str:
    """Return where a StackPoint stands, in words."""
    return "analog answer 0x42"


def build(made: "Profile", setup: "Setup") -> "StackDriver":
    """Return the driver of a profile."""
    return StackDriver(made, setup)


def length_field(count: int) -> int:
    """Return LENGTH for INFO of `count` characters: checksum nibble and 12 bits."""
    total = (count & 15) + (count >> 4 & 15) + (count >> 8 & 15)
    return (-total & 15) << 12 | count


def checksum(characters: bytes) -> int:
    """Return CHKSUM of the characters between ~ and CHKSUM."""
    return -sum(characters) & 0xFFFF


def encode_frame(address: int, code: int, info: bytes) -> bytes:
    """Return a whole frame; code: command of a question, return code of an answer."""
    body = _hex(bytes([VERSION, address, BATTERY, code]))
    body += b"%04X" % length_field(2 * len(info)) + _hex(info)
    return b"~" + body + b"%04X" % checksum(body) + b"\r"


def decode_frame(frame: bytes) -> tuple[int, int, bytes]:
    """Return (address, code, info) of a whole frame, ~ to CR.  Raises BadFrame."""
    if len(frame) < HEAD + 5 or frame[:1] != b"~" or frame[-1:] != b"\r":
        raise BadFrame("a Pylontech frame has %d bytes, expected at least 18" % len(frame))
    size = _info_size(frame)
    if len(frame) != HEAD + size + 5:
        raise BadFrame("frame of %d bytes says %d" % (len(frame), HEAD + size + 5))
    stated, real = _number(frame[-5:-1]), checksum(frame[1:-5])
    if stated != real:
        raise BadFrame("checksum %04X, expected %04X, in %d bytes" % (stated, real, len(frame)))
    if _number(frame[1:3]) != VERSION or _number(frame[5:7]) != BATTERY:
        raise BadFrame("not a Pylontech battery frame")
    return _number(frame[3:5]), _number(frame[7:9]), _bytes(frame[HEAD:-5])


def analog(info: bytes) -> tuple[int, tuple[BatteryModule, ...]]:
    """Return the modules of a 0x42 answer: (count byte, tuple of BatteryModule).  Raises BadFrame.

    count: number of modules if all were asked, else the number of the module asked.
    """
    reader = _InfoReader(info)
    reader.number(1)                        # flag: unread alarms, unread switch changes
    count = reader.number(1)
    modules = []
    while not reader.is_done():
        modules.append(_module(reader))
    if not modules:
        raise BadFrame("no module in the analog answer")
    return count, tuple(modules)


def _module(reader: "_InfoReader") -> BatteryModule:
    cells = tuple([reader.signed(2) for _ in range(reader.number(1))])
    kelvin = [reader.signed(2) for _ in range(reader.number(1))]
    remaining: int | None
    total: int | None
    current, voltage, remaining = reader.signed(2), reader.number(2), reader.number(2)
    items = reader.number(1)
    if items not in (2, 4):
        raise BadFrame("%d user defined items; known are 2 and 4" % items)
    total, cycles = reader.number(2), reader.number(2)
    if items == 4:
        remaining, total = reader.number(3), reader.number(3)
    elif remaining == FULL_16 or total == FULL_16:
        remaining = total = None
    return BatteryModule(cells, tuple([k - ZERO_CELSIUS for k in kelvin]), current, voltage,
                         remaining, total, cycles)


def stack(modules: "Sequence[BatteryModule]") -> "dict[str, Fraction]":
    """Return {measurand: (top, bottom, power)} over the stack, or None where not given.

    value = top / bottom x 10**power of the measurand's unit: modules are parallel, so voltage
    is their mean and current their sum; state of charge is remaining / total capacity.
    """
    n = len(modules)
    cells = [c for m in modules for c in m.cells]
    warm = [t for m in modules for t in m.temperatures[1:]]
    boards = [m.temperatures[0] for m in modules if m.temperatures]
    known = None not in [m.remaining for m in modules]
    total = sum([m.total for m in modules if m.total is not None]) if known else 0
    left = sum([m.remaining for m in modules if m.remaining is not None]) if known else 0
    return {
        "battery_voltage": (sum([m.voltage for m in modules]), n, -3),
        "battery_current": (sum([m.current for m in modules]), 1, -1),
        "cell_voltage_min": (min(cells), 1, -3) if cells else None,
        "cell_voltage_max": (max(cells), 1, -3) if cells else None,
        "cell_temperature_min": (min(warm), 1, -1) if warm else None,
        "cell_temperature_max": (max(warm), 1, -1) if warm else None,
        "bms_temperature": (max(boards), 1, -1) if boards else None,
        "capacity_remaining_ah": (left, 1, -3) if known else None,
        "capacity_total_ah": (total, 1, -3) if known else None,
        "state_of_charge": (left, total, 2) if known and total else None,
        "cycles": (max([m.cycles for m in modules]), 1, 0),
        "modules": (n, 1, 0),
    }


def whole(parts: "Fraction", exponent: int) -> int | None:
    """Return (top, bottom, power) as a whole number of 10**exponent, half away from zero."""
    if parts is None:
        return None
    top, bottom, power = parts
    power -= exponent
    return divided(top * 10 ** max(power, 0), bottom * 10 ** max(-power, 0))


class FrameRead:
    """One question to a stack; result: the INFO bytes of the answer."""

    gap_ms = 0
    turns = 1

    def __init__(self, address: int, command: int, info: bytes = b"") -> None:
        if command not in QUESTIONS:
            raise Bug("command 0x%02X is not a question" % command)
        self.address = address
        self.command = command
        self.result: bytes | None = None
        self.request = encode_frame(address, command, info)
        self._buffer = b""

    @property
    def has_response(self) -> bool:
        """True if any byte has come."""
        return len(self._buffer) > 0

    def describe(self) -> str:
        """Return the question in words, for messages."""
        return "stack %d command 0x%02X" % (self.address, self.command)

    def feed(self, data: bytes) -> bool:
        """Take bytes off the line; True at the CR of the answer.  Raises BadFrame, Refused."""
        self._buffer += bytes(data)
        start = self._buffer.find(b"~")
        if start > STRAY_MAX or (start < 0 and len(self._buffer) > STRAY_MAX):
            raise BadFrame("%s: noise instead of an answer" % self.describe())
        if start < 0:
            return False
        frame = self._buffer[start:]
        end = frame.find(b"\r")
        if len(frame) >= HEAD and (end < 0 or end >= HEAD):
            size = _info_size(frame)        # a wrong length is known before it is waited for
            if len(frame) > HEAD + size + 5 + STRAY_MAX:
                raise BadFrame("%s: more than one answer came" % self.describe())
        if end < 0:
            return False
        address, code, info = decode_frame(frame[:end + 1])
        if address != self.address:
            raise BadFrame("%s: an answer of stack %d" % (self.describe(), address))
        if code:
            raise Refused("%s: return code %d, %s" % (
                self.describe(), code, RETURN_CODES.get(code, "not a known code")), code)
        self.result = info
        return True


class Frames:
    """Builds the questions of a Pylontech bus."""

    def ask(self, address: int, command: int, info: bytes = b"") -> FrameRead:
        """Return a new FrameRead."""
        return FrameRead(address, command, info)


class StackDriver:
    """One stack of modules behind one master.  unit: its address, 2 + 16 x group."""

    def __init__(self, made: "Profile", setup: "Setup") -> None:
        self._names = [p.measurand for p in made.points
                       if setup.everything or p.group == "journal"]
        self._setup = setup
        self.answer_ms_max = made.transport.answer_ms_max
        self._suspect = False
        self._has_version = True        # until that question is met by silence
        self.points = tuple([
            Point(BY_NAME[n].id, exponent_of(n, setup), "") for n in self._names])

    def poll(self) -> "Steps[Values]":
        """Yield transactions; return the values by position.  See driver.py."""
        try:
            given = stack((yield from self._modules()))
        except DeviceError as error:
            return (Absent(reason_of(error)),) * len(self.points)
        values = []
        for name, point in zip(self._names, self.points):
            parts = given.get(name)
            values.append(Absent(NOT_IMPLEMENTED) if parts is None else
                          checked(whole(parts, point.exponent), name, point.exponent))
        return tuple(values)

    def _modules(self) -> "Steps[tuple[BatteryModule, ...]]":
        """Return the modules of the stack, asked once more if the frame was damaged."""
        try:
            return (yield from self._ask_modules())
        except BadFrame:
            pass
        return (yield from self._ask_modules())

    def _ask_modules(self) -> "Steps[tuple[BatteryModule, ...]]":
        if self._suspect and self._has_version:
            try:
                yield from self._ask(GET_VERSION, b"")
            except NoReply:             # some stacks answer analog values only
                self._has_version = False
        info = yield from self._ask(GET_ANALOG, ALL_MODULES)
        count, modules = analog(info)
        if count != len(modules):
            raise BadFrame("%d modules announced, %d sent" % (count, len(modules)))
        return modules

    def _ask(self, command: int, info: bytes) -> "Steps[bytes]":
        self._suspect = True
        answer: bytes = yield self._setup.wire.ask(self._setup.unit, command, info)
        if (command == GET_VERSION) != (len(answer) == 0):
            raise BadFrame("an answer of %d bytes to command 0x%02X" % (len(answer), command))
        self._suspect = False
        return answer

    def identify(self) -> "Steps[Identification]":
        """Yield transactions; return manufacturer, model, serial as far as the stack tells."""
        found = {"manufacturer": "Pylontech"}
        try:
            info = yield from self._ask(GET_MANUFACTURER, b"")
            found["model"] = _text(info[:10])
            found["manufacturer"] = _text(info[12:]) or "Pylontech"
            info = yield from self._ask(GET_SERIAL, bytes([self._setup.unit]))
            found["serial"] = _text(info[1:])
        except Refused:
            self._suspect = False           # a refusal is an answer
        return found


class _InfoReader:
    """Numbers out of INFO, with every length checked."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int) -> int:
        end = self._at + size
        if end > len(self._data):
            raise BadFrame("INFO of %d bytes ends inside a module" % len(self._data))
        value = int.from_bytes(self._data[self._at:end], "big")
        self._at = end
        return value

    def signed(self, size: int) -> int:
        value = self.number(size)
        return value - (1 << 8 * size) if value >> (8 * size - 1) else value

    def is_done(self) -> bool:
        return self._at == len(self._data)


def _info_size(frame: bytes) -> int:
    field = _number(frame[9:HEAD])
    if field != length_field(field & INFO_MAX) or field & 1:
        raise BadFrame("length field %04X has a wrong checksum" % field)
    return field & INFO_MAX


def _hex(data: bytes) -> bytes:
    return b"".join([bytes([HEX[b >> 4], HEX[b & 15]]) for b in data])


def _number(characters: bytes) -> int:
    value = 0
    for one in characters:
        digit = HEX.find(bytes([one]))
        if digit < 0:
            raise BadFrame("character 0x%02X is not an upper-case hex digit" % one)
        value = value << 4 | digit
    return value


def _bytes(characters: bytes) -> bytes:
    return bytes([_number(characters[i:i + 2]) for i in range(0, len(characters), 2)])


def _text(data: bytes) -> str:
    return "".join([chr(b) if 32 <= b < 127 else "" for b in data]).strip()
