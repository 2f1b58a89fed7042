"""Events as values: what is to be written beside the scans, and what became of the journal.

In this file: types only.  A journal's owner (gateway/storage/writer.py) takes an Event and gives
Committed, Sealed and JournalBegun to those who subscribed to it.
"""

from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from gateway.core.reading import Scan


# Something to be written beside the scans.  kind: record.BOOT, GAP, ...  body: list of CBOR values.
Event = NamedTuple("Event", [("ticks_ms", int), ("kind", int), ("body", "list[Any]")])

# A commit.  durable_seq: up to here nothing can be lost.  scans: that became durable, oldest
# first; none if flash refused a part, for then they follow with a later commit.
Committed = NamedTuple("Committed", [("durable_seq", int), ("scans", "tuple[Scan, ...]")])

# A batch that is durable; it may be sent.
Sealed = NamedTuple("Sealed", [("number", int)])

# Another journal is in use: a new one, or the one on flash that could not be read before.  Whatever
# was known of batches belongs to the other.  recovered_seq: records of earlier boots that it has.
JournalBegun = NamedTuple("JournalBegun", [("journal_id", bytes), ("recovered_seq", int)])
