"""When the owner of a journal acts: commit, seal, move the cursor, reclaim flash.

In this file: tables and functions of state and time that return what to do, also when a fleet
that holds other records means a new journal.  The gateway
(gateway/storage/writer.py, retention.py) and the board (gateway/micro/writer.py) carry it out.
What a start does with files that cannot be read, and what failing flash is called, stands here as
well.  Not here: what a commit or a seal is (journal.py) and any clock: times come in.
"""

from gateway.core.errors import Bug
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTHING = 0
COMMIT = 1
SEAL = 2

ALARM_SEAL_MS = 60000       # an alarm seals at most this often
CURSOR_S = 30               # the cursor costs 4 KiB of flash per update
CURSOR_RECEIPTS = 64        # ... or after so many receipts
FULL_PERCENT = 80           # batches take at most this share of what they could take
DIVIDED_TIMES = 3           # the same AHEAD or FORK so often, and nothing else: it is no mistake

# One piece of work for space on flash: (step, outcome) -> next step.  Acknowledged batches go
# first, then the oldest others are downsampled; the reserve is restored when nothing is left.
CHECK, TRIM, DOWNSAMPLE, RESTORE_RESERVE, CONTINUE = (
    "check", "trim", "downsample", "restore-reserve", "continue")
OVER, WITHIN, WORKED, NO_WORK = "over", "within", "worked", "no-work"
RECLAIM = {
    (CHECK, OVER): TRIM,
    (CHECK, WITHIN): RESTORE_RESERVE,
    (TRIM, WORKED): CONTINUE,
    (TRIM, NO_WORK): DOWNSAMPLE,
    (DOWNSAMPLE, WORKED): CONTINUE,
    (DOWNSAMPLE, NO_WORK): RESTORE_RESERVE,
}


# How flash takes records.  read-only: it refuses, nothing was changed.  unreadable: the journal's
# files are there and cannot be read: which journal it is, is not known yet.
OK, DEGRADED_RAM, FULL, READ_ONLY, UNREADABLE = (
    "ok", "degraded-ram", "full", "read-only", "unreadable")
ENOSPC = 28
# EPERM, EACCES, EROFS: refused before anything changed, until a mount or a person allows it.
REFUSED = (1, 13, 30)
# ... EAGAIN, ENOMEM, EBUSY, ENFILE, EMFILE, ESTALE: a file that cannot be read now, and is whole.
WHOLE = REFUSED + (11, 12, 16, 23, 24, 116)

# What a start does: (is the journal's id known, what kept files from being read) -> step.  A file
# that is whole may be read later: going on without it would declare its records lost, and a new
# journal would leave them for good.  One that is broken is declared; but a journal of which nothing
# at all can be read does not end because its card was cold.
NONE, BROKEN, LATER = "none", "broken", "later"
BEGIN, GO_ON, WAIT = "begin", "go-on", "wait"
START = {
    (False, NONE): BEGIN,
    (False, BROKEN): WAIT,
    (False, LATER): WAIT,
    (True, NONE): GO_ON,
    (True, BROKEN): GO_ON,
    (True, LATER): WAIT,
}


def start_step(known: bool, errors: "Iterable[int]") -> str:
    """Return BEGIN a journal, GO_ON with the one that is there, or WAIT for its files.

    known: a readable file names the journal.  errors: errno of each file that cannot be read.
    """
    kind = NONE
    for errno in errors:
        if errno in WHOLE:
            kind = LATER
        elif kind == NONE:
            kind = BROKEN
    return START[(known, kind)]


def flash_state(errno: int) -> str:
    """Return the state of a journal whose write failed with this errno."""
    if errno == ENOSPC:
        return FULL
    return READ_ONLY if errno in REFUSED else DEGRADED_RAM


def full_of_others(journal_bytes: int, used_bytes: int, keep_bytes: int) -> bool:
    """Return whether a full disk is full of other files: the journal has less than it may take,
    and others take more than the journal."""
    return journal_bytes < keep_bytes and 2 * journal_bytes < used_bytes


def next_reclaim(step: str, outcome: str) -> str:
    """Return the step after this outcome; a pair that RECLAIM does not hold is a Bug."""
    if (step, outcome) not in RECLAIM:
        raise Bug("reclaim: %s after %s" % (outcome, step))
    return RECLAIM[(step, outcome)]


