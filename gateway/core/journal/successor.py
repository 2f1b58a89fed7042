"""What comes after the journal that is in use: the one on flash, once it can be read, or a new one.

Standby: a journal whose files cannot be read for now.  Records wait in RAM and go into it later.
Of a journal of which nothing is known there is no id, no boot and no number that anybody else may
see: nothing of it is written, sealed or sent.  When the files can be read, its records are appended
to the journal that stands there, under that journal's boot and next numbers.  When a start waits is
decided by policy.START, how often it tries by the caller.

open_beside: a new journal in the same directory, for a fleet that holds other records.  It is what
recovery would have found had nothing of the old one been there, but for names and boots, which are
not used twice.  The old files are left alone; a higher boot makes the new journal the one that the
next start finds.
"""

from gateway.core.errors import StoreError
from gateway.core.evidence import chain
from gateway.core.journal import tail
from gateway.core.journal.cursor import Cursor
from gateway.core.journal.journal import RAM_BYTES, Journal, JournalOpening
from gateway.core.journal.recovery import Recovered
from gateway.core.journal.segment import SealedMark
from gateway.core.journal.tail import SEGMENT_BYTES, Tail
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.core.journal.batch_files import Batches
    from gateway.core.journal.frame_search import Declared
    from gateway.core.types import FileStore


class ClosedStore:
    """A store that cannot be reached: it shows no file and takes none."""

    def __init__(self, error: StoreError) -> None:
        """error: what everything ends with."""
        self.error = error

    def list(self) -> "list[str]":
        """Return no names."""
        return []

    def size(self, name: str) -> int:
        """Raise StoreError."""
        raise self._refusal(name)

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Raise StoreError."""
        raise self._refusal(name)

    def create(self, name: str) -> None:
        """Raise StoreError."""
        raise self._refusal(name)

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Raise StoreError."""
        raise self._refusal(name)

    def sync(self, name: str) -> None:
        """Raise StoreError."""
        raise self._refusal(name)

    def sync_dir(self) -> None:
        """Raise StoreError."""
        raise self._refusal("")

    def remove(self, name: str) -> None:
        """Raise StoreError."""
        raise self._refusal(name)

    def _refusal(self, _name: str) -> StoreError:
        return StoreError(str(self.error), self.error.errno)


class Standby:
    """Opens the journal of one store, now or later."""

    def __init__(self, store: "FileStore", opening: JournalOpening,
                 batches: "Callable[[FileStore, bytes, Iterable[str]], Batches]",
                 segment_bytes: int = SEGMENT_BYTES, ram_bytes: int = RAM_BYTES) -> None:
        """opening: of this start.  batches, segment_bytes, ram_bytes: as for Journal.open."""
        self._store, self._opening, self._batches = store, opening, batches
        self._sizes = segment_bytes, ram_bytes

    def open(self, kind: "type[Journal]" = Journal) -> Journal:
        """Return the journal on the store, or one that waits in RAM until it can be read."""
        try:
            return self._open(kind)
        except StoreError as error:
            return kind(self._opening, self._closed(error), self._sizes[1])

    def configure(self, config_hash: bytes, descriptor: bytes) -> None:
        """Let the journal begin its boot with a descriptor of which more is known by now."""
        old = self._opening
        self._opening = JournalOpening(old.cabinet, old.schema, config_hash, descriptor,
                                       old.software, old.random16, old.clock, old.ticks_ms)

    def go_on(self, waiting: Journal, declare: "Callable[[Journal], None] | None" = None
              ) -> Journal | None:
        """Return the journal on the store with all that waited for it, None if it still cannot be
        read.  waiting: must not be used any more then.  declare: appends what comes before it."""
        try:
            journal = self._open(waiting.__class__)
        except StoreError:
            return None
        if declare is not None:
            declare(journal)
        journal.take_over(waiting.hand_over())
        return journal

    def _open(self, kind: "type[Journal]") -> Journal:
        return kind.open(self._store, self._opening, self._sizes[0], self._sizes[1], self._batches)

    def _closed(self, error: StoreError) -> Recovered:
        """Return the Recovered of a store of which nothing can be known."""
        store, nothing, cabinet = ClosedStore(error), b"", self._opening.cabinet
        return Recovered(
            journal_id=nothing, boot=-1, last_seq=0,
            sealed=SealedMark(0, 0, chain.start(cabinet, nothing)), config_hash=None, clean=True,
            pieces=[], mark=None, cursor=Cursor(store, []),
            batches=self._batches(store, bytes(16), []),
            tail=Tail(store, (cabinet, nothing), 0, self._sizes[0]), unconfirmed=None, events=[])


def open_successor(old: Journal, opening: JournalOpening, events: "list[Declared]",
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
