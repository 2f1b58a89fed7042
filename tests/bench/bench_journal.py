"""What the journal costs on this machine's flash: bytes to the device, time per commit, CPU."""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.batch import CODEC_DEFLATE
from gateway.core.journal import Journal, Opening, Sealer
from gateway.core.reading import CLOCK_NTP, ClockState
from gateway.core.record import ScanRecord
from gateway.store import BLOCK_BYTES, FlashStore
from tests.bench.bench_batch import compress
from tests.bench.figure import Figure
from tests.bench.load import METERS, SCHEMA, STEP_S, scans

LOAD = "L2: 20 meters x 34 points, 10 s, an hour, commit every 10 s, seal every 15 min"
STEPS = 3600 // STEP_S
SEAL_STEPS = 900 // STEP_S


def _bytes16() -> bytes:
    """Return a journal id; the bench needs no chance."""
    return hashlib.sha256(b"bench").digest()[:16]


def open_journal(store: FlashStore) -> Journal:
    """Return a fresh journal of the standard load on a store."""
    clock = ClockState(CLOCK_NTP, 0, 1_790_000_000_000, 50)
    return Journal.open(store, Opening(
        "cab-bench", SCHEMA, bytes(32), b"\xa0", "bench", _bytes16, clock, 0))


def write_hour(journal: Journal, records: list[ScanRecord]) -> list[float]:
    """Append, commit and seal an hour of L2; return the seconds each commit took."""
    sealer = Sealer(bytes(8), Ed25519PrivateKey.generate().sign, compress, CODEC_DEFLATE)
    commits = []
    for step in range(STEPS):
        for record in records[step * METERS:(step + 1) * METERS]:
            journal.append_scan(record.ticks_ms, record.stream, record.values)
        began = time.perf_counter()
        journal.commit()
        commits.append(time.perf_counter() - began)
        if step % SEAL_STEPS == SEAL_STEPS - 1:
            while journal.seal(sealer) is not None:
                pass
    return sorted(commits)


def measure() -> Iterator[Figure]:
    """Yield the figures of an hour of L2 through the real store, in a temporary folder."""
    records = scans(seed=1, steps=STEPS)
    readings = len(records) * len(SCHEMA[0].points)
    with tempfile.TemporaryDirectory() as folder:
        store = FlashStore(Path(folder) / "journal")
        journal = open_journal(store)
        began = time.process_time()
        commits = write_hour(journal, records)
        spent = time.process_time() - began
        counts, numbers = store.counts(), journal.batch_numbers()
        began = time.perf_counter()
        drained = sum(len(journal.read_batch(number)) for number in numbers)
        drain_s = time.perf_counter() - began
        store.close()
    blocks = counts.blocks_touched * BLOCK_BYTES
    yield Figure("journal, CPU", spent / readings * 1e6, "us/reading", None, LOAD)
    yield Figure("commit, median", commits[len(commits) // 2] * 1e3, "ms", None, LOAD)
    yield Figure("commit, 95 %", commits[len(commits) * 95 // 100] * 1e3, "ms", None, LOAD)
    yield Figure("written", counts.bytes_written / readings, "bytes/reading", None, LOAD)
    yield Figure("device blocks (4 KiB)", blocks / readings, "bytes/reading", None, LOAD)
    yield Figure("device bytes", blocks / 1e6 * 24, "MB/day", None, LOAD)
    yield Figure("commits", float(len(commits)), "per hour", None, LOAD)
    yield Figure("batches in the journal", drained / readings, "bytes/reading", 0.5, LOAD)
    yield Figure("drain from flash", drained / 1e6 / drain_s, "MB/s", None, LOAD)
