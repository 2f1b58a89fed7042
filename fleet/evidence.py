"""Collect what a period's claim rests on, and bind it into one bundle.

All is read in one state of the store, so that the statement, the batches and the proofs
speak of the same evidence.  The bundle depends on nothing else: made twice, it is the same.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet import bundle, proofs, report
from fleet.bundle import Part
from fleet.errors import ReportError
from fleet.evidence_reader import BatchRow, EvidenceReader
from fleet.reader import Reader
from gateway.core import receipt
from gateway.ledger import factors

KID_BYTES = 8


def signer_of(key: Ed25519PrivateKey) -> proofs.Signer:
    """Return the Signer of the fleet's receipt key."""
    public = key.public_key().public_bytes_raw()
    return proofs.Signer(hashlib.sha256(public).digest()[:KID_BYTES], key.sign)


def build(reader: Reader, question: report.Question, registry_file: Path,
          key: Ed25519PrivateKey) -> bytes:
    """Return the bundle of a site's period; raises ReportError when there is nothing."""
    device = question.device.device
    with reader.snapshot() as link:
        content, rows = report.build(reader, question), EvidenceReader(link)
        config = rows.config(device)
        if config is None:
            raise ReportError(f"{device}: its configuration has not arrived yet")
        subject = bundle.Subject(question.device.site, device, question.from_ms, question.to_ms,
                                 config, key.public_key().public_bytes_raw())
        parts = [Part(bundle.REGISTRY, (device,), registry_file.read_bytes()),
                 Part(bundle.STATEMENT, (), _json(content)), _factors(question, content)]
        parts += _proven(rows, subject, signer_of(key))
    return bundle.write(subject, parts, signer_of(key))


def _json(content: dict[str, Any]) -> bytes:
    """Return a report as `python -m fleet report` writes it."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _factors(question: report.Question, content: dict[str, Any]) -> Part:
    """Return the factor set's content in the one form that its hash is taken over."""
    said = content["factors"]
    name = str(question.factors or said["id"])
    path = Path(name) if name.endswith(".toml") else factors.DATA / f"{name}.toml"
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    data = json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if hashlib.sha256(data).hexdigest() != said["sha256"]:
        raise ReportError(f"{path}: changed while the bundle was made; try again")
    return Part(bundle.FACTORS, (said["id"],), data)


def _proven(rows: EvidenceReader, subject: bundle.Subject,
            signer: proofs.Signer) -> Iterator[Part]:
    """Yield batches, descriptors, receipts, tree heads and all proofs about them."""
    newest = rows.log.head()
    prover = proofs.Prover(newest, signer)
    for head in {newest, *rows.log.daily(subject.from_ms)}:
        yield Part(bundle.TREE_HEAD, (head.size,), proofs.sign_head(head, signer))
        if head.size < newest.size:
            yield Part(bundle.CONSISTENCY, (head.size, newest.size),
                       prover.consistency(head.size, rows.log.node))
    configs = {subject.config}
    for span in rows.journals(subject.cabinet, subject.from_ms, subject.to_ms):
        yield from _receipt(rows, subject.cabinet, span[0], signer)
        for row in rows.batches(subject.cabinet, span):
            configs.add(row.config)
            about = _about(subject.cabinet, row)
            yield Part(bundle.BATCH, about, row.sealed)
            yield Part(bundle.INCLUSION, about, prover.inclusion(row.leaf, rows.log.node))
    for config in configs:
        descriptor = rows.descriptor(subject.cabinet, config)
        if descriptor is not None:
            yield Part(bundle.DESCRIPTOR, (subject.cabinet, config), descriptor)


def _about(cabinet: str, row: BatchRow) -> tuple[str, bytes, int, int, int]:
    return cabinet, row.journal, row.number, row.first_seq, row.last_seq


def _receipt(rows: EvidenceReader, cabinet: str, journal: bytes,
             signer: proofs.Signer) -> Iterator[Part]:
    """Yield the receipt of a journal as it stands, issued when the newest leaf arrived."""
    held = rows.chain(cabinet, journal)
    if held is not None:
        content = receipt.Receipt(cabinet, journal, rows.epoch(), held.low_water, held.link,
                                  rows.log.head().at_ms)
        yield Part(bundle.RECEIPT, (cabinet, journal),
                   receipt.seal(content, signer.kid, signer.sign))
