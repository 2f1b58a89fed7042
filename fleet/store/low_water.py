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
             is_lost: Callable[[int], bool]) -> Mark:
    """Return the mark moved over every batch that follows by number and link.

    stored: number -> the batch that is stored under it, or None.  is_lost: number -> whether
    the device itself has declared that batch lost.  A hole in the sequence is no hole in the
    chain, so it is passed; so is a lost batch, once the batch after it is stored.
    """
    number, lost = mark.number + 1, False
    while True:
        batch = stored(number)
        if batch is not None and (lost or batch.prev == mark.link):
            mark, lost = Mark(batch.last_seq, batch.link, number), False
        elif batch is None and is_lost(number):
            lost = True
        else:
            return mark
        number += 1
