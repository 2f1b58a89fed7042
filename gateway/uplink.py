"""The outbox over MQTT: sealed batches up, signed receipts down, live figures beside them.

Reads batches from the journal only, through the outbox; a PUBACK proves nothing, only the
fleet's signed receipt moves the mark.  Every connection is a new Client, since a used one
would send old messages after new ones.  Nothing here ends the service: no connection means
waiting longer (jittered exponential back-off), a refusal is told with its next step.
"""

import asyncio
import json
import logging
import random
import ssl
from collections.abc import Callable
from typing import Any

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from gateway.clock import Clock
from gateway.config_values import UplinkSettings
from gateway.core import outbox as box
from gateway.core import receipt as receipts
from gateway.core.errors import (
    BadSignature,
    Bug,
    ConfigError,
    FormatError,
    JournalError,
    Offline,
    Rejected,
    UplinkError,
)
from gateway.core.record import ALARM
from gateway.poller import Event
from gateway.signer import Verifier
from gateway.writer import Writer

LOG = logging.getLogger("wattproof.uplink")
WINDOW = 4                      # batches without a receipt under way: 4 x 1 MiB at most
CONNECT_S = 10.0                # real, for connect and subscribe
PUBLISH_S = 60.0                # real: 1 MiB at 140 kbit/s
IDLE_S = 1.0                    # real: look at least so often for overdue receipts
LIVE_S_MIN = 0.2                # real: a fast simulation must not flood the broker
LIVE_BYTES_MAX = 32_768
KEEPALIVE_S = 30
INCOMING_MAX = 16               # receipts waiting; only the newest matters anyway
RESEND_MS = 8_000               # real, after the PUBACK: the fleet was away, or its receipt
CIPHERS_12 = "ECDHE+AESGCM:ECDHE+CHACHA20"      # of TLS 1.2: authenticated ones only
VERIFY_FAILED = "CERTIFICATE_VERIFY_FAILED"
REFUSED_CODES = (2, 4, 5, 132, 133, 134, 135, 138, 140)  # MQTT 3.1.1 3.2.2.3, MQTT 5 3.2.2.2


def tls_context(settings: UplinkSettings) -> ssl.SSLContext:
    """Return the context of mutual TLS 1.2 or newer; raises ConfigError naming the files."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(settings.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS_12)
        context.load_cert_chain(str(settings.certificate), str(settings.key))
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"uplink: {settings.ca}, {settings.certificate} and {settings.key} are "
                          f"not a CA, a certificate and its key ({error}); next: python -m "
                          "provisioning init, or copy them again") from error
    return context


def translate(error: BaseException) -> UplinkError:
    """Return a foreign error as Offline (wait) or Rejected (a person must look)."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError) or VERIFY_FAILED in str(error):
        return Rejected(f"the broker's certificate is not trusted ({cause}); next: "
                        "check [uplink] ca and host, and this machine's clock")
    if "ALERT" in str(cause) and "SSL" in str(cause):       # aiomqtt keeps only the text
        return Rejected(f"the broker refused our certificate ({cause}); next: check that "
                        "it is signed by the broker's CA and not expired")
    if isinstance(error, aiomqtt.MqttCodeError) and _code(error.rc) in REFUSED_CODES and (
            isinstance(error, _connect_error())):
        return Rejected(f"the broker refused the connection ({error}); next: check that the "
                        "certificate's name is the cabinet and that it may use its topics")
    return Offline(f"{cause}" or type(cause).__name__)


def _connect_error() -> type[Exception]:
    from aiomqtt.exceptions import MqttConnectError
    return MqttConnectError


def _code(code: Any) -> int:
    return code.value if isinstance(code, ReasonCode) else int(code or 0)


