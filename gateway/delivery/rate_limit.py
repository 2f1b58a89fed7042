"""Who may use the uplink next, and how long silence is borne.  Pure; times come in.

Live messages, fresh batches and backlog share a capped link: the backlog gets its share and
no more, live messages get the rest, a fresh batch may use whatever is left of the whole.
A batch goes out whole, so the cap holds over a batch's length, not within it.
"""

from collections.abc import Iterable, Sequence

LIVE, FRESH, BACKLOG = "live", "fresh", "backlog"
BURST_S = 1.0               # unused line of so long may be made up for
OVERHEAD_BYTES = 120        # MQTT, TLS and TCP heads of one message
RESEND_MS_MAX = 300_000     # a fleet that says nothing is asked again at least this often
UNANSWERED = 3              # so many rounds without a receipt are told: about a minute


class Bucket:
    """Tokens in bytes; may be overdrawn, then the next must wait until it is paid."""

    def __init__(self, bytes_s: float, now_s: float) -> None:
        """Start full."""
        self.bytes_s, self._at_s = bytes_s, now_s
        self._level = bytes_s * BURST_S

    def wait_s(self, now_s: float) -> float:
        """Return how long until the debt is paid; 0 if there is none."""
        self._refill(now_s)
        return max(-self._level / self.bytes_s, 0.0)

    def consume(self, count: int, now_s: float) -> None:
        """Take bytes out."""
        self._refill(now_s)
        self._level -= count

    def _refill(self, now_s: float) -> None:
        earned = max(now_s - self._at_s, 0.0) * self.bytes_s
        self._level = min(self._level + earned, self.bytes_s * BURST_S)
        self._at_s = max(now_s, self._at_s)


class Pace:
    """The uplink's cap and shares.  cap_kbit_s = 0: the line itself is the only limit."""

    def __init__(self, cap_kbit_s: int, backlog_percent: int, now_s: float) -> None:
        """backlog_percent: 1..99, of the cap."""
        bytes_s, share = cap_kbit_s * 125.0, backlog_percent / 100
        self._whole = Bucket(bytes_s, now_s) if cap_kbit_s else None
        self._own = {BACKLOG: Bucket(bytes_s * share, now_s),
                     LIVE: Bucket(bytes_s * (1 - share), now_s)} if cap_kbit_s else {}

    def wait_s(self, lane: str, now_s: float) -> float:
        """Return how long this lane must wait before it may send a message."""
        if self._whole is None:
            return 0.0
        own_s = self._own[lane].wait_s(now_s) if lane in self._own else 0.0
        # Live does not wait for the whole: a batch's debt must not age it.
        return own_s if lane == LIVE else max(own_s, self._whole.wait_s(now_s))

    def consume(self, lane: str, size: int, now_s: float) -> None:
        """Note that a lane sends a message of so many bytes now."""
        for bucket in (self._whole, self._own.get(lane)):
            if bucket is not None:
                bucket.consume(size + OVERHEAD_BYTES, now_s)


class Silence:
    """How patient to be with a fleet that acknowledges nothing: each round doubles.

    A fleet that waits for one batch answers without moving its mark; then a round that brought it
    batches for the first time was not in vain, or the one that it waits for would come days later.
    """

    def __init__(self, resend_ms: int) -> None:
        """resend_ms: the first round's length."""
        self._resend_ms, self._rounds = resend_ms, 0
        self._sent: set[int] = set()            # numbers that went out since the mark moved
        self._newest_ms, self._has_response = 0, False

    def overdue(self, numbers: Iterable[int]) -> None:
        """A round has passed in which these batches went out and no receipt moved the mark."""
        brought_new = not self._sent.issuperset(numbers)
        self._sent.update(numbers)
        self._rounds = 0 if self._has_response and brought_new else self._rounds + 1
        self._has_response = False

    def responded(self, issued_ms: int) -> None:
        """A receipt came that did not move the mark; one issued later than all before it shows
        that the fleet is at work."""
        self._has_response = self._has_response or issued_ms > self._newest_ms
        self._newest_ms = max(self._newest_ms, issued_ms)

    def answered(self) -> None:
        """A receipt has moved the mark."""
        self._rounds, self._has_response = 0, False
        self._sent.clear()

    @property
    def unanswered(self) -> bool:
        """Whether it is time to tell a person."""
        return self._rounds >= UNANSWERED

    @property
    def extra_ms(self) -> int:
        """How much longer than the first round to wait for the next receipt."""
        longest = max(RESEND_MS_MAX - self._resend_ms, 0)
        return int(min(self._resend_ms * (2 ** min(self._rounds, 16) - 1), longest))


def choose(numbers: Sequence[int], oldest: int, fresh_sent: int, window: int) -> tuple[str, int]:
    """Return (lane, batch number) to send next.

    numbers: all batches, ascending.  oldest: the next in order.  fresh_sent: newest number
    that went out before its turn.  With a backlog longer than the window the newest batch
    goes first, once: the page is to show today while last week is catching up.
    """
    newest = numbers[-1]
    if newest - oldest < window:
        return FRESH, oldest
    return (FRESH, newest) if newest > fresh_sent else (BACKLOG, oldest)
