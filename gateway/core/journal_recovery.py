"""What a journal directory says after a start: which records are there, what was lost.

In this file: slots, cursor and batches of one directory to one Recovered.  It reads, and
syncs what it is going to rely on; it never writes, truncates or deletes.  Not here: the
journal that goes on from there (journal.py).

Rules: a valid batch wins and tail records up to its last sequence are dropped; inside a
segment each frame must continue the sequence; a frame that jumps ahead is lost data if its
commit begins behind the jump (an older commit had been synced), and the rest of a torn,
never acknowledged commit otherwise.
"""

from collections import namedtuple

from . import batch, chain, cursor, frame, record, segment, tail
from .errors import StoreError, WattproofError
from .journal_batches import TRAILER_BYTES, Batches, parse_name, prefix_of

READ_TRIES = 3
SKIP = 1 << 20          # sequences left out when a segment cannot be read: never reuse one
STALE_MAX = 64          # earlier generations tried before bytes are called torn

# Records on flash that no batch holds yet.  columns: bytes of columns.encode from base_seq on
# over context.schema, or None = read them at place (see tail.put).  Records below first_seq
# in them count as sealed already.
Piece = namedtuple("Piece", (
    "context", "base_seq", "first_seq", "last_seq", "readings", "columns", "place"))

# A sealed batch whose file may not be durable.  link: chain value after it.  data: its bytes.
Unsure = namedtuple("Unsure", ("number", "first_seq", "last_seq", "link", "data"))

# boot: highest ever seen.  sealed: segment.Sealed.  config_hash: of the newest stored
# records, None if none.  clean: the newest record is a STOP.  unsure: the last batch if it
# could not be synced.  events: (kind, body) to append.  doubtful: Pieces
# whose slot could not be synced, to be stated again.
Recovered = namedtuple("Recovered", (
    "journal_id", "boot", "last_seq", "sealed", "config_hash", "clean", "pieces", "doubtful",
    "mark", "cursor", "batches", "tail", "unsure", "events"))

_Slot = namedtuple("_Slot", ("name", "size", "data", "header", "start"))


class _Search:
    """Collects the findings of one start; see recover()."""

    def __init__(self, store, device):
        self.store, self.device = store, device
        self.events = []
        self.skip = 0
        self.boot = 0
        self.config_hash = None
        self.newest = (0, False)        # (last sequence seen in any frame, was it a STOP)
        self.torn = None
        self.pieces = []

    def slots(self, names):
        """Return the slots that can be read, in order of generation."""
        found = []
        for name in names:
            if tail.is_slot(name):
                data = self._read(name)
                if data is None:
                    self.skip += SKIP
                    continue
                header, start = segment.find_header(data) or (None, 0)
                found.append(_Slot(name, len(data), data, header, start))
        return sorted(found, key=_order)

    def _read(self, name):
        for _ in range(READ_TRIES):
            try:
                return self.store.read(name, 0, self.store.size(name))
            except StoreError as error:
                failed = error
        self.events.append((record.IO_ERROR, ["read " + name, failed.errno, str(failed)[:200]]))
        return None

    def accept(self, slot, expected):
        """Take the frames of a slot that continue the sequence; return the next expected."""
        header = slot.header
        found = segment.scan(slot.data, slot.start, header)
        self.boot = max(self.boot, header.context.boot)
        for offset, block in found.blocks:
            if block.boot != header.context.boot:
                continue
            if block.last_seq >= self.newest[0]:
                self.newest = (block.last_seq, block.kind == segment.DATA_STOP)
                self.config_hash = header.context.config_hash
            if block.first_seq > expected and block.commit_seq <= expected:
                continue                # the rest of a commit that never became whole
            if block.last_seq < expected:
                continue                # sealed, or stated again in a newer segment
            if block.first_seq > expected:
                self.events.append(lost(expected, block.first_seq - 1, header.generation))
                expected = block.first_seq
            self.pieces.append(Piece(
                header.context, block.first_seq, expected, block.last_seq, block.readings,
                block.columns, (slot.name, offset, header.generation)))
            expected = block.last_seq + 1
        torn = found.torn_bytes and not stale(slot.data, found.end, header)
        self.torn = [header.generation, found.end, found.torn_bytes] if torn else None
        return expected


def lost(first_seq, last_seq, generation):
    """Return the GAP event that declares sequences missing although later ones are there."""
    reason = "sequence %d to %d unreadable before segment %d" % (first_seq, last_seq, generation)
    return record.GAP, [-1, None, None, reason]


def stale(data, offset, header):
    """Return True if the bytes at offset are a whole frame of an earlier use of the slot."""
    for age in range(1, min(header.generation, STALE_MAX + 1)):
        crc_seed = frame.seed(header.journal_id, header.generation - age)
        if frame.decode_at(data, offset, crc_seed) is not None:
            return True
    return False


