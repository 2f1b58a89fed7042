"""Open a sealed batch: its form, its signer, its content.  Pure: bytes and the registry.

What is opened here was only compared with itself and with the registry; whether it fits what
is stored is asked by fleet/ingest/admission.py.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from fleet.formats import cbor_crosscheck, event_bodies
from fleet.formats.registry import EnrolledCabinet, key_for, verified
from fleet.formats.values import OpenedBatch, Record
from gateway.core.codec.cose import Sign1
from gateway.core.errors import BadSchema, BadSignature, FormatError, UnknownDevice
from gateway.core.evidence import batch as batches
from gateway.core.evidence import downsampled

INFLATED_BYTES_MAX = 16 << 20       # a batch of 15 minutes has some 100 KiB
NAME_CHARS = 80                     # of a stranger's name that is repeated in messages

FindCabinet = Callable[[str], EnrolledCabinet | None]


class Envelope(NamedTuple):
    """A sealed batch of which only the form was checked.

    message: the COSE_Sign1.  batch: a whole or a downsampled one, its body not opened.  chain_hash:
    the chain value after it, 32 bytes.
    """

    message: Sign1
    batch: batches.Batch | downsampled.DownsampledBatch
    chain_hash: bytes


def inflate(data: bytes, limit: int = INFLATED_BYTES_MAX) -> bytes:
    """Return raw-deflated data inflated, or raise FormatError; never more than `limit`."""
    machine = zlib.decompressobj(-15)
    try:
        plain = machine.decompress(data, limit)
    except zlib.error as error:
        raise FormatError(f"deflate: {error}") from error
    if not machine.eof or machine.unconsumed_tail or machine.unused_data:
        raise FormatError(f"deflate: torn, followed by other bytes, or over {limit} bytes")
    return plain


def read(sealed: bytes) -> Envelope:
    """Return the Envelope of sealed bytes; raises BadSchema if they are not a sealed batch."""
    if len(sealed) > batches.SEALED_MAX:
        raise BadSchema(f"{len(sealed)} bytes; a sealed batch has {batches.SEALED_MAX} at most")
    try:
        return Envelope(*downsampled.open_any(sealed))
    except FormatError as error:
        raise BadSchema(f"not a sealed batch: {error}") from error


def open_batch(sealed: bytes, find: FindCabinet, sender: str) -> OpenedBatch:
    """Return the checked content of a sealed batch, before any comparison with the store.

    find: device name -> EnrolledCabinet or None.  sender: the device whose topic it came on.
    Raises BadSchema, UnknownDevice or BadSignature; the message names device and batch.
    """
    envelope, opened = _signed(sealed, find, sender)
    batch = envelope.batch
    cbor_crosscheck.check(envelope.message.payload, _as_read(batch))
    return _with_body(opened, batch, f"{batch.cabinet}, batch {batch.number}")


def open_signed(sealed: bytes, find: FindCabinet, sender: str) -> OpenedBatch:
    """Return a batch of which only envelope and signature were checked: no schema, no
    records.  Raises as open_batch does."""
    return _signed(sealed, find, sender)[1]


def reopen(sealed: bytes) -> OpenedBatch:
    """Return a stored batch again, of which nothing is checked but its form; raises BadSchema."""
    _, batch, chain_hash = read(sealed)
    return _with_body(OpenedBatch((), sealed, batch, chain_hash), batch, f"batch {batch.number}")


def _signed(sealed: bytes, find: FindCabinet, sender: str) -> tuple[Envelope, OpenedBatch]:
    envelope = read(sealed)
    message, batch, chain_hash = envelope
    name = f"{_shown(batch.cabinet)}, batch {batch.number}"
    cabinet = find(batch.cabinet)
    if cabinet is None:
        raise UnknownDevice(f"{name}: not enrolled; next: python -m fleet enrol")
    check_not_revoked(cabinet, name)
    if batch.cabinet != sender:
        raise UnknownDevice(f"{name}: came on the topic of {_shown(sender)}")
    public = key_for(cabinet, message.kid, batch.journal_id)
    if public is None:
        raise BadSignature(f"{name}: signed by key {message.kid.hex()}, enrolled for this journal "
                           f"is {_expected(cabinet, batch.journal_id)}")
    if not verified(public, message.signed, message.signature):
        raise BadSignature(f"{name}: the signature does not fit the content")
    return envelope, OpenedBatch(cabinet.previous, sealed, batch, chain_hash)


def check_not_revoked(cabinet: EnrolledCabinet | None, name: str) -> None:
    """Raise UnknownDevice for a revoked cabinet; name: what of it is refused."""
    if cabinet is not None and cabinet.revoked:
        raise UnknownDevice(f"{name}: this cabinet was revoked at {cabinet.revoked}")


def _expected(cabinet: EnrolledCabinet, journal: bytes) -> str:
    closed = [entry.kid for entry in cabinet.previous if entry.journal == journal]
    return (closed or [cabinet.kid])[0].hex()


def _as_read(batch: batches.Batch | downsampled.DownsampledBatch) -> list[object]:
    """Return the payload's parts as our decoder read them."""
    if isinstance(batch, downsampled.DownsampledBatch):
        return [downsampled.VERSION, batch.cabinet, batch.journal_id,
                [list(one) for one in batch.replaced], batch.boot, batch.rule, batch.prev,
                batch.config_hash, list(batch.clock), batch.codec, batch.body]
    return [batches.VERSION, *batch[:8], list(batch.clock), batch.codec, batch.body]


def _with_body(opened: OpenedBatch, batch: batches.Batch | downsampled.DownsampledBatch,
               name: str) -> OpenedBatch:
    try:
        if isinstance(batch, downsampled.DownsampledBatch):
            content = downsampled.open_body(batch, inflate)
            _check_events(content.records, name)
            return opened._replace(schema=content.schema, records=tuple(content.records),
                                   cells=tuple(content.cells))
        schema, records = batches.open_body(batch, inflate)
    except FormatError as error:
        raise BadSchema(f"{name}: {error}") from error
    if [record.seq for record in records] != list(range(batch.first_seq, batch.last_seq + 1)):
        raise BadSchema(f"{name}: its records are not {batch.first_seq}..{batch.last_seq}")
    _check_events(records, name)
    return opened._replace(schema=tuple(schema), records=tuple(records))


def _check_events(records: Iterable[Record], name: str) -> None:
    try:
        event_bodies.check(records)
    except BadSchema as error:
        raise BadSchema(f"{name}: {error}") from error


def _shown(name: str) -> str:
    """Return a stranger's text, safe to repeat in logs and tables."""
    return "".join(c if c.isprintable() else "?" for c in name[:NAME_CHARS])
