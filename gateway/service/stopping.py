"""What a gateway says when it has stopped: whether anything is lost, and what the fleet has."""

from typing import NamedTuple

from gateway.core.journal.journal import Journal


class Stopped(NamedTuple):
    """The end of a run.  lost: records that were only in memory, or dropped and not declared.
    missing: durable records without a receipt.  batches: that wait.  reason: what flash refused."""

    lost: int
    missing: int
    batches: int
    reason: str


def ended(journal: Journal, acknowledged_seq: int, batches: int) -> Stopped:
    """Return how a run ended.  acknowledged_seq: of the fleet's newest receipt; batches: that
    wait.  An empty queue says nothing: what could not be written is in no batch."""
    durable_seq = max(journal.durable_seq, journal.recovered_seq)
    return Stopped(journal.unwritten, max(durable_seq - acknowledged_seq, 0), batches,
                   journal.reason)


def text(stopped: Stopped) -> str:
    """Return the last line of a run."""
    if stopped.lost:
        return (f"stopped; {stopped.lost} records are lost: flash did not take them "
                f"({stopped.reason}); next: python -m gateway check cabinet.toml says what the "
                f"journal's folder needs")
    if stopped.missing:
        return (f"stopped; {stopped.missing} records wait on flash for the next start, "
                f"{stopped.batches} batches of them sealed")
    return "stopped; the fleet has everything"
