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
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.aio.task_group import heed_stop, together
from gateway.aio.wakeup import Flag
from gateway.config.values import UplinkSettings
from gateway.core.errors import (
    BadSignature,
    Bug,
    Corrupt,
    FormatError,
    JournalError,
    Rejected,
    UplinkError,
)
from gateway.core.evidence import receipt as receipts
from gateway.core.evidence.batch import SEALED_MAX
from gateway.core.journal import outbox as box
from gateway.core.live_dictionary import MESSAGE_BYTES_MAX
from gateway.core.record import ALARM
from gateway.delivery import rate_limit
from gateway.delivery.broker_errors import FOREIGN, check_granted, translate
from gateway.delivery.live_codec import pack_live
from gateway.delivery.mqtt import Client, aiomqtt
from gateway.polling.poller import Event
from gateway.signer import Verifier
from gateway.storage.writer import Writer
from gateway.timekeeping.clock import Clock
from gateway.tls import tls_context

LOG = logging.getLogger("wattproof.uplink")
WINDOW = 4                      # batches without a receipt under way: 4 x 1 MiB at most
IDLE_S = 1.0                    # real: look at least so often for overdue receipts
QUIET_S = 30.0                  # ... and at least so often while no batch waits at all
LIVE_S_MIN = 0.2                # real: a fast simulation must not flood the broker
LIVE_QUIET_S = 15.0             # real: a live message at least so often, news or not
LINE_BYTES_S_MIN = 2_000        # slowest line a batch is given time for: 16 kbit/s
BEAT_S = 10.0                   # real: a long batch on a slow line is progress
STEADY_S = 20.0                 # real: a connection that held so long begins anew
SHORT_TOLD = 4                  # so many shorter ones in a row are told
INCOMING_MAX = 16               # receipts waiting; only the newest matters anyway
# Nagle's algorithm and the peer's delayed ACK would make each batch wait 40 ms.
NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
UNANSWERED = ("the broker takes batches, but the fleet acknowledges none; next: see whether the "
              "fleet runs, what it refused, and the broker's access list")
CLOSED_AGAIN = ("closed again soon after each start ({}); next: see whether another gateway uses "
                "this name, and the broker's log")


@dataclass(frozen=True, slots=True)
class Patience:
    """Real time limits: to connect and subscribe, of a message beside its length, between
    pings, and after a PUBACK until the receipt is overdue."""

    connect_s: float = 10.0
    publish_s: float = 30.0
    keepalive_s: int = 30
    resend_ms: int = 8_000


