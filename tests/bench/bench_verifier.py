"""How long docs/verify_evidence.py needs for a gateway-year: L3, 32 meters read every minute.

A year has 35,040 batches of 15 minutes and 16.8 million records.  Measured on a bundle of some
hundred such batches (real signatures, chain, receipts; the bodies repeat after a day), then
multiplied.  CPU time, of one core: for a large bundle the verifier uses two.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.evidence import bundle
from fleet.transparency import merkle, proofs
from gateway.core.codec import cbor
from gateway.core.codec.record import ScanRecord
from gateway.core.evidence import batch as batches
from gateway.core.evidence import chain
from gateway.core.reading import ClockState, Stream
from gateway.storage.deflate import deflate
from tests.bench.figure import Figure
from tests.bench.load import SLOW, day, schema_of
from tests.support.evidence_world import verifier

METERS, BATCHES, YEAR = 32, 500, 365 * 96     # 500: the most it does in one process
JOURNAL, CONFIG = bytes(16), cbor.encode({"v": 1})


def two_cabinets() -> Iterator[tuple[tuple[Stream, ...], list[ScanRecord]]]:
    """Yield (schema, records) of batches of 32 meters: one cabinet and part of another."""
    first = schema_of("coarse")
    more = [Stream(f"more-{stream.device}", stream.points) for stream in first]
    schema = (*first, *more)[:METERS]
    pairs = zip(day("shop-monday", "coarse", SLOW), day("shop-sunday", "coarse", SLOW),
                strict=True)
    for one, two in pairs:
        both = one + [item._replace(stream=item.stream + len(first)) for item in two
                      if item.stream + len(first) < METERS]
        yield schema, sorted(both, key=lambda item: (item.ticks_ms // 60_000, item.stream))


def bundle_of(count: int) -> tuple[bytes, int]:
    """Return a bundle of `count` batches and how many records it holds."""
    key, fleet = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    kid = hashlib.sha256(key.public_key().public_bytes_raw()).digest()[:8]
    public = fleet.public_key().public_bytes_raw()
    signer = proofs.ReceiptSigner(hashlib.sha256(public).digest()[:8], fleet.sign)
    prev, seq, sealed = chain.start("l3", JOURNAL), 1, []
    bodies = [(batches.make_body(schema, [item._replace(seq=n) for n, item in
                                          enumerate(records, 1)], 1, deflate), len(records))
              for schema, records in two_cabinets()]
    for number, (body, records) in zip(range(1, count + 1), itertools.cycle(bodies), strict=False):
        payload = batches.encode_payload(batches.Batch(
            "l3", JOURNAL, number, 1, seq, seq + records - 1, prev,
            hashlib.sha256(CONFIG).digest(), ClockState(3, 0, 0, 50), 1, body))
        about = ("l3", JOURNAL, number, seq, seq + records - 1)
        sealed.append((about, batches.seal(payload, kid, key.sign)))
        prev, seq = chain.chain_hash(payload), seq + records
    return _written(sealed, signer, key.public_key().public_bytes_raw(), public), seq - 1


def _written(sealed: list[tuple[tuple[object, ...], bytes]], signer: proofs.ReceiptSigner,
             key: bytes, public: bytes) -> bytes:
    nodes: dict[tuple[int, int], bytes] = {}
    def get(level: int, place: int) -> bytes:
        return nodes[level, place]
    for index, (_, data) in enumerate(sealed):
        for level, place, found in merkle.appended(index, merkle.leaf_hash(data), get):
            nodes[level, place] = found
    head = proofs.Head(len(sealed), merkle.root(len(sealed), get), 0)
    prover = proofs.Prover(head, signer)
    entry = json.dumps({"device": "l3", "evidence_key_hex": key.hex()}).encode()
    papers = bundle.BundleContents(entry, b"{}",
                                   b"{}", [CONFIG], [proofs.sign_head(head, signer)], [], [])
    subject = bundle.Subject("l3", "l3", 0, 900_000, hashlib.sha256(CONFIG).digest(), public,
                             {JOURNAL.hex(): key})
    return bundle.write(subject, papers, [
        bundle.ProvenBatch(about, data, prover.inclusion(index, get))
        for index, (about, data) in enumerate(sealed)], signer)


def measure() -> Iterator[Figure]:
    """Yield the figures of the verifier."""
    load = f"L3: {METERS} meters x 34 points every 60 s, {BATCHES} batches of 15 minutes, coarse"
    data, records = bundle_of(BATCHES)
    module = verifier()
    start = time.process_time()
    found = module.Bundle(data)
    seconds = time.process_time() - start
    if found.faults:
        raise AssertionError(found.faults[:3])
    yield Figure("verifier, a gateway-year", seconds / BATCHES * YEAR / 2, "s on 2 cores", 60, load)
    yield Figure("verifier, one batch", seconds / BATCHES * 1000, "ms", None, load)
    yield Figure("bundle, one record", len(data) / records, "bytes", None, load)
