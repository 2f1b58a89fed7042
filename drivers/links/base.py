"""What every link shares: its settings, its counts, and an exchange nobody can cut in half."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from drivers.types import Transaction

T = TypeVar("T")


class LinkClock(Protocol):
    """The clock a link paces by; scaled in simulations, the system's otherwise."""

    def ticks_ms(self) -> int:
        """Return monotonic milliseconds since the start."""

    async def sleep(self, seconds: float, /) -> None:
        """Sleep for scaled seconds."""


class Link(Protocol):
    """A bus that carries one transaction at a time."""

    counts: "LinkCounts"

    async def exchange(self, transaction: "Transaction", timeout_s: float) -> int:
        """Ask and hear; return clock.ticks_ms() of the moment the reply began to arrive.

        Raises NoReply (silence, not connected), BadFrame, Refused.  timeout_s: real seconds.
        """

    async def close(self) -> None:
        """Let the port or connection go; the next exchange opens it again."""


@dataclass(frozen=True, slots=True)
class BusConfig:
    """One [[bus]] of cabinet.toml; registry.py says which fields count on which bus.

    tty: path of the serial device.  host, port: of a TCP server.  url: http://host:port/path.
    at_once: questions under way at once on a TCP connection (modbus.TcpReads).  timeout_s: first
    guess for an answer, real seconds.
    """

    name: str
    transport: str
    protocol: str
    tty: str = ""
    baud: int = 9600
    parity: str = "N"
    stopbits: int = 1
    echo: bool = False
    host: str = ""
    port: int = 502
    at_once: int = 1
    url: str = ""
    timeout_s: float = 1.0


@dataclass
class LinkCounts:
    """What happened on a link since it was made; for metrics and status."""

    asked: int = 0
    answered: int = 0
    refused: int = 0
    no_reply: int = 0
    bad_frame: int = 0
    stray_bytes: int = 0
    drains: int = 0
    opened: int = 0
    latency_max_s: dict[int, float] = field(default_factory=dict)


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Await work to its end even if the caller is cancelled; then let the cancel through.

    A transaction cut in half leaves its answer on the line, for somebody else to take.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()            # it has been seen; nobody is left to handle it
        raise


class BackOff:
    """When to try a lost connection again: at once, then 1, 2, 4 .. 60 s, spread by name.

    Seconds are real: they are the event loop's.
    """

    LONGEST_S = 60.0

    def __init__(self, name: str) -> None:
        self._spread = 0.75 + sum(name.encode()) % 51 / 100
        self.failures = 0
        self._next_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the next attempt is allowed; 0 when it is."""
        return max(0.0, self._next_s - now_s)

    def failed(self, now_s: float) -> None:
        """Note a failed attempt."""
        self.failures += 1
        pause_s = min(self.LONGEST_S, 2.0 ** min(self.failures - 1, 6))
        self._next_s = now_s + min(self.LONGEST_S, pause_s * self._spread)

    def worked(self) -> None:
        """Note a success."""
        self.failures, self._next_s = 0, 0.0
