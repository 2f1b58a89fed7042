"""The uplink over MQTT: sealed batches up, signed receipts down, live figures beside them.

Every connection is a new MqttClient, since a used one would send old messages after new ones.
Nothing here ends the service: no connection means waiting longer (jittered exponential
back-off), a refusal is reported with its next step.  What goes out: evidence_lane.py and
live_lane.py; what comes in: receipts.py and downlink.py.
"""

import asyncio
import functools
import logging
import socket
from typing import NamedTuple

from gateway.aio.keep_alive import Beat, Service, keep_alive, no_beat
from gateway.aio.task_group import raise_if_cancelled, run_until_first_failure
from gateway.aio.wakeup import Wakeup
from gateway.config.values import UplinkSettings
from gateway.core.errors import ConfigError, Offline, UplinkError
from gateway.core.journal.outbox import Outbox
from gateway.delivery.broker_errors import FOREIGN, check_granted, translate
from gateway.delivery.downlink import DownlinkReceiver
from gateway.delivery.evidence_lane import WINDOW, EvidenceLane
from gateway.delivery.live_lane import Figures, LiveLane, no_figures
from gateway.delivery.mqtt import MqttClient, aiomqtt
from gateway.delivery.publisher import Publisher
from gateway.delivery.rate_limit import Pace
from gateway.delivery.receipts import Receipts
from gateway.delivery.session import Session
from gateway.signer import Verifier
from gateway.storage.writer import JournalWriter
from gateway.tls import TlsContext, tls_context

LOG = logging.getLogger("wattproof.uplink")
SILENT_S = 150.0                # real: a name that does not resolve, then a long message
INCOMING_MAX = 16               # receipts waiting; only the newest matters anyway
# Nagle's algorithm and the peer's delayed ACK would make each batch wait 40 ms.
NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


class Patience(NamedTuple):
    """Real time limits: to connect and subscribe, of a message beside its length, between
    pings, and after a PUBACK until the receipt is overdue."""

    connect_s: float = 10.0
    publish_s: float = 30.0
    keepalive_s: int = 30
    resend_ms: int = 8_000


class Uplink:
    """Keeps one connection to the broker and lets the lanes use it."""

    def __init__(self, cabinet: str, settings: UplinkSettings, writer: JournalWriter,
                 verifier: Verifier, patience: Patience | None = None) -> None:
        """cabinet: device id, also the name in the topics.  Nothing is connected yet."""
        self.settings, self.clock = settings, writer.clock
        self._cabinet, self._patience = cabinet, patience or Patience()
        self.session = Session(settings, self.clock.real_s)
        self.evidence = EvidenceLane(cabinet, writer, self._patience.resend_ms)
        self.live = LiveLane(self.clock.seconds(settings.live_s))
        self._receipts = Receipts(verifier, writer, self.evidence, self.session)
        self._downlink = DownlinkReceiver(cabinet, settings, verifier, writer,
                                          self._receipts.alarms)
        self._tls: TlsContext | None = None            # of the connection under way
        self._publisher = Publisher(
            cabinet, self._patience.publish_s,
            Pace(settings.cap_kbit_s, settings.backlog_percent, self.clock.real_s()), self.clock)
        self._files_changed = Wakeup()
        writer.subscribe(self.evidence.note)
        writer.subscribe(self.live.note)

    @property
    def state(self) -> str:
        """The session's state: starting, online, unanswered, offline or rejected."""
        return self.session.name

    @property
    def reason(self) -> str:
        """Why, with the next step; empty while all is well."""
        return self.session.reason

    @property
    def outbox(self) -> Outbox:
        """The window over the batches of the journal in use."""
        return self.evidence.outbox

    @property
    def alarms(self) -> set[str]:
        """Names of the alarms raised since the start."""
        return self._receipts.alarms

    @property
    def counts(self) -> dict[str, int]:
        """Connections, batches, bytes and receipts since the start."""
        return {"connects": self.session.connects, **self.evidence.counts, **self.live.counts,
                **self._receipts.counts, **self._downlink.counts}

    async def run(self, beat: Beat = no_beat, figures: Figures = no_figures) -> None:
        """Keep connecting and sending until cancelled.  figures: gives the live message."""
        await keep_alive(Service(
            "connection", functools.partial(self._connection, figures), SILENT_S,
            self.session.backoff, self._lost), beat)

    async def drained(self, limit_s: float) -> bool:
        """Wait up to limit_s real seconds until every batch is acknowledged; tell if so."""
        until_s = self.clock.real_s() + limit_s
        while self.outbox.waiting() and self.clock.real_s() < until_s:
            self.evidence.wake()
            await asyncio.sleep(0.05)
        return not self.outbox.waiting()

    def read_files_again(self) -> None:
        """Connect again with the certificate, key and authority that lie in their files now; files
        that do not fit change nothing."""
        try:
            tls_context(self.settings)
        except ConfigError as error:
            LOG.error("SIGHUP: the connection stays as it is: %s", error)
            return
        LOG.info("SIGHUP: the uplink connects again with its files of now; cabinet.toml and the "
                 "keys of evidence and receipts are read at a start only")
        self._files_changed.set()

    async def take_receipt(self, data: bytes) -> None:
        """Check one receipt and act on it; a bad one changes nothing and is counted."""
        await self._receipts.take(data)

    async def _connection(self, figures: Figures, beat: Beat) -> None:
        """Connect and serve until that breaks; raises UplinkError."""
        lost: UplinkError | None = None
        try:
            await self._serve(figures, beat)
        except* FOREIGN as group:
            lost = translate(group, self._tls.alert if self._tls else "")
        finally:
            self._tls = None            # or the next connection's would be made beside it
        if lost is not None:            # raised in there it would come out as a group
            raise lost

    async def _serve(self, figures: Figures, beat: Beat) -> None:
        async with self._client() as client:
            topic, down = self._publisher.topic("receipt"), self._publisher.topic("down")
            granted = await client.subscribe([(topic, 1), (down, 1)],
                                             timeout=self._patience.connect_s)
            # A broker of a former version has no rule for the downlink: evidence goes on.
            check_granted((granted or ())[:1], topic)
            raise_if_cancelled()
            self.session.connected()
            self._publisher.use(client, beat)
            self._files_changed.clear()
            await run_until_first_failure(self._receive(client),
                                          self.evidence.run(self._publisher, self.session),
                                          self.live.run(self._publisher, figures), self._renewal())

    def _client(self) -> aiomqtt.Client:
        self._tls = tls_context(self.settings, self.clock.certificate_floor_ms())
        return MqttClient(
            self.settings.host, self.settings.port, identifier=self._cabinet,
            tls_context=self._tls,
            clean_session=True, timeout=self._patience.connect_s,
            keepalive=self._patience.keepalive_s, max_queued_incoming_messages=INCOMING_MAX,
            max_inflight_messages=2 * WINDOW, socket_options=NO_DELAY)

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if not isinstance(message.payload, bytes | bytearray):
                continue
            if message.topic.value.endswith("/down"):
                await self._downlink.take(bytes(message.payload))
            else:
                await self.take_receipt(bytes(message.payload))

    async def _renewal(self) -> None:
        """End the connection when its files are to be read again."""
        while not await self._files_changed.wait(SILENT_S):
            raise_if_cancelled()
        raise Offline("its files are read again")

    def _lost(self, error: Exception) -> None:
        """Note why there is no connection; a crash is raised on, to be logged."""
        self.outbox.session_lost()
        if not isinstance(error, UplinkError):
            self.session.lost(Offline(f"crashed: {error}"))
            raise error
        self.session.lost(error)