class Uplink:
    """Sends what the outbox offers.

    state: starting | online | unanswered (batches go out, no receipt comes) | offline | rejected.
    """

    def __init__(self, cabinet: str, settings: UplinkSettings, writer: Writer,
                 verifier: Verifier, patience: Patience | None = None) -> None:
        """cabinet: device id, also the name in the topics.  Nothing is connected yet."""
        self.cabinet, self.settings, self.writer = cabinet, settings, writer
        self.clock: Clock = writer.clock
        self.patience = patience or Patience()
        self.begin_anew()
        self.silence = rate_limit.Silence(self.patience.resend_ms)
        self._pace = rate_limit.Pace(settings.cap_kbit_s, settings.backlog_percent,
                                 self.clock.real_s())
        self.state, self.reason = "starting", ""
        self.live: Callable[[], dict[str, Any] | None] = _no_live
        self.beat: Callable[[], None] = _nothing
        self.counts = {"connects": 0, "batches_sent": 0, "evidence_bytes": 0, "live_bytes": 0,
                       "live_sent": 0, "receipts": 0, "receipts_refused": 0}
        self._verifier = verifier
        self._wake, self._news = Flag(), Flag()
        self._wait_s = float(settings.retry_s_min)
        self.alarms: set[str] = set()
        self._online_s: float | None = None
        self._short = 0                         # connections in a row that did not last

    def begin_anew(self) -> None:
        """Serve the writer's journal from its start: the first one, or one that is new."""
        self.outbox = box.Outbox(self.cabinet, self.writer.journal, WINDOW,
                                 self.patience.resend_ms)
        self._unreadable: set[int] = set()      # batches that were complained about
        self._lost_batches: set[int] = set()    # batches that were declared lost
        self._fresh_sent = 0                    # newest number that went out before its turn

    def topic(self, leaf: str) -> str:
        """Return a topic of this cabinet: up, live or receipt."""
        return f"wp/1/{self.cabinet}/{leaf}"

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._wake.set()

    def refresh(self) -> None:
        """Say that there are new figures to show."""
        self._news.set()

    async def run(self) -> None:
        """Keep connecting and sending until cancelled."""
        while True:
            self.beat()
            try:
                await self._session()
            except* FOREIGN as group:
                self._lost(translate(group))
            heed_stop()
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
            granted = await client.subscribe(self.topic("receipt"), qos=1,
                                             timeout=self.patience.connect_s)
            check_granted(granted or (), self.topic("receipt"))
            heed_stop()
            self._online()
            await together(self._hear(client), self._send(client), self._send_live(client))

    def _client(self) -> aiomqtt.Client:
        return Client(
            self.settings.host, self.settings.port, identifier=self.cabinet,
            tls_context=tls_context(self.settings, self.clock.certificate_floor_ms()),
            clean_session=True, timeout=self.patience.connect_s,
            keepalive=self.patience.keepalive_s, max_queued_incoming_messages=INCOMING_MAX,
            max_inflight_messages=2 * WINDOW, socket_options=NO_DELAY)

    def _online(self) -> None:
        LOG.info("online at %s:%d", self.settings.host, self.settings.port)
        self.state, self.reason = "online", ""
        self.counts["connects"] += 1
        self._online_s = self.clock.real_s()

    def _lost(self, error: UplinkError) -> None:
        self.outbox.link_lost()
        begun = self._judge_length()
        self.state = "rejected" if isinstance(error, Rejected) else "offline"
        told = begun and self._short >= SHORT_TOLD
        reason = CLOSED_AGAIN.format(error) if told else str(error)
        if reason != self.reason:
            LOG.warning("%s: %s; trying on", self.state, reason)
        self.reason = reason

    def _judge_length(self) -> bool:
        """Begin the back-off anew after a steady connection; two gateways of one name that
        throw each other out must not do so five times a second.  Return if there was one."""
        began_s, self._online_s = self._online_s, None
        if began_s is None:
            return False
        if self.clock.real_s() - began_s >= STEADY_S:
            self._wait_s, self._short = float(self.settings.retry_s_min), 0
        else:
            self._short += 1
        return True

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
            self._look_for_silence()
            await self._declare_lost()
            oldest = self.outbox.next_batch()
            if oldest is not None:
                numbers = self.writer.journal.batch_numbers()
                await self._send_batch(client, *rate_limit.choose(
                    numbers, oldest, self._fresh_sent, WINDOW))
                continue
            self._wake.clear()
            await self._wake.wait(IDLE_S if self.outbox.waiting() else QUIET_S)

    async def _declare_lost(self) -> None:
        """Look at batches that the outbox left out: some are only hard to read just now."""
        for number in self.outbox.unreadable():
            if number in self._lost_batches:
                continue
            try:
                self.writer.journal.read_batch(number)
            except JournalError as error:
                await self._unreadable_batch(number, error)

    async def _unreadable_batch(self, number: int, error: JournalError) -> None:
        """Put an alarm if a batch's bytes rotted on flash: the fleet, which waits for it, may
        then pass it.  What flash only would not read is tried again."""
        if isinstance(error, Corrupt) and number not in self._lost_batches:
            self._lost_batches.add(number)
            LOG.error("%s; its records are lost and the fleet is told; next: replace the flash",
                      error)
            await self.writer.put(Event(self.clock.ticks_ms(), ALARM,
                                        ["batch-lost", str(number)]))
        elif number not in self._unreadable and number not in self._lost_batches:
            LOG.error("batch %d cannot be read: %s; it is tried again", number, error)
            self._unreadable.add(number)

    def _look_for_silence(self) -> None:
        """Offer overdue batches again, ever more patiently, and say when nobody answers."""
        if self.outbox.expire(self._now_ms() - self.silence.extra_ms):
            self.silence.overdue()
        if self.silence.unanswered and self.state == "online":
            LOG.warning("%s", UNANSWERED)
            self.state, self.reason = "unanswered", UNANSWERED

    async def _send_batch(self, client: aiomqtt.Client, lane: str, number: int) -> None:
        outbox = self.outbox
        await self._wait_turn(lane)
        if outbox is not self.outbox or number not in self.writer.journal.batch_numbers():
            return          # the journal has ended meanwhile, or a coarser one stands for it
        outbox.sent(number, self._now_ms())
        try:
            data = self.writer.journal.read_batch(number)
        except JournalError as error:
            await self._unreadable_batch(number, error)
            return
        await self._say(client, lane, "up", data)
        self.counts["batches_sent"] += 1
        self.counts["evidence_bytes"] += len(data)
        if outbox is not self.outbox:
            return
        if lane == rate_limit.FRESH:
            self._fresh_sent = max(self._fresh_sent, number)
        if outbox.waits(number):
            outbox.sent(number, self._now_ms())     # a slow line is not an overdue receipt

    async def _wait_turn(self, lane: str) -> None:
        """Wait until the cap and the lane's share allow one more message."""
        while (left_s := self._pace.wait_s(lane, self.clock.real_s())) > 0:
            self.beat()
            await asyncio.sleep(min(left_s, BEAT_S))

    async def _say(self, client: aiomqtt.Client, lane: str, leaf: str, data: bytes) -> None:
        """Publish one message, however slow the line; evidence waits for its PUBACK."""
        self._pace.spend(lane, len(data), self.clock.real_s())
        limit_s = self.patience.publish_s + len(data) / LINE_BYTES_S_MIN
        if leaf == "live":      # what goes before it may be a whole batch
            limit_s += SEALED_MAX / LINE_BYTES_S_MIN
        job = asyncio.ensure_future(client.publish(
            self.topic(leaf), data, qos=0 if leaf == "live" else 1, timeout=limit_s))
        try:
            while not job.done():
                await asyncio.wait({job}, timeout=BEAT_S)
                self.beat()
            await job
        finally:
            job.cancel()

    async def _send_live(self, client: aiomqtt.Client) -> None:
        """Send the figures after each commit, but not more often than live_s."""
        period_s = max(self.clock.seconds(self.settings.live_s), LIVE_S_MIN)
        while True:
            await asyncio.sleep(period_s)
            await self._news.wait(max(LIVE_QUIET_S - period_s, 0.0))
            self._news.clear()
            await self._wait_turn(rate_limit.LIVE)
            figures = self._figures()           # after the wait: what goes out is of now
            if figures is None:
                continue
            text = json.dumps(figures, separators=(",", ":")).encode()
            if len(text) > MESSAGE_BYTES_MAX:
                LOG.warning("live message of %d bytes left out; at most %d", len(text),
                            MESSAGE_BYTES_MAX)
                continue
            data = pack_live(text)
            await self._say(client, rate_limit.LIVE, "live", data)
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
        if not self.clock.raise_floor(receipt.issued_utc_ms):
            await self._alarm("clock-differs", f"the fleet's receipt says {receipt.issued_utc_ms} "
                              f"ms, this clock {self.clock.utc_ms()} ms")
        result = self.outbox.receipt(receipt)
        if result.status in (box.ADVANCED, box.REWOUND):
            self.counts["receipts"] += 1
            self._answered()
            self.writer.receipt(result.seq, result.epoch)
            self.wake()
        if result.status == box.UNCHANGED and self.state == "unanswered":
            self._answered()                # the fleet is back and says where it stands
            self.outbox.link_lost()
            self.wake()
        if result.status in (box.AHEAD, box.FORK):
            await self._alarm(f"receipt-{result.status}", f"low water {receipt.low_water}")
            if self.outbox.divided:
                self.writer.divided(receipt.low_water)
        if result.missing:
            await self._alarm("missing-at-fleet", "sequence {} to {}".format(*result.missing))
        if result.status in (box.FOREIGN, box.STALE_EPOCH):
            LOG.warning("receipt ignored: %s", result.status)

    def _answered(self) -> None:
        self.silence.answered()
        if self.state == "unanswered":
            self.state, self.reason = "online", ""

    async def _alarm(self, name: str, detail: str) -> None:
        """Put an alarm event, once per name and run: a hostile broker must not fill flash."""
        if name in self.alarms:
            return
        self.alarms.add(name)
        LOG.error("%s: %s; next: ask the fleet's operator", name, detail)
        await self.writer.put(Event(self.clock.ticks_ms(), ALARM, [name, detail[:200]]))

    def _now_ms(self) -> int:
        return int(self.clock.real_s() * 1000)


def _no_live() -> dict[str, Any] | None:
    """Nobody computes live figures."""
    return None


def _nothing() -> None:
    """Nobody watches."""
