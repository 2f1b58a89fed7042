"""One task per bus: ask, wait, hear, pass scans on.

Each device is polled once per interval on slots aligned to UTC.  Every slot of every device
becomes a scan: with values, or with the reason why there are none.  Only a slot that the bus
could not reach in time becomes a declared gap.  A crash of one bus is logged, counted and the
bus restarted with back-off; the others do not notice.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from drivers.links.base import BusConfig
from gateway.aio.keep_alive import Beat, Service, no_beat
from gateway.aio.wakeup import Flag
from gateway.core.errors import BadFrame, Bug, DeviceError, NoReply, Refused, WattproofError
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
from gateway.core.record import DEVICE, GAP
from gateway.polling.unit import LineBudget, Unit
from gateway.timekeeping.clock import Clock

if TYPE_CHECKING:
    from drivers.types import Steps, Transaction

LOG = logging.getLogger("wattproof.poller")
TRANSACTIONS_MAX = 64           # of one scan; a driver that wants more has a bug
BAD_FRAMES_MAX = 2              # in one scan, then the rest is not asked
WAIT_S_MAX = 10.0               # real seconds between two signs of life
REOPEN_S_MAX = 30.0             # back-off of a port that does not open, real seconds
IDENTITY_CHARS_MAX = 200        # what a device says about itself is foreign text


class Link(Protocol):
    """A line to units.  exchange raises DeviceError and gives the ticks of the reply."""

    async def exchange(self, transaction: "Transaction", timeout_s: float) -> int:
        """Send one request, fill the transaction, return when the reply began (ticks)."""

    async def close(self) -> None:
        """Give the line back."""


T = TypeVar("T")
Opener = Callable[[BusConfig, Clock], Link | Awaitable[Link]]
Put = Callable[[Scan | Event], Awaitable[None]]


class Line:
    """A link that is opened when needed, and opened again after the port went away."""

    def __init__(self, bus: BusConfig, clock: Clock, opener: Opener) -> None:
        """bus: its configuration.  Nothing is opened yet."""
        self._bus, self._clock, self._opener = bus, clock, opener
        self._link: Link | None = None
        self._wait_s = 0.0
        self._again_s = 0.0
        self.fault = ""

    async def exchange(self, transaction: "Transaction", timeout_s: float) -> int:
        """Do one transaction; every foreign error comes out as a DeviceError."""
        link = self._link or await self._open()
        try:
            return await link.exchange(transaction, timeout_s)
        except OSError as error:
            await self.close()
            raise self._broken(error) from error

    async def close(self) -> None:
        """Close the link, if any; a port that is gone cannot object."""
        link, self._link = self._link, None
        if link is not None:
            try:
                await link.close()
            except OSError as error:
                LOG.debug("%s: close: %s", self._bus.name, error)

    async def _open(self) -> Link:
        if self._clock.real_s() < self._again_s:
            raise NoReply(f"bus {self._bus.name}: {self.fault}")
        try:
            made = self._opener(self._bus, self._clock)
            self._link = await made if inspect.isawaitable(made) else made
        except (OSError, WattproofError) as error:
            raise self._broken(error) from error
        self._wait_s, self.fault = 0.0, ""
        return self._link

    def _broken(self, error: Exception) -> NoReply:
        text = getattr(error, "strerror", None) or str(error)
        if text != self.fault:
            LOG.warning("bus %s: %s; next: check the port and the cable; trying on",
                        self._bus.name, text)
        self.fault = text
        self._wait_s = min(max(2 * self._wait_s, 0.5), REOPEN_S_MAX)
        self._again_s = self._clock.real_s() + self._wait_s
        return NoReply(f"bus {self._bus.name}: {text}")


class _Asker:
    """Runs one driver generator over the line and remembers how it went.

    began_ms: when the first usable answer (or exception reply) began to come; None without one.
    """

    def __init__(self, line: Line, unit: Unit, clock: Clock) -> None:
        self._line, self._unit, self._clock = line, unit, clock
        self.began_ms: int | None = None
        self.error: DeviceError | None = None
        self._asked = self._bad = 0
        self._silent = False

    async def drive(self, generator: "Steps[T]") -> T:
        """Return what the generator returns; DeviceErrors are thrown into it."""
        try:
            transaction = next(generator)
            while True:
                try:
                    result = await self._ask(transaction)
                except DeviceError as error:
                    self.error = error
                    transaction = generator.throw(error)
                else:
                    transaction = generator.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            generator.close()

    async def _ask(self, transaction: "Transaction") -> object:
        self._asked += 1
        if self._asked > TRANSACTIONS_MAX:
            raise Bug(f"{self._unit.name}: more than {TRANSACTIONS_MAX} requests in one scan")
        if self.error is not None and (self._silent or self._bad >= BAD_FRAMES_MAX):
            raise self.error                # the rest of this scan is not asked
        unit, sent_s = self._unit, self._clock.real_s()
        try:
            began_ms = await self._line.exchange(transaction, unit.timeout.value_s)
        except NoReply:
            unit.count("no-reply")
            self._silent = True
            raise
        except BadFrame:
            unit.count("bad-frame")
            self._bad += 1
            raise
        except Refused:
            unit.count("refused")
            if self.began_ms is None:
                self.began_ms = self._clock.ticks_ms()
            raise
        unit.timeout.learn((self._clock.real_s() - sent_s) / transaction.turns)
        if self.began_ms is None:
            self.began_ms = began_ms
        return transaction.result


def reason_of(error: DeviceError | None) -> int:
    """Return the reading reason code of a device error."""
    if isinstance(error, BadFrame):
        return BAD_FRAME
    return REFUSED if isinstance(error, Refused) else NO_REPLY


class BusPoller:
    """The poller of one bus.  It ends only when `stop` is set, between two units."""

    def __init__(self, line: Line, units: list[Unit], clock: Clock, put: Put,
                 last_read_utc_ms: Mapping[str, int] | None = None) -> None:
        """line: opened on demand.  units: in the order they are asked.  put: takes items.
        last_read_utc_ms: of units by name, in boots before this one."""
        self.line, self.units, self.clock, self._put = line, units, clock, put
        self.budget = LineBudget()
        self.stop = Flag()
        self.counts = {"scans": 0, "skipped": 0, "missed_slots": 0, "crashes": 0}
        self._due_ms: int | None = None
        self._last_read_utc_ms = last_read_utc_ms or {}

    @property
    def fault(self) -> str:
        """Why nothing on this bus answers, or an empty text."""
        if not all(unit.state == "lost" for unit in self.units):
            return ""
        return self.line.fault or (self.units[0].last_error if self.units else "")

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
        due_ms = self._next_slot(interval_ms)
        if first:
            await self._declare_absence(due_ms, interval_ms)
        while await self._wait_until(due_ms, beat):
            for unit in self.units:
                if self.stop.is_set():
                    return
                await self.poll(unit, due_ms)
                beat()
            due_ms = await self._after(due_ms, interval_ms)

    async def poll(self, unit: Unit, slot_ms: int) -> None:
        """Give one scan of a unit for this slot, asked or not."""
        if unit.failures and not (unit.due(self.clock.ticks_ms()) and self._affordable(unit)):
            self.counts["skipped"] += 1
            stamp_ms = max(slot_ms, 0)
            await self._put(_nothing_asked(unit, stamp_ms))
            return
        began_ms, asker = self.clock.ticks_ms(), _Asker(self.line, unit, self.clock)
        scan = await self._scan(asker, unit, began_ms)
        self.counts["scans"] += 1
        await self._put(scan)
        if asker.began_ms is not None:
            if unit.answered():
                await self._identify(unit)
        else:
            now_ms = self.clock.ticks_ms()
            cost_s = self.clock.seconds((now_ms - began_ms) / 1000)
            unit.failed(now_ms, cost_s + unit.timeout.widen())
            unit.last_error = str(asker.error or "")
            self.budget.spend(self.clock.real_s(), cost_s)
        if unit.state != unit.reported:
            await self._tell(unit)

    def _affordable(self, unit: Unit) -> bool:
        return self.budget.allows(self.clock.real_s(), unit.cost_s)

    async def _scan(self, asker: _Asker, unit: Unit, started_ms: int) -> Scan:
        points = len(unit.driver.points)
        try:
            values = await asker.drive(unit.driver.poll())
        except DeviceError as error:
            asker.error = error
            values = (Absent(reason_of(error)),) * points
        if len(values) != points:
            raise Bug(f"{unit.name}: {len(values)} values for {points} points")
        stamp_ms = started_ms if asker.began_ms is None else asker.began_ms
        return Scan(unit.stream, stamp_ms, tuple(values))

    async def _identify(self, unit: Unit) -> None:
        asker = _Asker(self.line, unit, self.clock)
        try:
            said = await asker.drive(unit.driver.identify())
        except DeviceError as error:
            said = {}
            LOG.info("%s: identity not read: %s", unit.name, error)
        unit.identified = True
        serial = str((said or {}).get("serial") or "")
        text = ", ".join(f"{key} {said[key]}" for key in sorted(said or {}) if said[key])
        unit.last_error = ""
        if unit.serial and serial and serial != unit.serial:
            await self._event(unit, "exchanged", f"serial {unit.serial} became {serial}")
        unit.serial = serial or unit.serial
        if unit.reported in ("new", "lost"):
            unit.reported, unit.reported_ms = "ok", self.clock.ticks_ms()
            await self._event(unit, "found", text)

    async def _tell(self, unit: Unit) -> None:
        state = unit.news(self.clock.ticks_ms())
        if state == "lost":
            LOG.warning("%s: lost (%s); next: check its power, address and wiring",
                        unit.name, unit.last_error)
            await self._event(unit, "lost", unit.last_error)

    async def _event(self, unit: Unit, state: str, detail: str) -> None:
        detail = "".join(c if c.isprintable() else "?" for c in detail)[:IDENTITY_CHARS_MAX]
        body = [unit.stream, state, detail]
        await self._put(Event(self.clock.ticks_ms(), DEVICE, body))

    def _next_slot(self, interval_ms: int) -> int:
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

    async def _declare_absence(self, due_ms: int, interval_ms: int) -> None:
        """Declare the slots between a unit's last scan of an earlier boot and the first now."""
        now_ms = self.clock.ticks_ms()
        to_utc_ms = self.clock.utc_ms() - now_ms + due_ms
        if self.clock.state().source == CLOCK_UNKNOWN:
            return
        for unit in self.units:
            last_ms = self._last_read_utc_ms.get(unit.name)
            if last_ms is not None and last_ms + interval_ms < to_utc_ms:
                body = [unit.stream, last_ms + interval_ms, to_utc_ms, "the gateway was not there"]
                await self._put(Event(now_ms, GAP, body))

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


def _nothing_asked(unit: Unit, ticks_ms: int) -> Scan:
    return Scan(unit.stream, ticks_ms, (Absent(NOT_ASKED),) * len(unit.driver.points))
