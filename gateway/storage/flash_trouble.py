"""What failing flash cost, when the writer tries again, and which failure was logged."""

import logging

LOG = logging.getLogger("wattproof.writer")
RETRY_S = 1.0                   # real: after a failed flash operation


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

    def failed(self, what: str, state: str, now_s: float) -> None:
        """Note that flash refused; the journal keeps the same bytes for the next try."""
        self.counts["failures"] += 1
        self._retry_s = now_s + RETRY_S
        if self._logged != state:
            LOG.error("journal: %s failed, state %s; next: check the flash and its free space; "
                      "trying on", what, state)
        self._logged = state

    def over(self) -> None:
        """Note that a commit succeeded: the next failure is logged again."""
        self._logged = ""
