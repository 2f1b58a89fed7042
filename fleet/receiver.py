"""The receiving door: MQTT over mutual TLS, batches to the desk, receipts back.

PUBACK proves nothing: a receipt is published only after the desk has committed.  Every
connection gets a new Client, since an old one re-sends what failed, out of order.  A broken
connection is normal: wait a little, with jitter, and come back.
"""

import asyncio
import logging
import random
import socket
import sqlite3
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiomqtt

from fleet import clock
from fleet.desk import Desk, Outcome
from fleet.live import LiveTable
from fleet.settings import Settings

UP, LIVE = "wp/1/+/up", "wp/1/+/live"
# The broker is the fleet's own: one client knocking every few seconds does it no harm.
PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 4.0
# Batches that wait in memory: 64 of at most 1 MiB.  What is dropped comes again, for it
# gets no receipt.
QUEUE_MAX = 64
KEEPALIVE_S = 20
REFUSED = 128               # SUBACK, MQTT 3.1.1 3.9.3
# With Nagle's algorithm each receipt would wait 40 ms for the broker's delayed ACK.
NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
TIMEOUT_S = 10

log = logging.getLogger("fleet.receiver")


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


class Receiver:
    """Keeps a connection to the broker and feeds the desk, one batch after the other."""

    def __init__(self, settings: Settings, desk: Desk, live: LiveTable) -> None:
        self._settings, self._desk, self._live = settings, desk, live
        # One thread owns the store's connection: the page stays alive while it commits.
        self._thread = ThreadPoolExecutor(1, "admission")
        self.connected = False
        self.last_receipt_ms: dict[str, int] = {}

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Serve for ever; a lost connection is retried."""
        pause_s = PAUSE_S_MIN
        while True:
            try:
                await self._session()
            except (aiomqtt.MqttError, OSError, sqlite3.Error) as error:
                if self.connected:
                    pause_s = PAUSE_S_MIN
                log.warning("broker %s:%s or store: %s; next try within %.1f s",
                            self._settings.host, self._settings.port, error, pause_s)
            finally:
                self.connected = False
            await sleep(random.uniform(PAUSE_S_MIN / 2, pause_s))
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    def _client(self) -> aiomqtt.Client:
        """Return a new client; the simulation overrides this with a broker in memory."""
        return aiomqtt.Client(
            self._settings.host, self._settings.port, tls_context=tls(self._settings),
            identifier="fleet-receiver", protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True, keepalive=KEEPALIVE_S, timeout=TIMEOUT_S,
            max_queued_incoming_messages=QUEUE_MAX, socket_options=NO_DELAY)

    async def _session(self) -> None:
        async with self._client() as client:
            granted = await client.subscribe([(UP, 1), (LIVE, 0)])
            codes: list[Any] = list(granted or ())
            if any(getattr(code, "value", code) >= REFUSED for code in codes):
                raise OSError(f"the broker does not let us listen to {UP} and {LIVE}: its access "
                              "list does not know this certificate's name")
            self.connected = True
            log.info("connected to the broker at %s:%s", self._settings.host, self._settings.port)
            for device, receipt in await self._on_thread(self._desk.receipts):
                await self._publish(client, device, receipt)
            async for message in client.messages:
                await self._take(client, message)

    async def _take(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        device, payload = sender_of(message.topic.value), message.payload
        if device is None or not isinstance(payload, bytes):
            return
        if message.topic.matches(LIVE):
            self._live.take(device, payload, clock.monotonic_s(), clock.utc_ms())
            return
        try:
            outcome: Outcome = await self._on_thread(lambda: self._desk.receive(device, payload))
        except sqlite3.Error as error:      # full or failing disk: no receipt, so nothing is lost
            log.error("%s: not stored, no receipt: %s; next: free space or replace the disk; the "
                      "gateway keeps it and sends it again", device, error)
            return
        if outcome.low_water is None:
            log.warning("refused (%s): %s", outcome.code, outcome.detail)
        else:
            log.info("%s: %s", outcome.code, outcome.detail)
        if outcome.receipt is not None:
            await self._publish(client, device, outcome.receipt)
        self._live.notify()

    async def _publish(self, client: aiomqtt.Client, device: str, receipt: bytes) -> None:
        await client.publish(f"wp/1/{device}/receipt", receipt, qos=1, retain=True)
        self.last_receipt_ms[device] = clock.utc_ms()

    async def _on_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
