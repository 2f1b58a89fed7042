"""The only door to time: stamps, schedules and how well the wall clock is known.

Two kinds of time.  *Scaled* time is the time of the measured world: stamps (`ticks_ms`,
`utc_ms`), schedules (`sleep`), pauses on a bus.  *Real* time is the time of this machine:
time-outs, TLS, MQTT, flash (`real_s`).  They differ only in a simulation ([clock] in
cabinet.toml), where the world runs `speed` times faster.

The clock never claims more than it knows: an NTP clock says the kernel's own maximum error,
a clock that nobody set says so, a simulated one says SIMULATED.  Once set, it goes on by its
own ticks when the source is lost, and declares the drift of its crystal (holdover.py): a wall
that jumps meanwhile is not believed.  A wall before the last known good time (floor_ms, raised
by signed receipts) or ten years behind it was never set.
"""

import asyncio
import ctypes
import functools
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.core.reading import (
    BUILD_FLOOR_MS,
    CLOCK_GNSS,
    CLOCK_NTP,
    CLOCK_RTC,
    CLOCK_SIMULATED,
    CLOCK_UNKNOWN,
    ClockState,
)
from gateway.timekeeping import holdover

# A wall clock before this was never set: the product is younger.
YEAR_MS = 31_557_600_000
# A gateway that was off for longer than this does not know its time by its RTC.
STORAGE_MS_MAX = 10 * YEAR_MS
# The fleet's clock may be off by so much when its receipts raise the floor.
FLOOR_SLACK_MS = 86_400_000
# An RTC that was not compared since the start: a crystal's worst drift over one year.
RTC_UNCERTAINTY_MS = int(holdover.drift_ms(holdover.CRYSTAL, None, YEAR_MS))
# systemd-timesyncd does not export its bound here; its poll interval lets a crystal of
# 100 ppm drift 205 ms in 2,048 s, and a root distance of up to 5 s is accepted.
TIMESYNC_UNCERTAINTY_MS = 5_000
TIMESYNC_FLAG = "/run/systemd/timesync/synchronized"
# Uncertainty is declared in these steps, so that a bound that breathes does not make a new
# clock state (and a new batch) at every look.
DECLARED_MS = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 120_000,
               300_000, 600_000, 1_200_000, 3_600_000, 9_000_000, 36_000_000)
SLACK_MS_MIN, SLACK_MS_MAX = 10, 5_000  # room for ticks and wall to part: jitter, slewing
# A source that comes and goes makes at most so many clock states (and batches) an hour: one
# that would be the last declares enough room for what the clock has been seen to do.
CHANGES_MAX, CHANGES_MS = 4, 3_600_000
LAST_ROOM = 8               # times what wall and ticks have parted by
SYNCED = (CLOCK_NTP, CLOCK_GNSS)        # sources that set the clock, not only read it

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


@functools.cache
def _adjtimex() -> Callable[..., int] | None:
    """Return the C library's function; looked up once, for the clock is looked at each second."""
    try:
        read = ctypes.CDLL(None, use_errno=True).adjtimex
        read.restype = ctypes.c_int
    except (OSError, AttributeError):
        return None
    return read


def kernel_ntp() -> int | None:
    """Return the kernel's maximum clock error in ms, or None if it is not disciplined."""
    read = _adjtimex()
    if read is None:
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
    age_ms = _timesync_age_ms()
    if age_ms is not None:
        drift_ms = holdover.drift_ms(holdover.CRYSTAL, None, age_ms)
        return CLOCK_NTP, TIMESYNC_UNCERTAINTY_MS + int(drift_ms)
    if os.path.exists("/dev/rtc0"):
        return CLOCK_RTC, RTC_UNCERTAINTY_MS
    return CLOCK_UNKNOWN, 0