def recover(store, device, new_journal_id, segment_bytes):
    """Return the Recovered of a store.  Raises StoreError if it cannot even be listed.

    new_journal_id: callable for 16 random bytes, used if there is no journal of the device.
    """
    names = sorted(store.list())
    search, marks = _Search(store, device), cursor.Cursor(store, names)
    slots = search.slots(names)
    journal_id = _choose(store, device, slots, names) or new_journal_id()
    mine = [slot for slot in slots if _is_mine(slot, device, journal_id)]
    batches = Batches(store, journal_id, names)
    sealed, unsure = _sealed(search, batches, mine, chain.start(device, journal_id))
    mark = marks.best(journal_id)
    expected = (unsure.last_seq if unsure else sealed.last_seq) + 1
    for slot in mine:
        expected = search.accept(slot, expected)
    newest = max(expected - 1, mark.seq if mark else 0)
    if search.torn and not search.newest[1]:
        search.events.append((record.TORN, search.torn))
    _note_foreign(search, slots, names, device, journal_id)
    pieces, doubtful = _confirm(store, search.pieces)
    writer = _writer(store, (device, journal_id), slots, mine, segment_bytes)
    for name in names:
        if tail.is_slot(name):
            writer.reserve(name)
    _adopt(writer, slots, mine, search.pieces + ([None] if unsure else []))
    return Recovered(
        journal_id, max(search.boot, mark.boot if mark else 0), newest + search.skip, sealed,
        search.config_hash, newest == 0 or search.newest == (newest, True), pieces, doubtful,
        mark, marks, batches, writer, unsure, search.events)


def _order(slot):
    return (slot.header.generation if slot.header else 0, slot.name)


def _is_mine(slot, device, journal_id):
    header = slot.header
    return header and header.device == device and header.journal_id == journal_id


def _choose(store, device, slots, names):
    """Return the id of the device's newest journal here, or None."""
    known = [(slot.header.context.boot, slot.header.generation, slot.header.journal_id)
             for slot in slots if slot.header and slot.header.device == device]
    if known:
        return max(known)[2]
    for name in reversed(names):            # every segment is gone: ask the batches
        if parse_name(name):
            journal_id = _id_of_batch(store, name, device)
            if journal_id:
                return journal_id
    return None


def _id_of_batch(store, name, device):
    try:
        data = store.read(name, 0, store.size(name))
        content = batch.open_sealed(data[:-TRAILER_BYTES])[1]
    except WattproofError:
        return None
    return content.journal_id if content.device == device else None


def _sealed(search, batches, mine, chain_start):
    """Return (what is sealed, the last batch as an Unsure if it could not be synced)."""
    best = segment.Sealed(0, 0, chain_start)
    for slot in mine:
        if slot.header.sealed.number > best.number:
            best = slot.header.sealed
    whole = batches.last_whole()
    if whole is None or whole[0] < best.number:
        if best.number:
            search.events.append((record.ALARM, ["batch-missing", "batch %d" % best.number]))
        return best, None
    number, content, link = whole
    search.boot = max(search.boot, content.boot)
    search.config_hash = content.config_hash
    try:
        batches.confirm(number)
    except StoreError:
        unsure = Unsure(number, content.first_seq, content.last_seq, link,
                        batches.doubt(number))
        return segment.Sealed(number - 1, content.first_seq - 1, content.prev), unsure
    return segment.Sealed(number, content.last_seq, link), None


def _note_foreign(search, slots, names, device, journal_id):
    """Declare files of another journal: they are left alone, never mixed in."""
    foreign = [slot.name for slot in slots
               if slot.header and not _is_mine(slot, device, journal_id)]
    for name in names:
        parts = parse_name(name)
        if parts and parts[0] != prefix_of(journal_id):
            foreign.append(name)
    if foreign:
        text = "%d files: %s" % (len(foreign), " ".join(foreign[:8]))
        search.events.append((record.ALARM, ["foreign-journal", text]))


def _confirm(store, pieces):
    """Sync every slot that holds pieces; return (pieces now durable, doubtful ones)."""
    sound, doubtful, verdicts = [], [], {}
    if pieces:
        try:
            store.sync_dir()
        except StoreError:
            return [], pieces
    for piece in pieces:
        name = piece.place[0]
        if name not in verdicts:
            try:
                store.sync(name)
                verdicts[name] = True
            except StoreError:
                verdicts[name] = False
        if verdicts[name] and not doubtful:     # a sequence has no hole: all behind, too
            sound.append(piece)
        else:
            doubtful.append(piece)
    return sound, doubtful


def _writer(store, identity, slots, mine, segment_bytes):
    """Return the Tail; a slot whose header is lost may have used one generation more."""
    highest = max([slot.header.generation for slot in mine] + [0])
    unknown = len([slot for slot in slots if slot.header is None])
    return tail.Tail(store, identity, highest + unknown, segment_bytes)


def _adopt(writer, slots, mine, pieces):
    """Hand the slots to the writer: those with pieces are held, the others are free."""
    last = {}
    for piece in pieces:
        if piece is not None:
            last[piece.place[0]] = piece.last_seq
    frozen = None in pieces
    for slot in slots:
        if slot in mine and (frozen or slot.name in last):
            writer.adopt(slot.name, slot.size, last.get(slot.name, record.SEQ_MAX))
        elif slot in mine or slot.header is None:
            writer.adopt(slot.name, slot.size, 0)
