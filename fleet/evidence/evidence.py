"""Collect what a period's claim rests on, and bind it into one bundle.

All is read in one state of the store, so that the statement, the batches and the proofs
speak of the same evidence.  The bundle depends on nothing else: made twice, it is the same.
"""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.errors import ReportError
from fleet.evidence import bundle
from fleet.formats import decision as decisions
from fleet.formats.registry import EnrolledCabinet, key_id, verified
from fleet.formats.values import AsideStretch
from fleet.reporting import factor_choice, report
from fleet.reporting.content import Report
from fleet.store.evidence_reader import BatchRow, EvidenceReader
from fleet.store.reader import StoreReader
from fleet.transparency import proofs
from fleet.transparency.merkle import Head
from fleet.transparency.merkle_log import MerkleLog
from gateway.core.errors import FormatError
from gateway.core.evidence import receipt


def signer_of(key: Ed25519PrivateKey) -> proofs.ReceiptSigner:
    """Return the Signer of the fleet's receipt key."""
    return proofs.ReceiptSigner(key_id(key.public_key().public_bytes_raw()), key.sign)


class KeptHeads(NamedTuple):
    """Signed tree heads of this fleet that a reader keeps.  former: the receipt keys, 32 bytes
    each, that were the fleet's before its present one and may have signed them."""

    signed: Sequence[bytes] = ()
    former: Sequence[bytes] = ()


NO_HEADS = KeptHeads()


def build(reader: StoreReader, request: report.ReportRequest, registry_file: Path,
          key: Ed25519PrivateKey, kept: KeptHeads = NO_HEADS) -> bytes:
    """Return the bundle of a site's period; raises ReportError when there is nothing.

    kept: the bundle proves that its log continues each of them.
    """
    cabinet, public = request.cabinet.id, key.public_key().public_bytes_raw()
    with reader.snapshot() as connection:
        content, rows = report.build(reader, request), EvidenceReader(connection)
        config = report.history_of(reader, request).last_hash
        spans = rows.journals(cabinet, request.from_ms, request.to_ms)
        subject = bundle.Subject(request.cabinet.site, cabinet, request.from_ms, request.to_ms,
                                 config, public,
                                 {span[0].hex(): _key(request.cabinet, span[0]) for span in spans})
        signer = signer_of(key)
        batches: list[BatchRow] = []
        for span in spans:
            batches += rows.batches(cabinet, span)
        subject = subject._replace(simulated=any(row.simulated for row in batches))
        heads = sorted({rows.log.head(), *rows.log.daily(request.from_ms),
                        *(_own_head(rows.log, (public, *kept.former), one)
                          for one in kept.signed)})
        prover = proofs.Prover(heads[-1], signer)
        papers = bundle.BundleContents(
            registry_file.read_bytes(), _json(content), _factors(reader, request, content),
            _descriptors(rows, cabinet, {config, *(row.config for row in batches)}),
            [proofs.sign_head(head, signer) for head in heads],
            [prover.consistency(head.size, rows.log.node) for head in heads[:-1]],
            [_receipt(rows, cabinet, journal, signer) for journal, _, _ in spans],
            _set_aside(reader, cabinet, spans, batches),
            _decisions(reader, cabinet, (public, *kept.former), signer))
        proven = [bundle.ProvenBatch(
            (cabinet, row.journal, row.number, row.first_seq, row.last_seq), row.sealed,
            prover.inclusion(row.leaf, rows.log.node)) for row in batches]
    return bundle.write(subject, papers, proven, signer)


def _set_aside(reader: StoreReader, cabinet: str, spans: Sequence[tuple[bytes, int, int]],
               batches: Sequence[BatchRow]) -> list[list[object]]:
    """Return what of the batches does not count, in their order."""
    found: dict[int, list[AsideStretch]] = {}
    for span in spans:
        found |= reader.rivals.of_batches(cabinet, span)
    return [[row.journal, row.number, one.from_ms, one.to_ms, one.by, one.decision]
            for row in batches for one in found.get(row.leaf, ())]


def _decisions(reader: StoreReader, cabinet: str, keys: Sequence[bytes],
               signer: proofs.ReceiptSigner) -> list[bytes]:
    """Return a cabinet's decisions signed with the present receipt key; raises ReportError for one
    that no key of this fleet has signed."""
    found = []
    for signed, content in reader.rivals.decisions(cabinet):
        message, _ = decisions.open_sealed(signed)
        if not any(verified(one, message.signed, message.signature) for one in keys):
            raise ReportError(f"decision {content.number} about {cabinet} is not signed by a key "
                              "of this fleet: somebody wrote it into the store")
        found.append(decisions.seal(content, signer.kid, signer.sign))
    return found


def _own_head(log: MerkleLog, keys: Sequence[bytes], signed: bytes) -> Head:
    """Return the log's head of the size that a kept head names; raises ReportError for one that
    is not of this log: no proof can be made then."""
    def verify(message: bytes, signature: bytes) -> bool:
        return any(verified(one, message, signature) for one in keys)
    try:
        kept = proofs.open_head(signed, verify)
    except FormatError as error:
        raise ReportError(f"the kept head is not one of this fleet: {error}") from error
    if not 1 <= kept.size <= log.size():
        raise ReportError(f"the kept head is of {kept.size} batches, this log has {log.size()}: "
                          "the store is older than the head")
    found = log.head(kept.size)
    if found.root != kept.root:
        raise ReportError(f"the kept head of {kept.size} batches has another root than this log: "
                          "the log was rewritten, or the head is of another store")
    return found


def _key(cabinet: EnrolledCabinet, journal: bytes) -> bytes:
    """Return the public key that signs a journal: the present one, or one that handed over."""
    found: bytes = next((old.public for old in cabinet.previous if old.journal == journal),
                        cabinet.public)
    return found


def _descriptors(rows: EvidenceReader, cabinet: str, hashes: set[bytes]) -> list[bytes]:
    """Return the descriptors with these hashes that have arrived, in order of their hashes."""
    found = [rows.descriptor(cabinet, digest) for digest in sorted(hashes)]
    return [descriptor for descriptor in found if descriptor]


def _json(content: Report) -> bytes:
    """Return a report as `python -m fleet report` writes it."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _factors(reader: StoreReader, request: report.ReportRequest, content: Report) -> bytes:
    """Return the factor set's content in the one form that its hash is taken over."""
    said = content["factors"]
    whole = report.history_of(reader, request).whole()
    path = factor_choice.choose(reader.data, request.factors, whole).path
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    data = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if hashlib.sha256(data).hexdigest() != said["sha256"]:
        raise ReportError(f"{path}: changed while the bundle was made; try again")
    return data


def _receipt(rows: EvidenceReader, cabinet: str, journal: bytes,
             signer: proofs.ReceiptSigner) -> bytes:
    """Return the receipt of a journal as it stands, issued when the newest leaf arrived."""
    held = rows.chain(cabinet, journal)
    content = receipt.Receipt(cabinet, journal, rows.epoch(), held.low_water, held.chain_hash,
                              rows.log.head().at_ms)
    sealed: bytes = receipt.seal(content, signer.kid, signer.sign)
    return sealed
