"""In which order readings of a counter were made that stand in several boots and journals.  Pure.

Within a boot the gateway's ticks say it, between boots the time of the first reading.  Where the
readings of another journal count in between, a boot goes on behind them.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


class BatchPosition(NamedTuple):
    """What orders an item: boot (journal, number), then ticks (ms, and what breaks a tie);
    first_ms, last_ms: UTC."""

    boot: tuple[bytes, int]
    ticks: tuple[int, int]
    first_ms: int
    last_ms: int


def in_order(items: Iterable[Item], position: Callable[[Item], BatchPosition]) -> list[Item]:
    """Return items in the order in which they were read."""
    boots: dict[tuple[bytes, int], list[tuple[BatchPosition, Item]]] = defaultdict(list)
    for item in items:
        own = position(item)
        boots[own.boot].append((own, item))
    for held in boots.values():
        held.sort(key=lambda one: one[0].ticks)
    times: dict[bytes, list[int]] = defaultdict(list)
    for (journal, _), held in boots.items():
        times[journal] += [own.first_ms for own, _ in held]
    pieces = list(boots.values())
    if len(times) > 1:
        for found in times.values():
            found.sort()
        pieces = [piece for held in pieces for piece in _pieces(held, times)]
    pieces.sort(key=lambda piece: (min(own.first_ms for own, _ in piece), piece[0][0].boot))
    return [item for piece in pieces for _, item in piece]


def _pieces(held: list[tuple[BatchPosition, Item]],
            times: dict[bytes, list[int]]) -> list[list[tuple[BatchPosition, Item]]]:
    """Return a boot's items, divided where another journal has any in between."""
    found = [held[:1]]
    for before, after in zip(held, held[1:], strict=False):
        low, high = before[0].last_ms, after[0].first_ms
        others = (rows for journal, rows in times.items() if journal != after[0].boot[0])
        if low < high and any(bisect_left(rows, high) > bisect_right(rows, low)
                              for rows in others):
            found.append([])
        found[-1].append(after)
    return found
