"""The evidence bundle: one file that proves itself without us.  Pure: parts in, bytes out.

    bundle   = [contents, batch, receipt, batch, receipt, ...]
    contents = COSE_Sign1, by the fleet's receipt key, of everything else and a hash of each part

The contents determine every other byte of the file.  Format: docs/formats.md section 10.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple, cast

from fleet.reporting.content import Report
from fleet.transparency.proofs import ReceiptSigner
from gateway.core.codec import cbor, cose

FORMAT = "wattproof-evidence-1"


class Subject(NamedTuple):
    """What a bundle is about.

    from_ms, to_ms: the period of the statement.  config: 32 bytes, hash of the descriptor the
    statement was made with.  key: 32 bytes, the fleet's public receipt key.  keys: {journal id
    in hex: public evidence key (32 bytes)}.  simulated: whether any batch's time is.
    """

    site: str
    cabinet: str
    from_ms: int
    to_ms: int
    config: bytes
    key: bytes
    keys: dict[str, bytes]
    simulated: bool = False


class BundleContents(NamedTuple):
    """What stands in the contents as it is; heads: by size, consistency: of each head but the
    last, set_aside: [journal, number of the batch, from ms, to ms, journal that counts,
    number of the decision]."""

    registry: bytes
    statement: bytes
    factors: bytes
    descriptors: list[bytes]
    heads: list[bytes]
    consistency: list[bytes]
    receipts: list[bytes]
    set_aside: list[list[object]]
    decisions: list[bytes]


class ProvenBatch(NamedTuple):
    """One batch with its proof; about: (device, journal, number, first_seq, last_seq)."""

    about: tuple[str, bytes, int, int, int]
    sealed: bytes
    receipt: bytes


def write(subject: Subject, papers: BundleContents, batches: Iterable[ProvenBatch],
          signer: ReceiptSigner) -> bytes:
    """Return the bundle; the batches may come in any order.

    Of one number the whole batch stands before a downsampled one that ends with it.
    """
    ordered = sorted(batches, key=lambda one: (*one.about[:3], -one.about[3]))
    parts = [part for one in ordered for part in (one.sealed, one.receipt)]
    table = [[*one.about, [len(one.sealed), len(one.receipt)],
              [_sha256(one.sealed), _sha256(one.receipt)]] for one in ordered]
    payload = cbor.encode({
        "format": FORMAT, "site": subject.site, "cabinet": subject.cabinet,
        "from": subject.from_ms, "to": subject.to_ms, "config": subject.config,
        "key": subject.key, "keys": subject.keys, "simulated": subject.simulated,
        **papers._asdict(), "batches": table})
    out = [cbor.head(cbor.ARRAY, 1 + len(parts))]
    for part in (cose.sign1(signer.kid, payload, signer.sign), *parts):
        out += [cbor.head(cbor.BYTES, len(part)), part]
    return b"".join(out)


def statement(data: bytes) -> Report:
    """Return the report that a bundle of ours was made about."""
    contents = cose.open_sign1(cbor.decode(data)[0])
    return cast(Report, json.loads(cbor.decode(contents.payload)["statement"]))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
