"""What a journal directory says after a start: which records are there, what was lost.

In this file: slots, cursor and batches of one directory to one Recovered.  It only reads.
Whatever is broken, it lets the journal run: what cannot be read is declared and left in place.
What is whole and only refused now (policy.START) is waited for: `JournalUnreadable`.  Not here:
frames (frame_search.py) and what goes on from there (journal.py).

A valid batch wins: tail records up to its last sequence are dropped.  What can be read need
not be on the medium: after a failed sync the kernel calls lost pages clean, and the process
that knew of it may be dead.  So nothing found counts as durable until it was written again,
but for a batch that a later write (cursor or segment header) names.
"""


from gateway.core.codec import record
from gateway.core.errors import JournalUnreadable, StoreError, WattproofError
from gateway.core.evidence import batch, chain
from gateway.core.journal import cursor, policy, segment, tail
from gateway.core.journal.batch_files import TRAILER_BYTES, Batches, parse_name, prefix_of
from gateway.core.journal.frame_search import SKIP, Search
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.core.journal.frame_search import Declared, Piece, SegmentFile
    from gateway.core.types import FileStore

# A sealed batch whose file may not be durable.  chain_hash: chain value after it.  data: its bytes.
UnconfirmedBatch = NamedTuple("UnconfirmedBatch", [
    ("number", int), ("first_seq", int), ("last_seq", int), ("chain_hash", bytes), ("data", bytes)])

# boot: highest ever seen.  sealed: segment.SealedMark.  config_hash: of the newest stored
# records, None if none.  clean: the newest record is a STOP.  unconfirmed: the last batch if
# nothing else says that it was durable.  events: (kind, body) to append.
Recovered = NamedTuple("Recovered", [
    ("journal_id", bytes), ("boot", int), ("last_seq", int), ("sealed", "segment.SealedMark"),
    ("config_hash", "bytes | None"), ("clean", bool), ("pieces", "list[Piece]"),
    ("mark", "cursor.Mark | None"), ("cursor", "cursor.Cursor"), ("batches", Batches),
    ("tail", "tail.Tail"), ("unconfirmed", "UnconfirmedBatch | None"),
    ("events", "list[Declared]")])



def recover(
        store: "FileStore",
        cabinet: str,
        new_journal_id: "Callable[[], bytes]",
        segment_bytes: int,
        batch_files: "Callable[[FileStore, bytes, Iterable[str]], Batches]" = Batches,
) -> Recovered:
    """Return the Recovered of a store.  Raises StoreError if it cannot even be listed,
    JournalUnreadable if files of it have to be waited for.

    new_journal_id: callable for 16 random bytes, used if there is no journal of the cabinet.
    batch_files: journal_batches.Batches or its heir.
    """
    names = store.list()
    search, marks = Search(store), cursor.Cursor(store, names)
    segment_files = search.segment_files(names)
    chosen = _choose(search, cabinet, segment_files, names)
    if chosen is None:
        _wait_or_go_on(search.refusals + [(one.errno, str(one)) for one in marks.failed], False)
    journal_id = chosen or new_journal_id()
    mine = [segment_file for segment_file in segment_files
            if _is_mine(segment_file, cabinet, journal_id)]
    batches = batch_files(store, journal_id, names)
    mark = marks.best(journal_id)
    known = _known(mine, mark, cabinet, journal_id)
    sealed, unconfirmed = _sealed(search, batches, known)
    if chosen is not None:
        _wait_or_go_on(search.refusals, True)
    writer = _writer(store, (cabinet, journal_id), segment_files, mine, segment_bytes)
    expected = (unconfirmed.last_seq if unconfirmed else sealed.last_seq) + 1
    for segment_file in mine:
        expected = search.accept(segment_file, expected)
    expected = search.headless(segment_files, journal_id, writer.generation, expected)
    newest = max(expected - 1, mark.seq if mark else 0)
    clean = newest == 0 and not mine or search.newest == (newest, True)
    if search.torn and not clean:
        search.events.append((record.TORN, search.torn))
    _note_foreign(search, segment_files, names, cabinet, journal_id)
    for name in names:
        if tail.is_segment_file(name):
            writer.reserve(name)
    for segment_file in segment_files:
        if segment_file.name not in search.quarantine and (segment_file in mine
                                                           or segment_file.header is None):
            _adopt(writer, segment_file, search, record.SEQ_MAX if unconfirmed else sealed.last_seq)
    return Recovered(
        journal_id, max(search.boot, mark.boot if mark else 0), newest + search.skip, sealed,
        search.config_hash, clean, search.pieces, mark, marks, batches, writer, unconfirmed,
        search.events)


def _is_mine(segment_file: "SegmentFile", cabinet: str, journal_id: bytes) -> bool | None:
    header: segment.Header | None = segment_file.header
    return header and header.cabinet == cabinet and header.journal_id == journal_id


