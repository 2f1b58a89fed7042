"""A serial line: Modbus RTU and Pylontech frames over a tty, with the line's manners.

pyserial opens the port; the event loop reads it.  Time-outs are real time (the loop's clock),
silences between frames are paced by the clock given, which simulations scale.
After a time-out or garbage the line is dirty: before the next request its input is thrown away
until it has been silent for the unit's learned worst latency (times four, at most 1 s).
"""

import asyncio
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import serial

from drivers.links.base import BackOff, BusConfig, LinkClock, LinkCounts, uninterrupted
from gateway.aio.deadlines import running_deadlines
from gateway.core.errors import BadFrame, NoReply, Refused

if TYPE_CHECKING:
    from drivers.types import Transaction

BITS_PER_CHARACTER = 11         # start, 8 data, parity or second stop, stop
SILENCE_CHARACTERS = 3.5        # Modbus over Serial Line V1.02, 2.5.1.1
SILENCE_FAST_S = 0.00175        # above 19,200 bit/s the silence is fixed
TORN_AFTER_S = 0.2              # silence inside a frame; USB adapters pause up to 16 ms
DRAIN_MAX_S = 1.0               # silence asked for at most; also the default
DRAIN_LIMIT_S = 3.0             # longer noise is babble: do not talk into it
DRAIN_MIN_S = 0.1               # the least asked for: few answers have been heard yet
LATENCY_MARGIN = 4.0            # a late reply is later than the worst one heard in time
INPUT_MAX = 4096                # bytes kept unread: 16 frames; the rest is noise
STRAY_MAX = 8                   # noise that is forgiven: before an echo, or before a request