class Uplink:
    """Sends what the outbox offers.  state: starting | online | offline | rejected."""

    def __init__(self, cabinet: str, settings: UplinkSettings, writer: Writer,
                 verifier: Verifier) -> None:
        """cabinet: device id, also the name in the topics.  Nothing is connected yet."""
        self.cabinet, self.settings, self.writer = cabinet, settings, writer
        self.clock: Clock = writer.clock
        self.outbox = box.Outbox(cabinet, writer.journal, WINDOW, RESEND_MS)
        self.state, self.reason = "starting", ""
        self.live: Callable[[], dict[str, Any] | None] = _no_live
        self.beat: Callable[[], None] = _nothing
        self.counts = {"connects": 0, "batches_sent": 0, "evidence_bytes": 0, "live_bytes": 0,
                       "live_sent": 0, "receipts": 0, "receipts_refused": 0}
        self._verifier = verifier
        self._wake = asyncio.Event()
        self._wait_s = float(settings.retry_s_min)
        self._alarms: set[str] = set()
        self._unreadable: set[int] = set()      # batches that were complained about

    def topic(self, leaf: str) -> str:
        """Return a topic of this cabinet: up, live or receipt."""
        return f"wp/1/{self.cabinet}/{leaf}"

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Keep connecting and sending until cancelled."""
        while True:
            self.beat()
            try:
                await self._session()
            except* (aiomqtt.MqttError, OSError, ConfigError) as group:
                self._lost(translate(group))
            await self._back_off()

    async def drained(self, limit_s: float) -> bool:
        """Wait up to limit_s real seconds until every batch is acknowledged; tell if so."""
        until_s = self.clock.real_s() + limit_s
        while self.outbox.waiting() and self.clock.real_s() < until_s:
            self.wake()
            await asyncio.sleep(0.05)
        return not self.outbox.waiting()

    async def _session(self) -> None:
        async with self._client() as client:
            await client.subscribe(self.topic("receipt"), qos=1, timeout=CONNECT_S)
            self._online()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hear(client))
                group.create_task(self._send(client))
                group.create_task(self._send_live(client))

    def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self.settings.host, self.settings.port, identifier=self.cabinet,
            tls_context=tls_context(self.settings), clean_session=True, timeout=CONNECT_S,
            keepalive=KEEPALIVE_S, max_queued_incoming_messages=INCOMING_MAX,
            max_inflight_messages=2 * WINDOW)

    def _online(self) -> None:
        LOG.info("online at %s:%d", self.settings.host, self.settings.port)
        self.state, self.reason = "online", ""
        self.counts["connects"] += 1
        self._wait_s = float(self.settings.retry_s_min)

    def _lost(self, error: UplinkError) -> None:
        self.outbox.link_lost()
        self.state = "rejected" if isinstance(error, Rejected) else "offline"
        if str(error) != self.reason:
            LOG.warning("%s: %s; trying on", self.state, error)
        self.reason = str(error)

    async def _back_off(self) -> None:
        """Wait between half and all of the current step, then double it."""
        left_s = self._wait_s * (0.5 + random.random() / 2)
        self._wait_s = min(2 * self._wait_s, float(self.settings.retry_s_max))
        while left_s > 0:
            self.beat()
            step_s = min(left_s, 10.0)
            await asyncio.sleep(step_s)
            left_s -= step_s

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            self.beat()
            self.outbox.expire(self._now_ms())
            number = self.outbox.next_batch()
            if number is not None:
                await self._send_batch(client, number)
                continue
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), IDLE_S)
            except TimeoutError:
                continue

    async def _send_batch(self, client: aiomqtt.Client, number: int) -> None:
        self.outbox.sent(number, self._now_ms())
        try:
            data = self.writer.journal.read_batch(number)
        except JournalError as error:
            if number not in self._unreadable:
                LOG.error("batch %d cannot be read: %s; it is tried again", number, error)
                self._unreadable.add(number)
            return
        began_s = self.clock.real_s()
        await client.publish(self.topic("up"), data, qos=1, timeout=PUBLISH_S)
        if self.writer.journal.batch_info(number)[1] > self.outbox.acknowledged_seq:
            self.outbox.sent(number, self._now_ms())        # a slow line is not an overdue receipt
        self.counts["batches_sent"] += 1
        self.counts["evidence_bytes"] += len(data)
        if self.settings.cap_kbit_s:
            owed_s = len(data) * 8 / (self.settings.cap_kbit_s * 1000)
            await asyncio.sleep(max(owed_s - (self.clock.real_s() - began_s), 0))

    async def _send_live(self, client: aiomqtt.Client) -> None:
        period_s = max(self.clock.seconds(self.settings.live_s), LIVE_S_MIN)
        while True:
            await asyncio.sleep(period_s)
            figures = self._figures()
            if figures is None:
                continue
            data = json.dumps(figures, separators=(",", ":")).encode()
            if len(data) > LIVE_BYTES_MAX:
                LOG.warning("live message of %d bytes left out; at most %d", len(data),
                            LIVE_BYTES_MAX)
                continue
            await client.publish(self.topic("live"), data, qos=0)
            self.counts["live_sent"] += 1
            self.counts["live_bytes"] += len(data)

    def _figures(self) -> dict[str, Any] | None:
        """Return the live figures; a bug in them must not stop evidence."""
        try:
            return self.live()
        except Bug:
            LOG.exception("no live figures; next: report this")
            self.live = _no_live
            return None

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if isinstance(message.payload, bytes | bytearray):
                await self.take_receipt(bytes(message.payload))

    async def take_receipt(self, data: bytes) -> None:
        """Check one receipt and act on it; a bad one changes nothing and is counted."""
        try:
            message, receipt = receipts.open_sealed(data)
            self._verifier.check(message.kid, message.signed, message.signature)
        except (FormatError, BadSignature) as error:
            self.counts["receipts_refused"] += 1
            await self._alarm("receipt-refused", str(error))
            return
        result = self.outbox.receipt(receipt)
        if result.status in (box.ADVANCED, box.REWOUND):
            self.counts["receipts"] += 1
            self.writer.receipt(result.seq, result.epoch)
            self.wake()
        if result.status in (box.AHEAD, box.FORK):
            await self._alarm(f"receipt-{result.status}", f"low water {receipt.low_water}")
        if result.missing:
            await self._alarm("missing-at-fleet", "sequence {} to {}".format(*result.missing))
        if result.status in (box.FOREIGN, box.STALE_EPOCH):
            LOG.warning("receipt ignored: %s", result.status)

    async def _alarm(self, name: str, detail: str) -> None:
        """Put an alarm event, once per name and run: a hostile broker must not fill flash."""
        if name in self._alarms:
            return
        self._alarms.add(name)
        LOG.error("%s: %s; next: ask the fleet's operator", name, detail)
        await self.writer.put(Event(self.clock.ticks_ms(), ALARM, [name, detail[:200]]))

    def _now_ms(self) -> int:
        return int(self.clock.real_s() * 1000)


def _no_live() -> dict[str, Any] | None:
    """Nobody computes live figures."""
    return None


def _nothing() -> None:
    """Nobody watches."""
