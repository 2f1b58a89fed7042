"""Sealed batches up: what the outbox offers, the newest first where a backlog is long.

Reads batches from the journal only.  A batch whose bytes rotted is declared lost, once; the rest
goes out.
"""

import logging

from gateway.aio.wakeup import Wakeup
from gateway.core.errors import JournalError
from gateway.core.event import JournalBegun, Sealed
from gateway.core.journal.outbox import Outbox
from gateway.delivery import rate_limit
from gateway.delivery.lost_batches import LostBatches
from gateway.delivery.publisher import Publisher
from gateway.delivery.session import Session
from gateway.storage.writer import JournalWriter

LOG = logging.getLogger("wattproof.uplink")
WINDOW = 4                      # batches without a receipt under way: 4 x 1 MiB at most
IDLE_S = 1.0                    # real: look at least so often for overdue receipts
SHOW_S = 30.0                   # real: the fleet is shown its receipt at most so often
QUIET_S = 30.0                  # ... and at least so often while no batch waits at all


class EvidenceLane:
    """The outbox of the journal in use, and what was found wrong with its batches."""

    outbox: Outbox
    _losses: LostBatches
    _fresh_sent: int                # newest number that went out before its turn

    def __init__(self, device: str, writer: JournalWriter, resend_ms: int) -> None:
        """resend_ms: how long after a PUBACK a receipt is overdue, at first."""
        self._device, self._writer, self._resend_ms = device, writer, resend_ms
        self.silence = rate_limit.Silence(resend_ms)
        self.counts = {"batches_sent": 0, "evidence_bytes": 0}
        self._wake = Wakeup()
        self._shown_s, self._shows = -SHOW_S, False
        self._serve_journal()

    @property
    def lost(self) -> set[int]:
        """Numbers of batches that are declared lost."""
        return self._losses.declared

    def note(self, event: object) -> None:
        """Take note of what became of the journal."""
        if isinstance(event, Sealed):
            self.wake()
        elif isinstance(event, JournalBegun):
            self._serve_journal()

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._wake.set()

    def show_receipt(self) -> None:
        """The fleet says less than it did: show it the newest receipt that it gave."""
        if self._writer.clock.real_s() - self._shown_s >= SHOW_S:
            self._shows = True
            self.wake()

    async def run(self, publisher: Publisher, session: Session) -> None:
        """Send until the connection breaks."""
        while True:
            publisher.beat()
            self._check_silence(session)
            await self._losses.look()
            await self._show(publisher)
            oldest = self.outbox.next_batch()
            if oldest is not None:
                numbers = self._writer.journal.batch_numbers()
                await self.send(publisher, *rate_limit.choose(
                    numbers, oldest, self._fresh_sent, WINDOW))
                continue
            self._wake.clear()
            await self._wake.wait(IDLE_S if self.outbox.waiting() else QUIET_S)

    async def send(self, publisher: Publisher, lane: str, number: int) -> None:
        """Send one batch in its turn; flash that will not give it is a matter of its own."""
        outbox = self.outbox
        await publisher.wait_turn(lane)
        if outbox is not self.outbox or number not in self._writer.journal.batch_numbers():
            return          # the journal has ended meanwhile, or a coarser one stands for it
        outbox.sent(number, self._now_ms())
        if lane == rate_limit.FRESH:        # also one that cannot be read: its turn is over
            self._fresh_sent = max(self._fresh_sent, number)
        try:
            data = self._writer.journal.read_batch(number)
        except JournalError as error:
            await self._losses.judge(number, error)
            return
        await publisher.publish(lane, "up", data)
        self.counts["batches_sent"] += 1
        self.counts["evidence_bytes"] += len(data)
        if outbox is not self.outbox:
            return
        if outbox.waits(number):
            outbox.sent(number, self._now_ms())     # a slow line is not an overdue receipt

    async def _show(self, publisher: Publisher) -> None:
        """Send the fleet its own receipt if that is wanted and there is one."""
        sealed, wanted, self._shows = self._writer.newest_receipt, self._shows, False
        if not wanted or not sealed:
            return
        self._shown_s = self._writer.clock.real_s()
        LOG.warning("the fleet says less than it did: it is shown its own receipt")
        await publisher.publish(rate_limit.FRESH, "up", sealed)

    def _serve_journal(self) -> None:
        """Serve the writer's journal from its start: the first one, or one that is new."""
        self.outbox = self._writer.open_outbox(self._device, WINDOW, self._resend_ms)
        self._losses, self._fresh_sent = LostBatches(self._writer, self.outbox), 0

    def _check_silence(self, session: Session) -> None:
        """Offer overdue batches again, ever more patiently, and say when nobody answers."""
        late = self.outbox.expire(self._now_ms() - self.silence.extra_ms)
        if late:
            self.silence.overdue(late)
        if self.silence.unanswered:
            session.silent()

    async def declare_lost(self, numbers: str) -> None:
        """Put the alarm that batches are lost (a number, or FIRST-LAST)."""
        await self._losses.declare(numbers)

    def _now_ms(self) -> int:
        return int(self._writer.clock.real_s() * 1000)
