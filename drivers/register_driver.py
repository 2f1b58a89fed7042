"""The driver of a device whose values lie at fixed Modbus addresses (modbus profiles).

A poll asks the planned spans in turn.  What the answers do to the plan:
exception 2, 3 or 4 on a span of several points: the span is split, and stays split; 2 or 3 on a
single point, or exception 1: the point is off; both are tried again after an hour of polls.  Where
nothing at all was answered the plan stays as it was: the device is not itself now.
Silence ends the poll: a dead unit costs one time-out.  A span that was silent is asked last, and
if it is silent again while others (or a short probe) are answered, it is split like a refused one:
some devices say nothing instead of exception 2, or to reads above some length.
A damaged frame is asked once more.
How the unit is asked, so that a late answer fits nothing, stands in reader.py.
"""


from drivers import modbus, planner, profile, registers
from drivers.reader import RegisterReader
from gateway.core.errors import BadFrame, DeviceError, NoReply, OtherDevice, Refused
from gateway.core.measurand import BY_NAME, COUNTER
from gateway.core.reading import (
    BAD_FRAME,
    NO_REPLY,
    NOT_ASKED,
    NOT_IMPLEMENTED,
    OUT_OF_RANGE,
    REFUSED,
    Absent,
    Point,
)
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from drivers.driver import Setup
    from drivers.modbus import RtuRead, TcpRead
    from drivers.registers import FloatReader, Numbers
    from drivers.types import Identification, Steps
    from gateway.core.reading import Value, Values

# For profile.py: what a [[point]] of protocol "modbus" says, beside what every point says.
HAS_REGISTERS = True
POINT_KEYS: "profile.Shape" = {
    "address": (int, profile.REQUIRED), "format": (str, profile.REQUIRED), "exponent": (int, 0),
    "function": (int, 0), "absent": (list, ()),
}

POLLS_UNTIL_RETRY = 360         # at 10 s an hour: then refused spans are tried whole again
DIGITS_MAX = 15                 # 10**15 of any unit: beyond is a broken float, not a reading
EVERYTHING_EXPONENT = -9        # digits for people: more than a float32 has
REASONS = ((NoReply, NO_REPLY), (BadFrame, BAD_FRAME), (Refused, REFUSED))
LOWEST = -(1 << 62)             # below every float that is decoded at once

# One planned read.  quick: (Wanted, place, lowest value) of its points that are decoded at once,
# by numbers(cells); first: their first place if they follow each other, else None; counters: which
# of them must not be below zero.  rest: (Wanted, place) of the others.
PlannedRead = NamedTuple("PlannedRead", [
    ("span", "planner.ReadSpan"), ("quick", "list[tuple[planner.WantedRegisters, int, int]]"),
    ("numbers", "FloatReader"), ("first", "int | None"), ("counters", "tuple[int, ...]"),
    ("rest", "list[tuple[planner.WantedRegisters, int]]")])
UNASKED = Absent(NOT_ASKED)


def point(row: profile.PointRow) -> profile.RegisterPoint:
    """Return the RegisterPoint of a checked row of a profile."""
    got = row.got
    profile.one_of(row.where, "format", got["format"], registers.FORMATS)
    function = got["function"] or row.function
    profile.one_of(row.where, "function", function, (3, 4))
    return profile.RegisterPoint(got["measurand"], function, got["address"], got["format"],
                                 got["exponent"], tuple(got["absent"]), got["group"], row.source)


def location(made: profile.RegisterPoint) -> str:
    """Return where a RegisterPoint stands, in words."""
    return "f%d @%d %s x10^%d" % (made.function, made.address, made.format, made.exponent)


def build(made: profile.Profile, setup: "Setup") -> "RegisterDriver":
    """Return the driver of a profile."""
    return RegisterDriver(made, setup)


def reason_of(error: DeviceError) -> int:
    """Return the reason code in a reading for a DeviceError."""
    for kind, reason in REASONS:
        if isinstance(error, kind):
            return NO_REPLY if getattr(error, "exception", 0) in modbus.UNIT_SILENT else reason
    return BAD_FRAME


