"""Batches up, receipts down: the outbox of a board over its MQTT client.

The same rules as gateway/delivery/uplink.py, the same states (gateway/core/session_table.py):
what goes out is read from the journal, only the fleet's signed receipt moves the mark, and no
connection means waiting longer.  One batch is under way at a time: a board has no room for more.
"""

import asyncio
import gc
import os

from gateway.core import session_table as table
from gateway.core.codec.record import ALARM, CONFIG
from gateway.core.errors import FormatError, JournalError
from gateway.core.evidence import receipt as receipts
from gateway.core.journal import outbox as box
from gateway.core.types import TYPE_CHECKING
from gateway.micro.ed25519 import verify_steps
from gateway.micro.mqtt import BoardMqttClient, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext
    from typing import Any

    from gateway.core.evidence.receipt import Receipt
    from gateway.micro.clock import BoardClock
    from gateway.micro.writer import BoardWriter
    # (kid, (x, y)) of the fleet's receipt key.
    ReceiptKey = tuple[bytes, tuple[int, int]]

WINDOW = 4                  # batches under way; one receipt for all of them is enough
RESEND_MS = 8000            # real, without a receipt
OPEN_MS = 10000             # real: connect, TLS, CONNACK
KEEPALIVE_S = 30
SILENCE_MS = 45000          # real: nothing heard, pings included: the connection is dead
PING_MS = 10000
IDLE_MS = 100
RETRY_MS_MIN, RETRY_MS_MAX = 500, 30000
SETTLED_MS = 15000          # a connection that lasted so long resets the pause
WAITING_MAX = 4             # receipts not yet looked at; only the newest matters


