"""The simulator's only door to time: a clock that runs `speed` times faster than ours.

Simulated UTC = origin + (now - started) * speed.  The three numbers are published in
endpoints.json, so a gateway with the same [clock] section lives in the same time.
"""

import time
from datetime import UTC, datetime
from typing import Any


class ScaledClock:
    """Scaled clock.  origin_utc_ms: simulated time at `started_unix_ms`; speed >= 1."""

    def __init__(self, origin_utc_ms: int, speed: int, started_unix_ms: int | None = None):
        now_ms = int(time.time() * 1000)
        self.origin_utc_ms = origin_utc_ms
        self.speed = speed
        self.started_unix_ms = now_ms if started_unix_ms is None else started_unix_ms
        # Afterwards only the monotonic clock is asked: a step of the host's wall clock must
        # not make the cabinet jump.
        self._zero_s = time.monotonic() - time.time() + self.started_unix_ms / 1000

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> "ScaledClock":
        """Return the clock that endpoints.json describes (its `clock` table)."""
        return cls(parse_utc(table["origin_utc"]), int(table["speed"]),
                   int(table["started_unix_ms"]))

    def table(self) -> dict[str, str | int]:
        """Return the three numbers that let another process live in the same time."""
        return {"speed": self.speed, "origin_utc": format_utc(self.origin_utc_ms),
                "started_unix_ms": self.started_unix_ms}

    def elapsed_s(self) -> float:
        """Return simulated seconds since the origin."""
        return (time.monotonic() - self._zero_s) * self.speed

    def utc_ms(self) -> int:
        """Return simulated UTC in milliseconds."""
        return self.origin_utc_ms + int(self.elapsed_s() * 1000)

    def real_s(self, simulated_s: float) -> float:
        """Return how many real seconds a simulated duration lasts."""
        return simulated_s / self.speed


def parse_utc(text: str) -> int:
    """Return UTC milliseconds of an RFC 3339 time with whole seconds.

    Raises ValueError if the text has no UTC offset, or a fraction of a second: the world
    steps in whole seconds and its quarter hours must fall on them.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text}: no UTC offset; write it as 2026-06-16T06:00:00Z")
    if moment.microsecond:
        raise ValueError(f"{text}: fractions of a second are not allowed here")
    return int(moment.timestamp()) * 1000


def format_utc(utc_ms: int) -> str:
    """Return RFC 3339 UTC text, whole seconds, of UTC milliseconds."""
    return datetime.fromtimestamp(utc_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
