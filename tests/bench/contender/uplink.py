"""Uplink: a sealed batch of the harness' readings, with everything that travels.

    run.py uplink --add "name=wattproof;codec=tests.bench.contender.uplink:codec"
"""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.codec.record import ScanRecord
from gateway.core.evidence import batch as batches
from gateway.core.evidence import chain
from gateway.core.reading import ClockState
from gateway.storage.deflate import deflate
from tests.bench.contender.harness import schema_of

DEVICE, JOURNAL = "shop-7-cabinet", bytes(range(16))
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def codec(ints: Any, decimals: list[int], t0_ms: int, dt_ms: int, names: list[str]) -> bytes:
    """Return the sealed batch of ints[device][channel][k], as the harness calls it."""
    schema = schema_of(list(names), list(decimals), len(ints))
    records: list[ScanRecord] = []
    for k in range(len(ints[0][0])):
        for s in range(len(ints)):
            values = tuple([int(channel[k]) for channel in ints[s]])
            records.append(ScanRecord(len(records) + 1, k * dt_ms, s, values))
    body = batches.make_body(schema, records, batches.CODEC_DEFLATE, deflate)
    value = batches.Batch(DEVICE, JOURNAL, 1, 1, 1, len(records), chain.start(DEVICE, JOURNAL),
                          bytes(32), ClockState(3, 0, t0_ms, 20), batches.CODEC_DEFLATE, body)
    data: bytes = batches.seal(batches.encode_payload(value), bytes(8), KEY.sign)
    return data
