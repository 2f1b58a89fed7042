"""Receiver, broker and gateway's side over real mutual TLS: the receipt is the proof."""

import asyncio
import contextlib
import shutil
import socket
import sqlite3
import subprocess
import threading
from collections import namedtuple
from types import SimpleNamespace

import aiomqtt
import pytest
from cryptography.hazmat.primitives import serialization

from fleet import serve, settings
from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest, Outcome
from fleet.ingest.live_table import LiveTable
from fleet.ingest.receiver import Receiver, sender_of, tls
from fleet.store.writer import EvidenceStore
from gateway.aio.task_group import run_until_first_failure
from gateway.core.errors import ConfigError
from gateway.core.evidence import receipt
from provisioning import parts
from tests.fleet.maker import ORIGIN_MS, PaperGateway, live
from tests.provisioning.test_request import NOW, PARTS
from tests.support import one_site as create
from tests.support.parts import need

Place = namedtuple("Place", ("site", "data", "port", "broker"))


@pytest.fixture
def place(tmp_path):
    """A site with its broker running and a fleet's data folder where it is enrolled."""
    program = need("mosquitto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = PARTS.replace("18883", str(port)).replace("broker.example", "127.0.0.1")
    (tmp_path / "parts.toml").write_text(text)
    create.site(parts.load(tmp_path / "parts.toml"), tmp_path / "site", NOW)
    create.enrol(tmp_path / "site", tmp_path / "fleet", NOW)
    with (tmp_path / "broker.log").open("wb") as log:
        broker = subprocess.Popen([program, "-c", "mosquitto.conf"], cwd=tmp_path / "site/broker",
                                  stdout=log, stderr=log)
    yield Place(tmp_path / "site", tmp_path / "fleet", port, broker)
    broker.terminate()
    broker.wait(10)


@contextlib.asynccontextmanager
async def receiving(place, table):
    """Run a Receiver over a new store meanwhile."""
    configured, store = settings.load(place.data), EvidenceStore(place.data)
    ingest = Ingest(store, Registry(place.data).find, settings.receipt_key(configured.receipt_key),
                    lambda: ORIGIN_MS)
    receiver = Receiver(configured, ingest, table)
    task = asyncio.create_task(receiver.run())
    try:
        yield receiver
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        store.close()


def gateway_client(place):
    """Return the gateway's MQTT client."""
    context = tls(settings.load(place.data)._replace(
        certificate=place.site / "keys/tls.crt", key=place.site / "keys/tls.key"))
    return aiomqtt.Client("127.0.0.1", place.port, tls_context=context,
                          protocol=aiomqtt.ProtocolVersion.V311)


def paper(place):
    """Return a paper gateway with the site's evidence key."""
    pem = (place.site / "keys/evidence.key").read_bytes()
    return PaperGateway(key=serialization.load_pem_private_key(pem, None))


async def met(condition):
    """Return once a condition holds; give up after 15 s."""
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.wait({asyncio.create_task(asyncio.to_thread(lambda: None))})


async def test_a_batch_comes_back_as_a_receipt_signed_by_the_fleet(place):
    table, gateway = LiveTable(), paper(place)
    async with receiving(place, table) as receiver:
        await met(lambda: receiver.connected)
        async with gateway_client(place) as client:
            await client.subscribe("wp/1/shop-1/receipt", qos=1)
            await client.publish("wp/1/shop-1/up", b"no batch", qos=1)
            await client.publish("wp/1/shop-1/live", live())
            await client.publish("wp/1/shop-1/up", gateway.seal(seconds=60), qos=1)
            message = await asyncio.wait_for(anext(client.messages), 15)
        public = serialization.load_pem_public_key((place.site / "fleet/receipt.pub").read_bytes())
        sealed, content = receipt.open_sealed(message.payload)
        public.verify(sealed.signature, sealed.signed)
        assert content.low_water == gateway.next_seq - 1
        await met(lambda: table.get("shop-1") is not None)


async def test_receipts_are_said_again_to_a_broker_that_forgot_them(place):
    gateway = paper(place)
    async with receiving(place, LiveTable()) as receiver:
        await met(lambda: receiver.connected)               # the broker is up
        async with gateway_client(place) as client:
            await client.publish("wp/1/shop-1/up", gateway.seal(seconds=60), qos=1)
            await met(lambda: receiver.last_receipt_ms)
            await client.publish("wp/1/shop-1/up", b"", qos=1)
    async with receiving(place, LiveTable()) as receiver:
        await met(lambda: receiver.last_receipt_ms)     # without any new batch
        assert list(receiver.last_receipt_ms) == ["shop-1"]


class Line:
    """A client that notes what is published and grants what it is told to.

    groups: of (device, sealed); the next comes when the receiver has done with the one before.
    """

    def __init__(self, granted=(1, 0), groups=()):
        self.granted, self.groups, self.said = granted, groups, []
        self.live = LiveTable()

    @property
    async def messages(self):
        """Yield every message, then break as a lost connection does."""
        for group in self.groups:
            for cabinet, sealed in group:
                yield SimpleNamespace(topic=aiomqtt.Topic(f"wp/1/{cabinet}/up"), payload=sealed)
            await self.live.changed(15)
        raise aiomqtt.MqttError("lost")

    async def publish(self, topic, payload, **_):
        """Note it."""
        self.said.append((topic, payload))

    async def subscribe(self, _patterns):
        """Answer as a broker does."""
        return self.granted

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None


class FullDesk:
    """A desk whose disk takes at most one batch, and not every one."""

    def __init__(self, takes=()):
        self.takes, self.asked = takes, []

    def process(self, messages):
        """Fail as SQLite does."""
        self.asked.append(len(messages))
        if any(sealed not in self.takes for _, sealed in messages):
            raise sqlite3.OperationalError("database or disk is full")
        return [Outcome("admit", "", b"receipt", cabinet, 1) for cabinet, _ in messages]

    def repeated(self):
        """No new epoch begins here."""
        return []

    def receipts(self):
        """Return none: nothing is stored."""
        return []


class LineLost(Exception):
    """The line broke, and that is the end of the test."""


def receiver_on(line, ingest):
    """Return a receiver whose broker is a Line."""
    class Connected(Receiver):
        def _client(self):
            return line
    return Connected(SimpleNamespace(host="broker", port=1), ingest, line.live)


async def until_lost(line, ingest):
    """Run a receiver until its line breaks; return it."""
    async def stop(_seconds):
        raise LineLost
    receiver = receiver_on(line, ingest)
    with pytest.raises(LineLost):
        await receiver.run(stop)
    return receiver


async def test_a_full_disk_gives_no_receipt_and_the_service_goes_on():
    ingest, line = FullDesk(), Line(groups=[[("shop-1", b"sealed")]] * 2)
    await until_lost(line, ingest)
    assert (ingest.asked, line.said) == ([1, 1], [])


async def test_of_batches_that_do_not_go_in_together_each_is_tried_alone():
    ingest = FullDesk(takes=(b"small",))
    line = Line(groups=[[("shop-1", b"large"), ("shop-2", b"small")]])
    await until_lost(line, ingest)
    assert ingest.asked == [2, 1, 1]
    assert line.said == [("wp/1/shop-2/receipt", b"receipt")]


async def test_a_broker_that_lets_the_fleet_hear_nothing_is_told(caplog):
    receiver = await until_lost(Line(granted=(128, 128)), FullDesk())
    assert "its access list does not know" in caplog.text and not receiver.connected


async def test_a_stop_at_the_very_moment_the_line_breaks_still_stops(place):
    class Breaking(Receiver):
        async def _session(self):
            await run_until_first_failure(self.breaks(), asyncio.Event().wait())

        async def breaks(self):
            await broken.wait()
            raise aiomqtt.MqttError("lost")

    broken = asyncio.Event()
    task = asyncio.create_task(Breaking(
        settings.load(place.data), FullDesk(), LiveTable()).run())
    await asyncio.wait({asyncio.create_task(asyncio.to_thread(lambda: None))})
    broken.set()
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()


@pytest.mark.parametrize(("topic", "cabinet"), [
    ("wp/1/shop-1/up", "shop-1"), ("wp/2/shop-1/up", None), ("wp/1/shop-1", None),
    ("other", None)])
def test_the_topic_names_the_sender(topic, cabinet):
    assert sender_of(topic) == cabinet


def test_a_port_that_is_taken_is_told_with_the_next_step():
    with serve.listen(0) as held, pytest.raises(ConfigError, match="give another --port"):
        serve.listen(held.getsockname()[1])


def test_a_fleet_nobody_enrolled_at_is_told_with_the_next_step(tmp_path):
    with pytest.raises(ConfigError, match="python -m fleet init"):
        settings.load(tmp_path)


def test_a_receipt_key_others_can_read_is_refused(place):
    key = place.data / "keys/receipt.key"
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        settings.receipt_key(key)


def test_a_lost_certificate_is_named(place):
    shutil.move(place.data / "keys/client.crt", place.data / "elsewhere")
    with pytest.raises(ConfigError, match=r"client\.crt does not exist"):
        settings.load(place.data)


def test_the_page_has_the_names_that_are_configured_and_else_this_machines_only(place):
    assert settings.load(place.data).page_hosts == ()
    file = place.data / "fleet.toml"
    file.write_text(file.read_text() + '[page]\nhosts = ["energy.example.org", "[fd00::1]"]\n')
    assert settings.load(place.data).page_hosts == ("energy.example.org", "[fd00::1]")


@pytest.mark.parametrize("names", [
    '"energy.example.org"', '["*"]', '["*.example.org"]', '["https://example.org"]',
    '["example.org:443"]', '["a b"]', '[""]', "[1]"])
def test_a_name_that_would_open_the_page_to_others_is_refused(names, place):
    file = place.data / "fleet.toml"
    file.write_text(file.read_text() + f"[page]\nhosts = {names}\n")
    with pytest.raises(ConfigError, match=r"toml:\d+: page\.hosts: (.*allowed|must be a list)"):
        settings.load(place.data)


async def test_a_cancelled_receiver_ends_after_the_commit_under_way():
    began, go, ended = asyncio.Event(), threading.Event(), []
    loop = asyncio.get_running_loop()

    class SlowDesk(FullDesk):
        def process(self, messages):
            loop.call_soon_threadsafe(began.set)
            ended.append(go.wait(10))
            return []
    line = Line(groups=[[("shop-1", b"sealed")]])
    task = asyncio.create_task(receiver_on(line, SlowDesk()).run())
    await began.wait()
    task.cancel()
    threading.Timer(0.05, go.set).start()
    await asyncio.wait({task})
    assert task.cancelled() and ended == [True]
