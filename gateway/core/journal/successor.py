"""A new journal beside an old one of the same cabinet, in the same directory.

In this file: what recovery would have found had nothing of the old one been there, but for
names and boots, which are not used twice.  The old files are left alone; a higher boot makes
the new journal the one that the next start finds.
"""

from gateway.core.evidence import chain
from gateway.core.journal import tail
from gateway.core.journal.cursor import Cursor
from gateway.core.journal.journal import Journal
from gateway.core.journal.recovery import Recovered
from gateway.core.journal.segment import SealedMark
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.core.journal.batch_files import Batches
    from gateway.core.journal.frame_search import Declared
    from gateway.core.journal.journal import JournalOpening
    from gateway.core.types import FileStore


def open_successor(old: Journal, opening: "JournalOpening", events: "list[Declared]",
                   batches: "Callable[[FileStore, bytes, Iterable[str]], Batches]",
                   segment_bytes: int) -> Journal:
    """Return an empty Journal with a random id; nothing is written yet.  Raises StoreError.

    old: the Journal that ends.  events: list of (kind, body) to declare first.  batches,
    segment_bytes: as for Journal.open.
    """
    store, journal_id = old.batches.store, opening.random16()
    names = sorted(store.list())
    writer = tail.Tail(store, (opening.cabinet, journal_id), 0, segment_bytes)
    for name in names:
        if tail.is_segment_file(name):
            writer.reserve(name)
    found = Recovered(
        journal_id=journal_id, boot=old.boot, last_seq=0,
        sealed=SealedMark(0, 0, chain.start(opening.cabinet, journal_id)), config_hash=None,
        clean=True, pieces=[], mark=None, cursor=Cursor(store, names),
        batches=batches(store, journal_id, names), tail=writer, unconfirmed=None, events=events)
    return Journal(opening, found)
