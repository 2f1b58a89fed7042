"""One task per bus: ask, wait, receive, pass scans on.

Each device is polled once per interval on slots aligned to UTC.  Every slot of every device
becomes a scan: with values, or with the reason why there are none.  Only a slot that the bus
could not reach in time becomes a declared gap.  A crash of one bus is logged, counted and the
bus restarted with back-off; the others do not notice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from gateway.aio.keep_alive import Beat, Service, no_beat
from gateway.aio.wakeup import Wakeup
from gateway.core.codec.record import GAP
from gateway.core.errors import BadFrame, Bug, DeviceError, Refused
from gateway.core.event import Event
from gateway.core.reading import (
    BAD_FRAME,
    CLOCK_UNKNOWN,
    NO_REPLY,
    NOT_ASKED,
    REFUSED,
    Absent,
    Scan,
)
from gateway.polling.identity import Identity
from gateway.polling.line import BusLine, Questions
from gateway.polling.retry import LineBudget, may_ask
from gateway.polling.trouble import NEXT, SILENT, describe, trouble_of
from gateway.polling.unit import PolledUnit
from gateway.timekeeping.clock import Clock

LOG = logging.getLogger("wattproof.poller")
WAIT_S_MAX = 10.0               # real seconds between two signs of life
# Why a span has no readings: the gateway was off, or what it kept of then cannot be read any more.
NO_READINGS = "the gateway has no readings of that time"

Put = Callable[[Scan | Event], Awaitable[None]]


def reason_of(error: DeviceError | None) -> int:
    """Return the reading reason code of a device error."""
    if isinstance(error, BadFrame):
        return BAD_FRAME
    return REFUSED if isinstance(error, Refused) else NO_REPLY


class BusPoller:
    """The poller of one bus.  It ends only when `stop` is set, between two units."""

    def __init__(self, line: BusLine, units: list[PolledUnit], clock: Clock, put: Put,
                 last_read_utc_ms: Mapping[str, int] | None = None) -> None:
        """line: opened on demand.  units: in the order they are asked.  put: takes items.
        last_read_utc_ms: of units by name, in boots before this one."""
        self.line, self.units, self.clock, self._put = line, units, clock, put
        self.budget, self._identity = LineBudget(), Identity()
        self._interval_s = 0.0          # real, between two slots
        self.stop = Wakeup()
        self.counts = {"scans": 0, "skipped": 0, "missed_slots": 0, "crashes": 0}
        self._due_ms: int | None = None
        self._last_read_utc_ms = last_read_utc_ms or {}
        self._began: tuple[int, int] | None = None      # ticks of the first slot, interval in ms

    @property
    def fault(self) -> str:
        """Why nothing on this bus answers, or an empty text."""
        if not all(unit.state == "lost" and unit.trouble == SILENT for unit in self.units):
            return ""                   # who refuses is there: no fault of port or cable
        return self.line.fault or (self.units[0].last_error if self.units else "")

    def absences(self, last_read_utc_ms: Mapping[str, int]) -> list[Event]:
        """Return what declares the slots between each unit's last scan of an earlier boot and the
        first slot of this one; nothing before polling began, `run` declares them then."""
        self._last_read_utc_ms = last_read_utc_ms
        if self._began is None or self.clock.state().source == CLOCK_UNKNOWN:
            return []
        due_ms, interval_ms = self._began
        now_ms, to_utc_ms = self.clock.ticks_ms(), self.clock.offset_ms() + due_ms
        return [Event(now_ms, GAP, [unit.stream, last_read_utc_ms[unit.name] + interval_ms,
                                    to_utc_ms, NO_READINGS])
                for unit in self.units
                if last_read_utc_ms.get(unit.name, to_utc_ms) + interval_ms < to_utc_ms]

    def service(self, name: str, interval_ms: int) -> Service:
        """Return this bus as a task to keep alive until `stop` is set."""
        return Service(f"bus:{name}", lambda beat: self._serve(interval_ms, beat),
                       4 * WAIT_S_MAX, stop=self.stop)

    async def _serve(self, interval_ms: int, beat: Beat) -> None:
        """Poll until stopped; a crash is counted.  The line is closed afterwards."""
        try:
            await self.run(interval_ms, beat)
        except Exception:
            self.counts["crashes"] += 1
            await self.line.close()
            raise
        await self.line.close()

    async def run(self, interval_ms: int, beat: Beat = no_beat) -> None:
        """Poll all units once per interval until stopped."""
        first = self._due_ms is None
        self._interval_s = self.clock.seconds(interval_ms / 1000)
        due_ms = self._next_due(interval_ms)
        if first:
            self._began = (due_ms, interval_ms)
            for event in self.absences(self._last_read_utc_ms):
                await self._put(event)
        while await self._wait_until(due_ms, beat):
            for unit in self.units:
                if self.stop.is_set():
                    return
                await self.poll(unit, due_ms)
                beat()
            due_ms = await self._after(due_ms, interval_ms)

    async def poll(self, unit: PolledUnit, due_ms: int) -> None:
        """Give one scan of a unit for this slot, asked or not."""
        began_ms, began_s = self.clock.ticks_ms(), self.clock.real_s()
        if (unit.failures or unit.wrong) and not may_ask(
                unit, self.units, self.budget, (began_ms, began_s, self._interval_s)):
            self.counts["skipped"] += 1
            await self._put(_nothing_asked(unit, max(due_ms, 0)))
            return
        unit.asked_s = began_s
        questions = Questions(self.line, unit, self.clock)
        scan = await self._scan(questions, unit, began_ms)
        self.counts["scans"] += 1
        if _has_value(scan):
            if scan.ticks_ms >= unit.identity_due_ms or unit.failures:
                scan = await self._identified(unit, scan)
            unit.answered()
            if not unit.wrong:
                unit.last, unit.last_ms = scan.values, scan.ticks_ms
            await self._put(scan)
        else:
            await self._put(scan)
            self._failed(unit, questions, began_ms, scan)
        if unit.state != unit.reported:
            await self._tell(unit)

    def _failed(self, unit: PolledUnit, questions: Questions, began_ms: int, scan: Scan) -> None:
        """Note a scan without a value: an exception is no sign of life."""
        now_ms = self.clock.ticks_ms()
        cost_s = self.clock.seconds((now_ms - began_ms) / 1000)
        longer_s = unit.timeout.widen() if questions.is_silent else 0.0
        unit.failed(now_ms, cost_s + longer_s)
        unit.trouble = trouble_of(questions.error, questions.is_silent, scan.values)
        unit.last_error = describe(unit.trouble, questions.error)
        self.budget.consume(self.clock.real_s(), cost_s)

    async def _identified(self, unit: PolledUnit, scan: Scan) -> Scan:
        """Return the scan if the device is the one that is configured, else one without values.

        Events that belong between the scan before and this one are put first.
        """
        questions = Questions(self.line, unit, self.clock)
        error: DeviceError | None = None
        said = {}
        try:
            said = await questions.drive(unit.driver.identify())
        except DeviceError as raised:
            error = raised
            LOG.info("%s: identity not read: %s", unit.name, error)
        found = self._identity.judge(unit, scan, said or {}, error)
        for event in found.events:
            await self._put(event)
        return found.scan

    async def _scan(self, runner: Questions, unit: PolledUnit, started_ms: int) -> Scan:
        points = len(unit.driver.points)
        try:
            values = await runner.drive(unit.driver.poll())
        except DeviceError as error:
            runner.error = error
            values = (Absent(reason_of(error)),) * points
        if len(values) != points:
            raise Bug(f"{unit.name}: {len(values)} values for {points} points")
        stamp_ms = started_ms if runner.began_ms is None else runner.began_ms
        return Scan(unit.stream, stamp_ms, tuple(values))

    async def _tell(self, unit: PolledUnit) -> None:
        state = unit.state_change(self.clock.ticks_ms())
        if state == "lost":
            LOG.warning("%s: lost (%s); next: %s", unit.name, unit.last_error,
                        NEXT[unit.trouble])
        elif state == "wrong":
            LOG.warning("%s: another device answers (%s), nothing of it is recorded; next: check "
                        "profile, address and wiring", unit.name, unit.wrong)
        if state in ("lost", "wrong"):
            event = self._identity.event(unit, state, unit.wrong or unit.last_error)
            await self._put(event._replace(ticks_ms=self.clock.ticks_ms()))

    def _next_due(self, interval_ms: int) -> int:
        """Return the ticks of the first slot that is not over."""
        if self._due_ms is not None:
            return self._due_ms
        return self.clock.ticks_ms() + -self.clock.utc_ms() % interval_ms

    async def _after(self, due_ms: int, interval_ms: int) -> int:
        """Return the next slot; slots that passed meanwhile are declared, not invented."""
        next_ms = due_ms + interval_ms
        now_ms, offset_ms = self.clock.ticks_ms(), self.clock.offset_ms()
        astray_ms = (next_ms + offset_ms) % interval_ms     # after a clock step or slew
        next_ms -= astray_ms if 2 * astray_ms <= interval_ms else astray_ms - interval_ms
        missed = (now_ms - next_ms) // interval_ms
        if missed > 0:
            await self._declare(next_ms + offset_ms, missed * interval_ms)
            self.counts["missed_slots"] += missed
            next_ms += missed * interval_ms
        self._due_ms = next_ms
        return next_ms

    async def _declare(self, from_utc_ms: int, length_ms: int) -> None:
        known = self.clock.state().source != CLOCK_UNKNOWN
        span = [from_utc_ms, from_utc_ms + length_ms] if known else [None, None]
        for unit in self.units:
            body = [unit.stream, *span, "the bus was busy"]
            await self._put(Event(self.clock.ticks_ms(), GAP, body))

    async def _wait_until(self, due_ms: int, beat: Beat) -> bool:
        """Wait for a slot in short steps that show life; return False when stopped."""
        if self.stop.is_set():
            return False
        left_s = self._left_s(due_ms)
        if left_s <= 0:
            await asyncio.sleep(0)              # a late bus must not starve the others
            return not self.stop.is_set()
        while left_s > WAIT_S_MAX:
            if await self.stop.wait(WAIT_S_MAX):
                return False
            beat()                              # one step of a long wait
            left_s = self._left_s(due_ms)
        return left_s <= 0 or not await self.stop.wait(left_s)

    def _left_s(self, due_ms: int) -> float:
        return self.clock.seconds((due_ms - self.clock.ticks_ms()) / 1000)


def _nothing_asked(unit: PolledUnit, ticks_ms: int) -> Scan:
    return Scan(unit.stream, ticks_ms, (Absent(NOT_ASKED),) * len(unit.driver.points))


def _has_value(scan: Scan) -> bool:
    """Return whether anything was read; nearly always the first value says so."""
    return any(not isinstance(value, Absent) for value in scan.values)
