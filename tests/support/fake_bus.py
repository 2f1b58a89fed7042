"""A bus, its units and a clock in virtual time, for the tests of the gateway's tasks.

    clock = virtual_clock()                 inside a running loop
    link = FakeLink(clock, {0: lambda number: 5, 1: silent})
    unit("meter", 0)                        a polling.PolledUnit whose driver asks the link
"""

import asyncio

from gateway.core.errors import BadFrame, NoReply, Refused
from gateway.core.reading import CLOCK_NTP, Absent, Point
from gateway.polling.unit import PolledUnit, Timeout
from gateway.timekeeping.clock import Clock, Scale, Sources

ORIGIN_S = 1_780_272_000        # 2026-06-01T00:00:00Z


def virtual_clock(speed=None, offset_s=lambda: 0.0, knowledge=lambda: (CLOCK_NTP, 5)):
    """Return a clock that follows the running loop; NTP within 20 ms, or simulated."""
    loop = asyncio.get_running_loop()
    sources = Sources(lambda: ORIGIN_S + offset_s() + loop.time(), loop.time, knowledge)
    scale = speed and Scale(speed, ORIGIN_S * 1000, ORIGIN_S * 1000)
    return Clock(scale, sources)


class FakeTransaction:
    """One question to one unit; the result is the number that stands for its answer."""

    turns = 1

    def __init__(self, unit, number):
        self.unit, self.number, self.result = unit, number, None


class FakeDriver:
    """Two questions per poll, one point each; identity is the serial number."""

    points = (Point(43, 0, ""), Point(14, 0, ""))

    def __init__(self, unit, questions=2):
        self.unit, self.questions = unit, questions

    def poll(self):
        """Ask for each point; an error leaves a reason instead of the value."""
        values = []
        for number in range(self.questions):
            transaction = FakeTransaction(self.unit, number)
            try:
                values.append((yield transaction))
            except Refused:
                values.append(Absent(3))
            except BadFrame:
                values.append(Absent(2))
            except NoReply:
                values.append(Absent(1))
        return tuple(values)

    def identify(self):
        """Ask once."""
        serial = yield FakeTransaction(self.unit, "serial")
        return {"serial": serial, "model": "fake"}


class FakeLink:
    """A shared line.  answers: unit -> callable(number) that gives a value or raises.

    A reply takes reply_s; a NoReply takes the whole time-out, plus drain_s of silence.
    """

    def __init__(self, clock, answers, reply_s=0.05, drain_s=0.0):
        self.clock, self.answers = clock, answers
        self.reply_s, self.drain_s = reply_s, drain_s
        self.asked, self.closed = [], 0
        self.spans = []                 # (unit, from s, to s) of line time

    async def exchange(self, transaction, timeout_s):
        """Answer or raise, in virtual time; return the ticks when the reply began."""
        started_s = self.clock.real_s()
        self.asked.append((self.clock.ticks_ms(), transaction.unit, transaction.number))
        try:
            transaction.result = self.answers[transaction.unit](transaction.number)
            await asyncio.sleep(self.reply_s)
            return self.clock.ticks_ms()
        except NoReply:
            await asyncio.sleep(timeout_s + self.drain_s)
            raise
        finally:
            self.spans.append((transaction.unit, started_s, self.clock.real_s()))

    async def close(self):
        """Count."""
        self.closed += 1


def silent(_number):
    """Answer of a unit without power."""
    raise NoReply("nothing came")


def garbage(_number):
    """Answer of a unit that babbles."""
    raise BadFrame("7 bytes that are no frame")


def unit(name, stream, timeout_s=1.0):
    """Return a unit whose address is its stream."""
    return PolledUnit(name, stream, FakeDriver(stream), Timeout(timeout_s))
