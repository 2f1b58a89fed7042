"""The uplink against real brokers over mutual TLS, and receipts of every kind."""

import asyncio
import contextlib
import datetime
import itertools
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tomllib

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.aio.task_group import raise_if_cancelled
from gateway.config.values import UplinkSettings
from gateway.core.errors import ConfigError, Offline, Rejected
from gateway.core.evidence import batch, chain
from gateway.core.evidence import receipt as receipts
from gateway.core.reading import Scan
from gateway.delivery.broker_errors import translate
from gateway.delivery.live_codec import pack_live
from gateway.delivery.uplink import Patience, Uplink
from gateway.signer import EvidenceSigner, Verifier
from gateway.storage import succession
from gateway.storage.restart import inflate
from gateway.timekeeping.clock import Clock, Scale
from gateway.tls import tls_context
from tests.support import one_site as create
from tests.support.cabinet_folder import EXAMPLE
from tests.support.parts import need, need_module
from tests.support.writer_setup import WriterSetup

ROOT = pathlib.Path(__file__).resolve().parents[3]
NOW = datetime.datetime.now(datetime.UTC)
CABINET = "cab-1"
QUICK = Patience(connect_s=2.0, publish_s=2.0, keepalive_s=2, resend_ms=300)


def free_port():
    """Return a TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_site(folder, port, now=NOW):
    """Make keys, certificates and broker files; return the site's folder."""
    parts = tomllib.loads(EXAMPLE.read_text())
    parts["site"]["cabinet"] = CABINET
    parts["uplink"] = {"host": "127.0.0.1", "port": port}
    create.site({key: parts[key] for key in (
        "site", "uplink", "bus", "device", "factors", "battery")},
                folder / "site", now)
    return folder / "site"


def settings_of(folder, port, **changes):
    """Return the uplink's settings for a site."""
    values = dict(
        host="127.0.0.1", port=port, ca=folder / "ca/ca.crt",
        certificate=folder / "keys/tls.crt", key=folder / "keys/tls.key",
        receipt_key=folder / "fleet/receipt.pub", cap_kbit_s=0, backlog_percent=50, live_s=5,
        retry_s_min=0.05, retry_s_max=0.2)
    return UplinkSettings(**(values | changes))