def exponent_of(measurand: str, setup: "Setup") -> int:
    """Return the exponent of a measurand's numbers under a driver's setup."""
    if setup.everything:
        return EVERYTHING_EXPONENT
    row = BY_NAME[measurand]
    return row.fine if setup.fine else row.exponent


def checked(value: int | None, measurand: str, exponent: int) -> "Value":
    """Return the value, or an Absent if a number of this measurand cannot be that.

    None is "not implemented".  Counters do not fall below zero; nothing has 16 digits.
    """
    if value is None:
        return Absent(NOT_IMPLEMENTED)
    if abs(value) >= 10 ** (DIGITS_MAX - exponent):
        return Absent(OUT_OF_RANGE)
    if value < 0 and BY_NAME[measurand].kind == COUNTER:
        return Absent(OUT_OF_RANGE)
    return value


def read_point(point: profile.RegisterPoint, cells: bytes, exponent: int) -> "Value":
    """Return the value of a RegisterPoint in 10**exponent units, or an Absent."""
    if registers.bits(cells, point.format) in point.absent:
        return Absent(NOT_IMPLEMENTED)
    value = registers.decode(cells, point.format, exponent - point.exponent)
    return checked(value, point.measurand, exponent)


def _is_quick(point: profile.RegisterPoint, step: int) -> bool:
    """Return whether registers.floats tells all that read_point does, but for None.

    A float below 2**31 has no more than DIGITS_MAX digits unless its own exponent is large.
    """
    return (point.format == "float32" and not point.absent and point.exponent <= 5
            and -30 <= step <= 0)


def _count_up(numbers: "Numbers", counters: tuple[int, ...]) -> bool:
    """Return True if no number of a counter is below zero."""
    for i in counters:
        if numbers[i] < 0:
            return False
    return True


