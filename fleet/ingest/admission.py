"""Is this batch welcome?  Pure: an opened batch and what is held give the verdict.

The order does not matter: a batch whose predecessor is not here yet is admitted and waits for it
(the low-water mark of receipts does not pass a missing batch).  A hole in the sequence that
the chain itself passes over is admitted and named: nothing was ever sealed there.  What can
never be true twice is refused: another content under a number or sequence that is held, a
link that does not fit its neighbour.  Nothing refused is booked.
"""

from fleet.formats.values import OpenedBatch, StoredAround
from gateway.core.errors import BrokenChain, Replayed
from gateway.core.evidence import chain

ADMIT, DUPLICATE = "admit", "duplicate"


def judge(opened: OpenedBatch, held: StoredAround) -> str:
    """Return ADMIT or DUPLICATE for an opened batch given what is held around it.

    Raises Replayed for a fork (same place, other content), BrokenChain for a wrong link.
    """
    batch = opened.batch
    name = f"{batch.cabinet}, batch {batch.number}"
    if held.same is not None:
        if held.same.chain_hash == opened.chain_hash:
            return DUPLICATE
        raise Replayed(f"{name}: another content is held under this number; a clone or a "
                       "restored board signs with this key")
    if held.overlap is not None:
        raise Replayed(f"{name}: records {batch.first_seq}..{batch.last_seq} are held "
                       f"already in batch {held.overlap.number}")
    _check_chain_hashes(opened, held, name)
    return ADMIT


def _check_chain_hashes(opened: OpenedBatch, held: StoredAround, name: str) -> None:
    batch, before, after = opened.batch, held.before, held.after
    if 1 in (batch.first_seq, batch.number) and batch.prev != chain.start(
            batch.cabinet, batch.journal_id):
        raise BrokenChain(f"{name}: begins a journal but does not name the journal's start")
    if before is not None:
        if before.chain_hash != batch.prev:
            raise BrokenChain(f"{name}: names another predecessor than batch {before.number}")
        if before.last_seq >= batch.first_seq:
            raise BrokenChain(f"{name}: begins at {batch.first_seq}, batch {before.number} "
                              f"ends at {before.last_seq}")
    if after is not None:
        if after.prev != opened.chain_hash:
            raise BrokenChain(f"{name}: is not the predecessor that batch {after.number} names")
        if batch.last_seq >= after.first_seq:
            raise BrokenChain(f"{name}: ends at {batch.last_seq}, batch {after.number} "
                              f"begins at {after.first_seq}")


def holes(opened: OpenedBatch, held: StoredAround) -> list[tuple[int, int]]:
    """Return the (first, last) records that a batch and its neighbours in the chain leave
    out: the cabinet has signed that it never sealed them."""
    batch, found = opened.batch, []
    ends = held.before.last_seq if held.before else 0 if batch.number == 1 else None
    if ends is not None and ends + 1 < batch.first_seq:
        found.append((ends + 1, batch.first_seq - 1))
    if held.after is not None and batch.last_seq + 1 < held.after.first_seq:
        found.append((batch.last_seq + 1, held.after.first_seq - 1))
    return found
