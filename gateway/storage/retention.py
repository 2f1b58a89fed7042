"""Room on flash: what the fleet has goes first, then old telemetry is made coarser.

Order (journal rules, docs/formats.md section 13): batches that a receipt covers; of the others
the oldest, from every scan to the counters at quarter hours, then at hours, then first and
last; never events, gaps, clock records.  Beside it a reserve file: when a write finds the
disk full it is deleted, so that events can be kept and coarsening has room to work, and scans
are refused, and declared, until there is room for it again.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from gateway.core import record
from gateway.core.codec import cbor
from gateway.core.errors import FormatError, StoreError
from gateway.core.evidence import downsampled
from gateway.core.interval import Rules
from gateway.core.journal.downsampled_files import Coarsening, Done
from gateway.core.journal.journal import Sealer
from gateway.core.journal.tail import SEGMENT_BYTES
from gateway.ledger import counter_limits
from gateway.storage.restart import inflate
from gateway.storage.store import FlashStore

LOG = logging.getLogger("wattproof.room")
RESERVE, RESERVE_BYTES = "reserve", 2 * SEGMENT_BYTES
SPARE_BYTES = 2 * RESERVE_BYTES         # free beside a reserve that is made
FULL_PERCENT = 80                       # of what the journal could take
ENERGY = 43                             # any counter's measurand
STRICT = Rules(counter_limits.MODULUS_UNKNOWN, 0, 0, 0)    # keeps both sides of a step over a count


class Limits:
    """The limits of counters under each configuration that is known here."""

    def __init__(self, config_hash: bytes, descriptor: bytes) -> None:
        """config_hash, descriptor: of the configuration in force."""
        self._known: dict[bytes, counter_limits.Descriptor] = {}
        self._learn([config_hash, descriptor])

    def __call__(self, config_hash: bytes,
                 content: downsampled.Content) -> Callable[[int, int], Rules]:
        """Return the limits of a batch's counters, by stream and point."""
        for item in content.records:
            if record.is_event(item) and item.kind == record.CONFIG:
                self._learn(item.body)
        known = self._known.get(config_hash)
        return lambda stream, place: STRICT if known is None else counter_limits.rules(
            known, content.schema[stream], place)

    def _learn(self, body: Sequence[Any]) -> None:
        try:
            found = dict(cbor.decode(body[1]))
            counter_limits.rules_for(found, "", ENERGY, 0)      # it says what limits need
            self._known[body[0]] = found
        except (FormatError, LookupError, TypeError, ValueError):
            return


class Room:
    """Keeps a journal within its budget, a small piece of work at a time."""

    def __init__(self, journal: Any, store: FlashStore, keep_bytes: int, sealer: Sealer,
                 known: Limits) -> None:
        """journal: opened with CoarseBatches.  keep_bytes: most that batches may take.
        Nothing is written yet."""
        self._journal, self._store, self._keep_bytes = journal, store, keep_bytes
        self._coarsening = Coarsening(journal.batches, sealer, inflate, known)
        self.busy: Callable[[], list[int]] = list
        self.counts = {"trimmed": 0, "coarsened": 0}    # batches
        self.spent = False              # the reserve was used up, scans are refused
        self._whole = self._stands()    # the reserve stands on flash
        self.due = True                 # tend() should be called: there may be work

    def look(self) -> None:
        """Take note of a new batch or receipt: there may be work again."""
        self.due = True

    def spend(self) -> bool:
        """Give up the reserve if a write found the disk full; return whether to try again."""
        if not self._journal.out_of_room or self.spent:
            return False
        self.spent, self._whole, self.due = True, False, True
        self._journal.refuse_scans(True)
        LOG.error("flash is full: the reserve is used for events, scans are refused and "
                  "declared; next: restore the uplink or take a larger card")
        self._remove()
        return True

    def tend(self) -> Done | None:
        """Do one piece of work; return what was made coarser, if anything was.

        Raises StoreError: flash fails, the next call after look() tries again.
        """
        self.due = False                # unless this works, not before the next look
        held, goal = self._journal.batches.held_bytes(), self._goal()
        done: Done | bool | None = None
        if held > goal:
            trimmed = self._journal.trim(goal)
            self.counts["trimmed"] += len(trimmed)
            done = True if trimmed else self._coarsening.step(self.busy())
        self.due = bool(done)
        if not done:
            self._renew()
        if not isinstance(done, Done):
            return None
        self.counts["coarsened"] += len(done.numbers)
        return done

    def status(self) -> dict[str, Any]:
        """Return what `status` shows: batches made coarser and trimmed, bytes, the reserve."""
        return {"batches_bytes": self._journal.batches.held_bytes(),
                "reserve": "whole" if self._whole else "spent" if self.spent else "none",
                **{f"{key}_batches": value for key, value in self.counts.items()}}

    def _goal(self) -> int:
        """Return how many bytes the batches may take now."""
        could: int = self._journal.batches.held_bytes() + self._store.free_bytes()
        return min(self._keep_bytes, could * FULL_PERCENT // 100)

    def _stands(self) -> bool:
        try:
            return RESERVE in self._store.list() and self._store.size(RESERVE) == RESERVE_BYTES
        except StoreError:
            return False

    def _renew(self) -> None:
        """Make the reserve again, and take scans again, once there is room for both."""
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
        if self.spent:
            LOG.warning("flash has room again: scans are taken")
            self.spent = False
            self._journal.refuse_scans(False)

    def _remove(self) -> None:
        try:
            self._store.remove(RESERVE)
        except StoreError:
            return                      # there is none, or flash takes nothing at all