def _timesync_age_ms() -> int | None:
    """Return how long ago systemd-timesyncd set the clock: it touches its flag each time."""
    try:
        return max(int((time.time() - os.stat(TIMESYNC_FLAG).st_mtime) * 1000), 0)
    except OSError:
        return None


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

    def __init__(self, scale: Scale | None = None, sources: Sources | None = None,
                 floor_ms: int = 0,
                 temperature_c: Callable[[int], float | None] = lambda _now_ms: None) -> None:
        """Start at tick 0 now; without a scale the world runs at the machine's pace.

        floor_ms: last known good UTC of this machine, in ms, kept over restarts.
        temperature_c: of the air around the crystal at these ticks; None if nobody measures it.
        """
        self.sources = sources or system_sources()
        self.scale = scale
        self.speed = scale.speed if scale else 1
        self._ticks_per_s = 1000 * self.speed
        # Real monotonic seconds, for time-outs and line budgets only.
        self.real_s: Callable[[], float] = self.sources.monotonic
        self.floor_ms = max(floor_ms, BUILD_FLOOR_MS)
        self.temperature_c = temperature_c
        self._held = holdover.Holdover()
        self._start_s = self.real_s()
        self._state = ClockState(CLOCK_UNKNOWN, 0, 0, 0)
        self._state = self._clock_anchor(*self._check_wall())
        self._changes_ms: deque[int] = deque(maxlen=CHANGES_MAX)

    def unix_s(self) -> float:
        """Return real UNIX seconds, for the age of files and certificates only."""
        return self.sources.wall()

    def ticks_ms(self) -> int:
        """Return scaled monotonic milliseconds since this clock was made."""
        return int((self.real_s() - self._start_s) * self._ticks_per_s)

    def offset_ms(self) -> int:
        """Return UTC minus ticks, as best guessed; it changes only in `observe`."""
        offset_ms: int = self._state.anchor_utc_ms - self._state.anchor_ticks_ms
        return offset_ms

    def utc_ms(self) -> int:
        """Return the best guess of UTC in ms; say it only together with `state()`."""
        return self.ticks_ms() + self.offset_ms()

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

        It changes when the source changes, when the true bound and what wall and ticks have
        parted by (a step, or drift) have together outgrown the declared uncertainty, or when
        that has become four times too large; at most CHANGES_MAX times an hour.
        """
        source, bound_ms, now_utc_ms = self._check_wall()
        parted_ms = abs(now_utc_ms - self.utc_ms())
        same = (source == self._state.source
                and bound_ms + parted_ms <= self._state.uncertainty_ms
                and self._state.uncertainty_ms <= 4 * declared(bound_ms + _slack_ms(bound_ms)))
        if same or source == self._state.source == CLOCK_UNKNOWN:
            return None
        changes = self._changes_within_the_hour()
        if changes >= CHANGES_MAX - 1:
            if changes >= CHANGES_MAX or bound_ms + parted_ms <= self._state.uncertainty_ms:
                return None             # what is declared still holds, or there is no state left
            bound_ms += LAST_ROOM * parted_ms
        self._changes_ms.append(self.ticks_ms())
        self._state = self._clock_anchor(source, bound_ms, now_utc_ms)
        return self._state

    def _changes_within_the_hour(self) -> int:
        since_ms = self.ticks_ms() - CHANGES_MS
        return sum(at_ms > since_ms for at_ms in self._changes_ms)

    def raise_floor(self, utc_ms: int) -> bool:
        """Take a time that somebody trusted has signed: it is not earlier than that.

        Returns False, and changes nothing, if a synced clock of our own says that the signer
        is ahead by more than a day, or if it is beyond any storage time.
        """
        ahead = (self._state.source in SYNCED
                 and utc_ms > self.utc_ms() + self._state.uncertainty_ms + FLOOR_SLACK_MS)
        if ahead or utc_ms > self.floor_ms + STORAGE_MS_MAX:
            return False
        self.floor_ms = max(self.floor_ms, utc_ms)
        return True

    def certificate_floor_ms(self) -> int | None:
        """Return None if certificates can be judged by this machine's wall clock, else the
        UTC in ms that it is at least: what expired before then has expired for certain."""
        known = self._state.source != CLOCK_UNKNOWN
        if known and self._plausible(self.sources.wall() * 1000):
            return None
        held_ms = self.utc_ms() - self._state.uncertainty_ms if known and not self.scale else 0
        return max(self.floor_ms, held_ms)

    def _clock_anchor(self, source: int, bound_ms: int, now_utc_ms: int) -> ClockState:
        # Beside the bound there is room for ticks and wall to part before we look again.
        uncertainty_ms = (2 * bound_ms if self.scale
                          else declared(bound_ms + _slack_ms(bound_ms)))
        return ClockState(source, self.ticks_ms(), max(now_utc_ms, 0),
                          0 if source == CLOCK_UNKNOWN else uncertainty_ms)

    def _check_wall(self) -> tuple[int, int, int]:
        """Return (source, bound ms, UTC ms) as far as anything here can tell it now."""
        wall_ms = self._wall_utc_ms()
        if self.scale:
            return CLOCK_SIMULATED, max(1000, 50 * self.speed) // 2, wall_ms
        source, bound_ms = self.sources.knowledge()
        if not self._plausible(wall_ms):
            source, bound_ms = CLOCK_UNKNOWN, 0
        now_ms = self.ticks_ms()
        self._held.advance(now_ms, self.temperature_c(now_ms))
        if source in SYNCED:
            self._held.synced(self.ticks_ms(), bound_ms)
        elif self._held.bound_ms is not None:
            return CLOCK_RTC, self._held.bound_ms, self.utc_ms()
        return source, bound_ms, wall_ms

    def _plausible(self, wall_ms: float) -> bool:
        low_ms = max(self.floor_ms - FLOOR_SLACK_MS, BUILD_FLOOR_MS)
        return low_ms <= wall_ms <= self.floor_ms + STORAGE_MS_MAX

    def _wall_utc_ms(self) -> int:
        wall_ms = self.sources.wall() * 1000
        if self.scale is None:
            return int(wall_ms)
        elapsed_ms = wall_ms - self.scale.started_unix_ms
        return self.scale.origin_utc_ms + int(elapsed_ms * self.scale.speed)


def _slack_ms(bound_ms: int) -> int:
    """Return how far ticks and wall may part before a clock state has to change."""
    return min(max(bound_ms, SLACK_MS_MIN), SLACK_MS_MAX)


def rfc3339(utc_ms: int) -> str:
    """Return UTC milliseconds as text, e.g. 2026-11-22T10:15:00.250Z."""
    text = datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