def _wait_or_go_on(refusals: "list[tuple[int, str]]", known: bool) -> None:
    """Raise JournalUnreadable if a start has to wait for a file.  known: the journal's id is."""
    if policy.start_step(known, [errno for errno, _ in refusals]) != policy.WAIT:
        return
    whole = [one for one in refusals if one[0] in policy.WHOLE] or refusals
    raise JournalUnreadable(whole[0][1], whole[0][0])


def _choose(search: Search, cabinet: str, segment_files: "list[SegmentFile]",
            names: "Iterable[str]") -> bytes | None:
    """Return the id of the cabinet's newest journal here, or None."""
    known: list[tuple[int, int, bytes]]
    known = [(segment_file.header.context.boot, segment_file.header.generation,
              segment_file.header.journal_id)
             for segment_file in segment_files if segment_file.header
             and segment_file.header.cabinet == cabinet]
    if known:
        return max(known)[2]
    for name in reversed(sorted(names)):    # every segment is gone: ask the batches
        if parse_name(name):
            journal_id = _id_of_batch(search, name, cabinet)
            if journal_id:
                return journal_id
            if search.refusals and search.refusals[-1][0] in policy.WHOLE:
                break                   # the start waits for it; thousands of others are no news
    return None


def _id_of_batch(search: Search, name: str, cabinet: str) -> bytes | None:
    try:
        data = search.store.read(name, 0, search.store.size(name))
        content = batch.open_sealed(data[:-TRAILER_BYTES])[1]
    except StoreError as error:
        search.note(name, error)
        return None
    except WattproofError:
        return None
    return content.journal_id if content.cabinet == cabinet else None


def _known(mine: "list[SegmentFile]", mark: cursor.Mark | None, cabinet: str,
           journal_id: bytes) -> segment.SealedMark:
    """Return the newest Sealed that segment headers and the cursor agree was durable."""
    best = segment.SealedMark(0, 0, chain.start(cabinet, journal_id))
    if mark and mark.number > best.number:
        best = segment.SealedMark(mark.number, mark.sealed_seq, mark.chain)
    for segment_file in mine:
        if segment_file.header.sealed.number > best.number:
            best = segment_file.header.sealed
    return best


def _sealed(search: Search, batches: Batches,
            best: segment.SealedMark) -> tuple[segment.SealedMark, UnconfirmedBatch | None]:
    """Return (what is sealed, the last batch as an UnconfirmedBatch if only its file speaks for
    it).

    best: the Sealed that is known without the batch files.
    """
    whole = batches.last_whole(best.number)
    for number, error in batches.failures:
        if isinstance(error, StoreError):
            search.note("batch %d" % number, error)
            if number > best.number:
                search.skip += SKIP     # its records should stand in the tail, too: be sure
    if whole is None:
        if best.number:
            search.events.append((record.ALARM, ["batch-missing", "batch %d, up to sequence %d"
                                                 % (best.number, best.last_seq)]))
        return best, None
    number, content, chain_hash, data = whole
    search.boot = max(search.boot, content.boot)
    search.config_hash = content.config_hash
    if number == best.number:
        return segment.SealedMark(number, content.last_seq, chain_hash), None
    batches.doubt(number)
    unconfirmed = UnconfirmedBatch(number, content.first_seq, content.last_seq, chain_hash, data)
    return segment.SealedMark(number - 1, content.first_seq - 1, content.prev), unconfirmed


def _note_foreign(search: Search, segment_files: "list[SegmentFile]", names: "Iterable[str]",
                  cabinet: str, journal_id: bytes) -> None:
    """Declare files of another journal: they are left alone, never mixed in."""
    foreign = [segment_file.name for segment_file in segment_files
               if segment_file.header and not _is_mine(segment_file, cabinet, journal_id)]
    for name in names:
        parts = parse_name(name)
        if parts and parts[0] != prefix_of(journal_id):
            foreign.append(name)
    if foreign:
        text = "%d files: %s" % (len(foreign), " ".join(foreign[:8]))
        search.events.append((record.ALARM, ["foreign-journal", text]))


def _writer(store: "FileStore", identity: tuple[str, bytes], segment_files: "list[SegmentFile]",
            mine: "list[SegmentFile]", segment_bytes: int) -> tail.Tail:
    """Return the Tail; a slot whose header is lost may have used one generation more."""
    highest = max([segment_file.header.generation for segment_file in mine] + [0])
    unknown = len([segment_file for segment_file in segment_files if segment_file.header is None])
    return tail.Tail(store, identity, highest + unknown, segment_bytes)


def _adopt(writer: tail.Tail, segment_file: "SegmentFile", search: Search, sealed_seq: int) -> None:
    """Hand a slot to the writer: held if anything in it is not sealed, free otherwise.

    A frame that an older segment says, too, counts: either copy may be the durable one.
    sealed_seq: SEQ_MAX while the last batch is not durable; then every slot is held.
    """
    last_seq = search.last_in.get(segment_file.name, 0)
    if sealed_seq == record.SEQ_MAX and segment_file.header is not None:
        writer.adopt(segment_file.name, segment_file.size, max(last_seq, 1))
    else:
        writer.adopt(segment_file.name, segment_file.size, last_seq if last_seq > sealed_seq else 0)
