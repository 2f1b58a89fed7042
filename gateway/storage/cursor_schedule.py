"""What the fleet has acknowledged and the cursor does not say yet."""

from gateway.core.journal.policy import CURSOR_S, cursor_due


class CursorSchedule:
    """The newest receipt, and when it is written to flash.  Seconds are real."""

    def __init__(self) -> None:
        """Start without a receipt."""
        self.sequence = self.epoch = 0
        self._receipts = 0                      # since the cursor moved
        self._moved_s = -float(CURSOR_S)

    def receipt(self, sequence: int, epoch: int) -> None:
        """Note that the fleet holds everything up to a sequence."""
        self.sequence, self.epoch = sequence, epoch
        self._receipts += 1

    def due(self, now_s: float, stopping: bool) -> bool:
        """Return whether the cursor is to be written now."""
        due = cursor_due(int(now_s - self._moved_s), self._receipts, stopping)
        return due

    def moved(self, now_s: float) -> None:
        """Note that the cursor was written."""
        self._moved_s, self._receipts = now_s, 0

    def discard(self) -> None:
        """Drop receipts of a journal that has ended."""
        self._receipts = 0
