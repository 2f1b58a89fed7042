"""Readings of a counter, as a report's run has them."""

from types import SimpleNamespace

from tests.fleet.maker import ORIGIN_MS


def points(steps, rules):
    """Return points of (seconds since the origin, counts), none of them in a broken part."""
    return [SimpleNamespace(utc_ms=ORIGIN_MS + at * 1000, value=value, clock=None, rules=rules,
                            broken=False) for at, value in steps]
