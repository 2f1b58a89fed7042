"""The driver of a device whose values lie at fixed Modbus addresses (modbus profiles).

A poll asks the planned spans in turn.  What the answers do to the plan:
exception 2 or 3 on a span of several points: the span is split, and stays split; on a single
point, or exception 1: the point is off; both are tried again after an hour of polls.
Silence ends the poll: a dead unit costs one time-out.  A damaged frame is asked once more.
After any failure the next read of the unit has another length than the failed one, or a
short probe of another length goes before it, so that the late answer fits nothing.
"""

from drivers import modbus, planner, profile, registers
from gateway.core.errors import BadFrame, DeviceError, NoReply, Refused
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

POLLS_UNTIL_RETRY = 360         # at 10 s an hour: then refused spans are tried whole again
DIGITS_MAX = 15                 # 10**15 of any unit: beyond is a broken float, not a reading
EVERYTHING_EXPONENT = -9        # digits for people: more than a float32 has
REASONS = ((NoReply, NO_REPLY), (BadFrame, BAD_FRAME), (Refused, REFUSED))
GATEWAY_SILENT = (10, 11)       # exceptions by which a gateway reports that the unit is silent


def reason_of(error):
    """Return the reason code in a reading for a DeviceError."""
    for kind, reason in REASONS:
        if isinstance(error, kind):
            return NO_REPLY if getattr(error, "exception", 0) in GATEWAY_SILENT else reason
    return BAD_FRAME


def exponent_of(measurand, setup):
    """Return the exponent of a measurand's numbers under a driver's setup."""
    if setup.everything:
        return EVERYTHING_EXPONENT
    row = BY_NAME[measurand]
    return row.fine if setup.fine else row.exponent


def checked(value, measurand, exponent):
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


def read_point(point, cells, exponent):
    """Return the value of a RegisterPoint in 10**exponent units, or an Absent."""
    if registers.bits(cells, point.format) in point.absent:
        return Absent(NOT_IMPLEMENTED)
    value = registers.decode(cells, point.format, exponent - point.exponent)
    return checked(value, point.measurand, exponent)


def reader(point, exponent):
    """Return a function from cells to the value, for many polls; None: ask read_point why."""
    high = 10 ** (DIGITS_MAX - exponent)
    low = 0 if BY_NAME[point.measurand].kind == COUNTER else 1 - high
    return registers.reader(point.format, exponent - point.exponent, point.absent, (low, high))


def write_point(point, value, exponent):
    """Return the cells of a RegisterPoint for value x 10**exponent; for simulators."""
    return registers.encode(value, point.format, exponent - point.exponent)


class Asker:
    """Reads one unit so that a late answer to one request never fits the next."""

    def __init__(self, setup, gap_ms, probe):
        """probe: (function, address, counts) of a harmless short read, or None."""
        self._setup = setup
        self._gap_ms = gap_ms
        self._probe = probe
        self._last = None               # (function, count) of the last request
        self._suspect = False           # it failed: its answer may still come

    def read(self, function, address, counts):
        """Yield the transactions for one span; return its cells (at least counts[0] long)."""
        if self._suspect and self._probe and self._count(function, counts) is None:
            yield from self._ask_probe()
        count = self._count(function, counts) or counts[0]
        return (yield from self._ask(function, address, count))

    def _ask_probe(self):
        function, address, counts = self._probe
        count = self._count(function, counts)
        if count is None:
            return
        try:
            yield from self._ask(function, address, count)
        except Refused:
            pass                        # a refusal is an answer, and the line is in step again

    def _count(self, function, counts):
        """Return the first count that the last request did not have, or None."""
        for count in counts:
            if (function, count) != self._last:
                return count
        return None

    def _ask(self, function, address, count):
        question = self._setup.wire.read(self._setup.unit, function, address, count)
        question.gap_ms = self._gap_ms
        self._last = (function, count)
        self._suspect = True            # until the answer is there
        try:
            cells = yield question
        except Refused:
            self._suspect = False       # an exception is an answer
            raise
        self._suspect = False
        return cells


