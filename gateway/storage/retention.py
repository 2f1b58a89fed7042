"""Space on flash: what the fleet has goes first, then old telemetry is downsampled.

Order (journal rules, docs/formats.md section 13): batches that a receipt covers; of the others
the oldest, from every scan to the counters at quarter hours, then at hours, then first and
last; never events, gaps, clock records.  Beside it a reserve file: when a write finds the
disk full it is deleted, so that events can be kept and downsampling has space to work, and scans
are refused, and declared, until there is space for it again.  The order of steps is a table of
gateway/core/journal/policy.py.
"""

import logging
from collections.abc import Callable, Collection, Sequence

from gateway.core.codec import cbor, record
from gateway.core.errors import Bug, FormatError, StoreError
from gateway.core.evidence import downsampled
from gateway.core.interval import CounterRules
from gateway.core.journal import policy
from gateway.core.journal.downsampled_files import (
    DownsampledBatches,
    DownsampleResult,
    Downsampling,
)
from gateway.core.journal.journal import Journal, Sealer
from gateway.core.journal.tail import SEGMENT_BYTES
from gateway.ledger import counter_limits
from gateway.storage.restart import inflate
from gateway.storage.store import FlashStore

LOG = logging.getLogger("wattproof.room")
RESERVE, RESERVE_BYTES = "reserve", 2 * SEGMENT_BYTES
SPARE_BYTES = 2 * RESERVE_BYTES         # free beside a reserve that is made
ENERGY = 43                             # any counter's measurand
# keeps both sides of a step over a count
STRICT = CounterRules(counter_limits.MODULUS_UNKNOWN, 0, 0, 0)


class CounterLimits:
    """The limits of counters under each configuration that is known here."""

    def __init__(self, config_hash: bytes, descriptor: bytes) -> None:
        """config_hash, descriptor: of the configuration in force."""
        self._known: dict[bytes, counter_limits.Descriptor] = {}
        self._learn([config_hash, descriptor])

    def __call__(self, config_hash: bytes,
                 content: downsampled.Content) -> Callable[[int, int], CounterRules]:
        """Return the limits of a batch's counters, by stream and point."""
        for item in content.records:
            if record.is_event(item) and item.kind == record.CONFIG:
                self._learn(item.body)
        known = self._known.get(config_hash)
        return lambda stream, position: STRICT if known is None else counter_limits.rules(
            known, content.schema[stream], position)

    def _learn(self, body: Sequence[object]) -> None:
        try:
            config_hash, descriptor = body
            if not isinstance(config_hash, bytes) or not isinstance(descriptor, bytes):
                return
            found = dict(cbor.decode(descriptor))
            counter_limits.rules_for(found, "", ENERGY, 0)      # it says what limits need
            self._known[config_hash] = found
        except (FormatError, LookupError, TypeError, ValueError):
            return


