"""The one task that owns the journal: append, commit, seal, acknowledge, trim.

Pollers put scans and events into a bounded waiting room; the writer takes them in one go,
commits within the loss window (events at once) and seals a batch on the quarter hour, at a
size limit, at a stop, after a restart, on an alarm and when the clock state changes.  After
each commit the highest durable sequence goes to the witness file, if there is one.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.aio.wakeup import Flag
from gateway.core.errors import StoreError
from gateway.core.reading import ClockState, Scan
from gateway.core.record import ALARM, CLOCK, COARSENED, STOP
from gateway.polling.poller import Event
from gateway.storage.retention import Room
from gateway.timekeeping.clock import Clock

LOG = logging.getLogger("wattproof.writer")
WAITING_MAX = 4096              # items; 12 devices at 1 s fill it in five minutes
READINGS_MAX = 65_536           # unsealed, then a batch is sealed early (about 20 KiB)
ALARM_SEAL_MS = 60_000          # an alarm seals at most this often
AFTER_SLOT_MS = 50              # real: a seal due at a slot lets its answers come first, on time
SETTLE_S = 5.0                  # real: between looks at clock and cursor
WORK_S = 0.05                   # real: between two pieces of work for room; polling goes on
RETRY_S = 1.0                   # real: after a failed flash operation
ACKNOWLEDGE_S = 30.0            # real: the cursor costs 4 KiB of flash per update
ACKNOWLEDGE_BATCHES = 64        # ... or as many batches


@dataclass(frozen=True, slots=True)
class Rules:
    """When to write.  sealer: what the journal's seal wants.  witness: file or None."""

    loss_window_s: int
    batch_minutes: int
    sealer: Any
    witness: Path | None = None