class SerialLink:
    """One tty with one or many units on it; one transaction at a time."""

    def __init__(self, bus: BusConfig, clock: LinkClock,
                 open_port: "Callable[..., serial.Serial]" = serial.Serial) -> None:
        """open_port: what opens a tty; tests give the end of a socket instead."""
        self._open_port = open_port
        self.name = bus.name
        self.counts = LinkCounts()
        self._bus = bus
        self._clock = clock
        self._echo = bus.echo
        self._lock = asyncio.Lock()
        self._port: serial.Serial | None = None
        self._back_off = BackOff(self.name)
        self._inbox = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._first_ticks_ms = 0        # when the first byte in the inbox came
        self._busy_s = 0.0              # loop time of the last byte or request
        self._quiet_ticks_ms = 0        # scaled tick of the same moment
        self._dirty_s = 0.0             # silence wanted before the next request; 0 = clean
        self._silence_s = (SILENCE_FAST_S if bus.baud > 19200
                           else SILENCE_CHARACTERS * BITS_PER_CHARACTER / bus.baud)

    async def exchange(self, transaction: "Transaction", timeout_s: float) -> int:
        """Ask and hear: see base.Link.  A cancelled caller waits until the line is free."""
        return await uninterrupted(self._exchange(transaction, timeout_s))

    async def close(self) -> None:
        """Close the port; the next exchange opens it again."""
        async with self._lock:
            self._shut()

    async def _exchange(self, transaction: "Transaction", timeout_s: float) -> int:
        async with self._lock:
            self._open()
            await self._settle()
            await self._pace(transaction.gap_ms)
            if len(self._inbox) > STRAY_MAX:        # somebody still talks, perhaps an answer twice
                self._dirty_s = self._dirty_s or DRAIN_MIN_S
                await self._settle()
            self.counts.stray_bytes += len(self._inbox)
            self._inbox.clear()
            self.counts.asked += 1
            self._send(transaction.request)
            try:
                began = await self._receive(transaction, timeout_s)
            except NoReply:
                self.counts.no_reply += 1
                self._soil(transaction)
                raise
            except BadFrame:
                self.counts.bad_frame += 1
                self._soil(transaction)
                raise
            except Refused:
                self.counts.refused += 1
                raise
            self.counts.answered += 1
            return began

    def _open(self) -> None:
        if self._port is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._back_off.wait_s(loop.time())
        if wait_s > 0:
            raise NoReply(f"{self.name}: port {self._bus.tty} is closed, "
                          f"next try in {wait_s:.0f} s")
        try:
            self._port = self._open_port(
                self._bus.tty, self._bus.baud, parity=self._bus.parity,
                stopbits=self._bus.stopbits, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError) as error:      # SerialException is an OSError
            self._back_off.failed(loop.time())
            raise NoReply(f"{self.name}: port {self._bus.tty} "
                          f"cannot be opened: {error}") from error
        self._back_off.worked()
        self.counts.opened += 1
        self._inbox.clear()
        loop.add_reader(self._port.fileno(), self._on_readable)

    def _shut(self) -> None:
        if self._port is None:
            return
        asyncio.get_running_loop().remove_reader(self._port.fileno())
        port, self._port = self._port, None
        try:
            port.close()
        except OSError:
            pass                        # it is gone already, which is what was asked for

    def _lost(self, why: str) -> NoReply:
        self._shut()
        self._back_off.failed(asyncio.get_running_loop().time())
        return NoReply(f"{self.name}: port {self._bus.tty} is gone: {why}")

    def _on_readable(self) -> None:
        if self._port is None:
            return
        try:
            data = os.read(self._port.fileno(), INPUT_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:                    # the far end of a pty closed, or the adapter was pulled
            self._shut()
        else:
            if not self._inbox:
                self._first_ticks_ms = self._clock.ticks_ms()
            if len(self._inbox) < INPUT_MAX:
                self._inbox += data
            self._touch()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _touch(self) -> None:
        self._busy_s = asyncio.get_running_loop().time()
        self._quiet_ticks_ms = self._clock.ticks_ms()

    async def _wait(self, seconds: float) -> None:
        """Wait for a byte, at most so many real seconds."""
        ends = running_deadlines()
        waiter = self._waiter = ends.loop.create_future()
        ends.add(waiter, seconds, _wake)
        try:
            await waiter
        finally:
            self._waiter = None

    async def _settle(self) -> None:
        """Throw input away until the line has been silent long enough after a failure."""
        if not self._dirty_s:
            return
        loop = asyncio.get_running_loop()
        self.counts.drains += 1
        limit_s = loop.time() + DRAIN_LIMIT_S
        while (left_s := self._busy_s + self._dirty_s - loop.time()) > 0:
            if loop.time() >= limit_s:
                raise BadFrame(f"{self.name}: no silence for {DRAIN_LIMIT_S:.0f} s: "
                               "somebody talks without being asked")
            await self._wait(left_s)
            self.counts.stray_bytes += len(self._inbox)
            self._inbox.clear()
            if self._port is None:
                raise self._lost("closed while draining")
        self._dirty_s = 0.0

    async def _pace(self, gap_ms: int) -> None:
        """Keep the line silent between frames, on the scaled clock."""
        wanted_ms = max(self._silence_s * 1000, gap_ms)
        silent_ms = self._clock.ticks_ms() - self._quiet_ticks_ms
        if silent_ms < wanted_ms:
            await self._clock.sleep((wanted_ms - silent_ms) / 1000)

    def _send(self, request: bytes) -> None:
        if self._port is None:
            raise self._lost("closed before the request")
        try:
            sent = os.write(self._port.fileno(), request)
        except OSError as error:
            raise self._lost(str(error)) from error
        self._touch()
        if sent != len(request):        # 256 bytes fit every tty's buffer, unless nobody reads
            self._dirty_s = DRAIN_MAX_S
            raise NoReply(f"{self.name}: only {sent} of {len(request)} bytes could be sent")

    async def _receive(self, transaction: "Transaction", timeout_s: float) -> int:
        loop = asyncio.get_running_loop()
        asked_s = self._busy_s
        deadline_s = asked_s + timeout_s
        echo, held = transaction.request if self._echo else b"", b""
        while True:
            if self._inbox:
                began, data = self._first_ticks_ms, held + bytes(self._inbox)
                self._inbox.clear()
                if echo:
                    held, (data, echo) = data, _strip_echo(data, echo)
                    held = held if echo else b""
                if not transaction.has_response:
                    began_ms, latency_s = began, loop.time() - asked_s
                if data and transaction.feed(data):
                    self._learn(transaction, latency_s)
                    return began_ms
            if self._port is None:
                raise self._lost("closed while waiting")
            limit_s = deadline_s
            if transaction.has_response:
                limit_s = min(deadline_s, self._busy_s + TORN_AFTER_S)
            if loop.time() >= limit_s:
                raise self._nothing(transaction, timeout_s)
            await self._wait(limit_s - loop.time())

    def _nothing(self, transaction: "Transaction", timeout_s: float) -> NoReply | BadFrame:
        what = f"{self.name}: {transaction.describe()}"
        if transaction.has_response:
            return BadFrame(f"{what}: the answer stopped before its end")
        return NoReply(f"{what}: no answer in {timeout_s:g} s")

    def _learn(self, transaction: "Transaction", latency_s: float) -> None:
        unit = _unit(transaction)
        worst = self.counts.latency_max_s
        worst[unit] = max(worst.get(unit, 0.0), latency_s)

    def _soil(self, transaction: "Transaction") -> None:
        """Mark the line dirty: an answer to this transaction may still come."""
        learned_s = self.counts.latency_max_s.get(_unit(transaction))
        silence_s = DRAIN_MAX_S if learned_s is None else LATENCY_MARGIN * learned_s
        self._dirty_s = min(DRAIN_MAX_S, max(DRAIN_MIN_S, silence_s))


def _wake(waiter: "asyncio.Future[None]") -> None:
    waiter.set_result(None)


def _unit(transaction: "Transaction") -> int:
    return int(getattr(transaction, "unit", getattr(transaction, "address", 0)))


def _strip_echo(data: bytes, echo: bytes) -> tuple[bytes, bytes]:
    """Return (what came behind the repeated request, b""), or (b"", echo) while that may still
    come: then give what was there again, with more behind it.

    Up to eight stray bytes before the echo are forgiven.  Data without an echo come back whole.
    """
    for start in range(min(len(data), STRAY_MAX + 1)):
        piece = data[start:start + len(echo)]
        if piece == echo:
            return data[start + len(echo):], b""
        if piece == echo[:len(piece)]:
            return b"", echo
    return (data, b"") if len(data) > STRAY_MAX else (b"", echo)
