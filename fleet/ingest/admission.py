"""Is this batch welcome?  Pure: bytes, the registry and what is held give the verdict.

Any order is fine: a batch whose predecessor is not here yet is admitted and waits for it
(the low-water mark of receipts does not pass a missing batch).  A hole in the sequence that
the chain itself passes over is admitted and named: nothing was ever sealed there.  What can
never be true twice is refused: another content under a number or sequence that is held, a
link that does not fit its neighbour.  Nothing refused is booked.
"""

import zlib
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from fleet.formats import cbor_crosscheck
from fleet.formats.registry import Device, key_for, verified
from gateway.core.codec.cose import Sign1
from gateway.core.errors import (
    BadSchema,
    BadSignature,
    BrokenChain,
    FormatError,
    Replayed,
    UnknownDevice,
)
from gateway.core.evidence import batch as batches
from gateway.core.evidence import chain, downsampled

ADMIT, DUPLICATE = "admit", "duplicate"
INFLATED_BYTES_MAX = 16 << 20       # a batch of 15 minutes has some 100 KiB
NAME_CHARS = 80                     # of a stranger's name that is repeated in messages

# A sealed batch whose signature, form and content have been checked.  sealed: bytes as they
# came.  batch: gateway.core.batch.Batch.  link: 32 bytes.  schema: tuple of Stream.
# records: list of ScanRecord and EventRecord, first_seq .. last_seq without a hole; of a
# coarse.Coarse those that were kept, and its cells (None for a whole batch).
Opened = namedtuple("Opened", ("device", "sealed", "batch", "link", "schema", "records", "cells"))

# A stored batch as far as the chain is concerned.
Neighbour = namedtuple("Neighbour", ("number", "first_seq", "last_seq", "prev", "link"))

# What the store holds around a new batch; each a Neighbour or None.  overlap: a batch of
# another number that holds one of its sequences.
Held = namedtuple("Held", ("same", "before", "after", "overlap"))
NOTHING_HELD = Held(None, None, None, None)

Find = Callable[[str], Device | None]


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


def open_batch(sealed: bytes, find: Find, sender: str) -> Opened:
    """Return the checked content of a sealed batch, before any comparison with the store.

    find: device name -> enrolled Device or None.  sender: the device whose topic it came on.
    Raises BadSchema, UnknownDevice or BadSignature; the message names device and batch.
    """
    message, opened = _signed(sealed, find, sender)
    batch = opened.batch
    cbor_crosscheck.check(message.payload, _as_read(batch))
    return _with_body(opened, f"{batch.device}, batch {batch.number}")


def reopen(sealed: bytes) -> Opened:
    """Return a stored batch again, of which nothing is checked but its form; raises BadSchema."""
    _, batch, link = _envelope(sealed)
    return _with_body(Opened(None, sealed, batch, link, (), [], None), f"batch {batch.number}")


def open_signed(sealed: bytes, find: Find, sender: str) -> Opened:
    """Return a batch of which only envelope and signature were checked: no schema, no
    records.  Raises as open_batch does."""
    return _signed(sealed, find, sender)[1]


def _signed(sealed: bytes, find: Find, sender: str) -> tuple[Sign1, Opened]:
    message, batch, link = _envelope(sealed)
    name = f"{_shown(batch.device)}, batch {batch.number}"
    device = find(batch.device)
    if device is None:
        raise UnknownDevice(f"{name}: not enrolled; next: python -m provisioning enrol")
    if batch.device != sender:
        raise UnknownDevice(f"{name}: came on the topic of {_shown(sender)}")
    public = key_for(device, message.kid, batch.journal_id)
    if public is None:
        raise BadSignature(f"{name}: signed by key {message.kid.hex()}, enrolled for this journal "
                           f"is {_expected(device, batch.journal_id)}")
    if not verified(public, message.signed, message.signature):
        raise BadSignature(f"{name}: the signature does not fit the content")
    return message, Opened(device, sealed, batch, link, (), [], None)


def _expected(device: Device, journal: bytes) -> str:
    closed = [entry.kid for entry in device.previous if entry.journal == journal]
    return str((closed or [device.kid])[0].hex())


