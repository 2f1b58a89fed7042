"""What a sealed batch costs: bytes per reading on the uplink, microseconds per reading."""

import time
import zlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core import batch
from gateway.core.chain import start
from gateway.core.reading import CLOCK_NTP, ClockState
from tests.bench.figure import Figure
from tests.bench.load import SCHEMA, STEP_S, scans

LOAD = "L2: 20 meters x 34 points, 10 s, 15 min batches, deflate"
BATCHES = 4
STEPS = 900 // STEP_S
UPLINK_MAX = 0.5        # bytes per reading, the bound; 0.28 is the later goal


def compress(data: bytes) -> bytes:
    """Return raw deflate bytes, as the gateway makes them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def seal(records: list) -> bytes:
    """Return one sealed batch of records that are contiguous."""
    body = batch.make_body(SCHEMA, records, batch.CODEC_DEFLATE, compress)
    journal, digest = bytes(16), bytes(32)
    clock = ClockState(CLOCK_NTP, 0, 1_790_000_000_000, 50)
    payload = batch.encode_payload(batch.Batch(
        "cab-bench", journal, 1, 1, records[0].seq, records[-1].seq,
        start("cab-bench", journal), digest, clock, batch.CODEC_DEFLATE, body))
    return batch.seal(payload, bytes(8), Ed25519PrivateKey.generate().sign)


def measure() -> Iterator[Figure]:
    """Yield the figures of an hour of L2 in four batches."""
    records = scans(seed=1, steps=BATCHES * STEPS)
    size = len(records) // BATCHES
    readings = len(records) * len(SCHEMA[0].points)
    began = time.process_time()
    sealed = [seal(records[i * size:(i + 1) * size]) for i in range(BATCHES)]
    spent = time.process_time() - began
    total = sum(map(len, sealed))
    yield Figure("evidence uplink", total / readings, "bytes/reading", UPLINK_MAX, LOAD)
    yield Figure("sealing, CPU", spent / readings * 1e6, "us/reading", None, LOAD)
    yield Figure("sealed batch", total / BATCHES, "bytes", batch.SEALED_MAX, LOAD)
