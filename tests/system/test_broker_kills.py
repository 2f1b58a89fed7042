"""A real mosquitto killed fifty times while batches go through it: nothing is lost.

Gateway's uplink over a real journal, fleet's receiver over a real store, mutual TLS; SIGKILL
at a random moment while batches are under way (reliability row 11).
"""

import asyncio
import contextlib
import datetime
import json
import random
import sqlite3

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet import settings as fleet_settings
from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest as AdmissionDesk
from fleet.ingest.live_table import LiveTable
from fleet.ingest.receiver import Receiver
from fleet.store import writer as fleet_store
from gateway.delivery.uplink import Uplink
from gateway.signer import EvidenceSigner, Verifier
from gateway.timekeeping.clock import Clock, Scale
from tests.gateway.delivery.test_uplink import (
    CABINET,
    QUICK,
    Broker,
    free_port,
    make_site,
    settings_of,
    until,
)
from tests.support import one_site as enrol
from tests.support.writer_setup import WriterSetup

KILLS = 50
WITHIN_S = 0.05             # a kill comes so long after something went out, at most
BATCH_S = 0.01
ORIGIN_MS = 1_780_272_000_000


class Place:
    """A site with its broker, the gateway's side and the fleet's side of it."""

    def __init__(self, folder, log):
        port = free_port()
        home = make_site(folder, port)
        self.data = folder / "fleet"
        enrol.enrol(home, self.data, datetime.datetime.now(datetime.UTC))
        self._enrol_key_of_the_gateway()
        self.broker = Broker("mosquitto", home, log)
        self.setup = WriterSetup(folder, clock=Clock(Scale(60, ORIGIN_MS, 0)))
        chosen = settings_of(home, port)
        self.uplink = Uplink(CABINET, chosen, self.setup.writer,
                             Verifier.load(chosen.receipt_key), QUICK)
        configured = fleet_settings.load(self.data)
        self.store = fleet_store.EvidenceStore(self.data)
        self.receiver = Receiver(configured, AdmissionDesk(
            self.store, Registry(self.data).find,
            fleet_settings.receipt_key(configured.receipt_key), lambda: ORIGIN_MS), LiveTable())

    def _enrol_key_of_the_gateway(self):
        entry = self.data / "registry" / f"{CABINET}.json"
        signer = EvidenceSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))
        entry.write_text(json.dumps(json.loads(entry.read_text()) | {
            "evidence_key_hex": signer.public_raw.hex(), "kid_hex": signer.kid.hex()}))

    async def seal(self):
        """Make batches for ever."""
        for count in range(1 << 30):
            self.setup.journal.append_scan(self.setup.clock.ticks_ms(), 0, (count, 1))
            assert self.setup.writer.seal()
            await asyncio.sleep(BATCH_S)

    @contextlib.asynccontextmanager
    async def running(self):
        """Run uplink and receiver."""
        tasks = [asyncio.create_task(job) for job in (
            self.uplink.run(), self.receiver.run(lambda _pause_s: asyncio.sleep(0.02)))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.broker.stop()
            self.store.close()
            self.setup.store.close()

    def stored(self):
        """Return [(number, sealed bytes)] of what the fleet has committed."""
        connection = sqlite3.connect(self.data / fleet_store.FILE)
        rows = connection.execute("SELECT number, sealed FROM batches ORDER BY number").fetchall()
        connection.close()
        return rows


async def kill_while_sending(place, chance):
    """Kill the broker at a random moment after batches go out; return whether some were under
    way then."""
    sent = place.uplink.counts["batches_sent"]
    await until(lambda: place.uplink.counts["batches_sent"] > sent and place.receiver.connected)
    await asyncio.sleep(chance.uniform(0, WITHIN_S))
    hit = bool(place.uplink.outbox.under_way())
    place.broker.process.kill()
    place.broker.process.wait(10)
    place.broker.start()
    return hit


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_a_broker_killed_fifty_times_while_sending_loses_nothing(tmp_path, capsys):
    chance = random.Random("fifty kills")
    with (tmp_path / "broker.log").open("wb") as log:
        place = Place(tmp_path, log)
        place.broker.start()
        async with place.running():
            sealing = asyncio.create_task(place.seal())
            hits = 0
            for _ in range(KILLS):
                hits += await kill_while_sending(place, chance)
            sealing.cancel()
            assert await place.uplink.drained(60)
            journal = place.setup.journal
            sealed = [(number, journal.read_batch(number)) for number in journal.batch_numbers()]
            assert place.stored() == sealed and len(sealed) > KILLS
            assert place.uplink.outbox.acknowledged_seq == journal.sealed_seq
    sent = place.uplink.counts["batches_sent"]
    with capsys.disabled():
        print(f"\nbroker: {KILLS} kills, {hits} with batches under way; {len(sealed)} batches, "
              f"sent {sent} times, 0 lost")
    assert hits >= KILLS // 2
    assert place.uplink.counts["connects"] > KILLS // 2
