"""A counter's readings at given moments, by the product's own interpolation; portable.

    resample([(0, 10), (60, 22)], [30])     [16000], in 1/1000 counts
"""

from gateway.core.counter import MILLI, interpolate


def resample(readings, boundaries):
    """Return the reading at each boundary, in 1/1000 counts, by linear interpolation.

    readings: list of (time, value), times rising, values unwrapped.  boundaries: rising
    times.  A boundary outside the readings gives None: nothing is extrapolated.
    """
    values, place = [], 0
    for at in boundaries:
        while place + 2 < len(readings) and readings[place + 1][0] < at:
            place += 1
        values.append(_between(readings, place, at))
    return values


def _between(readings, place, at):
    if not readings or not readings[0][0] <= at <= readings[-1][0]:
        return None
    if len(readings) == 1:
        return readings[0][1] * MILLI
    return interpolate(readings[place], readings[place + 1], at)
