"""One unit on a line: its time-out, its back-off when dead, and what a dead unit may cost.

Pure state: time comes in as arguments.  Seconds named real are this machine's, ticks are the
measured world's (they differ in a simulation only).
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.types import Driver

TIMEOUT_S_MIN, TIMEOUT_S_MAX = 0.1, 2.0     # clamp(4 x p95, 100 ms, 2 s)
LATENCIES_KEPT = 64
LATENCIES_NEEDED = 8            # below this the configured first guess holds
BACKOFF_S_MAX = 60              # 1, 2, 4 .. 60 s
LOST_AFTER = 2                  # silent scans in a row before a unit counts as lost
REPORT_MS_MIN = 60_000          # a flapping unit makes at most one event a minute
DEAD_SHARE_MAX = 0.05           # of the line, for all dead units together
WINDOW_S = 60.0                 # ... within any such span of real time


class Timeout:
    """The time-out of one unit, learned from its own replies, in real seconds."""

    def __init__(self, first_s: float) -> None:
        """first_s: used until enough replies were seen."""
        self.value_s = min(max(first_s, TIMEOUT_S_MIN), TIMEOUT_S_MAX)
        self._latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._count = 0

    def learn(self, latency_s: float) -> None:
        """Take one reply's latency; the value moves every eighth one."""
        self._latencies.append(latency_s)
        self._count += 1
        if self._count % LATENCIES_NEEDED == 0:
            ordered = sorted(self._latencies)
            p95 = ordered[(len(ordered) * 95 - 1) // 100]
            self.value_s = min(max(4 * p95, TIMEOUT_S_MIN), TIMEOUT_S_MAX)

    def widen(self) -> float:
        """Double the value after a silence (slower is not dead); return how much it grew."""
        before_s, self.value_s = self.value_s, min(2 * self.value_s, TIMEOUT_S_MAX)
        self._latencies.clear()
        self._count = 0
        return self.value_s - before_s


class LineBudget:
    """How much of a line the failing units took lately; says whether one more try fits."""

    def __init__(self) -> None:
        """Start with nothing spent."""
        self._spent: deque[tuple[float, float]] = deque()

    def spend(self, now_s: float, cost_s: float) -> None:
        """Note real seconds of line time that gave no answer, ending at now_s."""
        self._forget(now_s)
        self._spent.append((now_s, cost_s))

    def allows(self, now_s: float, expected_s: float) -> bool:
        """Return whether another failure of expected_s keeps the share over any minute.

        One try is always allowed in an otherwise quiet minute, whatever it costs: a unit
        that can never be asked could never come back.
        """
        self._forget(now_s)
        if not self._spent:
            return True
        total = sum(cost for _, cost in self._spent) + expected_s
        return total <= DEAD_SHARE_MAX * WINDOW_S

    def _forget(self, now_s: float) -> None:
        # An entry counts until no minute that still runs can hold any part of it.
        while self._spent and self._spent[0][0] <= now_s - WINDOW_S:
            self._spent.popleft()


@dataclass(slots=True)
class Unit:
    """A device as its bus sees it.  stream: its index in the schema."""

    name: str
    stream: int
    driver: "Driver"
    timeout: Timeout
    failures: int = 0               # silent scans in a row
    probe_at_ms: int = 0            # ticks; before this it is not asked while failing
    cost_s: float = 0.0             # what its next failure is expected to cost the line
    identified: bool = False
    serial: str = ""
    reported: str = "new"           # the state last told in an event
    reported_ms: int = -REPORT_MS_MIN
    last_error: str = ""
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Return new, ok, silent (may be a lost reply) or lost."""
        if self.failures >= LOST_AFTER:
            return "lost"
        if self.failures:
            return "silent"
        return "ok" if self.identified else "new"

    def count(self, what: str) -> None:
        """Add one to a counter of this unit."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def failed(self, ticks_ms: int, cost_s: float) -> None:
        """Note a scan without any answer: probe ever more rarely, 1, 2, 4 .. 60 s.

        cost_s: real seconds of line time that the next such scan would take.
        """
        self.failures += 1
        self.cost_s = cost_s
        backoff_s = min(2 ** min(self.failures - 1, 6), BACKOFF_S_MAX)
        self.probe_at_ms = ticks_ms + backoff_s * 1000

    def answered(self) -> bool:
        """Note a scan with an answer; return whether the unit was failing or new."""
        back = self.failures > 0 or not self.identified
        self.failures = 0
        self.probe_at_ms = 0
        return back

    def due(self, ticks_ms: int) -> bool:
        """Return whether the back-off lets it be asked now."""
        return self.failures == 0 or ticks_ms >= self.probe_at_ms

    def news(self, ticks_ms: int) -> str:
        """Return the state to report as an event now, or an empty text."""
        state = self.state
        if state in ("new", "silent") or state == self.reported:
            return ""
        if ticks_ms - self.reported_ms < REPORT_MS_MIN:
            return ""
        self.reported, self.reported_ms = state, ticks_ms
        return state
