"""From the fleet's folder through a real broker to a cabinet, and back as signed evidence."""

import asyncio
import contextlib
import datetime
import json

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet import settings as fleet_settings
from fleet.authority import downlink, issue
from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest as AdmissionDesk
from fleet.ingest.live_table import LiveTable
from fleet.ingest.receiver import Receiver
from fleet.serve import told_by
from fleet.store.writer import EvidenceStore
from gateway.core.codec.record import DOWNLINK, EventRecord, is_event
from gateway.delivery.uplink import Uplink
from gateway.signer import EvidenceSigner, Verifier
from gateway.timekeeping.clock import Clock, Scale
from tests.fleet.maker import PaperGateway
from tests.gateway.delivery.test_uplink import (
    CABINET,
    NOW,
    QUICK,
    Broker,
    free_port,
    make_site,
    settings_of,
    until,
)
from tests.support import one_site
from tests.support.cabinets import make_fleet
from tests.support.writer_setup import WriterSetup

ORIGIN_MS = 1_780_272_000_000


def enrol_key_of_the_desk(data):
    """Let the fleet know the key with which the test's writer signs."""
    entry = data / "registry" / f"{CABINET}.json"
    signer = EvidenceSigner(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    entry.write_text(json.dumps(json.loads(entry.read_text()) | {
        "evidence_key_hex": signer.public_raw.hex(), "kid_hex": signer.kid.hex()}))


@contextlib.asynccontextmanager
async def both_ends(folder, home, port):
    """Run uplink and receiver; yield the writer's desk and the fleet's folder."""
    data = home / one_site.FLEET
    enrol_key_of_the_desk(data)
    ingest = WriterSetup(folder, clock=Clock(Scale(60, ORIGIN_MS, 0)))
    chosen = settings_of(home, port)
    uplink = Uplink(CABINET, chosen, ingest.writer, Verifier.load(chosen.receipt_key), QUICK)
    configured, store = fleet_settings.load(data), EvidenceStore(data)
    key = fleet_settings.receipt_key(configured.receipt_key)
    receiver = Receiver(
        configured, AdmissionDesk(store, Registry(data).find, key, lambda: ORIGIN_MS),
        LiveTable(), downlink.Sender(data, key, lambda name: told_by(data, name)))
    receiver.look_s = 0.1
    tasks = [asyncio.create_task(job) for job in (uplink.run(), receiver.run())]
    try:
        yield ingest, uplink, data
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        store.close()
        ingest.store.close()


async def test_a_renewal_reaches_the_cabinet_and_its_journal_says_so(tmp_path):
    port = free_port()
    home = make_site(tmp_path, port)
    with (tmp_path / "broker.log").open("ab") as log:
        broker = Broker("mosquitto", home, log)
        broker.start()
        try:
            async with both_ends(tmp_path, home, port) as (ingest, uplink, data):
                await until(lambda: uplink.state == "online")
                key = fleet_settings.receipt_key(data / "keys/receipt.key")
                number = downlink.renew(data, key, CABINET, NOW + datetime.timedelta(hours=1))
                await until(lambda: uplink.counts["downlinks"] == 1)
                made = x509.load_pem_x509_certificate((home / "keys/tls.crt").read_bytes())
                assert made == issue.issued(data, CABINET)[-1]
                ingest.writer.step()
                events = [one for _, one in ingest.journal.replay() if is_event(one)]
                assert [one.body[:3] for one in events if one.kind == DOWNLINK] == [
                    [number, "renew", "done"]]
        finally:
            broker.stop()


def test_an_event_in_the_evidence_ends_a_message_and_one_of_another_cabinet_does_not(tmp_path):
    data, gateway = make_fleet(tmp_path / "fleet"), PaperGateway()
    gateway.enrol(data)
    other = PaperGateway("shop-2")
    other.enrol(data)
    key = fleet_settings.receipt_key(data / "keys/receipt.key")
    number = downlink.post(data, key, downlink.Message("shop-1", "renew", b"x"), NOW)
    store = EvidenceStore(data)
    ingest = AdmissionDesk(store, Registry(data).find, key, lambda: ORIGIN_MS)
    sender = downlink.Sender(data, key, lambda name: told_by(data, name))
    for one, left in ((other, 1), (gateway, 0)):
        records = one.records(60, True)
        records.append(EventRecord(records[-1].seq + 1, records[-1].ticks_ms, DOWNLINK,
                                   [number, "renew", "done", ""]))
        assert ingest.process_one(one.cabinet, one.seal(records, seconds=60)).code == "admit"
        sender.current(NOW)
        assert len(downlink.waiting(data, "shop-1")) == left
    assert (data / "downlink/shop-1" / f"{number}.done").exists()
    store.close()
