"""Check a site's stored evidence from its bytes alone: signatures, links, sequences.

Nothing that admission once concluded is believed: every sealed batch is opened again.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from fleet.formats.downsampled import positions
from fleet.formats.envelope import inflate
from fleet.formats.event_bodies import lost_batches
from fleet.formats.registry import EnrolledCabinet, key_for, verified
from fleet.formats.values import AnyBatch, OpenedBatch
from fleet.store.incidents import LOST as DECLARED_LOST
from fleet.store.incidents import UNHELD
from fleet.store.reader import JournalRow, StoreReader
from fleet.texts import say
from gateway.core.codec import record
from gateway.core.errors import FormatError
from gateway.core.evidence import chain, downsampled

# What can be wrong.  MISSING: a hole before a batch, which may still arrive; one that the cabinet
# has declared lost under its signature is none.
MISSING, UNREADABLE, SIGNATURE, MISPLACED, NOT_ROLLED_UP, REPEATED, CHAIN_HASH, LOST = (
    "missing", "unreadable", "signature", "misplaced", "not-booked", "repeated", "link", "lost")
UNDESCRIBED = "undescribed"
FaultFound = tuple[str, str]             # (code, what)


class EvidenceFault(NamedTuple):
    """What is wrong with a journal; journal: hex, code: one of the above, what: text that
    names batch and sequence range."""

    cabinet: str
    journal: str
    code: str
    what: str


class CheckedJournal(NamedTuple):
    """One journal, checked; records, batches: those that are good, first_seq, last_seq: the
    range that holds."""

    cabinet: str
    journal: str
    records: int
    batches: int
    first_seq: int
    last_seq: int
    low_water: int
    faults: list[EvidenceFault]


def site(reader: StoreReader, cabinets: Iterable[EnrolledCabinet]) -> list[CheckedJournal]:
    """Return one CheckedJournal for each journal of a site's gateways, every body opened."""
    return [journal(reader, cabinet, row)
            for cabinet in cabinets for row in reader.journals(cabinet.id)]


def period(reader: StoreReader, cabinet: EnrolledCabinet, from_ms: int,
           to_ms: int) -> list[CheckedJournal]:
    """Return one CheckedJournal for each journal with records of a period: of the batches from the
    first to the last that touch it, bodies not opened.  Quick enough for every report."""
    found = []
    for row in reader.journals(cabinet.id):
        numbers = reader.numbers(cabinet.id, row.journal, from_ms, to_ms)
        if numbers is not None:
            found.append(journal(reader, cabinet, row, numbers))
    return found


def journal(reader: StoreReader, cabinet: EnrolledCabinet, row: JournalRow,
            numbers: tuple[int, int] | None = None) -> CheckedJournal:
    """Return the CheckedJournal of one journal; its faults are in order of batches.

    numbers: check only these batches; what comes before the first is taken as it says.
    """
    faults: list[EvidenceFault] = []
    name = row.journal.hex()
    records = count = last_seq = last_number = 0
    first_seq, chain_hash = 0, chain.start(cabinet.id, row.journal)
    before = b""                        # a downsampled batch comes once for each of its places
    declared = _DeclaredLost(reader, cabinet, row.journal)
    for number, sealed in reader.sealed(cabinet.id, row.journal, numbers):
        found = list(_batch_faults(cabinet, row.journal, number, sealed,
                                   numbers is None and sealed != before))
        before = sealed
        position = None if found else _position(sealed, number)
        if position is not None:
            batch = position.batch
            if numbers is not None and number == numbers[0]:
                last_seq, chain_hash = batch.first_seq - 1, batch.prev
            found += [one for one in _order_faults(batch, last_seq, chain_hash)
                      if one[0] != MISSING or not declared.lost(last_number + 1, number - 1)]
        faults += [EvidenceFault(cabinet.id, name, *one) for one in found]
        if position is None:
            continue
        chain_hash, last_seq, last_number = position.chain_hash, batch.last_seq, number
        first_seq = first_seq or batch.first_seq
        records, count = records + last_seq - batch.first_seq + 1, count + 1
    if numbers is None and row.low_water is not None and row.low_water > last_seq:
        faults.append(EvidenceFault(cabinet.id, name, LOST, say(
            "fault.lost", first=last_seq + 1, last=row.low_water)))
    low_water = row.low_water or 0
    if numbers is None:
        waits = reader.undescribed(cabinet.id, row.journal, low_water)
        if waits is not None:
            faults.append(EvidenceFault(cabinet.id, name, UNDESCRIBED, say(
                "fault.undescribed", batches=waits[0], first=waits[1], last=waits[2])))
    if numbers is not None:         # what came after a period says nothing about it
        low_water = min(low_water, last_seq)
    return CheckedJournal(cabinet.id, name, records, count, first_seq, last_seq, low_water, faults)


