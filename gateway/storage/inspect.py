"""`python -m gateway journal`: look into a journal without touching it.

Reads the directory only, takes no lock and writes nothing there, so it works beside a
running gateway; what the gateway writes in the same second may look unfinished.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from gateway.core.codec import columns
from gateway.core.codec.record import EVENT_NAMES, EventRecord, ScanRecord, is_event
from gateway.core.errors import BadSignature, FormatError, JournalError, StoreError
from gateway.core.evidence import downsampled
from gateway.core.evidence.batch import Batch
from gateway.core.journal.downsampled_files import DownsampledBatches
from gateway.core.journal.frame_search import Piece, columns_of
from gateway.core.journal.recovery import Recovered, recover
from gateway.core.journal.tail import SEGMENT_BYTES, is_segment_file
from gateway.core.reading import ClockState, Stream, utc_ms
from gateway.signer import Verifier
from gateway.storage import wear
from gateway.storage.restart import inflate

if TYPE_CHECKING:
    from gateway.core.types import FileStore

FREE_BYTES_MIN = 64 << 20
Row = dict[str, object]         # as it is printed


class ReadOnlyFolder:
    """The reading half of the journal's store over a directory."""

    def __init__(self, directory: Path) -> None:
        """directory: need not be locked and is never written to."""
        self.directory = directory

    def list(self) -> list[str]:
        """Return the names of all plain files, sorted."""
        try:
            return sorted(path.name for path in self.directory.iterdir() if path.is_file())
        except OSError as error:
            raise StoreError(f"{self.directory}: {error.strerror}", error.errno or 0) from error

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""
        try:
            return (self.directory / name).stat().st_size
        except OSError as error:
            raise StoreError(f"{name}: {error.strerror}", error.errno or 0) from error

    def read(self, name: str, offset: int, count: int) -> bytes:
        """Return up to count bytes from offset."""
        try:
            with (self.directory / name).open("rb") as file:
                file.seek(offset)
                return file.read(count)
        except OSError as error:
            raise StoreError(f"{name}: {error.strerror}", error.errno or 0) from error


class JournalView(NamedTuple):
    """A journal as found: its files, what they say, up to where the fleet has it."""

    reader: ReadOnlyFolder
    found: Recovered
    acknowledged_seq: int


def open_view(directory: Path, cabinet: str) -> JournalView:
    """Return the JournalView of a device's journal; raises StoreError if it cannot be listed."""
    reader = ReadOnlyFolder(directory)
    store = cast("FileStore", reader)           # recovery only reads
    found = recover(store, cabinet, lambda: bytes(16), SEGMENT_BYTES, DownsampledBatches)
    return JournalView(reader, found, found.mark.seq if found.mark else 0)


def batches(view: JournalView) -> Iterator[
        tuple[int, Batch | downsampled.DownsampledBatch | None, str]]:
    """Yield (number, Batch, Coarse or None, what is wrong or "") of every batch, oldest first."""
    for number in view.found.batches.numbers():
        try:
            yield number, downsampled.open_any(view.found.batches.read(number))[1], ""
        except (JournalError, FormatError) as error:
            yield number, None, str(error)
    if view.found.unconfirmed is not None:
        content = downsampled.open_any(view.found.unconfirmed.data)[1]
        yield content.number, content, ""


def listing(view: JournalView) -> list[Row]:
    """Return one row per batch and per tail segment with unsealed records."""
    rows: list[Row] = []
    for number, content, wrong in batches(view):
        row: Row = {"what": "batch", "number": number, "wrong": wrong}
        if content is not None:
            row |= {"boot": content.boot, "first_seq": content.first_seq,
                    "last_seq": content.last_seq, "body_bytes": len(content.body),
                    "kept": downsampled.RULE_NAMES[content.rule]
                    if isinstance(content, downsampled.DownsampledBatch)
                    else "everything",
                    "acknowledged": content.last_seq <= view.acknowledged_seq}
        rows.append(row)
    rows += [{"what": "tail", "number": piece.position[0], "wrong": "",
              "boot": piece.context.boot, "first_seq": piece.first_seq,
              "last_seq": piece.last_seq, "body_bytes": piece.size,
              "acknowledged": False} for piece in view.found.pieces]
    return rows


