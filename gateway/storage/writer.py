"""The one task that owns the journal: append, commit, seal, acknowledge, trim.

Pollers put scans and events into a bounded input queue; the writer takes them in one go,
commits within the loss window (events at once) and seals a batch on the quarter hour, at a
size limit, at a stop, after a restart, on an alarm and when the clock state changes.  When to do
what is decided by gateway/core/journal/policy.py; what was done goes to the subscribers as an
event (gateway/core/event.py).
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import NamedTuple

from gateway.aio.keep_alive import Beat, no_beat
from gateway.core.codec.record import ALARM, CLOCK, DOWNSAMPLED, STOP
from gateway.core.errors import StoreError
from gateway.core.event import Committed, Event, JournalBegun, Sealed
from gateway.core.journal import policy
from gateway.core.journal.journal import Journal, Sealer
from gateway.core.journal.outbox import Outbox
from gateway.core.reading import Scan
from gateway.storage.flash_trouble import FlashTrouble
from gateway.storage.input_queue import WAITING_MAX, InputQueue
from gateway.storage.retention import Retention
from gateway.storage.succession import Succession
from gateway.timekeeping.clock import Clock

LOG = logging.getLogger("wattproof.writer")
READINGS_MAX = 65_536           # unsealed, then a batch is sealed early (about 20 KiB)
AFTER_DUE_MS = 50              # real: a seal due at a slot lets its answers come first, on time
SETTLE_S = 5.0                  # real: between looks at clock and cursor
WORK_S = 0.05                   # real: between two pieces of work for space; polling goes on
# Of a loss window: a commit is early enough to be done in time.  Slots of a second fall at nine
# tenths of the usual window, and are better in it whole.
WINDOW_PERMILLE = 905

Subscriber = Callable[[object], None]


class WriteRules(NamedTuple):
    """When to write.  sealer: what the journal's seal wants."""

    loss_window_s: int
    batch_minutes: int
    sealer: Sealer


