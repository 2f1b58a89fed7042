"""What failing flash cost, when the writer tries again, and which failure was logged."""

import logging

from gateway.core.journal.policy import DEGRADED_RAM, FULL, READ_ONLY, UNREADABLE

LOG = logging.getLogger("wattproof.writer")
RETRY_S = 1.0                   # real: after a failed flash operation
REFUSED_S = 5.0                 # ... and after one that waits for a mount or a person
NEXT = {
    DEGRADED_RAM: "check the flash; records wait in memory and are lost at a power cut",
    FULL: "free space: see journal.foreign_bytes in `status --json` for whose files fill the disk",
    READ_ONLY: "mount it writable (mount -o remount,rw), or give its files to the user that runs "
               "the gateway (chown -R); it goes on by itself",
    UNREADABLE: "give the files to the user that runs the gateway (chown -R), or mount the disk; "
                "it goes on by itself, and begins no new journal",
}


class FlashTrouble:
    """Counts, one pause after each failure, one log line per state."""

    def __init__(self) -> None:
        """Start without trouble."""
        # lost: scans that found no space in the journal, which declares the gap.
        self.counts = {"lost": 0, "failures": 0}
        self._retry_s = 0.0
        self._logged = ""                       # the failing state that was logged last

    def lost(self) -> None:
        """Count a scan that the journal refused."""
        self.counts["lost"] += 1

    def wait_s(self, now_s: float) -> float:
        """Return how long to leave flash alone; at most 0 if it may be tried."""
        return self._retry_s - now_s

    def failed(self, what: str, trouble: tuple[str, str], now_s: float) -> str:
        """Note that flash refused; the journal keeps the same bytes for the next try.

        trouble: the journal's state and reason.  Returns the name of the alarm to raise, "" if none
        is or it was raised.
        """
        state, reason = trouble
        self.counts["failures"] += 1
        self._retry_s = now_s + (REFUSED_S if state in (READ_ONLY, UNREADABLE) else RETRY_S)
        is_new, self._logged = self._logged != state, state
        if is_new:
            LOG.error("journal: %s failed, state %s: %s; next: %s", what, state, reason,
                      NEXT.get(state, NEXT[DEGRADED_RAM]))
        return f"journal-{state}" if is_new and state in (READ_ONLY, UNREADABLE) else ""

    def over(self) -> None:
        """Note that a commit succeeded: the next failure is logged again."""
        if self._logged:
            LOG.warning("journal: flash takes records again")
        self._logged = ""