def records(view: JournalView, number: int) -> Iterator[Row]:
    """Yield the records of a batch, of the tail if number is 0.  Raises JournalError."""
    if number:
        try:
            content = downsampled.open_any(_sealed_bytes(view, number))[1]
            schema, items = downsampled.open_records(content, inflate)
        except FormatError as error:
            raise JournalError(f"batch {number}: {error}") from error
        yield from (_row(schema, content.clock, item) for item in items)
        return
    for piece in view.found.pieces:
        schema = columns.decode_schema(piece.context.schema)
        for item in columns.decode(schema, piece.base_seq, _columns(view, piece)):
            yield _row(schema, piece.context.clock, item)


def _columns(view: JournalView, piece: Piece) -> bytes:
    data = columns_of(view.found.tail, piece)
    if data is None:
        raise JournalError(f"sequence {piece.base_seq} to {piece.last_seq} cannot be read")
    return data


def verify(view: JournalView, public: Verifier) -> list[str]:
    """Return what is wrong with batches and tail; an empty list is a clean bill.

    Checks every check sum, signature, chain hash and record count.
    """
    faults: list[str] = []
    before: bytes | None = None
    for number, content, wrong in batches(view):
        if content is None:
            faults.append(f"batch {number}: {wrong}")
            before = None
            continue
        message, _, chain_hash = downsampled.open_any(_sealed_bytes(view, number))
        try:
            public.check(message.kid, message.signed, message.signature)
            downsampled.open_records(content, inflate)
        except (BadSignature, FormatError) as error:
            faults.append(f"batch {number}: {error}")
        if before is not None and content.prev != before:
            faults.append(f"batch {number}: does not continue the chain of the one before")
        before = chain_hash
    return faults + [f"{EVENT_NAMES[kind]}: {' '.join(str(part) for part in body if part)}"
                     for kind, body in view.found.events]


def export(view: JournalView, folder: Path) -> list[Path]:
    """Copy every readable batch to folder as NUMBER.cose, bytes as they travel."""
    made = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, content, _ in batches(view):
        if content is not None:
            made.append(folder / f"{number:08d}.cose")
            made[-1].write_bytes(_sealed_bytes(view, number))
    return made


def oldest_waiting(view: JournalView) -> Row | None:
    """Return the oldest record that no receipt has covered, None if there is none."""
    for number, content, _ in batches(view):
        if content is not None and content.last_seq > view.acknowledged_seq:
            return next(records(view, number))
    return next(records(view, 0), None)


def doctor(view: JournalView, public: Verifier, status: Mapping[str, Any],
           now: datetime) -> dict[str, object]:
    """Return the state of a journal; "faults" is empty if all is well, "advice" may wait."""
    names = view.reader.list()
    space = os.statvfs(view.reader.directory)
    free = space.f_bavail * space.f_frsize
    faults = verify(view, public)
    if free < FREE_BYTES_MIN:
        faults.append(f"only {free >> 20} MiB free; next: make room or take a larger card")
    emmc, stamped_at = wear.emmc(), wear.stamped(view.reader.directory)
    faults += wear.worn(emmc)
    return {
        "directory": str(view.reader.directory), "boot": view.found.boot,
        "last_seq": view.found.last_seq, "sealed_seq": view.found.sealed.last_seq,
        "acknowledged_seq": view.acknowledged_seq, "free_bytes": free,
        "bytes": sum(view.reader.size(name) for name in names),
        "segments": sum(1 for name in names if is_segment_file(name)),
        "batches": len(view.found.batches.numbers()), "clean_stop": view.found.clean,
        "oldest_waiting": oldest_waiting(view), "faults": faults,
        "wear": wear.rate(status, now, bool(stamped_at)), "emmc": [one._asdict() for one in emmc],
        "advice": [wear.STAMP_ADVICE.format(stamped_at)] if stamped_at else [],
    }


def _sealed_bytes(view: JournalView, number: int) -> bytes:
    unconfirmed = view.found.unconfirmed
    data: bytes = (unconfirmed.data if unconfirmed is not None and unconfirmed.number == number
                   else view.found.batches.read(number))
    return data


def _row(schema: tuple[Stream, ...], clock: ClockState,
         item: ScanRecord | EventRecord) -> Row:
    at_ms = utc_ms(clock, item.ticks_ms)
    when = None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(
        timespec="milliseconds")
    row: Row = {"seq": item.seq, "utc": when, "ticks_ms": item.ticks_ms}
    if is_event(item):
        body = [part.hex() if isinstance(part, bytes) else part for part in item.body]
        return row | {"event": EVENT_NAMES.get(item.kind, str(item.kind)), "body": body}
    values = [value if isinstance(value, int) else None for value in item.values]
    return row | {"device": schema[item.stream].device, "values": values}
