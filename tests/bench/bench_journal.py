"""Goal P5: what the journal costs on this machine's flash: device bytes, time per commit, CPU."""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.codec.record import ScanRecord
from gateway.core.evidence.batch import CODEC_DEFLATE
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import CLOCK_NTP, ClockState
from gateway.storage.deflate import deflate
from gateway.storage.store import BLOCK_BYTES, FlashStore
from tests.bench.figure import Figure
from tests.bench.load import METERS, SCHEMA, SEEDS, Plan, day

COMMIT_S = 10               # the loss window


class Case(NamedTuple):
    """A cadence to keep: name, batches, and the goal in bytes per reading or in MB a day."""

    name: str
    plan: Plan
    bytes_most: float | None
    megabytes_most: float | None


CASES = (Case("L1", Plan(1, 900, 1), 3.0, None), Case("L2", Plan(10, 90, 4), None, 60.0))


def open_journal(store: FlashStore) -> Journal:
    """Return a fresh journal of the standard load on a store."""
    clock = ClockState(CLOCK_NTP, 0, 1_790_000_000_000, 50)
    return Journal.open(store, JournalOpening(
        "cab-bench", SCHEMA, bytes(32), b"\xa0", "bench",
        lambda: hashlib.sha256(b"bench").digest()[:16], clock, 0))


def write(journal: Journal, plan: Plan, sealer: Sealer) -> list[float]:
    """Append, commit and seal the batches of a plan; return the seconds of each commit."""
    commits: list[float] = []
    size = METERS * max(COMMIT_S // plan.interval_s, 1)
    for records in day(SEEDS[0], "coarse", plan):
        for start in range(0, len(records), size):
            commits.append(_commit(journal, records[start:start + size]))
        while journal.seal(sealer) is not None:
            pass
    return commits


def _commit(journal: Journal, records: list[ScanRecord]) -> float:
    for record in records:
        journal.append_scan(record.ticks_ms, record.stream, record.values)
    began = time.perf_counter()
    journal.commit()
    return time.perf_counter() - began


def measure() -> Iterator[Figure]:
    """Yield the figures of L1 and of L2 through the real store, in a temporary folder."""
    sealer = Sealer(bytes(8), Ed25519PrivateKey.generate().sign, deflate, CODEC_DEFLATE)
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            store = FlashStore(Path(folder) / "journal")
            yield from _figures(case, store, sealer)
            store.close()


def _figures(case: Case, store: FlashStore, sealer: Sealer) -> Iterator[Figure]:
    plan = case.plan
    load = (f"{case.name}: 20 meters x 34 points every {plan.interval_s} s, commit every "
            f"{COMMIT_S} s, {plan.batches} batches of {plan.interval_s * plan.scans} s")
    journal = open_journal(store)
    commits = sorted(write(journal, plan, sealer))
    counts = store.counts()
    readings = plan.batches * plan.scans * METERS * len(SCHEMA[0].points)
    days = plan.batches * plan.scans * plan.interval_s / 86_400
    blocks = counts.blocks_touched * BLOCK_BYTES
    yield Figure("device blocks (4 KiB)", blocks / readings, "bytes/reading", case.bytes_most,
                 load)
    yield Figure("device bytes", blocks / 1e6 / days, "MB/day", case.megabytes_most, load)
    yield Figure("written to files", counts.bytes_written / readings, "bytes/reading", None, load)
    yield Figure("commit, median", commits[len(commits) // 2] * 1e3, "ms", None, load)
    yield Figure("commit, 95 %", commits[len(commits) * 95 // 100] * 1e3, "ms", None, load)
    yield Figure("commits", len(commits) / days / 24, "per hour", None, load)
