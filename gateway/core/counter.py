"""Cumulative counters: how far a register advanced, and what it read in between.

One rule decides between a rollover, a reset and a jump: energy above rated power x time x
1.05 is not claimed (docs/accounting.md section 3).  All numbers are whole; a count is one step
of the register.  Values between two readings are given in 1/1000 of a count.
"""

OK, ROLLOVER, RESET, JUMP = "ok", "rollover", "reset", "jump"

MARGIN_PERCENT = 105        # rated power may be passed by 5 %: the only bound there is
MILLI = 1000
HOUR_MS = 3600000


def counts_per_hour(rated_w: int, step_mwh: int) -> int:
    """Return how many counts a meter makes in an hour at rated power, rounded up.

    step_mwh: worth of one count in milli-watt-hours (1 Wh = 1000), CT ratio included.
    """
    return -(-rated_w * MILLI // step_mwh)


def limit_counts(rate_per_hour: int, dt_ms: int) -> int:
    """Return the most counts that dt_ms allow: rated rate x time x 1.05, rounded down."""
    return rate_per_hour * dt_ms * MARGIN_PERCENT // (100 * HOUR_MS)


def difference(prev: int, cur: int, modulus: int, limit: int) -> tuple[str, int | None]:
    """Return (status, counts): how far the register went from prev to cur.

    prev, cur: raw readings, 0 <= value < modulus, older first.  limit: most counts the time
    between allows.  counts is None for "reset" and "jump": no energy is claimed then.
    Source: docs/accounting.md section 3.
    """
    if cur >= prev:
        status, counts = OK, cur - prev
    else:
        status, counts = ROLLOVER, cur + modulus - prev
    if counts <= limit:
        return status, counts
    return (JUMP if status == OK else RESET), None


def exact(older: tuple[int, int], newer: tuple[int, int], at: int) -> tuple[int, int]:
    """Return the reading at time `at` as an exact fraction (top, bottom) of a count.

    older, newer: (time, value) with older time < newer time; at: a time from older to newer,
    in the same unit.  newer value must not lie below the older one (unwrap it before).
    """
    t0, r0 = older
    t1, r1 = newer
    return r0 * (t1 - t0) + (r1 - r0) * (at - t0), t1 - t0


def interpolate(older: tuple[int, int], newer: tuple[int, int], at: int) -> int:
    """Return the reading at time `at` in 1/1000 counts, half rounded up (values >= 0)."""
    top, bottom = exact(older, newer, at)
    return (2 * MILLI * top + bottom) // (2 * bottom)