class Witness:
    """A file outside the journal that knows what was durable: one sequence per line."""

    def __init__(self, path: Path | None) -> None:
        """Open the file for appending; raises OSError if that is impossible."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = -1 if path is None else os.open(path, flags, 0o644)
        self._last = 0

    def tell(self, durable_seq: int) -> None:
        """Append the sequence if it moved; no sync: it must only outlive this process."""
        if self._file >= 0 and durable_seq > self._last:
            os.write(self._file, b"%d\n" % durable_seq)
            self._last = durable_seq


class Writer:
    """Owns the journal.  on_commit gets scans once they are durable, oldest first."""

    def __init__(self, journal: Any, clock: Clock, rules: Rules, room: Room) -> None:
        """journal: open, with the clock state of `clock`.  room: of this journal."""
        self.journal, self.clock, self.rules, self.room = journal, clock, rules, room
        self.on_commit: Callable[[list[Scan]], None] = _nobody
        self.on_sealed: Callable[[], None] = _nothing
        # Makes what comes after a divided journal of it and the fleet's low-water mark.
        self.renew: Callable[[Any, int], tuple[Any, Room]] | None = None
        self.on_renewed: Callable[[], None] = _nothing
        self.beat: Callable[[], None] = _nothing
        self.counts = {"lost": 0, "failures": 0}
        self._witness = Witness(rules.witness)
        self._waiting: list[Scan | Event] = []
        # Appended, not yet durable; while flash fails only the newest are kept for showing.
        self._scans: deque[Scan] = deque(maxlen=WAITING_MAX)
        self._wake, self._space = Flag(), asyncio.Event()
        self._stopping = False
        self._alarm = False
        self._alarm_sealed_ms = -ALARM_SEAL_MS
        self._dirty_since_ms: int | None = None
        self._seal_ms = self._next_seal()       # ticks of the next end of a batch
        self._retry_s = 0.0
        self._told = ""                         # the last failing state that was logged
        self._acknowledge = self._epoch = self._receipts = 0
        self._acknowledged_s = -ACKNOWLEDGE_S
        self._clock_to_set: ClockState | None = None
        self._divided_at: int | None = None

    async def put(self, item: Scan | Event) -> None:
        """Take a scan or an event; waits while the waiting room is full."""
        while len(self._waiting) >= WAITING_MAX:
            self._space.clear()
            self._wake.set()
            await self._space.wait()
        self._waiting.append(item)
        if self._dirty_since_ms is None:
            self._dirty_since_ms = self.clock.ticks_ms()    # the loss window begins
            if self.clock.seconds(self._window_ms() / 1000) <= SETTLE_S:
                self._wake.set()                    # a longer window it sees in time by itself
        if isinstance(item, Event) or len(self._waiting) > WAITING_MAX // 2:
            self._wake.set()

    def receipt(self, sequence: int, epoch: int) -> None:
        """Take note that the fleet has everything up to a sequence; the cursor follows."""
        self._acknowledge, self._epoch = sequence, epoch
        self._receipts += 1

    def divided(self, low_water: int) -> None:
        """Take note that the fleet holds other records under this journal's numbers, up to a
        sequence; once per run a new journal begins."""
        self._divided_at = low_water
        self._wake.set()

    def stop(self) -> None:
        """Ask the task to take what waits, commit, seal and end."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Write until stopped.  Flash errors do not end it; the journal knows what to do."""
        self._seal(self.journal.recovered_seq)  # what earlier boots left comes first
        while not self._stopping:
            await self._rest()
            self.beat()
            self._step()
        self._close()

    def _step(self) -> None:
        urgent = self._take()
        self._look_at_clock()
        now_ms = self.clock.ticks_ms()
        if self._retry_s > self.clock.real_s():
            return
        full = self.journal.unsealed_readings >= READINGS_MAX
        alarm = self._alarm and now_ms - self._alarm_sealed_ms >= ALARM_SEAL_MS
        if now_ms >= self._seal_ms or full or alarm or self._clock_to_set is not None:
            self._seal()
        elif urgent or self._commit_due(now_ms):
            self._commit()
        self._move_cursor()
        self._tend()
        if self._divided_at is not None and self.renew is not None and self._commit():
            self._renew(self.renew, self._divided_at)

    def _tend(self) -> None:
        """Make room on flash, one piece of work at a step; what was coarsened is an event."""
        if not self.room.due:
            return
        try:
            done = self.room.tend()
        except StoreError as error:
            LOG.error("room on flash: %s; next: check the flash; tried again after the next batch",
                      error)
            return
        if done is not None:
            self.journal.append_event(self.clock.ticks_ms(), COARSENED, [
                done.first_seq, done.last_seq, done.rule, done.link])
            self._commit()

    def _renew(self, renew: Callable[[Any, int], tuple[Any, Room]], low_water: int) -> None:
        """Leave the journal as it lies and write on in a new one."""
        self.renew, self._receipts = None, 0
        old = self.journal.journal_id.hex()
        self.journal, self.room = renew(self.journal, low_water)
        LOG.error("flash lost what the fleet holds: journal %s ends, %s begins; next: replace the "
                  "flash, and see the fleet's page", old, self.journal.journal_id.hex())
        self.on_renewed()
        self._seal()

    async def _rest(self) -> None:
        """Sleep until something is due or urgent."""
        due_ms = self._seal_ms
        if self._dirty_since_ms is not None:
            due_ms = min(due_ms, self._dirty_since_ms + self._window_ms())
        left_s = self.clock.seconds((due_ms - self.clock.ticks_ms()) / 1000)
        wait_s = max(left_s, self._retry_s - self.clock.real_s(), 0.001)
        await self._wake.wait(min(wait_s, WORK_S if self.room.due else SETTLE_S))
        self._wake.clear()

    def _window_ms(self) -> int:
        """Return when to commit after the first waiting item: early enough to be done.  Slots of
        a second fall at nine tenths of the usual window, and are better in it whole."""
        return self.rules.loss_window_s * 905

    def _commit_due(self, now_ms: int) -> bool:
        since_ms = self._dirty_since_ms
        return since_ms is not None and now_ms - since_ms >= self._window_ms()

    def _take(self) -> bool:
        """Append everything that waits; return whether something of it is urgent."""
        waiting, self._waiting = self._waiting, []
        self._space.set()
        urgent = False
        for item in waiting:
            if isinstance(item, Event):
                self.journal.append_event(item.ticks_ms, item.kind, item.body)
                self._alarm = self._alarm or item.kind == ALARM
                urgent = True
            elif self.journal.append_scan(item.ticks_ms, item.stream, item.values):
                self._scans.append(item)
            else:
                self.counts["lost"] += 1        # no room; the journal declares the gap
        return urgent

    def _commit(self) -> bool:
        """Make everything appended durable; return whether that succeeded."""
        self._witness.tell(self.journal.commit())
        if self.journal.durable_seq < self.journal.last_seq and self.room.spend():
            self._witness.tell(self.journal.commit())
        if self.journal.durable_seq < self.journal.last_seq:
            self._failed("commit")
            return False
        self._dirty_since_ms, self._told = None, ""
        if self._scans:
            self.on_commit(list(self._scans))
            self._scans.clear()
        return True

    def _seal(self, up_to: int | None = None) -> bool:
        """Commit and seal all that is unsealed; then a changed clock state takes effect.

        up_to: leave later sequences for the next batch.
        """
        if not self._commit():
            return False
        goal = self.journal.durable_seq if up_to is None else up_to
        while self.journal.sealed_seq < goal and (
                self.journal.seal(self.rules.sealer) is not None or self.room.spend()):
            self.on_sealed()
        if self.journal.sealed_seq < goal:
            self._failed("seal")
            return False
        self.room.look()
        if self.journal.scrub():
            LOG.error("journal: a batch on flash went bad; next: python -m gateway journal verify")
        self._seal_ms = self._next_seal()
        if self._alarm:
            self._alarm, self._alarm_sealed_ms = False, self.clock.ticks_ms()
        self._change_clock()
        return True

    def _look_at_clock(self) -> None:
        state = self.clock.observe()
        if state is not None:
            self._clock_to_set = state

    def _change_clock(self) -> None:
        state, self._clock_to_set = self._clock_to_set, None
        if state is None:
            return
        LOG.warning("clock: source %d, uncertain by %d ms from now on", state.source,
                    state.uncertainty_ms)
        self.journal.set_clock(state)
        self.journal.append_event(self.clock.ticks_ms(), CLOCK, [*state, "observed"])
        self._commit()

    def _move_cursor(self) -> None:
        """Write the cursor when it is worth its flash: each 30 s or 64 batches."""
        now_s = self.clock.real_s()
        worth = (now_s - self._acknowledged_s >= ACKNOWLEDGE_S
                 or self._receipts >= ACKNOWLEDGE_BATCHES or self._stopping)
        if not worth or self._receipts == 0:
            return
        self.journal.acknowledge(self._acknowledge, self.clock.floor_ms, self._epoch)
        self._acknowledged_s, self._receipts = now_s, 0
        self.room.look()

    def _close(self) -> None:
        self._take()
        self.journal.append_event(self.clock.ticks_ms(), STOP, ["asked to stop"])
        self._seal()

    def finish(self) -> None:
        """Write the cursor once more, after the uplink has drained."""
        self._move_cursor()

    def _failed(self, what: str) -> None:
        """Note that flash refused; the journal keeps the same bytes for the next try."""
        self.counts["failures"] += 1
        self._retry_s = self.clock.real_s() + RETRY_S
        if self._told != self.journal.state:
            LOG.error("journal: %s failed, state %s; next: check the flash and its free space; "
                      "trying on", what, self.journal.state)
        self._told = self.journal.state

    def _next_seal(self) -> int:
        """Return the ticks of the next end of a batch: just after the slot of a whole UTC
        quarter hour, or what the setting says, so that the batch closes that span."""
        span_ms = self.rules.batch_minutes * 60_000
        after_ms = AFTER_SLOT_MS * self.clock.speed
        left_ms = span_ms - (self.clock.utc_ms() - after_ms) % span_ms
        return self.clock.ticks_ms() + left_ms


def _nothing() -> None:
    """Nobody wants to know."""


def _nobody(_scans: list[Scan]) -> None:
    """Nobody wants the scans."""
