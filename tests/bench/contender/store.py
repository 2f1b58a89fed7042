"""Buffer: the journal on its real store, spoken to as the harness' own stores are.

    run.py buffer --add "name=wattproof-200;cmd=.venv/bin/python -m tests.bench.contender.store"

    store.py KIND DIR N PACE ACKFILE    appends N scans; KIND ends with the scans of a commit
    store.py KIND DIR count             reads back what a crash left
"""

import mmap
import os
import select
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.codec import columns
from gateway.core.codec.record import ScanRecord
from gateway.core.evidence import downsampled
from gateway.core.evidence.batch import CODEC_DEFLATE
from gateway.core.journal import segment
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import CLOCK_NTP, ClockState
from gateway.storage import inspect
from gateway.storage.deflate import deflate
from gateway.storage.restart import inflate
from gateway.storage.store import FlashStore
from tests.bench.contender.harness import memory_mib, records, say
from tests.bench.load import METERS, SCHEMA

DEVICE = "cab-bench"
COMMIT, BATCH = 200, 1200           # scans: 10 s and a minute of 20 meters at 1 Hz
VALUE_BYTES = 4                     # what the harness' records spend on a reading, and
HEAD_BYTES = 14                     # on a record: its payload, to compare with


class Kept:
    """A journal that is appended to, and how many scans of it are durable."""

    def __init__(self, folder: Path, commit: int) -> None:
        self._store = FlashStore(folder / "journal")
        clock = ClockState(CLOCK_NTP, 0, 1_790_000_000_000, 50)
        self._journal = Journal.open(self._store, JournalOpening(
            DEVICE, SCHEMA, bytes(32), b"\xa0", "bench", lambda: os.urandom(16), clock, 0))
        self._journal.commit()
        self._sealer = Sealer(bytes(8), Ed25519PrivateKey.generate().sign, deflate, CODEC_DEFLATE)
        self._before, self._commit, self._count = self._journal.last_seq, commit, 0

    def append(self, record: ScanRecord) -> bool:
        """Take a scan; return True if `durable` may have changed."""
        self._journal.append_scan(record.ticks_ms, record.stream, record.values)
        self._count += 1
        if self._count % self._commit:
            return False
        self._journal.commit()
        if self._count % BATCH < self._commit:
            self._journal.seal(self._sealer)
        return True

    @property
    def durable(self) -> int:
        """How many scans no power cut takes back."""
        return max(0, self._journal.durable_seq - self._before)

    def close(self) -> int:
        """Commit the rest and close; return how often the store synced."""
        self._journal.commit()
        syncs: int = self._store.counts().syncs
        self._store.close()
        return syncs


def fill(folder: Path, commit: int, count: int, pace: float, acknowledged: Path) -> None:
    """Append scans, at most `pace` a second (0: as fast as it goes), acknowledging the durable."""
    wanted, base_mib = list(records(count)), memory_mib()
    kept, size = Kept(folder, commit), 8
    acknowledged.write_bytes(bytes(size))
    with acknowledged.open("r+b") as file, mmap.mmap(file.fileno(), size) as cell:
        print("go", flush=True)
        sys.stdin.readline()
        cpu_s, began_s = time.process_time(), time.perf_counter()
        for number, record in enumerate(wanted, 1):
            if kept.append(record):
                cell[:] = kept.durable.to_bytes(size, "little")
            if pace and number % METERS == 0:
                wait_s = began_s + number / pace - time.perf_counter()
                select.select([], [], [], max(wait_s, 0))
        put_s = time.perf_counter() - began_s
        syncs = kept.close()
        cell[:] = kept.durable.to_bytes(size, "little")
    say(n=count, put_s=put_s, elapsed=time.perf_counter() - began_s,
        cpu=time.process_time() - cpu_s, rss_mib=memory_mib(), rss_base_mib=base_mib, syncs=syncs,
        payload_bytes=count * (HEAD_BYTES + VALUE_BYTES * len(SCHEMA[0].points)))


def numbers(view: inspect.JournalView) -> list[int]:
    """Return the number (from 0) of every scan that stands in a journal."""
    found = []
    for _, content, _ in inspect.batches(view):
        if content is not None:
            found += downsampled.open_records(content, inflate)[1]
    for piece in view.found.pieces:
        schema = columns.decode_schema(piece.context.schema)
        data = piece.columns or segment.decode_block(view.found.tail.read(piece.position)).columns
        found += columns.decode(schema, piece.base_seq, data)
    return [one.ticks_ms // 10_000 * METERS + one.stream for one in found
            if isinstance(one, ScanRecord)]


def count(folder: Path) -> None:
    """Say what a journal holds, and how long it took to find out."""
    base_mib, began_s = memory_mib(), time.perf_counter()
    view = inspect.open_view(folder / "journal", DEVICE)
    open_s, open_mib = time.perf_counter() - began_s, memory_mib()
    found = numbers(view)
    distinct = set(found)
    say(records=len(found), distinct=len(distinct), bad=0, open_to_first_s=open_s,
        contiguous_upto=next(k for k in range(len(distinct) + 1) if k not in distinct),
        read_all_s=time.perf_counter() - began_s, rss_mib=open_mib, rss_base_mib=base_mib)


def main(given: list[str]) -> None:
    """Do as the harness asks."""
    kind, folder, what = given[0], Path(given[1]), given[2]
    if what == "count":
        return count(folder)
    commit = int(kind.rpartition("-")[2]) if kind.rpartition("-")[2].isdigit() else COMMIT
    return fill(folder, commit, int(what), float(given[3]), Path(given[4]))


if __name__ == "__main__":
    main(sys.argv[1:])
