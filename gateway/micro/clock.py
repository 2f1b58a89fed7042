"""A board's only door to time: ticks since the start, UTC, and how well it is known.

`scale` (simulation only) makes the measured world run faster than the board, as in
gateway/timekeeping/clock.py: stamps and schedules are scaled, time-outs are real.
"""

import time

from gateway.core.reading import (
    BUILD_FLOOR_MS,
    CLOCK_RTC,
    CLOCK_SIMULATED,
    CLOCK_UNKNOWN,
    ClockState,
)

RTC_UNCERTAINTY_MS = 631000     # 20 ppm over a year of storage, see gateway/timekeeping/clock.py
# Boards count from 2000, computers from 1970.
EPOCH_MS = 946684800000 if time.gmtime(0)[0] == 2000 else 0


class BoardClock:
    """Time of one boot.  scale: (speed, origin UTC ms, UNIX ms at which it began) or None."""

    def __init__(self, scale: list[int] | None) -> None:
        self._scale = scale
        self.speed = scale[0] if scale else 1
        self._last = time.ticks_ms()  # type: ignore[attr-defined]
        self._real_ms = 0
        self._state = self._clock_anchor()

    def real_ms(self) -> int:
        """Return real milliseconds since the start; never back, never wrapped."""
        now = time.ticks_ms()  # type: ignore[attr-defined]
        self._real_ms += time.ticks_diff(now, self._last)  # type: ignore[attr-defined]
        self._last = now
        return self._real_ms

    def ticks_ms(self) -> int:
        """Return milliseconds of the measured world since the start."""
        return self.real_ms() * self.speed

    def utc_ms(self) -> int:
        """Return the best guess of UTC in ms; only together with `state()`."""
        state = self._state
        return state.anchor_utc_ms + self.ticks_ms() - state.anchor_ticks_ms

    def state(self) -> ClockState:
        """Return the ClockState in force; it changes only in `observe`."""
        return self._state

    def observe(self) -> ClockState | None:
        """Return the new ClockState if wall and ticks have parted too far, else None."""
        fresh = self._clock_anchor()
        parted_ms = abs(fresh.anchor_utc_ms - self.utc_ms())
        if fresh.source == self._state.source and 2 * parted_ms <= fresh.uncertainty_ms:
            return None
        self._state = fresh
        return fresh

    def _clock_anchor(self) -> ClockState:
        wall_ms = time.time_ns() // 1000000 + EPOCH_MS
        if self._scale:
            speed, origin_ms, started_ms = self._scale
            return ClockState(CLOCK_SIMULATED, self.ticks_ms(),
                              origin_ms + (wall_ms - started_ms) * speed, max(1000, 50 * speed))
        if wall_ms < BUILD_FLOOR_MS:
            return ClockState(CLOCK_UNKNOWN, self.ticks_ms(), 0, 0)
        return ClockState(CLOCK_RTC, self.ticks_ms(), wall_ms, RTC_UNCERTAINTY_MS)
