"""How long records have waited for a receipt: `ok` is not said while old ones have none."""

from collections import deque

from gateway.core.event import Committed

STATED_S = 900.0            # real: after the batch that holds a record should be sealed
STEPS = 30                  # the age is known this finely
FINE, CATCHING_UP, OVERDUE = "fine", "catching-up", "receipt-overdue"


class ReceiptAge:
    """Which durable records are older than the stated time.  Seconds are real.

    began_s: when the process did, and this with it.
    """

    def __init__(self, batch_s: float, recovered_seq: int, now_s: float) -> None:
        """batch_s: longest time until a record is sealed.  recovered_seq: records of earlier
        boots, which all count as old."""
        self.stated_s, self.began_s = batch_s + STATED_S, now_s
        self._old_seq = recovered_seq
        self._young: deque[tuple[float, int]] = deque()     # (when it was durable, sequence)
        self._acknowledged_seq, self._moved_s = 0, now_s

    def note(self, event: object, now_s: float) -> None:
        """Take note of a commit."""
        if not isinstance(event, Committed):
            return
        if self._young and now_s - self._young[-1][0] < self.stated_s / STEPS:
            return
        self._young.append((now_s, event.durable_seq))
        self._grow_old(now_s)

    def begin(self, recovered_seq: int) -> None:
        """Another journal: its sequences are others.  recovered_seq: as at the start."""
        self._old_seq = recovered_seq
        self._young.clear()

    def word(self, acknowledged_seq: int, now_s: float, online: bool) -> str:
        """Return FINE; CATCHING_UP if old records have no receipt but receipts come; OVERDUE if
        none has come for the stated time.  online: otherwise none can come."""
        if acknowledged_seq != self._acknowledged_seq or not online:
            self._moved_s = now_s
        self._acknowledged_seq = acknowledged_seq
        self._grow_old(now_s)
        if acknowledged_seq >= self._old_seq:
            return FINE
        return OVERDUE if now_s - self._moved_s >= self.stated_s else CATCHING_UP

    def _grow_old(self, now_s: float) -> None:
        while self._young and now_s - self._young[0][0] >= self.stated_s:
            self._old_seq = self._young.popleft()[1]
