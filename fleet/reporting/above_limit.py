"""Energy that a counter shows and that is not counted: steps above what rated_w allows.  Pure.

The rule of docs/accounting.md section 3 claims nothing in a quarter hour with a step that rated
power does not explain.  Whoever reads the report must be told: which meter, how much, which limit.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from fleet.formats.values import BatchClock
from fleet.reporting import text
from fleet.reporting.content import MeterRow
from fleet.texts import say
from gateway.core import counter, interval

QUARTERS_MAX = interval.SPREAD_MS_MAX // interval.QUARTER_MS


class DatedReading(Protocol):
    """A reading of a run, with what its configuration and batch say."""

    @property
    def utc_ms(self) -> int:
        """When."""

    @property
    def value(self) -> int:
        """Counts."""

    @property
    def clock(self) -> BatchClock:
        """Of its batch."""

    @property
    def rules(self) -> interval.CounterRules:
        """Of its configuration."""

    @property
    def broken(self) -> bool:
        """Whether an impossible step lies in its part."""


class SetAside(NamedTuple):
    """counts: about so many that are not counted in a period; quarters: hours of 15 minutes."""

    counts: float
    quarters: int


def of_run(points: Sequence[DatedReading], period: tuple[int, int]) -> SetAside:
    """Return what is set aside of a run's readings, in their order, in [from_ms, to_ms)."""
    steps = [(a, b) for a, b in pairwise(points) if b.utc_ms > a.utc_ms and b.value >= a.value]
    touched = set[int]()
    for a, b in steps:
        if _is_above(a, b):
            touched |= set(_quarters(a.utc_ms, b.utc_ms))
    inside = {start for start in touched if period[0] <= start < period[1]}
    counts = sum((b.value - a.value) * _share(a.utc_ms, b.utc_ms, inside) for a, b in steps)
    return SetAside(counts, len(inside))


def _is_above(a: DatedReading, b: DatedReading) -> bool:
    if b.value == a.value:
        return False
    if a.broken and b.broken and interval.quarter(a.utc_ms) == interval.quarter(b.utc_ms):
        return True
    return interval.step(b.rules, (a.utc_ms, a.value), (b.utc_ms, b.value))[0] == counter.JUMP


def _quarters(from_ms: int, to_ms: int) -> range:
    """Return the starts of the quarter hours that a step touches; of a very long one its first."""
    start, end = interval.quarter(from_ms), interval.quarter(to_ms)
    most = min(end - start, QUARTERS_MAX * interval.QUARTER_MS)
    # A reading on a boundary begins the later quarter hour, and the step ends before it.
    return range(start, start + max(most, interval.QUARTER_MS) + (
        interval.QUARTER_MS if to_ms > end > start else 0), interval.QUARTER_MS)


def _share(from_ms: int, to_ms: int, quarters: set[int]) -> float:
    """Return which part of a step lies in these quarter hours."""
    held = sum(min(to_ms, start + interval.QUARTER_MS) - max(from_ms, start)
               for start in _quarters(from_ms, to_ms) if start in quarters)
    return held / (to_ms - from_ms)


def notes(rows: Iterable[MeterRow]) -> list[str]:
    """Return a sentence for each meter of which something is set aside."""
    return [say("above_limit.note", device=row["device"], register=row["measurand"],
                energy=text.energy(row["set_aside_wh"]), limit=limit(row))
            for row in rows if row["set_aside_wh"]]


def limit(row: MeterRow) -> str:
    """Return the limit of a meter in words."""
    rated = row["rated_w"]
    return say("above_limit.rated", rated=text.figure(rated, 0, "W")) if rated else say(
        "above_limit.unknown")
