"""How long flash lasts without a fleet: 30 days of every scan and 400 of quarter hours.

A whole day of load L2 is sealed as the gateway seals it, put into a store in memory and made
coarser rule by rule by the gateway's own code.  Files count in blocks of 4 KiB, as on flash.
A step of downsampling is what the writer does between two looks at its work.
"""

import time
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.codec import cbor
from gateway.core.evidence import batch as batches
from gateway.core.evidence import chain, downsampled
from gateway.core.journal.downsampled_files import NEWEST_KEPT, DownsampledBatches, Downsampling
from gateway.core.journal.journal import Sealer
from gateway.core.reading import ClockState
from gateway.storage.deflate import deflate
from gateway.storage.restart import inflate
from gateway.storage.retention import CounterLimits
from tests.bench.figure import Figure
from tests.bench.load import SEEDS, Plan, day, schema_of
from tests.support.memory_store import MemoryStore

DAY = Plan(10, 90, 96)
ROOM_MIB, FULL_DAYS, COARSE_DAYS = 256, 30, 400     # reliability targets, row 8
KEEP_MIB = 512              # [journal] keep_mib if nothing is said
MIB = 1 << 20
CONFIG = bytes(32)
DEVICE, JOURNAL = "shop-7-cabinet", bytes(range(16))


def day_in_memory(seed: str, sealer: Sealer) -> DownsampledBatches:
    """Return the sealed batches of a seed's day, and as many more as always stay whole."""
    schema, prev = schema_of("coarse"), chain.start(DEVICE, JOURNAL)
    found = DownsampledBatches(MemoryStore(), JOURNAL, [])
    clock, seq = ClockState(3, 0, 1_760_054_400_000, 20), 1
    days = list(day(seed, "coarse", DAY))
    for number, records in enumerate(days + days[:NEWEST_KEPT], 1):
        body = batches.make_body(schema, records, batches.CODEC_DEFLATE, deflate)
        payload = batches.encode_payload(batches.Batch(
            DEVICE, JOURNAL, number, 1, seq, seq + len(records) - 1, prev, CONFIG, clock,
            batches.CODEC_DEFLATE, body))
        prev, seq = chain.chain_hash(payload), seq + len(records)
        found.write(number, batches.seal(payload, sealer.kid, sealer.sign))
    return found


def sizes(seed: str) -> tuple[dict[int, float], float]:
    """Return ({rule: bytes on flash a day}, the longest step in CPU seconds) of a seed's day."""
    key = Ed25519PrivateKey.generate()
    sealer = Sealer(bytes(8), key.sign, deflate, batches.CODEC_DEFLATE)
    held = day_in_memory(seed, sealer)
    meters: list[dict[str, Any]] = [{"name": stream.device, "kind": "meter", "rated_w": 17_000}
                                    for stream in schema_of("coarse")]
    work = Downsampling(held, sealer, inflate, CounterLimits(CONFIG, cbor.encode(
        {"devices": meters, "interval_s": 10})))
    found, longest = {0: float(held.bytes_of(held.numbers()[:DAY.batches]))}, 0.0
    for rule in downsampled.RULE_NAMES:
        while (goal := held.next_group([], work.refused)) and goal[1] == rule:
            began = time.process_time()
            work.step([])
            longest = max(longest, time.process_time() - began)
        found[rule] = float(held.bytes_of(held.numbers()[:-NEWEST_KEPT]))
    return found, longest


def measure() -> Iterator[Figure]:
    """Yield the room of a day under each rule, and of the days that must fit."""
    load = f"load L2, whole days {', '.join(SEEDS)}, blocks of 4 KiB"
    done = [sizes(seed) for seed in SEEDS]
    for rule in (0, *downsampled.RULE_NAMES):
        name = downsampled.RULE_NAMES.get(rule, "every scan")
        yield Figure(name, max(one[0][rule] for one in done) / 1e6, "MB/day", None, load)
    most = max(FULL_DAYS * one[0][0] + COARSE_DAYS * one[0][downsampled.QUARTERS] for one in done)
    yield Figure(f"{FULL_DAYS} days of scans and {COARSE_DAYS} of quarter hours", most / MIB,
                 "MiB", ROOM_MIB, load)
    confirmed = max(one[0][0] for one in done)
    yield Figure(f"{FULL_DAYS} days of confirmed batches", FULL_DAYS * confirmed / MIB, "MiB",
                 KEEP_MIB, load)
    yield Figure(f"days of confirmed batches in {KEEP_MIB} MiB", KEEP_MIB * MIB / confirmed,
                 "days", None, load)
    yield Figure("the longest step", max(one[1] for one in done) * 1000, "ms of CPU", None, load)
