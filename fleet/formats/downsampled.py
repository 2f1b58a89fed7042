"""What a coarsened batch is to the fleet: several positions of a journal in one message.  Pure.

A full gateway made its oldest unacknowledged batches coarser (docs/formats.md section 13).  The
message names each of them by number, sequences and chain value, so each is compared with what
is held as if it had come itself: one that is held already is a duplicate and is not booked
again, another chain value is a fork.
"""

from collections.abc import Iterable

from fleet.formats.values import BatchPosition, Opened
from gateway.core.evidence import downsampled


def positions(opened: Opened) -> list[Opened]:
    """Return an Opened for each position that a batch takes: itself, or one for each batch that
    a coarsened one stands for, with its own number, sequences, predecessor and chain value."""
    batch = opened.batch
    if not isinstance(batch, downsampled.Coarse):
        return [opened]
    found, prev = [], batch.prev
    for one in batch.replaced:
        found.append(opened._replace(link=one.link, batch=BatchPosition(
            batch.device, batch.journal_id, one.number, batch.boot, one.first_seq, one.last_seq,
            prev, batch.config_hash, batch.clock)))
        prev = one.link
    return found


def only(opened: Opened, numbers: Iterable[int]) -> Opened:
    """Return a coarsened batch with the records and cells of some of its positions only: those
    that are booked from it, the others came whole."""
    batch, wanted = opened.batch, set(numbers)
    if not isinstance(batch, downsampled.Coarse):
        return opened
    spans = [one for one in batch.replaced if one.number in wanted]
    records = tuple(item for item in opened.records
                    if any(one.first_seq <= item.seq <= one.last_seq for one in spans))
    cells = tuple(cell for cell in opened.cells or ()
                  if batch.replaced[cell.place].number in wanted)
    return opened._replace(records=records, cells=cells)


def describe(batch: downsampled.Coarse) -> str:
    """Return what a person should know of a coarsened batch."""
    return (f"records {batch.first_seq}..{batch.last_seq}: the gateway's flash was full; kept: "
            f"{downsampled.RULE_NAMES[batch.rule]}")
