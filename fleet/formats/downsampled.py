"""What a downsampled batch is to the fleet: several positions of a journal in one message.  Pure.

A full gateway made its oldest unacknowledged batches coarser (docs/formats.md section 13).  The
message names each of them by number, sequences and chain value, so each is compared with what
is held as if it had come itself: one that is held already is a duplicate and is not booked
again, another chain value is a fork.
"""

from collections.abc import Iterable

from fleet.formats.values import BatchPosition, OpenedBatch
from gateway.core.evidence import downsampled


def positions(opened: OpenedBatch) -> list[OpenedBatch]:
    """Return an OpenedBatch for each position that a batch takes: itself, or one for each batch
    that a downsampled one stands for, with its own number, sequences, predecessor and chain value.
    """
    batch = opened.batch
    if not isinstance(batch, downsampled.DownsampledBatch):
        return [opened]
    found, prev = [], batch.prev
    for one in batch.replaced:
        found.append(opened._replace(chain_hash=one.chain_hash, batch=BatchPosition(
            batch.cabinet, batch.journal_id, one.number, batch.boot, one.first_seq, one.last_seq,
            prev, batch.config_hash, batch.clock)))
        prev = one.chain_hash
    return found


def only(opened: OpenedBatch, numbers: Iterable[int]) -> OpenedBatch:
    """Return a downsampled batch with the records and cells of some of its positions only: those
    that are booked from it, the others came whole."""
    batch, wanted = opened.batch, set(numbers)
    if not isinstance(batch, downsampled.DownsampledBatch):
        return opened
    spans = [one for one in batch.replaced if one.number in wanted]
    records = tuple(item for item in opened.records
                    if any(one.first_seq <= item.seq <= one.last_seq for one in spans))
    cells = tuple(cell for cell in opened.cells or ()
                  if batch.replaced[cell.position].number in wanted)
    return opened._replace(records=records, cells=cells)


def describe(batch: downsampled.DownsampledBatch) -> str:
    """Return what a person should know of a downsampled batch."""
    return (f"records {batch.first_seq}..{batch.last_seq}: the gateway's flash was full; kept: "
            f"{downsampled.RULE_NAMES[batch.rule]}")
