"""How far a journal is stored without a hole: the rule behind every receipt.  Pure."""

from collections.abc import Callable
from typing import NamedTuple

from fleet.formats.values import Neighbour
from gateway.core.evidence import chain


class LowWaterMark(NamedTuple):
    """The last batch before the first hole of a journal.

    low_water: its last sequence.  chain_hash: its chain value, 32 bytes.  number: of the batch.
    """

    low_water: int
    chain_hash: bytes
    number: int


def beginning(cabinet: str, journal: bytes) -> LowWaterMark:
    """Return the mark of a journal of which nothing is stored."""
    return LowWaterMark(0, chain.start(cabinet, journal), 0)


def advanced(mark: LowWaterMark, stored: Callable[[int], Neighbour | None],
             lost_until: Callable[[int], int]) -> LowWaterMark:
    """Return the mark moved over every batch that follows by number and link.

    stored: number -> the batch that is stored under it, or None.  lost_until: number -> the last
    of the batches from it on that the cabinet itself has declared lost and that are not stored,
    0 if it is none of them.  A hole in the sequence is no hole in the chain, so it is passed; so
    are lost batches, once the batch after them is stored.
    """
    number, lost = mark.number + 1, False
    while True:
        batch = stored(number)
        if batch is not None and (lost or batch.prev == mark.chain_hash):
            mark, lost = LowWaterMark(batch.last_seq, batch.chain_hash, number), False
            number += 1
            continue
        last = lost_until(number) if batch is None else 0
        if last < number:
            return mark
        lost, number = True, last + 1
