"""The only door to time: stamps, schedules and how well the wall clock is known.

Two kinds of time.  *Scaled* time is the time of the measured world: stamps (`ticks_ms`,
`utc_ms`), schedules (`sleep`), pauses on a bus.  *Real* time is the time of this machine:
time-outs, TLS, MQTT, flash (`real_s`).  They differ only in a simulation ([clock] in
cabinet.toml), where the world runs `speed` times faster.

The clock never claims more than it knows: an NTP clock says the kernel's own maximum error,
a clock that nobody set says so, a simulated one says SIMULATED.
"""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.core.reading import (
    CLOCK_NTP,
    CLOCK_RTC,
    CLOCK_SIMULATED,
    CLOCK_UNKNOWN,
    ClockState,
)

# A wall clock before this was never set: the product is younger.
BUILD_FLOOR_MS = 1_767_225_600_000      # 2026-01-01T00:00:00Z
# 20 ppm, a usual watch crystal, over one year of storage: 631 s.
RTC_UNCERTAINTY_MS = 631_000
# systemd-timesyncd does not export its bound here; its poll interval lets a crystal of
# 100 ppm drift 205 ms in 2,048 s, and a root distance of up to 5 s is accepted.
TIMESYNC_UNCERTAINTY_MS = 5_000
TIMESYNC_FLAG = "/run/systemd/timesync/synchronized"
# Uncertainty is declared in these steps, so that a bound that breathes does not make a new
# clock state (and a new batch) at every look.
DECLARED_MS = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 631_000)

STA_UNSYNC = 0x40           # include/uapi/linux/timex.h
TIME_ERROR = 5


@dataclass(frozen=True, slots=True)
class Scale:
    """A simulated world: it stood at `origin_utc_ms` when our wall said `started_unix_ms`."""

    speed: int
    origin_utc_ms: int
    started_unix_ms: int


@dataclass(frozen=True, slots=True)
class Sources:
    """The three things a clock reads; tests pass their own.

    wall: seconds of UNIX time.  monotonic: seconds, never back.  knowledge: () -> (source,
    uncertainty_ms of the wall clock).
    """

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    knowledge: Callable[[], tuple[int, int]]


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as the C library of this machine lays it out."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long), ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long), ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("rest", ctypes.c_long * 16),           # time, tick, pps, tai, padding: not read
    ]


def kernel_ntp() -> int | None:
    """Return the kernel's maximum clock error in ms, or None if it is not disciplined."""
    try:
        read = ctypes.CDLL(None, use_errno=True).adjtimex
        read.restype = ctypes.c_int
    except (OSError, AttributeError):
        return None
    timex = _Timex()
    state: int = read(ctypes.byref(timex))
    if state in (-1, TIME_ERROR) or timex.status & STA_UNSYNC:
        return None
    maximum_us: int = timex.maxerror
    return maximum_us // 1000 + 1


def system_knowledge() -> tuple[int, int]:
    """Return (source, uncertainty_ms) of this machine's wall clock, best effort and cheap."""
    error_ms = kernel_ntp()
    if error_ms is not None:
        return CLOCK_NTP, error_ms
    if os.path.exists(TIMESYNC_FLAG):
        return CLOCK_NTP, TIMESYNC_UNCERTAINTY_MS
    if os.path.exists("/dev/rtc0"):
        return CLOCK_RTC, RTC_UNCERTAINTY_MS
    return CLOCK_UNKNOWN, 0


def system_sources() -> Sources:
    """Return the sources of this machine."""
    return Sources(time.time, time.monotonic, system_knowledge)


def declared(uncertainty_ms: int) -> int:
    """Return the smallest declared step that covers an uncertainty, in ms."""
    for step in DECLARED_MS:
        if uncertainty_ms <= step:
            return step
    return uncertainty_ms


class Clock:
    """Ticks since the gateway's start, UTC, and the state that maps one to the other."""

    def __init__(self, scale: Scale | None = None, sources: Sources | None = None) -> None:
        """Start at tick 0 now; without a scale the world runs at the machine's pace."""
        self.sources = sources or system_sources()
        self.scale = scale
        self.speed = scale.speed if scale else 1
        self._start_s = self.sources.monotonic()
        self._state = self._anchor()

    def real_s(self) -> float:
        """Return real monotonic seconds, for time-outs and line budgets only."""
        return self.sources.monotonic()

    def unix_s(self) -> float:
        """Return real UNIX seconds, for the age of files and certificates only."""
        return self.sources.wall()

    def ticks_ms(self) -> int:
        """Return scaled monotonic milliseconds since this clock was made."""
        return int((self.sources.monotonic() - self._start_s) * 1000 * self.speed)

    def utc_ms(self) -> int:
        """Return the best guess of UTC in ms; say it only together with `state()`."""
        now_ms: int = self._state.anchor_utc_ms + self.ticks_ms() - self._state.anchor_ticks_ms
        return now_ms

    def state(self) -> ClockState:
        """Return the state in force; it changes only in `observe`."""
        return self._state

    def seconds(self, scaled_s: float) -> float:
        """Return how many real seconds a span of scaled seconds takes."""
        return scaled_s / self.speed

    async def sleep(self, scaled_s: float) -> None:
        """Sleep a span of the measured world."""
        await asyncio.sleep(max(scaled_s, 0.0) / self.speed)

    def observe(self) -> ClockState | None:
        """Look at wall, ticks and sync state; return the new state if it had to change.

        It changes when the source changes, when wall and ticks have parted by more than half
        of the declared uncertainty (a step, or drift), when the true bound has outgrown the
        declared one, or has become at least four times better.
        """
        source, bound_ms = self._knowledge()
        parted_ms = abs(self._wall_utc_ms() - self.utc_ms())
        same = (source == self._state.source
                and 2 * parted_ms <= max(self._state.uncertainty_ms, 20)
                and bound_ms <= self._state.uncertainty_ms <= 4 * declared(bound_ms))
        if same:
            return None
        self._state = self._anchor()
        return self._state

    def _anchor(self) -> ClockState:
        source, bound_ms = self._knowledge()
        # Twice the bound: the ticks may part from the wall by half of it before we look again.
        uncertainty_ms = 2 * bound_ms if self.scale else declared(2 * bound_ms)
        return ClockState(source, self.ticks_ms(), self._wall_utc_ms(), uncertainty_ms)

    def _knowledge(self) -> tuple[int, int]:
        if self.scale:
            return CLOCK_SIMULATED, max(1000, 50 * self.speed) // 2
        source, bound_ms = self.sources.knowledge()
        if self.sources.wall() * 1000 < BUILD_FLOOR_MS:
            return CLOCK_UNKNOWN, 0
        return source, bound_ms

    def _wall_utc_ms(self) -> int:
        wall_ms = self.sources.wall() * 1000
        if self.scale is None:
            return int(wall_ms)
        elapsed_ms = wall_ms - self.scale.started_unix_ms
        return self.scale.origin_utc_ms + int(elapsed_ms * self.scale.speed)


def rfc3339(utc_ms: int) -> str:
    """Return UTC milliseconds as text, e.g. 2026-11-22T10:15:00.250Z."""
    text = datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
