"""Drain: a backlog of sealed batches goes from the journal through the gateway's uplink.

    run.py drain --add "name=wattproof;prep=.venv/bin/python -m tests.bench.contender.drain prep;\
cmd=.venv/bin/python -m tests.bench.contender.drain run;\
decoder=tests.bench.contender.drain:decode"

The gateway speaks TLS to a broker of its own; what arrives there is handed on to the harness'
plain broker (side.py), so the time is that of two brokers, the CPU the gateway's alone.
"""

import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.config import load as config
from gateway.core.codec.record import ScanRecord
from gateway.core.evidence import batch
from gateway.core.evidence.batch import CODEC_DEFLATE
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import CLOCK_NTP, Absent, ClockState
from gateway.signer import EvidenceSigner
from gateway.storage.deflate import deflate
from gateway.storage.restart import inflate
from gateway.storage.store import FlashStore
from tests.bench import rig
from tests.bench.contender import side
from tests.bench.contender.harness import received, records
from tests.bench.load import METERS

BATCH = 1800                    # scans: 15 minutes of 20 meters every 10 s


def prepare(folder: Path, count: int) -> None:
    """Fill a site's journal with sealed batches of `count` scans."""
    ports = [rig.free_port() for _ in range(METERS)]        # nobody answers there
    made = rig.make_site(folder / "made", ports, {"interval_s": 3600}, rig.free_port())
    (folder / "port").write_text(str(made.port))
    signer = EvidenceSigner(load_pem_private_key(
        (made.folder / "keys/evidence.key").read_bytes(), None))    # type: ignore[arg-type]
    sealer = Sealer(signer.kid, signer.sign, deflate, CODEC_DEFLATE)
    cabinet = config.load(made.folder / "cabinet.toml")
    store = FlashStore(made.folder / "journal")
    clock = ClockState(CLOCK_NTP, 0, 1_760_000_000_000, 50)
    journal = Journal.open(store, JournalOpening(
        rig.CABINET, cabinet.schema, cabinet.config_hash, cabinet.descriptor, "bench",
        lambda: os.urandom(16), clock, 0))
    for number, one in enumerate(records(count), 1):
        journal.append_scan(one.ticks_ms, one.stream, one.values)
        if number % BATCH == 0 or number == count:
            journal.commit()
            while journal.seal(sealer) is not None:
                pass
    store.close()


def run(folder: Path, target: int) -> None:
    """Become the gateway that delivers them."""
    made = rig.Site(folder / "made/site", folder / "made/profiles",
                    int((folder / "port").read_text()))
    side.begin(made, target)
    side.become_gateway(made)


def decode(path: str) -> tuple[int, int]:
    """Return (readings that arrived, each counted once; payload bytes) of a sink's file."""
    seen: dict[tuple[bytes, int], int] = {}
    size = 0
    for _, payload in received(path):
        size += len(payload)
        content = batch.open_sealed(payload)[1]
        found = batch.open_body(content, inflate)[1]
        seen[content.journal_id, content.number] = sum(
            not isinstance(value, Absent) for one in found if isinstance(one, ScanRecord)
            for value in one.values)
    return sum(seen.values()), size


if __name__ == "__main__":
    if sys.argv[1] == "prep":
        prepare(Path(os.environ["BENCH_DIR"]), int(os.environ["BENCH_RECORDS"]))
    else:
        run(Path(os.environ["BENCH_DIR"]), int(os.environ["BENCH_MQTT_PORT"]))
