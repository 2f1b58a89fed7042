"""In which order readings of a counter were made that stand in several boots and journals.  Pure.

Within a boot the gateway's ticks say it, between boots the time of the first reading.  Where the
readings of another journal count in between, a boot goes on behind them.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

Boot = tuple[bytes, int]        # journal id, number
BEFORE_ALL_MS = -1 << 63


class MadeReading(NamedTuple):
    """When a reading (or what lies between two) was made: ticks of its boot, and UTC."""

    boot: Boot
    ticks_ms: int
    first_ms: int
    last_ms: int


class _Pieces(NamedTuple):
    """Where the pieces of a boot begin, in ticks, and the time of the first reading of each."""

    ticks_ms: list[int]
    since_ms: list[int]


class BootOrder:
    """The order of boots among each other, those divided that another journal interrupts."""

    def __init__(self, readings: Iterable[MadeReading]) -> None:
        boots: dict[Boot, list[MadeReading]] = defaultdict(list)
        times: dict[bytes, list[int]] = defaultdict(list)
        for one in readings:
            boots[one.boot].append(one)
            times[one.boot[0]].append(one.first_ms)
        for rows in times.values():
            rows.sort()
        self._pieces = {boot: _divided(sorted(made, key=lambda one: one.ticks_ms), [
            rows for journal, rows in times.items() if journal != boot[0]])
                        for boot, made in boots.items()}

    def add(self, boot: Boot, utc_ms: int) -> None:
        """Enter a boot that may have no reading."""
        self._pieces.setdefault(boot, _Pieces([BEFORE_ALL_MS], [utc_ms]))

    def position(self, boot: Boot, ticks_ms: int) -> tuple[int, Boot, int]:
        """Return what a moment of a boot is sorted by."""
        pieces = self._pieces[boot]
        return (pieces.since_ms[bisect_right(pieces.ticks_ms, ticks_ms) - 1], boot, ticks_ms)


def _divided(made: list[MadeReading], others: list[list[int]]) -> _Pieces:
    """Return the pieces of a boot; others: the times (rising) of each other journal."""
    found = _Pieces([BEFORE_ALL_MS], [made[0].first_ms])
    for before, after in pairwise(made):
        if before.last_ms < after.first_ms and any(
                bisect_left(rows, after.first_ms) > bisect_right(rows, before.last_ms)
                for rows in others):
            found.ticks_ms.append(after.ticks_ms)
            found.since_ms.append(after.first_ms)
        found.since_ms[-1] = min(found.since_ms[-1], after.first_ms)
    return found
