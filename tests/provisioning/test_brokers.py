"""The broker files at work: both brokers refuse strangers and keep gateways apart."""

import asyncio
import contextlib
import os
import pathlib
import socket
import ssl
import subprocess
import sys

import aiomqtt
import pytest

from fleet.__main__ import main as fleet
from provisioning import parts
from tests.provisioning.test_request import NOW, PARTS
from tests.support import one_site as create
from tests.support.cabinets import make_cabinet
from tests.support.parts import need, need_module

AMQTT = [sys.executable, "-m", "provisioning.amqtt_broker", "amqtt.yaml"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
MOSQUITTO = ["-c", "mosquitto.conf"]


def free_port():
    """Return a TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def broker(program, folder):
    """Run a broker in the folder of a site's broker files."""
    with (folder.parent / "broker.log").open("ab") as log:
        process = subprocess.Popen(program, cwd=folder / "broker",
                                   env={**os.environ, "PYTHONPATH": str(ROOT)},
                                   stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=[MOSQUITTO, AMQTT], ids=["mosquitto", "amqtt"])
def made(request, tmp_path):
    """Return (program, folder, port) of a site and its broker, which does not run yet."""
    program = [need("mosquitto"), *MOSQUITTO] if request.param is MOSQUITTO else AMQTT
    need_module("amqtt")
    port = free_port()
    text = PARTS.replace("18883", str(port)).replace("broker.example", "127.0.0.1")
    (tmp_path / "parts.toml").write_text(text)
    create.site(parts.load(tmp_path / "parts.toml"), tmp_path / "site", NOW)
    return program, tmp_path / "site", port


@pytest.fixture
def running(made):
    """Yield (folder, port) of a site whose broker runs."""
    program, folder, port = made
    with broker(program, folder):
        yield folder, port


NAMES = {"fleet/client": "fleet", "keys/tls": "shop-1", None: "nobody"}


def client(folder, port, name, identifier=None):
    """Return an MQTT client with the certificate `name` of a site, or with none.

    identifier: its client id; the certificate's name when not given."""
    context = ssl.create_default_context(cafile=folder / "ca/ca.crt")
    if name is not None:
        context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return aiomqtt.Client("127.0.0.1", port, tls_context=context, timeout=5,
                          protocol=aiomqtt.ProtocolVersion.V311,
                          identifier=identifier or NAMES[name])


async def connected(stack, folder, port, name, identifier=None):
    """Return a client inside `stack` once the broker, which may still start, takes it."""
    for _ in range(80):
        with contextlib.suppress(aiomqtt.MqttError):
            return await stack.enter_async_context(client(folder, port, name, identifier))
        await asyncio.sleep(0.1)
    raise AssertionError((folder.parent / "broker.log").read_text())


async def test_a_gateways_batch_arrives_but_nothing_it_says_for_others(running):
    folder, port = running
    async with contextlib.AsyncExitStack() as stack:
        fleet = await connected(stack, folder, port, "fleet/client")
        await fleet.subscribe("wp/1/+/up", qos=1)
        await fleet.subscribe("wp/1/+/live")
        gateway = await connected(stack, folder, port, "keys/tls")
        await gateway.publish("wp/1/other-1/live", b"forged")
        await gateway.publish("wp/1/shop-1/up", b"own", qos=1)
        message = await asyncio.wait_for(anext(fleet.messages), 10)
        assert (message.topic.value, message.payload) == ("wp/1/shop-1/up", b"own")


async def test_a_receipt_kept_by_the_broker_reaches_a_gateway_that_comes_later(running):
    folder, port = running
    async with contextlib.AsyncExitStack() as stack:
        fleet = await connected(stack, folder, port, "fleet/client")
        await fleet.publish("wp/1/shop-1/receipt", b"signed", qos=1, retain=True)
        gateway = await connected(stack, folder, port, "keys/tls")
        await gateway.subscribe("wp/1/shop-1/receipt", qos=1)
        message = await asyncio.wait_for(anext(gateway.messages), 10)
        assert message.payload == b"signed"


async def disturb(second, port, victim):
    """Connect ten times with the certificate of another cabinet and the victim's client id;
    return how often the broker took that."""
    taken = 0
    for _ in range(10):
        with contextlib.suppress(aiomqtt.MqttError):
            async with client(second, port, "keys/tls", victim):
                taken += 1
    return taken


@pytest.mark.parametrize("victim", ["fleet/client", "keys/tls"])
async def test_nobody_ends_anothers_session_by_using_its_client_id(running, tmp_path, victim):
    folder, port = running
    second = make_cabinet(tmp_path / "second", cabinet="shop-2")
    create.join(second, folder / create.FLEET, NOW)
    topic = "wp/1/shop-1/" + ("up" if victim == "fleet/client" else "receipt")
    sender = "keys/tls" if victim == "fleet/client" else "fleet/client"
    async with contextlib.AsyncExitStack() as stack:
        session = await connected(stack, folder, port, victim)
        await session.subscribe(topic, qos=1)
        await disturb(second, port, NAMES[victim])
        other = await connected(stack, folder, port, sender)
        await other.publish(topic, b"still here", qos=1)
        message = await asyncio.wait_for(anext(session.messages), 10)
        assert message.payload == b"still here"


async def test_a_cabinet_reaches_no_topic_of_another_even_under_its_client_id(running, tmp_path):
    folder, port = running
    second = make_cabinet(tmp_path / "second", cabinet="shop-2")
    create.join(second, folder / create.FLEET, NOW)
    async with contextlib.AsyncExitStack() as stack:
        fleet = await connected(stack, folder, port, "fleet/client")
        await fleet.subscribe("wp/1/+/up", qos=1)
        await fleet.subscribe("wp/1/+/live")
        with contextlib.suppress(aiomqtt.MqttError):
            async with client(second, port, "keys/tls", "shop-1") as thief:
                await thief.publish("wp/1/shop-1/live", b"forged")
                await thief.publish("wp/1/shop-1/receipt", b"forged", retain=True)
        async with client(second, port, "keys/tls", "shop-2") as own:
            await own.publish("wp/1/shop-2/up", b"own", qos=1)
        message = await asyncio.wait_for(anext(fleet.messages), 10)
        assert (message.topic.value, message.payload) == ("wp/1/shop-2/up", b"own")


async def test_without_a_certificate_there_is_no_connection(running):
    folder, port = running
    async with contextlib.AsyncExitStack() as stack:
        await connected(stack, folder, port, "fleet/client")
    with pytest.raises(aiomqtt.MqttError):
        async with client(folder, port, None):
            raise AssertionError("a stranger came in")


async def publish(with_client, topic):
    """Connect and publish once; raises MqttError if the broker does not take it."""
    async with with_client as session:
        await session.publish(topic, b"x", qos=1)


async def test_a_revoked_cabinet_is_refused_and_the_others_are_not(made, tmp_path):
    program, folder, port = made
    second = make_cabinet(tmp_path / "second", cabinet="shop-2")
    create.join(second, folder / create.FLEET, NOW)
    with broker(program, folder):
        async with contextlib.AsyncExitStack() as stack:
            await connected(stack, second, port, "keys/tls", "shop-2")
    assert fleet(["revoke", "shop-2", "--data", str(folder / create.FLEET)]) == 0
    with broker(program, folder):
        async with contextlib.AsyncExitStack() as stack:
            await connected(stack, folder, port, "keys/tls")
            await connected(stack, folder, port, "fleet/client")
        with pytest.raises(aiomqtt.MqttError):
            await publish(client(second, port, "keys/tls", "shop-2"), "wp/1/shop-2/up")
