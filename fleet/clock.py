"""The room's only door to time: stamps of arrival, ages and time-outs.

Evidence is never dated here: a record's time comes with it.  These times only say when
something reached the fleet, and how long ago that was.
"""

import datetime
import time


def utc_ms() -> int:
    """Return the fleet machine's UTC in milliseconds."""
    return int(time.time() * 1000)


def monotonic_s() -> float:
    """Return seconds that never go back, for ages and pauses."""
    return time.monotonic()


def now() -> datetime.datetime:
    """Return the fleet machine's UTC, aware."""
    return datetime.datetime.now(datetime.UTC)