class Witness:
    """A file outside the journal that knows what was durable: one sequence per line."""

    def __init__(self, path: Path | None) -> None:
        """Open the file for appending; raises OSError if that is impossible."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = -1 if path is None else os.open(path, flags, 0o644)
        self._last = 0

    def note(self, event: object) -> None:
        """Append the sequence of a commit if it moved; no sync: it must only outlive this
        process."""
        if isinstance(event, Committed) and self._file >= 0 and event.durable_seq > self._last:
            os.write(self._file, b"%d\n" % event.durable_seq)
            self._last = event.durable_seq


class JournalWriter:
    """Owns the journal and what belongs to it."""

    def __init__(self, journal: Journal, clock: Clock, rules: WriteRules, retention: Retention,
                 succession: Succession | None = None) -> None:
        """journal: open, with the clock state of `clock`.  retention: of this journal.
        succession: what makes a new journal; None where none may begin."""
        self.journal, self.clock, self.retention = journal, clock, retention
        self.outbox: Outbox | None = None
        self._sealer, self._succession = rules.sealer, succession or Succession(None)
        window_ms = rules.loss_window_s * WINDOW_PERMILLE
        self._schedule = policy.Schedule(window_ms, rules.batch_minutes * 60_000, READINGS_MAX,
                                         AFTER_DUE_MS * clock.speed)
        self._schedule.sealed(clock.ticks_ms(), clock.utc_ms())
        # A longer window is kept by the rest between two looks.
        self.waiting = InputQueue(clock, self._schedule,
                                   wakes=clock.seconds(window_ms / 1000) <= SETTLE_S)
        # Appended, not yet durable; while flash fails only the newest are kept for showing.
        self._scans: deque[Scan] = deque(maxlen=WAITING_MAX)
        self._cursor, self._trouble = policy.CursorSchedule(), FlashTrouble()
        self._subscribers: list[Subscriber] = []

    @property
    def counts(self) -> dict[str, int]:
        """Scans that were lost and flash operations that failed since the start."""
        return self._trouble.counts

    @property
    def seal_ms(self) -> int:
        """Ticks of the end of the open batch."""
        ticks_ms: int = self._schedule.seal_ms
        return ticks_ms

    def subscribe(self, subscriber: Subscriber) -> None:
        """Give every Committed, Sealed and JournalBegun from now on to a subscriber, in the
        writer's task; it must not wait."""
        self._subscribers.append(subscriber)

    def put(self, item: Scan | Event) -> Coroutine[object, object, None]:
        """Take a scan or an event; waits while the input queue is full."""
        return self.waiting.put(item)

    def open_outbox(self, device: str, window: int, resend_ms: int) -> Outbox:
        """Return a new window over the batches of the journal; what is under way in it is not
        downsampled."""
        self.outbox = Outbox(device, self.journal, window, resend_ms)
        return self.outbox

    def receipt(self, sequence: int, epoch: int, sealed: bytes = b"") -> None:
        """Take note that the fleet has everything up to a sequence; the cursor follows."""
        self._cursor.receipt(sequence, epoch, sealed)

    @property
    def newest_receipt(self) -> bytes:
        """The fleet's newest receipt for the journal, sealed as it came; b"" before the first."""
        kept: bytes = self._cursor.sealed or self.journal.receipt
        return kept

    def divided(self, low_water: int) -> None:
        """Take note that the fleet holds other records under this journal's numbers, up to a
        sequence; once per run a new journal begins."""
        self._succession.request(low_water)
        self.waiting.wake()

    def stop(self) -> None:
        """Ask the task to take what waits, commit, seal and end."""
        self.waiting.close()

    async def run(self, beat: Beat = no_beat) -> None:
        """Write until stopped.  Flash errors do not end it; the journal knows what to do."""
        self.seal(self.journal.recovered_seq)   # what earlier boots left comes first
        while not self.waiting.closed:
            await self.waiting.rest(self._rest_s())
            beat()
            self.step()
        self._close()

    def step(self) -> None:
        """Take what waits and do what is due."""
        urgent = self.take()
        self.clock.observe()
        if self._trouble.wait_s(self.clock.real_s()) > 0:
            return
        if self.journal.is_waiting:
            self._go_on()
        action = self._schedule.action(
            self.clock.ticks_ms(), self.journal.unsealed_readings, urgent,
            self.journal.clock_state != self.clock.state())
        if action == policy.SEAL:
            self.seal()
        elif action == policy.COMMIT:
            self.commit()
        self._move_cursor()
        self._reclaim()
        if self._succession.due and self.commit():
            self._begin_successor()

    def take(self) -> bool:
        """Append everything that waits; return whether something of it is urgent."""
        urgent = False
        for item in self.waiting.take():
            if isinstance(item, Event):
                self.journal.append_event(item.ticks_ms, item.kind, item.body)
                if item.kind == ALARM:
                    self._schedule.alarm()
                urgent = True
            elif self.journal.append_scan(item.ticks_ms, item.stream, item.values):
                self._scans.append(item)
            else:
                self._trouble.lost()
        return urgent

    def commit(self) -> bool:
        """Make everything appended durable; return whether that succeeded."""
        journal = self.journal
        durable_seq = journal.commit()
        if durable_seq < journal.last_seq and self._release_reserve():
            self._publish(Committed(durable_seq, ()))
            durable_seq = journal.commit()
        if durable_seq < journal.last_seq:
            self._publish(Committed(durable_seq, ()))
            self._failed("commit")
            return False
        self._schedule.committed()
        self._trouble.over()
        scans = tuple(self._scans)
        self._scans.clear()
        self._publish(Committed(durable_seq, scans))
        return True

    def seal(self, up_to: int | None = None) -> bool:
        """Commit and seal all that is unsealed; then a changed clock state takes effect.

        up_to: leave later sequences for the next batch.  Returns whether that succeeded.
        """
        if not self.commit():
            return False
        goal = self.journal.durable_seq if up_to is None else up_to
        while self.journal.sealed_seq < goal:
            number = self.journal.seal(self._sealer)
            if number is None and not self._release_reserve():
                self._failed("seal")
                return False
            if number is not None:
                self._publish(Sealed(number))
        self.retention.schedule()
        if self.journal.scrub():
            LOG.error("journal: a batch on flash went bad; next: python -m gateway journal verify")
        self._schedule.sealed(self.clock.ticks_ms(), self.clock.utc_ms())
        self._change_clock()
        return True

    def finish(self) -> bool:
        """Write what came after the STOP event, such as an alarm of the uplink, and the cursor;
        return whether anything came, so that there is a batch more."""
        is_late = len(self.waiting) > 0
        if is_late:
            self._close()
        self._move_cursor()
        return is_late

    def _rest_s(self) -> float:
        """Return how long to sleep until something is due."""
        due_ms = self._schedule.due_ms() - self.clock.ticks_ms()
        wait_s = max(self.clock.seconds(due_ms / 1000),
                     self._trouble.wait_s(self.clock.real_s()), 0.001)
        return min(wait_s, WORK_S if self.retention.due else SETTLE_S)

    def _move_cursor(self) -> None:
        """Write the cursor when it is worth its flash."""
        now_s = self.clock.real_s()
        if self._cursor.due(now_s, self.waiting.closed):
            self.journal.acknowledge(self._cursor.sequence, self.clock.floor_ms,
                                     self._cursor.epoch, self._cursor.sealed)
            self._cursor.moved(now_s)
            self.retention.schedule()

    def _reclaim(self) -> None:
        """Reclaim flash, one piece of work at a step; what was downsampled is an event."""
        if not self.retention.due or self.journal.is_waiting:
            return
        try:
            done = self.retention.reclaim_step(self.outbox.under_way() if self.outbox else [])
        except StoreError as error:
            LOG.error("space on flash: %s; next: check the flash; tried again after the next batch",
                      error)
            return
        if done is not None:
            self.journal.append_event(self.clock.ticks_ms(), DOWNSAMPLED, [
                done.first_seq, done.last_seq, done.rule, done.chain_hash])
            self.commit()

    def _failed(self, what: str) -> None:
        """Note that flash refused a commit or a seal; a new kind of refusal is an alarm."""
        journal = self.journal
        alarm = self._trouble.failed(what, (journal.state, journal.reason), self.clock.real_s())
        if alarm:
            journal.append_event(self.clock.ticks_ms(), ALARM, [alarm, journal.reason[:200]])

    def _release_reserve(self) -> bool:
        return not self.journal.is_waiting and self.retention.release_reserve()

    def _go_on(self) -> None:
        """Go on in the journal on flash if it can be read now."""
        found = self._succession.go_on(self.journal)
        if found is None:
            return
        self.journal, self.retention = found
        self.outbox = None
        LOG.warning("journal %s can be read: it goes on with what waited in memory",
                    self.journal.journal_id.hex())
        self._publish(JournalBegun(self.journal.journal_id, self.journal.recovered_seq))
        self.seal(self.journal.recovered_seq)

    def _begin_successor(self) -> None:
        """Leave the journal as it lies and write on in a new one."""
        old = self.journal.journal_id.hex()
        self.journal, self.retention = self._succession.begin(self.journal)
        self.outbox = None
        self._cursor.discard()
        LOG.error("flash lost what the fleet holds: journal %s ends, %s begins; next: replace the "
                  "flash, and see the fleet's page", old, self.journal.journal_id.hex())
        self._publish(JournalBegun(self.journal.journal_id, 0))
        self.seal()

    def _change_clock(self) -> None:
        """Let the clock state in force be that of the records from here on."""
        state = self.clock.state()
        if state == self.journal.clock_state:
            return
        LOG.warning("clock: source %d, uncertain by %d ms from now on", state.source,
                    state.uncertainty_ms)
        self.journal.set_clock(state)
        self.journal.append_event(self.clock.ticks_ms(), CLOCK, [*state, "observed"])
        self.commit()

    def _close(self) -> None:
        self.take()
        self.journal.append_event(self.clock.ticks_ms(), STOP, ["asked to stop"])
        self.seal()

    def _publish(self, event: object) -> None:
        for subscriber in self._subscribers:
            subscriber(event)
