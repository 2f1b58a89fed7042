"""Batches of a journal that cannot be sent: which are declared lost, and each only once.

A batch whose bytes rotted is declared by an alarm, so that the fleet, which waits for it, may pass
it.  What flash would not read is tried again.  Once means once for the journal: what an earlier run
declared stands in a batch without a receipt or in the tail; what has one, the fleet has passed.
"""

import asyncio
import contextlib
import logging

from gateway.core.codec.record import ALARM, CONFIG
from gateway.core.errors import Corrupt, JournalError
from gateway.core.event import Event
from gateway.core.journal.outbox import Outbox
from gateway.storage.restart import BATCH_LOST, declared_lost, lost_in
from gateway.storage.writer import JournalWriter

LOG = logging.getLogger("wattproof.uplink")


class LostBatches:
    """Of one journal.  declared: numbers that are known to be lost."""

    def __init__(self, writer: JournalWriter, outbox: Outbox) -> None:
        """outbox: of the writer's journal."""
        self._writer, self._outbox = writer, outbox
        self.declared: set[int] = set()
        self._unreadable: set[int] = set()      # complained about
        self._reported: set[str] | None = None      # by earlier runs, as written; None: not looked

    async def look(self) -> None:
        """Look at batches that the outbox left out: some are only hard to read just now."""
        for number in self._outbox.left_out():
            if number in self.declared:
                continue
            try:
                self._writer.journal.read_batch(number)
            except JournalError as error:
                await self.judge(number, error)

    async def judge(self, number: int, error: JournalError) -> None:
        """Declare a batch that could not be read lost, if its bytes rotted."""
        if isinstance(error, Corrupt) and number not in self.declared:
            self.declared.add(number)
            if str(number) in await self._reported_before():
                return
            LOG.error("%s; its records are lost and the fleet is told; next: replace the flash",
                      error)
            await self.declare(str(number))
        elif number not in self._unreadable and number not in self.declared:
            LOG.error("batch %d cannot be read: %s; it is tried again", number, error)
            self._unreadable.add(number)

    async def declare(self, numbers: str) -> None:
        """Put the alarm that batches are lost (a number, or FIRST-LAST), and the configuration
        again: its event may have stood in one of them."""
        for kind, body in ((CONFIG, self._writer.journal.config_body),
                           (ALARM, [BATCH_LOST, numbers])):
            await self._writer.put(Event(self._writer.clock.ticks_ms(), kind, body))

    async def _reported_before(self) -> set[str]:
        """Return what earlier runs declared lost."""
        if self._reported is not None:
            return self._reported
        reported = lost_in(item for _, item in self._writer.journal.replay())
        for number in list(self._outbox.unacknowledged()):
            with contextlib.suppress(JournalError):
                reported |= declared_lost(self._writer.journal.read_batch(number))
            await asyncio.sleep(0)              # weeks of them may wait; polling goes on
        self._reported = reported
        return reported