class BoardUplink:
    """Keeps a connection.  state: one of session_table."""

    def __init__(self, cabinet: str, writer: "BoardWriter", clock: "BoardClock", keys: "ReceiptKey",
                 keep_bytes: int) -> None:
        """keys: (kid, (x, y)) of the fleet's receipt key.  keep_bytes: of batches on flash."""
        self._cabinet, self._writer, self._clock = cabinet, writer, clock
        self._settings = keys, keep_bytes
        self.state = table.STARTING
        self._outbox = box.Outbox(cabinet, writer.journal, WINDOW, RESEND_MS)
        self._waiting: list[bytes] = []
        self._newest = b""          # the newest receipt that moved the mark, sealed
        self._received_ms = 0
        self._log: Any = None
        self._client: Any = None
        self.counts = {"connects": 0, "sent": 0, "receipts": 0, "refused": 0}

    async def run(self, broker: tuple[str, int, str], context: "SSLContext",
                  say: "Callable[[str], None]") -> None:
        """Connect, serve, and come back after a jittered pause; for ever.  say: for a line."""
        pause_ms, self._log = RETRY_MS_MIN, say
        while True:
            begun_ms, event = self._clock.real_ms(), table.LOST
            self._client = BoardMqttClient((self._cabinet, KEEPALIVE_S), broker, context,
                                           self._on_message)
            try:
                await asyncio.wait_for_ms(self._client.open(), OPEN_MS)  # type: ignore[attr-defined]
                await self._session()
            except asyncio.TimeoutError:
                self._log("no answer from the broker")
            except (OSError, EOFError, ValueError) as error:
                self._log("uplink: %s" % error)
                if isinstance(error, Refusal):
                    event, pause_ms = table.REFUSED, RETRY_MS_MAX
            except MemoryError:             # batches wait as well on flash
                self._log("no room to send yet")
            self.state = table.next_state(self.state, event)
            self._client.close()
            self._client = None
            gc.collect()                    # before the next TLS context needs its place
            self._outbox.session_lost()
            if self._clock.real_ms() - begun_ms > SETTLED_MS:
                pause_ms = RETRY_MS_MIN
            await asyncio.sleep_ms(pause_ms // 2 + os.urandom(1)[0] * pause_ms // 512)  # type: ignore[attr-defined]
            pause_ms = min(2 * pause_ms, RETRY_MS_MAX)

    async def _session(self) -> None:
        await self._client.listen("wp/1/%s/receipt" % self._cabinet)
        self.counts["connects"] += 1
        self.state = table.next_state(self.state, table.CONNECTED)
        self._received_ms = self._clock.real_ms()
        reader = asyncio.create_task(self._read())
        try:
            await self._serve(reader)
        finally:
            reader.cancel()

    async def _read(self) -> None:
        """Take packets until the connection ends; `_serve` notices."""
        try:
            while True:
                await self._client.take()
                self._received_ms = self._clock.real_ms()
        except (OSError, EOFError, ValueError, IndexError, MemoryError) as error:
            self._log("uplink: %s" % error)

    async def _serve(self, reader: asyncio.Task[None]) -> None:
        pinged_ms = self._clock.real_ms()
        while not reader.done():
            now_ms = self._clock.real_ms()
            if now_ms - self._received_ms > SILENCE_MS:
                raise OSError("the broker is silent")
            if now_ms - pinged_ms > PING_MS:
                pinged_ms = now_ms
                await asyncio.wait_for_ms(self._client.heartbeat(), OPEN_MS)  # type: ignore[attr-defined]
            await self._take_receipts()
            self._outbox.expire(now_ms)
            number = self._outbox.next_batch()
            if number is None:
                await asyncio.sleep_ms(IDLE_MS)  # type: ignore[attr-defined]
            else:
                await self._send(number)

    async def _send(self, number: int) -> None:
        self._outbox.sent(number, self._clock.real_ms())
        try:
            data = self._writer.journal.read_batch(number)
        except JournalError as error:
            self._log("batch %d: %s" % (number, error))
            return
        await self._post(data)
        self.counts["sent"] += 1

    async def _post(self, data: bytes) -> None:
        topic = "wp/1/%s/up" % self._cabinet
        await asyncio.wait_for_ms(self._client.post(topic, data), OPEN_MS)  # type: ignore[attr-defined]

    def _on_message(self, topic: bytes, payload: bytes) -> None:
        """Keep a message for `_serve`; called in the middle of umqtt's parsing."""
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.pop(0)
        self._waiting.append(payload)

    async def _take_receipts(self) -> None:
        """Act on the newest good receipt: it covers the older ones, and a check takes long."""
        waiting, self._waiting = self._waiting, []
        while waiting:
            if await self._take_receipt(waiting.pop()):
                return

    async def _take_receipt(self, data: bytes) -> bool:
        """Check one receipt and act on it; a bad one changes nothing: then False comes back."""
        try:
            message, receipt = receipts.open_sealed(data)
        except FormatError:
            self.counts["refused"] += 1
            return False
        steps, good = verify_steps(self._settings[0][1], message.signed, message.signature), False
        try:
            while True:
                next(steps)
                await asyncio.sleep_ms(0)  # type: ignore[attr-defined]
        except StopIteration as stop:
            good = stop.value and message.kid == self._settings[0][0]
        if not good:
            self.counts["refused"] += 1
            return False
        await self._act(receipt, data)
        return True

    async def _act(self, receipt: "Receipt", data: bytes) -> None:
        journal, behind = self._writer.journal, self._outbox.behind(receipt)
        result = self._outbox.receipt(receipt)
        if result.status in (box.ADVANCED, box.REWOUND):
            self.counts["receipts"] += 1
            self.state = table.next_state(self.state, table.ANSWERED)
            journal.acknowledge(result.seq, self._clock.utc_ms(), result.epoch)
            self._newest = data             # in RAM: a full flash has no block for it
            journal.trim(self._settings[1])
            deleted = self._outbox.deleted() if result.status == box.REWOUND else None
            if deleted:             # the configuration may have stood in one of them
                self._writer.event(self._clock.ticks_ms(), CONFIG, journal.config_body)
                self._writer.event(self._clock.ticks_ms(), ALARM, ["batch-lost", "%d-%d" % deleted])
        elif result.status in (box.AHEAD, box.FORK):
            self._log("receipt %s: low water %d" % (
                "ahead" if result.status == box.AHEAD else "fork", receipt.low_water))
        elif behind and self._newest:           # the fleet lost data: its own word proves it
            await self._post(self._newest)
