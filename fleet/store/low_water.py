"""How far a journal is stored without a hole: the rule behind every receipt.  Pure."""

from collections.abc import Callable
from typing import NamedTuple

from fleet.formats.values import Neighbour
from gateway.core.evidence import chain


class Mark(NamedTuple):
    """The last batch before the first hole of a journal.

    low_water: its last sequence.  link: its chain value, 32 bytes.  number: of the batch.
    """

    low_water: int
    link: bytes
    number: int


def beginning(device: str, journal: bytes) -> Mark:
    """Return the mark of a journal of which nothing is stored."""
    return Mark(0, chain.start(device, journal), 0)


def advanced(mark: Mark, stored: Callable[[int], Neighbour | None],
             lost_until: Callable[[int], int]) -> Mark:
    """Return the mark moved over every batch that follows by number and link.

    stored: number -> the batch that is stored under it, or None.  lost_until: number -> the last
    of the batches from it on that the cabinet itself has declared lost and that are not stored,
    0 if it is none of them.  A hole in the sequence is no hole in the chain, so it is passed; so
    are lost batches, once the batch after them is stored.
    """
    number, lost = mark.number + 1, False
    while True:
        batch = stored(number)
        if batch is not None and (lost or batch.prev == mark.link):
            mark, lost = Mark(batch.last_seq, batch.link, number), False
            number += 1
            continue
        last = lost_until(number) if batch is None else 0
        if last < number:
            return mark
        lost, number = True, last + 1
