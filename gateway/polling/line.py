"""A line to units: opened when needed, asked one transaction at a time.

Line keeps a link and opens it again after the port went away; Questions runs one driver's
generator over it.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from drivers.links.base import BusConfig
from gateway.core.errors import BadFrame, Bug, DeviceError, NoReply, Refused, WattproofError
from gateway.polling.unit import PolledUnit
from gateway.timekeeping.clock import Clock

if TYPE_CHECKING:
    from drivers.types import Steps, Transaction

LOG = logging.getLogger("wattproof.poller")
TRANSACTIONS_MAX = 64           # of one scan; a driver that wants more has a bug
BAD_FRAMES_MAX = 2              # in one scan, then the rest is not asked
REOPEN_S_MAX = 30.0             # back-off of a port that does not open, real seconds


class OpenLink(Protocol):
    """A line to units.  exchange raises DeviceError and gives the ticks of the reply."""

    async def exchange(self, transaction: "Transaction", timeout_s: float) -> int:
        """Send one request, fill the transaction, return when the reply began (ticks)."""

    async def close(self) -> None:
        """Give the line back."""


T = TypeVar("T")
Opener = Callable[[BusConfig, Clock], OpenLink | Awaitable[OpenLink]]


class BusLine:
    """A link that is opened when needed, and opened again after the port went away."""

    def __init__(self, bus: BusConfig, clock: Clock, opener: Opener) -> None:
        """bus: its configuration.  Nothing is opened yet."""
        self._bus, self._clock, self._opener = bus, clock, opener
        self._link: OpenLink | None = None
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

    async def _open(self) -> OpenLink:
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


class Questions:
    """Runs one driver generator over the line and remembers how it went.

    began_ms: when the first usable answer (or exception reply) began to come; None without one.
    """

    def __init__(self, line: BusLine, unit: PolledUnit, clock: Clock) -> None:
        self._line, self._unit, self._clock = line, unit, clock
        self.began_ms: int | None = None
        self.error: DeviceError | None = None
        self._asked = self._bad = 0
        self.is_silent = False

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
        if self.error is not None and (self.is_silent or self._bad >= BAD_FRAMES_MAX):
            raise self.error                # the rest of this scan is not asked
        unit, sent_s = self._unit, self._clock.real_s()
        try:
            began_ms = await self._line.exchange(transaction, unit.timeout.value_s)
        except NoReply:
            unit.count("no-reply")
            self.is_silent = True
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