class RegisterDriver:
    """One device with a modbus profile."""

    def __init__(self, made: profile.Profile, setup: "Setup") -> None:
        groups = profile.GROUPS if setup.everything else ("journal",)
        self._profile = made
        self.answer_ms_max = made.transport.answer_ms_max
        self._positions = [i for i, p in enumerate(made.points) if p.group in groups]
        self._order = {position: i for i, position in enumerate(self._positions)}
        self.points = tuple([
            Point(BY_NAME[made.points[i].measurand].id,
                  exponent_of(made.points[i].measurand, setup), "") for i in self._positions])
        self._wanted = profile.wanted(made, groups)
        self._known = profile.wanted(made)
        self._floats = setup.floats
        self._reader = RegisterReader(setup, made.transport.min_gap_ms, self._probe())
        self._planned = [self._part(span) for span in planner.plan(
            self._wanted, made.limits, self._known)]
        self._begin()

    def _probe(self) -> tuple[int, int, tuple[int, ...]]:
        """Return the first point of the map as a read of one or two points, then of any length
        that the read of all that stands there can be shortened to."""
        limits = self._profile.limits
        first = planner.plan([min(self._known, key=lambda w: (w.function, w.address))],
                             limits, self._known)[0]
        whole = planner.plan(self._known, limits)[0]
        shorter = [count for count in range(limits.step, whole.counts[0] + 1, limits.step)
                   if count not in first.counts]
        return first.function, first.address, first.counts + tuple(shorter)

    def _begin(self) -> None:
        """Ask as planned, whatever was refused before."""
        self._take_up(self._planned)
        self._off: list[int] = []
        self._doubts: "list[planner.ReadSpan]" = []     # silent when they were asked last
        self._polls = 0

    def _take_up(self, parts: list[PlannedRead]) -> None:
        """Ask these from now on."""
        self._parts = parts
        self._spans = [part.span for part in parts]

    def _part(self, span: planner.ReadSpan) -> PlannedRead:
        """Return a span with the places of its points, floats and others apart."""
        quick, rest, rows, end = [], [], [], span.address
        for one in span.wanted:
            point, position = self._profile.points[one.key], self._order[one.key]
            step = self.points[position].exponent - point.exponent
            if one.address < end or not _is_quick(point, step):
                rest.append((one, position))
                continue
            low = 0 if BY_NAME[point.measurand].kind == COUNTER else LOWEST
            quick.append((one, position, low))
            rows.append((one.address - span.address, step))
            end = one.address + one.width
        first, positions = None, [position for _, position, _ in quick]
        if positions and positions == list(range(positions[0], positions[0] + len(positions))):
            first = positions[0]
        counters = tuple([i for i, one in enumerate(quick) if one[2] == 0])
        return PlannedRead(span, quick, self._floats(tuple(rows)), first, counters, rest)

    def poll(self) -> "Steps[Values]":
        """Yield transactions; return the values by position.  See driver.py."""
        self._polls += 1
        if self._polls > POLLS_UNTIL_RETRY:
            self._begin()
        values: list[Value] = [UNASKED] * len(self.points)
        for position in self._off:
            values[self._order[position]] = Absent(REFUSED)
        found, silent = yield from self._reader.read_burst(self._spans)
        todo = []
        for part, cells in zip(self._parts, found):
            if cells is None:
                todo.append(part)
            else:
                self._decode(values, part, cells)
        if silent:
            self._fill_all(values, todo, NO_REPLY)
            for part in todo[:1]:
                self._doubt(part.span)
        elif todo:
            kept = [part for part, cells in zip(self._parts, found) if cells is not None]
            before = self._parts, list(self._off)
            self._take_up(kept + (yield from self._one_by_one(values, todo)))
            if self._is_empty(values):
                self._take_up(before[0])
                self._off = before[1]
        return tuple(values)

    def _is_empty(self, values: "list[Value]") -> bool:
        """Return True if no point was answered, and not for silence, which changes no plan."""
        for value in values:
            if not isinstance(value, Absent) or value.reason not in (REFUSED, BAD_FRAME):
                return False
        return True

    def _one_by_one(self, values: "list[Value]",
                    todo: list[PlannedRead]) -> "Steps[list[PlannedRead]]":
        """Ask parts alone and fill in what they give; return the parts to ask next time."""
        kept: list[PlannedRead]
        kept, is_alive = [], len(todo) < len(self._parts)
        if self._doubts:
            todo = ([part for part in todo if part.span not in self._doubts]
                    + [part for part in todo if part.span in self._doubts])
        while todo:
            part = todo.pop(0)
            try:
                if self._doubts and not is_alive and part.span in self._doubts:
                    is_alive = yield from self._reader.probe()
                cells = yield from self._read(part.span)
            except DeviceError as error:
                self._fill(values, part, reason_of(error))
                if self._is_silent(error):
                    self._fill_all(values, todo, NO_REPLY)
                    return kept + self._after_silence(part, is_alive) + todo
                is_alive = is_alive or isinstance(error, Refused)
                todo = self._after(error, part.span, todo)
                kept += [] if self._is_changed(error, part.span) else [part]
                continue
            is_alive = True
            if self._doubts and part.span in self._doubts:
                self._doubts.remove(part.span)
            kept.append(part)
            self._decode(values, part, cells)
        return kept

    def _doubt(self, span: planner.ReadSpan) -> None:
        """Ask a span last from now on: it was silent."""
        if span not in self._doubts:
            self._doubts.append(span)

    def _after_silence(self, part: PlannedRead, is_alive: bool) -> list[PlannedRead]:
        """Return what to ask instead of a part that was silent; is_alive: others were answered."""
        span = part.span
        if not is_alive or span not in self._doubts:
            self._doubt(span)
            return [part]
        self._doubts.remove(span)
        if len(span.wanted) < 2:
            self._off.append(span.wanted[0].key)
            return []
        pieces = [self._part(piece) for piece in planner.split(span, self._profile.limits)]
        for piece in pieces:
            self._doubt(piece.span)
        if part in self._planned:       # for good: another try would cost a time-out an hour
            position = self._planned.index(part)
            self._planned = self._planned[:position] + pieces + self._planned[position + 1:]
        return pieces

    def _read(self, span: planner.ReadSpan) -> "Steps[bytes]":
        """Ask a span, once more if the frame was damaged."""
        try:
            return (yield from self._reader.read(span.function, span.address, span.counts))
        except BadFrame:
            pass
        return (yield from self._reader.read(span.function, span.address, span.counts))

    def _is_changed(self, error: DeviceError, span: planner.ReadSpan) -> bool:
        """Return True if the span is not asked as it is again; "device failure" may pass."""
        if not isinstance(error, Refused):
            return False
        if error.exception == 4:
            return len(span.counts) > 1 or len(span.wanted) > 1
        return error.exception in (1, 2, 3)

    def _is_silent(self, error: DeviceError) -> bool:
        return reason_of(error) == NO_REPLY

    def _after(self, error: DeviceError, span: planner.ReadSpan,
               todo: list[PlannedRead]) -> list[PlannedRead]:
        """Return what is left to ask after a span failed; a refused point goes off."""
        if not self._is_changed(error, span):
            return todo
        limits = self._profile.limits       # pieces are never stretched: over what, is in doubt
        if len(span.counts) > 1:
            short = planner.ReadSpan(span.function, span.address, span.counts[:1], span.wanted)
            return [self._part(short)] + todo
        if len(span.wanted) > 1:
            return [self._part(piece) for piece in planner.split(span, limits)] + todo
        self._off.append(span.wanted[0].key)
        return todo

    def _fill(self, values: "list[Value]", part: PlannedRead, reason: int) -> None:
        for one in part.span.wanted:
            values[self._order[one.key]] = Absent(reason)

    def _fill_all(self, values: "list[Value]", parts: "Iterable[PlannedRead]", reason: int) -> None:
        for part in parts:
            self._fill(values, part, reason)

    def _decode(self, values: "list[Value]", part: PlannedRead, cells: bytes) -> None:
        numbers, lowest = part.numbers(cells)
        if part.first is not None and lowest is not None and (
                lowest >= 0 or _count_up(numbers, part.counters)):
            values[part.first:part.first + len(numbers)] = numbers
        else:
            for (one, position, low), number in zip(part.quick, numbers):
                if number is None or number < low:
                    number = self._single(part, one, cells)
                values[position] = number
        for one, position in part.rest:
            values[position] = self._single(part, one, cells)

    def _single(self, part: PlannedRead, one: planner.WantedRegisters, cells: bytes) -> "Value":
        start = 2 * (one.address - part.span.address)
        return read_point(self._profile.points[one.key], cells[start:start + 2 * one.width],
                          self.points[self._order[one.key]].exponent)

    def identify(self) -> "Steps[Identification]":
        """Yield transactions; return what the device says it is.  See driver.py."""
        found = {"manufacturer": self._profile.manufacturer, "model": self._profile.model}
        for row in self._profile.identity:
            counts = (registers.width(row.format),)
            try:
                cells = yield from self._reader.read(row.function, row.address, counts)
            except Refused as error:
                if error.exception in modbus.UNIT_SILENT:
                    raise NoReply(str(error))
                continue
            number = registers.bits(cells, row.format)
            if row.expected is not None and number != row.expected:
                raise OtherDevice("%s is %d at address %d, expected %d: another device?" % (
                    row.name, number, row.address, row.expected))
            found[row.name] = str(number)
        return found


class Image:
    """Registers held in memory that answer reads: for `decode`, tests and simulators.

    words: {address: number}; one image for both functions.
    """

    def __init__(self, words: "Mapping[int, int]") -> None:
        self._words = words

    def answer(self, question: "RtuRead | TcpRead") -> bytes:
        """Return the bytes of a read.  Raises Refused (illegal address) over a hole."""
        words = []
        for address in range(question.address, question.address + question.count):
            if address not in self._words:
                raise modbus.refused(question.unit, question.function, 2)
            words.append(self._words[address])
        return registers.cells_of(words)
