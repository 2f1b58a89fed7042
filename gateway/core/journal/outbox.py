"""The outbox: which batch goes next, and what a receipt changes.

Pure state over batch numbers.  Not here: MQTT (gateway/delivery/uplink.py), signatures (the caller
verifies a receipt before it shows it here), flash (journal.py keeps what is accepted).

Only receipts move the low-water mark.  Within an epoch it only rises; a new epoch means that
the fleet was restored from a backup: everything after its low-water mark goes out again.
"""


from gateway.core.errors import Corrupt, StoreError
from gateway.core.evidence.chain import start
from gateway.core.journal.policy import begins_journal
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.evidence.receipt import Receipt
    from gateway.core.journal.batch_files import Info
    from gateway.core.journal.journal import Journal

WINDOW = 8              # batches under way at once
RESEND_MS = 30000       # without a receipt a batch goes out again after this
GONE_MAX = 64           # numbers without a file that are named: a card that lost more is empty

# Numbers cost a board nothing; their names stand below.
ADVANCED = 0        # store seq and epoch in the cursor
UNCHANGED = 1       # nothing new: an old or repeated receipt
REWOUND = 2         # new epoch: store seq and epoch, batches go out again
FOREIGN = 3         # another cabinet or journal
STALE_EPOCH = 4     # of a store that was replaced since
AHEAD = 5           # acknowledges what was never sealed: alarm
FORK = 6            # chain value is not ours, or no batch ends there: alarm
STATUSES = ("advanced", "unchanged", "rewound", "foreign", "stale-epoch", "ahead", "fork")

# status: one of the above.  seq, epoch: to keep now.  missing: sequences (first, last) that
# the fleet asks for again but that were deleted here, or None.
AdvanceResult = NamedTuple("AdvanceResult", [
    ("status", int), ("seq", int), ("epoch", int), ("missing", "tuple[int, int] | None")])


class Turns:
    """Whose turn it is when batches go out in vain.

    rounds: how many passed without a receipt.  last: the highest number of them: those after it
    come next.
    """

    def __init__(self) -> None:
        """Everything is to come."""
        self.rounds = self.last = 0

    def in_vain(self, number: int) -> None:
        """Note the highest number of a round; a first one may be a lost message."""
        self.rounds += 1
        self.last = max(self.last, number) if self.rounds > 1 else 0


class Unreadable:
    """Batches that cannot be sent, as number -> True.

    changed: their bytes rotted, named to the operator.  later: flash would not read them; asked
    again.
    """

    def __init__(self, wait_ms: int) -> None:
        """wait_ms: until flash is asked again."""
        self.changed: dict[int, bool] = {}
        self.later: dict[int, bool] = {}
        self._wait_ms = wait_ms
        self._since_ms: int | None = None

    def holds(self, number: int) -> bool:
        """Return True if a batch cannot be sent, for now or for good."""
        return number in self.changed or number in self.later

    def numbers(self) -> list[int]:
        """Return all of them."""
        return list(self.changed) + list(self.later)

    def forgive(self, now_ms: int) -> None:
        """Ask flash again, wait_ms after it failed: a cold or busy card may answer then."""
        if not self.later:
            return
        if self._since_ms is None:
            self._since_ms = now_ms
        elif now_ms - self._since_ms >= self._wait_ms:
            self.later, self._since_ms = {}, None


