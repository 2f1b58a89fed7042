"""One unit on a line: its time-out, its back-off when dead, and what a dead unit may cost.

Pure state: time comes in as arguments.  Seconds named real are this machine's, ticks are the
measured world's (they differ in a simulation only).
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.types import Driver
    from gateway.core.reading import Values

TIMEOUT_S_MIN, TIMEOUT_S_MAX = 0.1, 10.0
ANSWER_S_USUAL = 2.0            # longest wait where the profile says nothing
LATENCIES_KEPT = 64
LATENCIES_NEEDED = 8            # below this the configured first guess holds
BACKOFF_S_MAX = 60              # 1, 2, 4 .. 60 s
LOST_AFTER = 2                  # silent scans in a row before a unit counts as lost
REPORT_MS_MIN = 60_000          # a flapping unit makes at most one event a minute
RETRY_EARNED = 6                # answered scans after which one lost answer is asked again at once


class Timeout:
    """The time-out of one unit, lengthened by its own replies, in real seconds.

    What is configured is the floor: adaptation only lengthens, up to what the profile says that
    the device may need.
    """

    def __init__(self, floor_s: float, longest_s: float = ANSWER_S_USUAL) -> None:
        """floor_s: as configured.  longest_s: the profile's; the longer one is the ceiling."""
        self.floor_s = min(max(floor_s, TIMEOUT_S_MIN), TIMEOUT_S_MAX)
        self.longest_s = min(max(self.floor_s, longest_s), TIMEOUT_S_MAX)
        self.value_s = self.floor_s
        self._latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._count = 0

    def learn(self, latency_s: float) -> None:
        """Take one reply's latency; the value moves every eighth one."""
        self._latencies.append(latency_s)
        self._count += 1
        if self._count % LATENCIES_NEEDED == 0:
            ordered = sorted(self._latencies)
            p95 = ordered[(len(ordered) * 95 - 1) // 100]
            self.value_s = min(max(4 * p95, self.floor_s), self.longest_s)

    def widen(self) -> float:
        """Double the value after a silence (slower is not dead); return how much it grew."""
        before_s, self.value_s = self.value_s, min(2 * self.value_s, self.longest_s)
        self._latencies.clear()
        self._count = 0
        return self.value_s - before_s


@dataclass(slots=True)
class PolledUnit:
    """A device as its bus sees it.  stream: its index in the schema."""

    name: str
    stream: int
    driver: "Driver"
    timeout: Timeout
    failures: int = 0               # silent scans in a row
    probe_at_ms: int = 0            # ticks; before this it is not asked while failing
    cost_s: float = 0.0             # what its next failure is expected to cost the line
    asked_s: float = 0.0            # real; when it was asked last
    good: int = RETRY_EARNED        # answered scans since its last free retry, at most so many
    identified: bool = False
    identity_due_ms: int = -1       # ticks; from then on it is asked again what it is
    identity_tries: int = 0         # in vain, in a row
    wrong: str = ""                 # why its values are not recorded: another device
    serial: str = ""
    last: "Values" = ()             # of its last recorded scan
    last_ms: int = 0                # ticks
    sure: "Values" = ()             # of the last scan with which its serial number was read
    sure_ms: int = 0                # ticks
    reported: str = "new"           # the state last told in an event
    reported_ms: int = -REPORT_MS_MIN
    last_error: str = ""
    trouble: str = ""               # while failing: a word of polling/trouble.py
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Return new, ok, silent (may be a lost reply), lost or wrong (another device)."""
        if self.failures >= LOST_AFTER:
            return "lost"
        if self.failures:
            return "silent"
        if self.wrong:
            return "wrong"
        return "ok" if self.identified else "new"

    def count(self, what: str) -> None:
        """Add one to a counter of this unit."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def failed(self, ticks_ms: int, cost_s: float) -> None:
        """Note a scan without any value: probe ever more rarely, 1, 2, 4 .. 60 s.

        cost_s: real seconds of line time that the next such scan would take.
        """
        if self.failures == 1:
            self.good = 0               # this was the free retry, or the budget's
        self.failures += 1
        self.cost_s = cost_s
        backoff_s = min(2 ** min(self.failures - 1, 6), BACKOFF_S_MAX)
        self.probe_at_ms = ticks_ms + backoff_s * 1000

    def answered(self) -> None:
        """Note a scan with a value."""
        if self.failures or self.good < RETRY_EARNED:
            self.good = 0 if self.failures else self.good + 1
            self.failures = self.probe_at_ms = 0
            self.trouble = ""

    def due(self, ticks_ms: int) -> bool:
        """Return whether the back-off lets it be asked now."""
        return self.failures == 0 or ticks_ms >= self.probe_at_ms

    def state_change(self, ticks_ms: int) -> str:
        """Return the state to report as an event now, or an empty text."""
        state = self.state
        if state in ("new", "silent") or state == self.reported:
            return ""
        if ticks_ms - self.reported_ms < REPORT_MS_MIN:
            return ""
        self.reported, self.reported_ms = state, ticks_ms
        return state