def batches_goal(held_bytes: int, free_bytes: int, keep_bytes: int) -> int:
    """Return how many bytes the batches may take now."""
    return min(keep_bytes, (held_bytes + free_bytes) * FULL_PERCENT // 100)


def releases_reserve(out_of_space: bool, released: bool) -> bool:
    """Return whether to delete the reserve file and try once more after a failed write."""
    return out_of_space and not released


def begins_journal(refusals: int) -> bool:
    """Return whether a fleet that holds other records said so often enough for a new journal."""
    return refusals >= DIVIDED_TIMES


class Schedule:
    """When one journal is committed and sealed.  Times in ticks and UTC, ms, come in."""

    def __init__(self, commit_ms: int, batch_ms: int, readings_max: int, after_ms: int = 0) -> None:
        """commit_ms: longest wait of a record.  batch_ms: a batch ends with each such span of
        UTC, after_ms later.  readings_max: so many unsealed readings end it early."""
        self._commit_ms, self._batch_ms, self._after_ms = commit_ms, batch_ms, after_ms
        self._readings_max = readings_max
        self.dirty_ms: int | None = None            # when the first record came that is not durable
        self.seal_ms = 0                # end of the open batch
        self._alarm = False
        self._alarm_ms = -ALARM_SEAL_MS     # when an alarm ended a batch last

    def record(self, now_ms: int) -> None:
        """Note a record that waits for its commit."""
        if self.dirty_ms is None:
            self.dirty_ms = now_ms

    def alarm(self) -> None:
        """Note an alarm: it ends the batch unless one did so less than a minute ago."""
        self._alarm = True

    def due_ms(self) -> int:
        """Return the ticks of the next commit or seal that time alone brings."""
        if self.dirty_ms is None:
            return self.seal_ms
        return min(self.seal_ms, self.dirty_ms + self._commit_ms)

    def action(self, now_ms: int, readings: int, urgent: bool, context_ends: bool = False) -> int:
        """Return SEAL, COMMIT or NOTHING.

        readings: unsealed.  urgent: an event waits.  context_ends: records from now on belong
        to another clock state.
        """
        alarm = self._alarm and now_ms - self._alarm_ms >= ALARM_SEAL_MS
        if now_ms >= self.seal_ms or readings >= self._readings_max or alarm or context_ends:
            return SEAL
        if urgent or self.dirty_ms is not None and now_ms - self.dirty_ms >= self._commit_ms:
            return COMMIT
        return NOTHING

    def committed(self) -> None:
        """Note that every record is durable."""
        self.dirty_ms = None

    def sealed(self, now_ms: int, utc_ms: int) -> None:
        """Note that every durable record is sealed; the next batch ends with the span of now."""
        self.seal_ms = now_ms + self._batch_ms - (utc_ms - self._after_ms) % self._batch_ms
        if self._alarm:
            self._alarm, self._alarm_ms = False, now_ms


class CursorSchedule:
    """The newest receipt, and when the cursor is to say it.  Seconds are real."""

    def __init__(self) -> None:
        self.sequence = self.epoch = 0
        self.sealed = b""                       # the receipt, as it came
        self._receipts = 0                      # since the cursor moved
        self._moved_s: "float | None" = None

    def receipt(self, sequence: int, epoch: int, sealed: bytes = b"") -> None:
        """Note that the fleet holds everything up to a sequence; sealed: the receipt itself."""
        self.sequence, self.epoch, self.sealed = sequence, epoch, sealed
        self._receipts += 1

    def due(self, now_s: "float", stopping: bool) -> bool:
        """Return whether receipts that the cursor does not hold yet are worth its flash."""
        return self._receipts > 0 and (
            self._moved_s is None or now_s - self._moved_s >= CURSOR_S
            or self._receipts >= CURSOR_RECEIPTS or stopping)

    def moved(self, now_s: "float") -> None:
        """Note that the cursor was written."""
        self._moved_s, self._receipts = now_s, 0

    def discard(self) -> None:
        """Drop receipts of a journal that has ended."""
        self._receipts, self.sealed = 0, b""