class Broker:
    """A broker process of a site, started and stopped at will."""

    def __init__(self, kind, folder, log):
        need_module("amqtt") if kind == "amqtt" else need("mosquitto")
        self.command = ([sys.executable, "-m", "provisioning.amqtt_broker", "amqtt.yaml"]
                        if kind == "amqtt" else [need("mosquitto"), "-c", "mosquitto.conf"])
        self.folder, self.log, self.process = folder / "broker", log, None

    def start(self):
        """Start it."""
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=self.log, stderr=self.log)

    def stop(self):
        """Stop it and wait."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


class Fleet:
    """What the fleet does, in few lines: takes batches, gives signed receipts."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        key = load_pem_private_key((folder / "fleet/receipt.key").read_bytes(), None)
        self.signer = EvidenceSigner(key)
        self.batches, self.live, self.giving = [], [], True
        self.seen = {}          # number -> what arrived; receipts speak for an unbroken row

    def client(self):
        """Return its MQTT client."""
        context = ssl.create_default_context(cafile=self.folder / "ca/ca.crt")
        context.load_cert_chain(self.folder / "fleet/client.crt", self.folder / "fleet/client.key")
        return aiomqtt.Client("127.0.0.1", self.port, tls_context=context, identifier="fleet",
                              timeout=2)

    async def run(self):
        """Serve until cancelled, through every outage of the broker."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                await self.serve()
            raise_if_cancelled()
            await asyncio.sleep(0.05)

    async def serve(self):
        """Serve over one connection."""
        async with self.client() as client:
            await client.subscribe("wp/1/+/up", qos=1)
            await client.subscribe("wp/1/+/live")
            raise_if_cancelled()
            async for message in client.messages:
                await self.take(client, message)
                raise_if_cancelled()

    async def take(self, client, message):
        """Store a batch and give a receipt; keep a live message."""
        if str(message.topic).endswith("/live"):
            self.live.append(message.payload)
            return
        if message.payload not in self.batches:
            self.batches.append(message.payload)
        sign1, found = batch.open_sealed(message.payload)
        self.seen[found.number] = (found, sign1.payload)
        whole = next(n for n in itertools.count(1) if n not in self.seen) - 1
        if self.giving and whole:
            await client.publish(f"wp/1/{CABINET}/receipt", qos=1, retain=True,
                                 payload=self.receipt(*self.seen[whole]))

    def receipt(self, found, payload, **changes):
        """Return the signed receipt after a batch."""
        made = receipts.Receipt(found.cabinet, found.journal_id, 1, found.last_seq,
                                chain.chain_hash(payload), 1)
        return receipts.seal(made._replace(**changes), self.signer.kid, self.signer.sign)


async def until(condition, limit_s=15.0):
    """Wait until a condition holds."""
    end = asyncio.get_running_loop().time() + limit_s
    while not condition():
        assert asyncio.get_running_loop().time() < end, "did not happen in time"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def bench(folder, kind, **changes):
    """Give (setup, uplink, fleet, broker) with everything running."""
    port = free_port()
    home = make_site(folder, port)
    with (folder / "broker.log").open("wb") as log:
        broker = Broker(kind, home, log)
        broker.start()
        clock = Clock(Scale(60, 1_780_272_000_000, 0))
        setup = WriterSetup(folder, clock=clock)
        settings = settings_of(home, port, **changes)
        uplink = Uplink(CABINET, settings, setup.writer, Verifier.load(settings.receipt_key),
                        QUICK)
        fleet = Fleet(home, port)
        tasks = [asyncio.create_task(job) for job in
                 (setup.writer.run(), uplink.run(figures=lambda: setup.figures()), fleet.run())]
        try:
            yield setup, uplink, fleet, broker
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            broker.stop()
            setup.store.close()


async def feed_and_seal(setup, scans=20):
    """Make one more batch."""
    for count in range(scans):
        await setup.writer.put(Scan(0, setup.clock.ticks_ms(), (count, 1)))
    await asyncio.sleep(0.05)
    setup.writer.take()
    assert setup.writer.seal()


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
async def test_batches_travel_through_an_outage_and_only_receipts_acknowledge(tmp_path, kind):
    async with bench(tmp_path, kind) as (setup, uplink, fleet, broker):
        fleet.giving = False
        await feed_and_seal(setup)
        await until(lambda: len(fleet.batches) == len(setup.journal.batch_numbers()))
        assert uplink.outbox.acknowledged_seq == 0          # PUBACK is no receipt
        broker.stop()
        await until(lambda: uplink.state == "offline")
        await feed_and_seal(setup)
        fleet.giving = True
        broker.start()
        assert await uplink.drained(15)
        assert fleet.batches == [setup.journal.read_batch(number)
                                 for number in setup.journal.batch_numbers()]
        assert uplink.outbox.acknowledged_seq == setup.journal.sealed_seq
        setup.writer.stop()
        setup.writer.finish()
        assert setup.journal.acknowledged_seq == setup.journal.sealed_seq
        assert uplink.counts["connects"] == 2


async def test_live_messages_travel_beside_and_a_large_one_is_left_out(tmp_path):
    async with bench(tmp_path, "mosquitto") as (setup, uplink, fleet, _broker):
        setup.figures = lambda: {"v": 1}
        await until(lambda: uplink.live.refresh() or len(fleet.live) >= 2)
        setup.figures = lambda: {"v": "x" * 40_000}
        uplink.live.refresh()
        await asyncio.sleep(0.5)
        assert set(fleet.live) == {pack_live(b'{"v":1}')}
        assert uplink.counts["live_bytes"] == sum(len(one) for one in fleet.live)


async def test_without_news_a_live_message_waits_and_with_news_it_goes_at_once(tmp_path):
    async with bench(tmp_path, "mosquitto") as (setup, uplink, fleet, _broker):
        setup.figures = lambda: {"v": 1}
        await until(lambda: uplink.live.refresh() or len(fleet.live) >= 1)
        await asyncio.sleep(0.3)
        quiet = len(fleet.live)
        await asyncio.sleep(0.7)                # three times the shortest distance
        assert len(fleet.live) == quiet
        uplink.live.refresh()
        await until(lambda: len(fleet.live) == quiet + 1, 5)


async def test_a_broker_of_another_authority_is_refused_with_the_next_step(tmp_path):
    (tmp_path / "other").mkdir()
    other = make_site(tmp_path / "other", 1)
    async with bench(tmp_path, "mosquitto", ca=other / "ca/ca.crt") as (_, uplink, _fleet, _b):
        await until(lambda: uplink.state == "rejected")
        assert "not trusted" in uplink.reason and "next: check [uplink] ca" in uplink.reason


async def test_receipts_that_are_wrong_change_nothing_and_raise_one_alarm_each(tmp_path):
    home = make_site(tmp_path, 1)
    fleet = Fleet(home, 1)
    setup = WriterSetup(tmp_path, clock=Clock(Scale(60, 1_780_272_000_000, 0)))
    uplink = Uplink(CABINET, settings_of(home, 1), setup.writer,
                    Verifier.load(home / "fleet/receipt.pub"))
    uplink.session.connected()          # over which the receipts come
    setup.writer.seal()
    number = setup.journal.batch_numbers()[-1]
    sign1, found = batch.open_sealed(setup.journal.read_batch(number))
    stranger = EvidenceSigner(Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
    good = receipts.open_sealed(fleet.receipt(found, sign1.payload))[1]
    for data in (
            b"", b"\xff" * 50,
            receipts.seal(good, stranger.kid, stranger.sign),               # not the fleet's key
            receipts.seal(good, fleet.signer.kid, stranger.sign),           # only its name
            fleet.receipt(found, sign1.payload, chain=bytes(32)),           # a fork
            fleet.receipt(found, sign1.payload, low_water=found.last_seq + 9),
            fleet.receipt(found, sign1.payload, cabinet="cab-2")):
        await uplink.take_receipt(data)
        assert uplink.outbox.acknowledged_seq == 0
    alarms = [item.body[0] for item in setup.writer.waiting.take()]
    assert alarms == ["receipt-refused", "receipt-fork", "receipt-ahead"]
    assert uplink.alarms == set(alarms)
    await uplink.take_receipt(fleet.receipt(found, sign1.payload))
    assert uplink.outbox.acknowledged_seq == found.last_seq
    setup.store.close()


async def test_a_fleet_that_insists_on_other_records_is_given_a_new_journal(tmp_path):
    home = make_site(tmp_path, 1)
    fleet = Fleet(home, 1)
    setup = WriterSetup(tmp_path, clock=Clock(Scale(60, 1_780_272_000_000, 0)))
    setup.successor = lambda old, low_water: (succession.begin_successor(
        old, setup.opening(b"N" * 16), low_water), setup.writer.retention)
    uplink = Uplink(CABINET, settings_of(home, 1), setup.writer,
                    Verifier.load(home / "fleet/receipt.pub"))
    uplink.session.connected()          # over which the receipts come
    for ticks_ms in (1000, 2000):
        await setup.writer.put(Scan(0, ticks_ms, (ticks_ms, 5)))
    setup.writer.take()
    setup.writer.seal()
    old = setup.journal
    sign1, found = batch.open_sealed(old.read_batch(old.batch_numbers()[-1]))
    ahead = fleet.receipt(found, sign1.payload, low_water=found.last_seq + 9)
    for _ in range(3):
        setup.writer.step()
        assert setup.writer.journal is old
        await uplink.take_receipt(ahead)
    setup.writer.step()
    new = setup.writer.journal
    assert (new.journal_id, new.boot) == (b"N" * 16, old.boot + 1)
    records = [item for number in new.batch_numbers()
               for item in batch.open_body(batch.open_sealed(new.read_batch(number))[1],
                                           inflate)[1]]
    assert [item.values for item in records if hasattr(item, "values")] == [(1000, 5), (2000, 5)]
    assert ["journal-divided", f"journal {old.journal_id.hex()}: the fleet holds other records "
            f"up to {found.last_seq + 9}"] in [getattr(item, "body", 0) for item in records]
    assert uplink.outbox.waiting() == len(new.batch_numbers()) > 0
    for _ in range(3):                                  # once per run: a lying fleet may not
        await uplink.take_receipt(fleet.receipt(found, sign1.payload, low_water=10 ** 6,
                                                journal_id=new.journal_id))
    setup.writer.step()
    assert setup.writer.journal is new
    setup.store.close()


def test_foreign_errors_become_wait_or_look():
    assert isinstance(translate(ConnectionRefusedError(111, "Connection refused")), Offline)
    assert isinstance(translate(aiomqtt.MqttError("Operation timed out")), Offline)
    refused = aiomqtt.exceptions.MqttConnectError(5)
    assert isinstance(translate(ExceptionGroup("g", [refused])), Rejected)
    alert = aiomqtt.MqttError("handshake")
    alert.__cause__ = ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca")
    assert isinstance(translate(alert), Rejected)


def test_files_that_do_not_fit_together_stop_the_start(tmp_path):
    home = make_site(tmp_path, 1)
    tls_context(settings_of(home, 1))
    with pytest.raises(ConfigError, match="copy them again"):
        tls_context(settings_of(home, 1, key=home / "ca/ca.key"))