class Retention:
    """Keeps a journal within its budget, a small piece of work at a time."""

    def __init__(self, journal: Journal, store: FlashStore, keep_bytes: int, sealer: Sealer,
                 known: CounterLimits) -> None:
        """journal: opened with DownsampledBatches.  keep_bytes: most that batches may take.
        Nothing is written yet."""
        self._journal, self._store, self._keep_bytes = journal, store, keep_bytes
        if not isinstance(journal.batches, DownsampledBatches):
            raise Bug("retention: the journal was opened without CoarseBatches")
        self._coarsening = Downsampling(journal.batches, sealer, inflate, known)
        self.counts = {"trimmed": 0, "coarsened": 0}    # batches
        self.released = False           # the reserve was used up, scans are refused
        self._whole = self._reserve_exists()
        self.due = True                 # reclaim_step() should be called: there may be work

    def schedule(self) -> None:
        """Take note of a new batch or receipt: there may be work again."""
        self.due = True

    def release_reserve(self) -> bool:
        """Give up the reserve if a write found the disk full; return whether to try again."""
        if not policy.releases_reserve(self._journal.out_of_space, self.released):
            return False
        foreign_bytes = self._foreign_bytes()
        self.released, self._whole, self.due = True, False, True
        self._journal.refuse_scans(True)
        LOG.error("%s: the reserve is used for events, scans are refused and declared; next: %s",
                  *(("flash is full", "restore the uplink or take a larger card")
                    if not foreign_bytes else
                    (f"the disk is full of other files ({foreign_bytes >> 20} MiB)",
                     "delete or move what is not Wattproof's")))
        self._remove()
        return True

    def reclaim_step(self, under_way: Collection[int]) -> DownsampleResult | None:
        """Do one piece of work; return what was downsampled, if anything was.

        under_way: numbers of batches that are being sent, which stay as they are.  Raises
        StoreError: flash fails, the next call after schedule() tries again.
        """
        self.due = False                # unless this works, not before the next schedule()
        held, goal = self._journal.batches.held_bytes(), self._goal()
        step = policy.next_reclaim(policy.CHECK, policy.OVER if held > goal else policy.WITHIN)
        done: DownsampleResult | bool | None = None
        if step == policy.TRIM:
            trimmed = self._journal.trim(goal)
            self.counts["trimmed"] += len(trimmed)
            step = policy.next_reclaim(step, _outcome(trimmed))
        if step == policy.DOWNSAMPLE:
            done = self._coarsening.step(under_way)
            step = policy.next_reclaim(step, _outcome(done))
        self.due = step == policy.CONTINUE
        if step == policy.RESTORE_RESERVE:
            self._restore_reserve()
        if not isinstance(done, DownsampleResult):
            return None
        self.counts["coarsened"] += len(done.numbers)
        return done

    def status(self) -> dict[str, object]:
        """Return what `status` shows: batches downsampled and trimmed, bytes, the reserve."""
        return {"batches_bytes": self._journal.batches.held_bytes(),
                "foreign_bytes": self._foreign_bytes(),
                "reserve": "whole" if self._whole else "spent" if self.released else "none",
                **{f"{key}_batches": value for key, value in self.counts.items()}}

    def _goal(self) -> int:
        """Return how many bytes the batches may take now."""
        goal: int = policy.batches_goal(self._journal.batches.held_bytes(),
                                        self._store.free_bytes(), self._keep_bytes)
        return goal

    def _foreign_bytes(self) -> int:
        """Return how much other files take of a disk that is full of them, 0 if it is not."""
        if not self._journal.out_of_space and not self.released:
            return 0
        try:
            used, own = self._store.used_bytes(), self._journal.flash_bytes()
        except StoreError:
            return 0
        own += RESERVE_BYTES if self._whole else 0
        return used - own if policy.full_of_others(own, used, self._keep_bytes) else 0

    def _reserve_exists(self) -> bool:
        try:
            return RESERVE in self._store.list() and self._store.size(RESERVE) == RESERVE_BYTES
        except StoreError:
            return False

    def _restore_reserve(self) -> None:
        """Make the reserve again, and take scans again, once there is space for both."""
        if self._whole or self._store.free_bytes() < RESERVE_BYTES + SPARE_BYTES:
            return
        self._remove()                  # one that never became whole
        try:
            self._store.create(RESERVE)
            self._store.write(RESERVE, 0, bytes(RESERVE_BYTES))
            self._store.sync(RESERVE)
            self._store.sync_dir()
        except StoreError:
            self._remove()
            raise
        self._whole = True
        if self.released:
            LOG.warning("flash has space again: scans are taken")
            self.released = False
            self._journal.refuse_scans(False)

    def _remove(self) -> None:
        try:
            self._store.remove(RESERVE)
        except StoreError:
            return                      # there is none, or flash takes nothing at all


def _outcome(work: object) -> str:
    outcome: str = policy.WORKED if work else policy.NO_WORK
    return outcome