def judge(opened: Opened, held: Held) -> str:
    """Return ADMIT or DUPLICATE for an opened batch given what is held around it.

    Raises Replayed for a fork (same place, other content), BrokenChain for a wrong link.
    """
    batch = opened.batch
    name = f"{batch.device}, batch {batch.number}"
    if held.same is not None:
        if held.same.link == opened.link:
            return DUPLICATE
        raise Replayed(f"{name}: another content is held under this number; a clone or a "
                       "restored board signs with this key")
    if held.overlap is not None:
        raise Replayed(f"{name}: records {batch.first_seq}..{batch.last_seq} are held "
                       f"already in batch {held.overlap.number}")
    _check_links(opened, held, name)
    return ADMIT


def _check_links(opened: Opened, held: Held, name: str) -> None:
    batch, before, after = opened.batch, held.before, held.after
    if 1 in (batch.first_seq, batch.number) and batch.prev != chain.start(
            batch.device, batch.journal_id):
        raise BrokenChain(f"{name}: begins a journal but does not name the journal's start")
    if before is not None:
        if before.link != batch.prev:
            raise BrokenChain(f"{name}: names another predecessor than batch {before.number}")
        if before.last_seq >= batch.first_seq:
            raise BrokenChain(f"{name}: begins at {batch.first_seq}, batch {before.number} "
                              f"ends at {before.last_seq}")
    if after is not None:
        if after.prev != opened.link:
            raise BrokenChain(f"{name}: is not the predecessor that batch {after.number} names")
        if batch.last_seq >= after.first_seq:
            raise BrokenChain(f"{name}: ends at {batch.last_seq}, batch {after.number} "
                              f"begins at {after.first_seq}")


def holes(opened: Opened, held: Held) -> list[tuple[int, int]]:
    """Return the (first, last) records that a batch and its neighbours in the chain leave
    out: the device has signed that it never sealed them."""
    batch, found = opened.batch, []
    ends = held.before.last_seq if held.before else 0 if batch.number == 1 else None
    if ends is not None and ends + 1 < batch.first_seq:
        found.append((ends + 1, batch.first_seq - 1))
    if held.after is not None and batch.last_seq + 1 < held.after.first_seq:
        found.append((batch.last_seq + 1, held.after.first_seq - 1))
    return found


def _envelope(sealed: bytes) -> tuple[Sign1, Any, bytes]:
    """Return (Sign1, Batch or Coarse, chain value after it)."""
    if len(sealed) > batches.SEALED_MAX:
        raise BadSchema(f"{len(sealed)} bytes; a sealed batch has {batches.SEALED_MAX} at most")
    try:
        message, batch, link = downsampled.open_any(sealed)
    except FormatError as error:
        raise BadSchema(f"not a sealed batch: {error}") from error
    return message, batch, link


def _as_read(batch: Any) -> list[Any]:
    """Return the payload's parts as our decoder read them."""
    if isinstance(batch, downsampled.Coarse):
        return [downsampled.VERSION, batch.device, batch.journal_id,
                [list(one) for one in batch.replaced], batch.boot, batch.rule, batch.prev,
                batch.config_hash, list(batch.clock), batch.codec, batch.body]
    return [batches.VERSION, *batch[:8], list(batch.clock), batch.codec, batch.body]


def _with_body(opened: Opened, name: str) -> Opened:
    batch = opened.batch
    try:
        if isinstance(batch, downsampled.Coarse):
            content = downsampled.open_body(batch, inflate)
            return opened._replace(schema=content.schema, records=content.records,
                                   cells=content.cells)
        schema, records = batches.open_body(batch, inflate)
    except FormatError as error:
        raise BadSchema(f"{name}: {error}") from error
    if [record.seq for record in records] != list(range(batch.first_seq, batch.last_seq + 1)):
        raise BadSchema(f"{name}: its records are not {batch.first_seq}..{batch.last_seq}")
    return opened._replace(schema=tuple(schema), records=records)


def _shown(name: str) -> str:
    """A stranger's text, safe to repeat in logs and tables."""
    return "".join(c if c.isprintable() else "?" for c in name[:NAME_CHARS])
