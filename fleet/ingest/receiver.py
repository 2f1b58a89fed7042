"""The receiving door: MQTT over mutual TLS, batches to ingest, receipts back.

PUBACK proves nothing: a receipt is published only after ingest has committed.  One task receives,
another admits what has come meanwhile, so that the line never waits for the disk.  Every connection
gets a new Client, since an old one re-sends what failed, out of order.  A broken connection is
normal: wait a little, with jitter, and come back.
"""

import asyncio
import logging
import random
import socket
import sqlite3
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from fleet import clock
from fleet.authority.downlink import LOOK_S, Sender
from fleet.ingest.ingest import Ingest, SentBatch
from fleet.ingest.live_table import LiveTable
from fleet.settings import Settings
from gateway.aio.sockets_in_order import WithSocketsInOrder
from gateway.aio.task_group import raise_if_cancelled, run_until_first_failure

UP, LIVE = "wp/1/+/up", "wp/1/+/live"
# The broker is the fleet's own: one client knocking every few seconds does it no harm.
PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 4.0
# Batches that wait in memory: 64 of at most 1 MiB.  What is dropped comes again, for it
# gets no receipt.
QUEUE_MAX = 64
GROUP_MAX = 16              # committed together: a receipt waits for a second at most
KEEPALIVE_S = 20
REFUSED = 128               # SUBACK, MQTT 3.1.1 3.9.3
# With Nagle's algorithm each receipt would wait 40 ms for the broker's delayed ACK.
NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
TIMEOUT_S = 10
FOREIGN = (aiomqtt.MqttError, OSError, sqlite3.Error)

T = TypeVar("T")

log = logging.getLogger("fleet.ingest.receiver")


def tls(settings: Settings) -> ssl.SSLContext:
    """Return a context that trusts the site's authority only and shows our certificate."""
    context = ssl.create_default_context(cafile=settings.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate, settings.key)
    return context


def sender_of(topic: str) -> str | None:
    """Return the device of a topic wp/1/DEVICE/..., or None for another shape."""
    parts = topic.split("/")
    return parts[2] if len(parts) == 4 and parts[:2] == ["wp", "1"] else None


def cause(error: BaseException) -> BaseException:
    """Return the first of the errors that ended a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _code(granted: int | ReasonCode) -> int:
    """Return the number of a SUBACK's answer, whichever form the client gives it."""
    return granted if isinstance(granted, int) else granted.value


class Client(WithSocketsInOrder, aiomqtt.Client):
    """A client that never watches a socket which was closed meanwhile."""


