"""Readings, scans and the schema that gives their numbers a place and a unit.

A scan is what one device said in one poll.  Its values stand by position; the schema says
which measurand, exponent and item each position is.  A value is a whole number of
10**exponent units, or an Absent with the reason why there is none: missing is never zero.
"""

from gateway.core.types import TYPE_CHECKING, NamedTuple

# Why a point has no value.  Codes stand in signed batches and are never reused.
NO_REPLY = 1            # nothing came in time
BAD_FRAME = 2           # something came that is not the answer
REFUSED = 3             # the device answered with an exception
NOT_IMPLEMENTED = 4     # the device's own marker for "no such value"
OUT_OF_RANGE = 5        # decoded, but outside what the point can be
NOT_ASKED = 6           # the unit is dead and being probed rarely, or the point is off
ASLEEP = 7              # known to be off at this time (inverter at night)
NOT_KEPT = 8            # was there, and made room on a full flash (evidence/downsampled.py)

REASON_NAMES = {
    NO_REPLY: "no-reply",
    BAD_FRAME: "bad-frame",
    REFUSED: "refused",
    NOT_IMPLEMENTED: "not-implemented",
    OUT_OF_RANGE: "out-of-range",
    NOT_ASKED: "not-asked",
    ASLEEP: "asleep",
    NOT_KEPT: "not-kept",
}

# A point without a value.
Absent = NamedTuple("Absent", [("reason", int)])

# Where a value sits in a scan: measurand id, exponent of its numbers, item inside the
# device ("" = the device itself, else a workload or a module by name).
Point = NamedTuple("Point", [("measurand", int), ("exponent", int), ("item", str)])

# One device's place in the schema.  points: tuple of Point.
Stream = NamedTuple("Stream", [("device", str), ("points", "tuple[Point, ...]")])

if TYPE_CHECKING:
    # A value of a scan, those of one scan, and what all devices of a cabinet say.
    Value = int | Absent
    Values = tuple[Value, ...]
    Schema = tuple[Stream, ...]

# A measurand at a place of a site, for people and reports.
Channel = NamedTuple("Channel", [("device", str), ("item", str), ("measurand", int)])

# One poll of one device.  stream: index into the schema.  ticks_ms: monotonic milliseconds
# since the gateway's start, taken when the reply began to arrive.  values: tuple of int or
# Absent, as long as the stream's points.
Scan = NamedTuple("Scan", [("stream", int), ("ticks_ms", int), ("values", "Values")])

BUILD_FLOOR_MS = 1767225600000      # 2026-01-01T00:00:00Z: a clock before that was never set

# Clock sources, worst first.  UTC = anchor_utc_ms + (ticks_ms - anchor_ticks_ms), true within
# uncertainty_ms.  With source UNKNOWN the UTC of a record is not known (yet).
CLOCK_UNKNOWN, CLOCK_RTC, CLOCK_DEVICE, CLOCK_NTP, CLOCK_GNSS, CLOCK_SIMULATED = 0, 1, 2, 3, 4, 9
ClockState = NamedTuple("ClockState", [
    ("source", int), ("anchor_ticks_ms", int), ("anchor_utc_ms", int), ("uncertainty_ms", int)])


def utc_ms(clock: ClockState, ticks_ms: int) -> int | None:
    """Return the UTC milliseconds of a tick, or None while the clock is unknown."""
    if clock.source == CLOCK_UNKNOWN:
        return None
    return clock.anchor_utc_ms + ticks_ms - clock.anchor_ticks_ms