class RegisterDriver:
    """One device with a modbus profile."""

    def __init__(self, made, setup):
        groups = profile.GROUPS if setup.everything else ("journal",)
        self._profile = made
        self._places = [i for i, p in enumerate(made.points) if p.group in groups]
        self._order = {place: i for i, place in enumerate(self._places)}
        self.points = tuple([
            Point(BY_NAME[made.points[i].measurand].id,
                  exponent_of(made.points[i].measurand, setup), "") for i in self._places])
        self._readers = [reader(made.points[place], point.exponent)
                         for place, point in zip(self._places, self.points)]
        self._wanted = profile.wanted(made, groups)
        self._known = profile.wanted(made)
        self._asker = Asker(setup, made.transport.min_gap_ms, self._probe())
        self._replan()

    def _probe(self):
        """Return the first point of the map as a read of one or two points."""
        first = planner.plan([min(self._known, key=lambda w: (w.function, w.address))],
                             self._profile.limits, self._known)[0]
        return first.function, first.address, first.counts

    def _replan(self):
        self._spans = list(planner.plan(self._wanted, self._profile.limits, self._known))
        self._off = []
        self._polls = 0

    def poll(self):
        """Yield transactions; return the values by position.  See driver.py."""
        self._polls += 1
        if self._polls > POLLS_UNTIL_RETRY:
            self._replan()
        values = [Absent(NOT_ASKED)] * len(self.points)
        for place in self._off:
            values[self._order[place]] = Absent(REFUSED)
        todo, kept = list(self._spans), []
        while todo:
            span = todo.pop(0)
            try:
                cells = yield from self._read(span)
            except DeviceError as error:
                todo = self._after(error, span, todo)
                kept += [] if self._is_changed(error) else [span]
                self._fill(values, span, reason_of(error))
                if self._is_silent(error):
                    self._fill_all(values, todo, NO_REPLY)
                    kept, todo = kept + todo, []
                continue
            kept.append(span)
            self._decode(values, span, cells)
        self._spans = kept
        return tuple(values)

    def _read(self, span):
        """Ask a span, once more if the frame was damaged."""
        try:
            return (yield from self._asker.read(span.function, span.address, span.counts))
        except BadFrame:
            pass
        return (yield from self._asker.read(span.function, span.address, span.counts))

    def _is_changed(self, error):
        return isinstance(error, Refused) and error.exception in (1, 2, 3)

    def _is_silent(self, error):
        return reason_of(error) == NO_REPLY

    def _after(self, error, span, todo):
        """Return what is left to ask after a span failed; a refused point goes off."""
        if not self._is_changed(error):
            return todo
        limits = self._profile.limits       # pieces are never stretched: over what, is in doubt
        if len(span.counts) > 1:
            return [planner.Span(span.function, span.address, span.counts[:1], span.wanted)] + todo
        if len(span.wanted) > 1:
            return list(planner.split(span, limits)) + todo
        self._off.append(span.wanted[0].key)
        return todo

    def _fill(self, values, span, reason):
        for one in span.wanted:
            values[self._order[one.key]] = Absent(reason)

    def _fill_all(self, values, spans, reason):
        for span in spans:
            self._fill(values, span, reason)

    def _decode(self, values, span, cells):
        for one in span.wanted:
            start = 2 * (one.address - span.address)
            place, part = self._order[one.key], cells[start:start + 2 * one.width]
            value = self._readers[place](part)
            values[place] = value if value is not None else read_point(
                self._profile.points[one.key], part, self.points[place].exponent)

    def identify(self):
        """Yield transactions; return what the device says it is.  See driver.py."""
        found = {"manufacturer": self._profile.manufacturer, "model": self._profile.model}
        for row in self._profile.identity:
            counts = (registers.width(row.format),)
            try:
                cells = yield from self._asker.read(row.function, row.address, counts)
            except Refused:
                continue
            number = registers.bits(cells, row.format)
            if row.expected is not None and number != row.expected:
                raise BadFrame("%s is %d at address %d, expected %d: another device?" % (
                    row.name, number, row.address, row.expected))
            found[row.name] = str(number)
        return found


class Image:
    """Registers held in memory that answer reads: for `decode`, tests and simulators.

    words: {address: number}; one image for both functions.
    """

    def __init__(self, words):
        self._words = words

    def answer(self, question):
        """Return the bytes of a read.  Raises Refused (illegal address) over a hole."""
        words = []
        for address in range(question.address, question.address + question.count):
            if address not in self._words:
                raise modbus.refused(question.unit, question.function, 2)
            words.append(self._words[address])
        return registers.cells_of(words)
