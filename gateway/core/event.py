"""Events as values: what is to be written beside the scans, and what became of the journal.

In this file: types only.  A journal's owner (gateway/storage/writer.py) takes an Event and gives
Committed, Sealed and JournalBegun to those who subscribed to it.
"""

from collections import namedtuple

# Something to be written beside the scans.  kind: record.BOOT, GAP, ...  body: list of CBOR values.
Event = namedtuple("Event", ("ticks_ms", "kind", "body"))

# A commit.  durable_seq: up to here nothing can be lost.  scans: that became durable, oldest
# first; none if flash refused a part, for then they follow with a later commit.
Committed = namedtuple("Committed", ("durable_seq", "scans"))

# A batch that is durable; it may be sent.
Sealed = namedtuple("Sealed", ("number",))

# The journal ended and another one began: whatever was known of batches belongs to the old one.
JournalBegun = namedtuple("JournalBegun", ("journal_id",))