class Receiver:
    """Keeps a connection to the broker and feeds ingest with what waits."""

    def __init__(self, settings: Settings, ingest: Ingest, live: LiveTable,
                 downlink: Sender | None = None) -> None:
        """downlink: says which message each cabinet is to have; None: nothing is sent."""
        self._settings, self._ingest, self._live = settings, ingest, live
        self._downlink, self.look_s = downlink, LOOK_S
        # One thread owns the store's connection: the page stays alive while it commits.
        self._thread = ThreadPoolExecutor(1, "admission")
        self.connected = False
        self.last_receipt_ms: dict[str, int] = {}

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Serve for ever; a lost connection is retried.

        When it is cancelled it ends after the commit under way: the store may be closed then.
        """
        try:
            await self._serve(sleep)
        finally:
            self._thread.shutdown()

    async def _serve(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        pause_s = PAUSE_S_MIN
        while True:
            try:
                await self._session()
            except* FOREIGN as group:
                if self.connected:
                    pause_s = PAUSE_S_MIN
                log.warning("broker %s:%s or store: %s; next try within %.1f s",
                            self._settings.host, self._settings.port, cause(group), pause_s)
            finally:
                self.connected = False
            raise_if_cancelled()
            await sleep(random.uniform(PAUSE_S_MIN / 2, pause_s))
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    def _client(self) -> aiomqtt.Client:
        """Return a new client; the simulation overrides this with a broker in memory."""
        return Client(
            self._settings.host, self._settings.port, tls_context=tls(self._settings),
            identifier="fleet", protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True, keepalive=KEEPALIVE_S, timeout=TIMEOUT_S,
            max_queued_incoming_messages=QUEUE_MAX, socket_options=NO_DELAY)

    async def _session(self) -> None:
        async with self._client() as client:
            granted = await client.subscribe([(UP, 1), (LIVE, 0)])
            raise_if_cancelled()
            if any(_code(one) >= REFUSED for one in granted or ()):
                raise OSError(f"the broker does not let us listen to {UP} and {LIVE}: its access "
                              "list does not know this certificate's name")
            self.connected = True
            log.info("connected to the broker at %s:%s", self._settings.host, self._settings.port)
            client.pending_calls_threshold = GROUP_MAX      # above, it warns
            for cabinet, receipt in await self._on_thread(self._ingest.receipts):
                await self._publish(client, cabinet, receipt)
            waiting: asyncio.Queue[SentBatch] = asyncio.Queue(QUEUE_MAX)
            await run_until_first_failure(self._receive(client, waiting),
                                          self._admit(client, waiting),
                                          self._send_down(client))

    async def _receive(self, client: aiomqtt.Client, waiting: asyncio.Queue[SentBatch]) -> None:
        """Sort what comes; while `waiting` is full, the client's own queue fills."""
        async for message in client.messages:
            cabinet, payload = sender_of(message.topic.value), message.payload
            if cabinet is None or not isinstance(payload, bytes):
                continue
            if message.topic.matches(LIVE):
                self._live.update(cabinet, payload, clock.monotonic_s(), clock.utc_ms())
            else:
                await waiting.put((cabinet, payload))

    async def _admit(self, client: aiomqtt.Client, waiting: asyncio.Queue[SentBatch]) -> None:
        """Commit what waits, together, then publish the receipts."""
        while True:
            messages = [await waiting.get()]
            while len(messages) < GROUP_MAX and not waiting.empty():
                messages.append(waiting.get_nowait())
            await self._take(client, messages)
            self._live.notify()

    async def _send_down(self, client: aiomqtt.Client) -> None:
        """Keep each cabinet's message in its retained topic; an empty one withdraws it."""
        published: dict[str, bytes] = {}
        while self._downlink is not None:
            current = await asyncio.to_thread(self._downlink.current, clock.now())
            for cabinet, message in current.items():
                if published.get(cabinet) != message:
                    await client.publish(f"wp/1/{cabinet}/down", message, qos=1, retain=True)
                    raise_if_cancelled()
            published = current
            await asyncio.sleep(self.look_s)
        await asyncio.Event().wait()

    async def _take(self, client: aiomqtt.Client, messages: Sequence[SentBatch]) -> None:
        try:
            outcomes = await self._on_thread(lambda: self._ingest.process(messages))
        except sqlite3.Error as error:      # full or failing disk: no receipt, so nothing is lost
            for message in messages if len(messages) > 1 else ():
                await self._take(client, [message])     # or only one of them will not go in
            if len(messages) == 1:
                log.error("%s: not stored, no receipt: %s; next: free space or replace the disk; "
                          "the gateway keeps it and sends it again", messages[0][0], error)
            return
        for outcome in outcomes:
            level, text = ((logging.WARNING, "refused (%s): %s") if outcome.low_water is None
                           else (logging.INFO, "%s: %s"))
            log.log(level, text, outcome.code, outcome.detail, extra={"about": outcome.cabinet})
        async with asyncio.TaskGroup() as group:
            for one in outcomes:
                if one.receipt is not None:
                    group.create_task(self._publish(client, one.cabinet, one.receipt))
        for cabinet, receipt in await self._on_thread(self._ingest.repeated):
            await self._publish(client, cabinet, receipt)

    async def _publish(self, client: aiomqtt.Client, cabinet: str, receipt: bytes) -> None:
        await client.publish(f"wp/1/{cabinet}/receipt", receipt, qos=1, retain=True)
        self.last_receipt_ms[cabinet] = clock.utc_ms()

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
