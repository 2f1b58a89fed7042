"""Goal P6: a day's backlog goes from the journal to the broker over TLS, and receipts come back.

The backlog lies sealed on flash; the gateway runs, with its broker held; then the broker is let
go.  Once against a stub that signs receipts (the gateway's own limit), once against the fleet,
which verifies and commits every batch before its receipt.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.config import load as config
from gateway.core.codec.record import ScanRecord
from gateway.core.evidence.batch import CODEC_DEFLATE
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import CLOCK_NTP, ClockState
from gateway.signer import EvidenceSigner
from gateway.storage.deflate import deflate
from gateway.storage.store import FlashStore
from tests.bench import rig
from tests.bench.figure import Figure
from tests.bench.load import METERS, NAMES, SEEDS, Plan, day
from tests.bench.process import WAIT_S, Process, python, running
from tests.support import one_site

BATCHES = 96                        # of 15 min: a day
DISTINCT = Plan(10, 90, 12)         # spread over the day, then repeated with new times
COMMIT_SCANS = METERS * 10
READINGS = BATCHES * DISTINCT.scans * METERS * len(NAMES)
LOAD = (f"24 h of L2 in {BATCHES} sealed batches ({READINGS / 1e6:.1f} M readings), TLS, "
        "mosquitto, window of 4 batches")


def fill(made: rig.Site) -> int:
    """Write a day's batches into a site's journal, sealed with its own key; return the last
    sequence."""
    key = load_pem_private_key((made.folder / "keys/evidence.key").read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise SystemExit("the evidence key is not Ed25519")
    signer = EvidenceSigner(key)
    sealer = Sealer(signer.kid, signer.sign, deflate, CODEC_DEFLATE)
    store = FlashStore(made.folder / "journal")
    cabinet = config.load(made.folder / "cabinet.toml")
    clock = ClockState(CLOCK_NTP, 0, 1_790_000_000_000, 50)
    journal = Journal.open(store, JournalOpening(
        rig.CABINET, cabinet.schema, cabinet.config_hash, cabinet.descriptor, "bench",
        lambda: os.urandom(16), clock, 0))
    batches = list(day(SEEDS[0], "coarse", DISTINCT))
    for number in range(BATCHES):
        _append(journal, batches[number % len(batches)], number * 900_000)
        while journal.seal(sealer) is not None:
            pass
    store.close()
    last: int = journal.sealed_seq
    return last


def _append(journal: Journal, records: list[ScanRecord], start_ms: int) -> None:
    first_ms = records[0].ticks_ms
    for count, record in enumerate(records, 1):
        journal.append_scan(start_ms + record.ticks_ms - first_ms, record.stream, record.values)
        if count % COMMIT_SCANS == 0:
            journal.commit()
    journal.commit()


@contextlib.contextmanager
def loaded(folder: Path, meters: list[int]) -> Iterator[tuple[rig.Site, Process, int]]:
    """Give a site with a day's backlog, its broker, and the backlog's last sequence."""
    made = rig.make_site(folder, meters, {"interval_s": 3600}, rig.free_port())
    last = fill(made)
    with rig.broker(made) as broker:
        yield made, broker, last


@contextlib.contextmanager
def held(made: rig.Site, broker: Process) -> Iterator[Process]:
    """Give a running gateway that cannot yet get through to its broker."""
    os.kill(broker.pid, signal.SIGSTOP)
    with running("gateway", rig.gateway_command(made), made.folder / "gateway.log") as gateway:
        end_s = time.monotonic() + WAIT_S
        while not (made.folder / "status.json").exists():
            select.select([], [], [], 0.01)
            if time.monotonic() > end_s:
                raise SystemExit(f"no gateway:\n{(made.folder / 'gateway.log').read_text()}")
        yield gateway


def measure() -> Iterator[Figure]:
    """Yield time and CPU of the drain against the stub, and its time against the fleet."""
    with rig.workshop() as folder, running(
            "meters", python("tests.bench.meter_server"), folder / "meters.log") as meters:
        ports = meters.line()["ports"]
        with loaded(folder / "stub", ports) as (made, broker, _):
            yield from _to_stub(made, broker)
        with loaded(folder / "fleet", ports) as (made, broker, last):
            yield from _to_fleet(made, broker, folder / "data", last)


def _to_stub(made: rig.Site, broker: Process) -> Iterator[Figure]:
    with rig.fleet(made) as fleet, held(made, broker) as gateway:
        before_s = gateway.cpu_s()
        os.kill(broker.pid, signal.SIGCONT)
        arrived = [fleet.line() for _ in range(BATCHES)]
        spent_s = gateway.cpu_s() - before_s
    took_s = arrived[-1]["at_s"] - arrived[0]["at_s"]
    yield Figure("first batch to last, at the broker's far side", took_s, "s", 1.0, LOAD)
    yield Figure("until the last receipt", arrived[-1]["receipt_s"] - arrived[0]["at_s"], "s",
                 10.0, LOAD)
    yield Figure("gateway, CPU", spent_s / READINGS * 1e6, "CPU-s/M", 0.05, LOAD)
    yield Figure("sent", sum(one["bytes"] for one in arrived) / READINGS, "bytes/reading", None,
                 LOAD)


def _to_fleet(made: rig.Site, broker: Process, data: Path, last: int) -> Iterator[Figure]:
    one_site.enrol(made.folder, data, None)
    serve = python("fleet", "serve", "--data", str(data), "--port", str(rig.free_port()))
    log = made.folder / "fleet.transparency.merkle_log"
    with running("fleet", serve, log) as fleet:
        rig.await_text(log, "connected to the broker")
        with held(made, broker):
            before_s, began_s = fleet.cpu_s(), time.monotonic()
            os.kill(broker.pid, signal.SIGCONT)
            rig.await_text(log, f"up to {last}\n")
            took_s, spent_s = time.monotonic() - began_s, fleet.cpu_s() - before_s
    load = LOAD + "; the fleet verifies and commits"
    yield Figure("until the fleet has all", took_s, "s", 10.0, load)
    yield Figure("fleet, CPU", spent_s / READINGS * 1e6, "CPU-s/M", None, load)
