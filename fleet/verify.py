"""Check a site's stored evidence from its bytes alone: signatures, links, sequences.

Nothing that admission once concluded is believed: every sealed batch is opened again.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from fleet.formats import downsampled as coarsened
from fleet.formats.envelope import inflate
from fleet.formats.event_bodies import lost_batches
from fleet.formats.registry import Device, key_for, verified
from fleet.formats.values import AnyBatch, Opened
from fleet.store.incidents import LOST as DECLARED_LOST
from fleet.store.incidents import UNHELD
from fleet.store.reader import JournalRow, Reader
from fleet.texts import say
from gateway.core import record
from gateway.core.errors import FormatError
from gateway.core.evidence import chain, downsampled

# What can be wrong.  MISSING: a hole before a batch, which may still arrive; one that the cabinet
# has declared lost under its signature is none.
MISSING, UNREADABLE, SIGNATURE, MISPLACED, NOT_BOOKED, REPEATED, LINK, LOST = (
    "missing", "unreadable", "signature", "misplaced", "not-booked", "repeated", "link", "lost")
Found = tuple[str, str]             # (code, what)


class Fault(NamedTuple):
    """What is wrong with a journal; journal: hex, code: one of the above, what: text that
    names batch and sequence range."""

    device: str
    journal: str
    code: str
    what: str


class Checked(NamedTuple):
    """One journal, checked; records, batches: those that are good, first_seq, last_seq: the
    range that holds."""

    device: str
    journal: str
    records: int
    batches: int
    first_seq: int
    last_seq: int
    low_water: int
    faults: list[Fault]


def site(reader: Reader, devices: Iterable[Device]) -> list[Checked]:
    """Return one Checked for each journal of a site's gateways, every body opened."""
    return [journal(reader, device, row)
            for device in devices for row in reader.journals(device.device)]


def period(reader: Reader, device: Device, from_ms: int, to_ms: int) -> list[Checked]:
    """Return one Checked for each journal with records of a period: of the batches from the
    first to the last that touch it, bodies not opened.  Quick enough for every report."""
    found = []
    for row in reader.journals(device.device):
        numbers = reader.numbers(device.device, row.journal, from_ms, to_ms)
        if numbers is not None:
            found.append(journal(reader, device, row, numbers))
    return found


def journal(reader: Reader, device: Device, row: JournalRow,
            numbers: tuple[int, int] | None = None) -> Checked:
    """Return the Checked of one journal; its faults are in order of batches.

    numbers: check only these batches; what comes before the first is taken as it says.
    """
    faults: list[Fault] = []
    name = row.journal.hex()
    records = count = last_seq = last_number = 0
    first_seq, link = 0, chain.start(device.device, row.journal)
    before = b""                        # a coarsened batch comes once for each of its places
    told = _Told(reader, device, row.journal)
    for number, sealed in reader.sealed(device.device, row.journal, numbers):
        found = list(_batch_faults(device, row.journal, number, sealed,
                                   numbers is None and sealed != before))
        before = sealed
        place = None if found else _place(sealed, number)
        if place is not None:
            batch = place.batch
            if numbers is not None and number == numbers[0]:
                last_seq, link = batch.first_seq - 1, batch.prev
            found += [one for one in _order_faults(batch, last_seq, link)
                      if one[0] != MISSING or not told.lost(last_number + 1, number - 1)]
        faults += [Fault(device.device, name, *one) for one in found]
        if place is None:
            continue
        link, last_seq, last_number = place.link, batch.last_seq, number
        first_seq = first_seq or batch.first_seq
        records, count = records + last_seq - batch.first_seq + 1, count + 1
    if numbers is None and row.low_water is not None and row.low_water > last_seq:
        faults.append(Fault(device.device, name, LOST, say(
            "fault.lost", first=last_seq + 1, last=row.low_water)))
    low_water = row.low_water or 0
    if numbers is not None:         # what came after a period says nothing about it
        low_water = min(low_water, last_seq)
    return Checked(device.device, name, records, count, first_seq, last_seq, low_water, faults)


class _Told:
    """Which batches of a journal its cabinet has declared lost: what the batches say, not what was
    once concluded from them."""

    def __init__(self, reader: Reader, device: Device, journal_id: bytes) -> None:
        self._reader, self._device, self._journal_id = reader, device, journal_id
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
        for seq in {note.first_seq for note in self._reader.incidents(self._device.device)
                    if note.kind in (DECLARED_LOST, UNHELD) and note.journal == self._journal_id}:
            with suppress(FormatError):         # it is named as unreadable where it stands
                yield from _lost_in(self._reader.holding(
                    self._device.device, self._journal_id, seq))


def _lost_in(sealed: bytes) -> Iterator[tuple[int, int]]:
    """Yield (first, last) numbers of the batches before it that a batch declares lost."""
    batch = downsampled.open_any(sealed)[1]
    for item in downsampled.open_records(batch, inflate)[1]:
        if not isinstance(item, record.EventRecord) or item.kind != record.ALARM:
            continue
        found = lost_batches(item.body)
        if found and int(found[2] or found[1]) < batch.number:
            yield int(found[1]), int(found[2] or found[1])


def _batch_faults(device: Device, journal_id: bytes, number: int, sealed: bytes,
                  deep: bool) -> Iterator[Found]:
    try:
        message, batch, _ = downsampled.open_any(sealed)
    except FormatError as error:
        yield UNREADABLE, say("fault.unreadable", number=number, error=error)
        return
    named = {"number": number, "first": batch.first_seq, "last": batch.last_seq}
    public = key_for(device, message.kid, batch.journal_id)
    if public is None or not verified(public, message.signed, message.signature):
        yield SIGNATURE, say("fault.signature", **named)
        return
    if (batch.device, batch.journal_id) != (device.device, journal_id) or (
            _place(sealed, number) is None):
        yield MISPLACED, say("fault.misplaced", own_number=batch.number, device=batch.device,
                             **named)
        return
    if deep:
        try:
            downsampled.open_records(batch, inflate)
        except FormatError as error:
            yield NOT_BOOKED, say("fault.not_booked", error=error, **named)


def _place(sealed: bytes, number: int) -> Opened | None:
    """Return the place with this number that a batch takes, None if it has none."""
    _, batch, link = downsampled.open_any(sealed)
    opened = Opened((), sealed, batch, link)
    return next((one for one in coarsened.positions(opened) if one.batch.number == number), None)


def _order_faults(batch: AnyBatch, last_seq: int, link: bytes) -> Iterator[Found]:
    if batch.first_seq > last_seq + 1 and batch.prev != link:
        yield MISSING, say("fault.missing", number=batch.number, first=last_seq + 1,
                           last=batch.first_seq - 1)
    elif batch.first_seq <= last_seq:
        yield REPEATED, say("fault.repeated", number=batch.number, first=batch.first_seq,
                            last=last_seq)
    elif batch.prev != link:
        yield LINK, say("fault.link", number=batch.number, first=batch.first_seq,
                        last=batch.last_seq)