class Outbox:
    """Window over the batches of one journal.

    journal: anything with journal_id, batch_numbers(), batch_info(number), sealed_seq,
    acknowledged_seq and epoch (gateway.core.journal.Journal).
    """

    def __init__(self, cabinet: str, journal: "Journal", window: int = WINDOW,
                 resend_ms: int = RESEND_MS) -> None:
        """Start after what the journal's cursor says was acknowledged."""
        self.cabinet, self.journal = cabinet, journal
        self._window, self._resend_ms = window, resend_ms
        self.acknowledged_seq, self.epoch = journal.acknowledged_seq, journal.epoch
        self._under_way: dict[int, int] = {}        # number -> time it went out, ms
        self._covered = 0           # a number up to which all batches are acknowledged
        self._bad = Unreadable(resend_ms)
        # How often in a row the same receipt did not fit.
        self._refused: tuple[int, tuple[int, int, bytes] | None] = (0, None)
        self._turns = Turns()
        # Numbers up to here were deleted: they are no holes.  A store that began empty asked for
        # them before the start.
        numbers = journal.batch_numbers()
        begun = self.epoch and not self.acknowledged_seq and len(numbers)
        self._deleted = journal.first_number(numbers[0]) - 1 if begun else 0

    @property
    def divided(self) -> bool:
        """Whether the fleet holds other records under our numbers, said often enough."""
        return begins_journal(self._refused[0])

    def next_batch(self) -> int | None:
        """Return the number that is to go out next, or None.

        That is the oldest which is neither acknowledged nor under way; but beside the oldest of
        all, those go first that came after what was in vain, so that all get their turn.
        None as well while the window is full.  A batch whose bytes changed is left out, one
        that flash would not read until expire() has been called for resend_ms.
        """
        if len(self._under_way) >= self._window:
            return None
        oldest = True
        fallback = None
        for number in self.unacknowledged():
            had_turn = number <= self._turns.last and not oldest
            if had_turn and fallback is not None or self._info(number) is None:
                continue
            if number not in self._under_way:
                if not had_turn:
                    return number
                fallback = number
            oldest = False
        if fallback is not None:
            self._turns.last = 0
        return fallback

    def under_way(self) -> list[int]:
        """Return the numbers that went out and that no receipt has covered yet."""
        return sorted(self._under_way)

    def waiting(self) -> int:
        """Return how many batches no receipt has covered yet, those under way included."""
        numbers = self.unacknowledged()
        return len(numbers) - len([one for one in self._bad.changed if one in numbers])

    def waits(self, number: int) -> bool:
        """Return True if a batch is still there and no receipt covers it."""
        if number not in self.journal.batch_numbers():
            return False
        info = self._info(number)
        return info is not None and info[1] > self.acknowledged_seq

    def left_out(self) -> list[int]:
        """Return the numbers left out, for now or for good, ascending: those that flash would
        not read, those whose bytes changed, those whose file is gone.  What a receipt covers is
        none of them, readable or not."""
        return sorted([one for one in self._bad.numbers() if not self._is_covered(one)]
                      + self._gone())

    def _is_covered(self, number: int) -> bool:
        """Return whether a receipt covers a batch that cannot be read: the next one that can be
        says where it ended."""
        numbers = self.journal.batch_numbers()
        for later in numbers[_index_above(numbers, number):]:
            info = self._info(later)
            if info is not None:
                return info[0] - 1 <= self.acknowledged_seq
        return self.journal.sealed_seq <= self.acknowledged_seq

    def _gone(self) -> list[int]:
        """Return the numbers above the mark without a file: flash forgot their names."""
        gone: list[int]
        numbers, gone = self.journal.batch_numbers(), []
        at = self._first_after(numbers, self.acknowledged_seq)
        if at == 0 and self.acknowledged_seq:
            return gone                 # the last one that is covered is not here: who knows
        expected = numbers[at - 1] + 1 if at else self._deleted + 1
        for number in numbers[at:]:
            first = self.journal.first_number(number)
            gone += range(expected, min(first, expected + GONE_MAX))
            expected = number + 1
        return gone[:GONE_MAX]

    def sent(self, number: int, now_ms: int) -> None:
        """Note that a batch went out at now_ms (monotonic)."""
        self._under_way[number] = now_ms

    def expire(self, now_ms: int) -> list[int]:
        """Offer batches again whose receipt is overdue; return their numbers, ascending."""
        late = sorted([number for number, at in self._under_way.items()
                       if now_ms - at >= self._resend_ms])
        for number in late:
            self._under_way.pop(number)
        if late:
            self._turns.in_vain(late[-1])
        self._bad.forgive(now_ms)
        return late

    def session_lost(self) -> None:
        """Forget what was under way: without the session its receipt may never come."""
        self._under_way = {}

    def start_over(self) -> None:
        """Offer everything again from the oldest: the fleet was away, and is back."""
        self._under_way, self._turns = {}, Turns()

    def behind(self, receipt: "Receipt") -> bool:
        """Return whether a receipt of this journal says less than one before it: it is an old
        one, or the fleet lost data and has to be shown the newest."""
        return (receipt.cabinet == self.cabinet
                and receipt.journal_id == self.journal.journal_id
                and (receipt.epoch, receipt.low_water) < (self.epoch, self.acknowledged_seq))

    def receipt(self, receipt: "Receipt") -> AdvanceResult:
        """Return the AdvanceResult of a receipt whose signature was verified."""
        status, missing = self.judge(receipt)
        self._count(status, (receipt.epoch, receipt.low_water, receipt.chain))
        if status in (ADVANCED, REWOUND):
            self.acknowledged_seq, self.epoch = receipt.low_water, receipt.epoch
            self._turns.rounds = 0
            if status == REWOUND:
                self._covered = 0
            self._settle()
        if status == REWOUND:
            self.start_over()
            missing = self._missing()
            self._deleted = (self.deleted() or (0, 0))[1]
        return AdvanceResult(status, self.acknowledged_seq, self.epoch, missing)

    def _count(self, status: int, said: tuple[int, int, bytes]) -> None:
        """Count receipts that tell the same and do not fit; one that fits ends the row."""
        if status in (AHEAD, FORK):
            times, before = self._refused
            self._refused = (times + 1 if said == before else 1, said)
        elif status in (ADVANCED, UNCHANGED, REWOUND):
            self._refused = (0, None)

    def judge(self, receipt: "Receipt") -> tuple[int, tuple[int, int] | None]:
        """Return (status, missing) of a receipt without acting on it."""
        journal = self.journal
        if receipt.cabinet != self.cabinet or receipt.journal_id != journal.journal_id:
            return FOREIGN, None
        if receipt.epoch < self.epoch:
            return STALE_EPOCH, None
        if receipt.low_water > journal.sealed_seq:
            return AHEAD, None
        if receipt.epoch == self.epoch and receipt.low_water <= self.acknowledged_seq:
            return UNCHANGED, None
        fits = self.fits(receipt)
        if fits is None and receipt.epoch == self.epoch:
            return UNCHANGED, None
        if fits is False:
            return FORK, None
        advances = receipt.low_water >= self.acknowledged_seq
        return (ADVANCED if advances else REWOUND), None

    def fits(self, receipt: "Receipt") -> bool | None:
        """Return True if a batch of ours ends where a receipt says with its chain value, False
        if not.

        None where no batch is here any more (deleted, or lost with its file): nothing can be
        checked, so the receipt of a later batch must do.  Only a new epoch is believed there:
        it makes us send again, which is harmless.
        """
        if receipt.low_water == 0:
            return receipt.chain == start(self.cabinet, self.journal.journal_id)
        number = self._ending_at(receipt.low_water)
        info = self._info(number) if number else None
        if info is None:
            return None
        if info[1] == receipt.low_water:
            return info[2] == receipt.chain
        return self.journal.chain_at(number, receipt.low_water) == receipt.chain

    def _ending_at(self, seq: int) -> int:
        """Return the number of the batch that holds seq, or that follows on a hole in the
        sequence there; 0 if the file of the batch that held it is not here."""
        numbers = self.journal.batch_numbers()
        low = self._first_after(numbers, seq - 1)
        if low == len(numbers):
            return 0
        info = self._info(numbers[low])
        follows = (low > 0 and numbers[low - 1] == self.journal.first_number(numbers[low]) - 1
                   and self._info(numbers[low - 1]) is not None)
        return 0 if info is not None and info[0] > seq and not follows else numbers[low]

    def unacknowledged(self) -> "Sequence[int]":
        """Return the numbers of what is not acknowledged, those left out included."""
        numbers = self.journal.batch_numbers()
        at = self._first_after(numbers, self.acknowledged_seq)
        if at:
            self._covered = numbers[at - 1]
        return numbers[at:]

    def _first_after(self, numbers: "Sequence[int]", seq: int) -> int:
        """Return the index of the first batch whose last_seq is above seq.

        Begins at what is known to be covered and takes growing steps: a batch's info may have
        to be read from flash, and mostly the very next one is wanted.
        """
        low, step = 0, 1
        if seq >= self.acknowledged_seq:
            low = _index_above(numbers, self._covered)
        high = low
        while high < len(numbers):
            info = self._info(numbers[high])
            if info is None:
                return self._first_after_slowly(numbers, low, seq)
            if info[1] > seq:
                break
            low, high, step = high + 1, min(high + step, len(numbers)), 2 * step
        while low < high:
            middle = (low + high) // 2
            info = self._info(numbers[middle])
            if info is None:
                return self._first_after_slowly(numbers, low, seq)
            if info[1] > seq:
                high = middle
            else:
                low = middle + 1
        return low

    def _first_after_slowly(self, numbers: "Sequence[int]", low: int, seq: int) -> int:
        """Do the same past batches that cannot be read; those of which nobody knows that they end
        by seq count as above it, or they would never be sent once they can be read."""
        known = low                     # all before this index end by seq
        for i in range(low, len(numbers)):
            info = self._info(numbers[i])
            if info is None:
                continue
            if info[1] > seq:
                return i if info[0] - 1 <= seq else known
            known = i + 1
        return len(numbers) if self.journal.sealed_seq <= seq else known

    def _info(self, number: int) -> "Info | None":
        """Return a batch's info, or None if it cannot be read, for now or for good."""
        if self._bad.holds(number):
            return None
        try:
            return self.journal.batch_info(number)
        except Corrupt:
            self._bad.changed[number] = True
        except StoreError:
            self._bad.later[number] = True
        return None

    def _settle(self) -> None:
        """Drop what a receipt covers from the window."""
        for number in sorted(self._under_way):
            info = self._info(number)
            if info is None or info[1] <= self.acknowledged_seq:
                self._under_way.pop(number)

    def _missing(self) -> tuple[int, int] | None:
        """Return the (first, last) sequences asked for again that are gone here, or None."""
        for number in self.unacknowledged():
            info = self._info(number)
            if info is None:
                continue
            if info[0] > self.acknowledged_seq + 1:
                return self.acknowledged_seq + 1, info[0] - 1
            return None
        return None

    def deleted(self) -> tuple[int, int] | None:
        """Return the numbers (first, last) before the oldest batch here, None if there are none
        or the fleet asks for none of them; it may hold the first ones."""
        numbers = self.journal.batch_numbers()
        if not len(numbers) or self._first_after(numbers, self.acknowledged_seq):
            return None
        last = self.journal.first_number(numbers[0]) - 1
        return (1, last) if last else None


def _index_above(numbers: "Sequence[int]", number: int) -> int:
    """Return the index of the first of ascending numbers that is above a number."""
    low, high = 0, len(numbers)
    while low < high:
        middle = (low + high) // 2
        if numbers[middle] > number:
            high = middle
        else:
            low = middle + 1
    return low