class _DeclaredLost:
    """Which batches of a journal its cabinet has declared lost: what the batches say, not what was
    once concluded from them."""

    def __init__(self, reader: StoreReader, cabinet: EnrolledCabinet, journal_id: bytes) -> None:
        self._reader, self._cabinet, self._journal_id = reader, cabinet, journal_id
        self._ranges: list[tuple[int, int]] | None = None

    def lost(self, first: int, last: int) -> bool:
        """Return whether all batches first..last are declared lost, at least one."""
        if self._ranges is None:
            self._ranges = sorted(self._read())
        covered = first - 1
        for start, end in self._ranges:
            if start <= covered + 1:
                covered = max(covered, end)
        return first <= last <= covered

    def _read(self) -> Iterator[tuple[int, int]]:
        """Yield the ranges in the batches that the incidents say have an alarm of this kind."""
        for seq in {note.first_seq for note in self._reader.incidents(self._cabinet.id)
                    if note.kind in (DECLARED_LOST, UNHELD) and note.journal == self._journal_id}:
            with suppress(FormatError):         # it is named as unreadable where it stands
                yield from _lost_in(self._reader.holding(
                    self._cabinet.id, self._journal_id, seq))


def _lost_in(sealed: bytes) -> Iterator[tuple[int, int]]:
    """Yield (first, last) numbers of the batches before it that a batch declares lost."""
    batch = downsampled.open_any(sealed)[1]
    for item in downsampled.open_records(batch, inflate)[1]:
        if not isinstance(item, record.EventRecord) or item.kind != record.ALARM:
            continue
        found = lost_batches(item.body)
        if found and int(found[2] or found[1]) < batch.number:
            yield int(found[1]), int(found[2] or found[1])


def _batch_faults(cabinet: EnrolledCabinet, journal_id: bytes, number: int, sealed: bytes,
                  deep: bool) -> Iterator[FaultFound]:
    try:
        message, batch, _ = downsampled.open_any(sealed)
    except FormatError as error:
        yield UNREADABLE, say("fault.unreadable", number=number, error=error)
        return
    named = {"number": number, "first": batch.first_seq, "last": batch.last_seq}
    public = key_for(cabinet, message.kid, batch.journal_id)
    if public is None or not verified(public, message.signed, message.signature):
        yield SIGNATURE, say("fault.signature", **named)
        return
    if (batch.cabinet, batch.journal_id) != (cabinet.id, journal_id) or (
            _position(sealed, number) is None):
        yield MISPLACED, say("fault.misplaced", own_number=batch.number, cabinet=batch.cabinet,
                             **named)
        return
    if deep:
        try:
            downsampled.open_records(batch, inflate)
        except FormatError as error:
            yield NOT_ROLLED_UP, say("fault.not_booked", error=error, **named)


def _position(sealed: bytes, number: int) -> OpenedBatch | None:
    """Return the place with this number that a batch takes, None if it has none."""
    _, batch, chain_hash = downsampled.open_any(sealed)
    opened = OpenedBatch((), sealed, batch, chain_hash)
    return next((one for one in positions(opened) if one.batch.number == number), None)


def _order_faults(batch: AnyBatch, last_seq: int, chain_hash: bytes) -> Iterator[FaultFound]:
    if batch.first_seq > last_seq + 1 and batch.prev != chain_hash:
        yield MISSING, say("fault.missing", number=batch.number, first=last_seq + 1,
                           last=batch.first_seq - 1)
    elif batch.first_seq <= last_seq:
        yield REPEATED, say("fault.repeated", number=batch.number, first=batch.first_seq,
                            last=last_seq)
    elif batch.prev != chain_hash:
        yield CHAIN_HASH, say("fault.link", number=batch.number, first=batch.first_seq,
                              last=batch.last_seq)
