"""Durable records that no batch holds yet: what a start found, and what was committed since.

In this file: pieces to batches.  Not here: RAM (buffer.py), where pieces lie (tail.py), what a
batch says (journal.py).  What a start found must be written again first: reading it proved
nothing.
"""

from gateway.core.codec.column_block import EVENTS_MAX
from gateway.core.errors import StoreError
from gateway.core.journal import segment
from gateway.core.journal.buffer import make_entry
from gateway.core.journal.frame_search import Piece, bare, columns_of, read_block, records_of
from gateway.core.journal.policy import WHOLE
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.core.codec.column_block import ColumnBlock
    from gateway.core.codec.record import Record
    from gateway.core.journal.buffer import FlashState, PendingFrame
    from gateway.core.journal.tail import Place, Tail

RESTATE_FRAMES = 64         # frames of earlier boots written again in one write
SEAL_TRIES = 3              # seals that may fail to read a piece before it is declared lost
READINGS_IN_RAM_MAX = 81920       # of so many readings the sheets stay in RAM; the rest is read
BATCH_BYTES_AIM = 393216    # columns in one batch; sealed it stays far below 1 MiB
BATCH_READINGS_MAX = 1048576


class Unsealed:
    """Pieces in order of their sequence."""

    def __init__(self, found: list[Piece], tail: "Tail", flash: "FlashState") -> None:
        """found: Pieces of earlier boots.  tail: reads pieces.  flash: buffer.FlashState, which
        declares what cannot be read."""
        self._tail, self._flash = tail, flash
        self.found = found              # of earlier boots, to be written again
        self._pieces: list[Piece] = []               # durable
        self._kept = 0                  # readings of pieces that have their sheet
        # place -> seal attempts that could not read it
        self._failures: "dict[Place, int]" = {}

    @property
    def readings(self) -> int:
        """How many readings no batch holds."""
        return sum([piece.readings for piece in self.found + self._pieces])

    def records(self) -> "Iterator[tuple[segment.RecordContext, Record]]":
        """Yield (context, record) of what can be read now; sealing declares the rest."""
        for piece in self.found + self._pieces:
            try:
                items = records_of(self._tail, piece)
            except StoreError:
                continue
            for item in items or ():
                yield piece.context, item

    def restatement(self) -> "list[PendingFrame]":
        """Return entries that say again what a start found, [] if nothing of it is left.  Raises
        StoreError for what is whole and refused."""
        entries: "list[PendingFrame]" = []
        for piece in self.found:
            data = columns_of(self._tail, piece)
            if data is None and not entries:
                self.found = self.found[1:]
                self._lose(piece)
            if data is None or entries and (
                    piece.context != entries[0].context or len(entries) >= RESTATE_FRAMES
                    or piece.base_seq != entries[-1].last_seq + 1):
                break
            entries.append(make_entry(
                piece.context, entries[0].commit_seq if entries else piece.base_seq,
                (segment.DATA, piece.base_seq, piece.last_seq), piece.readings, (data, None)))
        return entries

    def add(self, entry: "PendingFrame", position: "Place", sealed_seq: int) -> None:
        """Take an entry that is durable at a place; what is sealed of it does not count."""
        block = entry.column_block if self._kept + entry.readings <= READINGS_IN_RAM_MAX else None
        self._kept += entry.readings if block else 0
        self._pieces.append(Piece(
            entry.context, entry.first_seq, max(entry.first_seq, sealed_seq + 1),
            entry.last_seq, entry.readings, len(entry.payload), position, None, block))

    def drop(self, sealed_seq: int) -> None:
        """Drop what a durable batch holds."""
        kept = [piece for piece in self._pieces if piece.last_seq > sealed_seq]
        self._kept = sum([piece.readings for piece in kept if piece.column_block])
        self._pieces = kept

    def oldest(self, sealed_seq: int) -> "tuple[list[Piece], list[ColumnBlock]]":
        """Return ([pieces], [their sheets]) of one context for the next batch, oldest first."""
        self.drop(sealed_seq)
        taken: list[Piece]
        blocks: "list[ColumnBlock]"
        taken, blocks, readings, size, events = [], [], 0, 0, 0
        for piece in list(self._pieces):
            if taken and (piece.context != taken[0].context
                          or piece.first_seq != taken[-1].last_seq + 1
                          or readings + piece.readings > BATCH_READINGS_MAX):
                break
            try:
                block = read_block(self._tail, piece)
            except StoreError as error:
                if taken or not self._given_up(piece, error):
                    break
                block = None
            if block is None:
                if taken:
                    break
                self._lose(piece)
                continue
            events += len(block.events)
            if taken and events > EVENTS_MAX:
                break
            taken.append(piece)
            blocks.append(block)
            self._pieces[self._pieces.index(piece)] = bare(piece)   # its sheet is used up
            readings, size = readings + piece.readings, size + piece.size
            if size >= BATCH_BYTES_AIM:
                break
        return taken, blocks

    def _given_up(self, piece: Piece, error: StoreError) -> bool:
        """Note that a piece could not be read; return True after SEAL_TRIES such seals, never for
        one that is whole and refused."""
        self._flash.failed("read " + piece.position[0], error)
        if error.errno in WHOLE:
            return False
        tries = self._failures.get(piece.position, 0) + 1
        self._failures[piece.position] = tries
        if tries >= SEAL_TRIES:
            self._failures.pop(piece.position)
        return tries >= SEAL_TRIES

    def _lose(self, piece: Piece) -> None:
        """Declare a piece that can no longer be read; the journal goes on without it."""
        self._pieces = [other for other in self._pieces if other is not piece]
        self._flash.lost("sequence %d to %d unreadable in segment %d" % (
            piece.first_seq, piece.last_seq, piece.position[2]))
