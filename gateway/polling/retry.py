"""Which failing units of a line are asked now: what they may cost the others, and in turn.

Pure state: time comes in as arguments, in real seconds and in ticks.
"""

from collections import deque
from collections.abc import Sequence

from gateway.polling.unit import RETRY_EARNED, PolledUnit

DEAD_SHARE_MAX = 0.05           # of the line, for all dead units together
WINDOW_S = 60.0                 # ... within any such span of real time
AGAIN_S = 110.0                 # each is asked within two minutes, a slot's delay included


class LineBudget:
    """How much of a line the failing units took lately; says whether one more try fits."""

    def __init__(self) -> None:
        """Start with nothing spent."""
        self._spent: deque[tuple[float, float]] = deque()

    def consume(self, now_s: float, cost_s: float) -> None:
        """Note real seconds of line time that gave no answer, ending at now_s."""
        self._forget(now_s)
        self._spent.append((now_s, cost_s))

    def allows(self, now_s: float, expected_s: float, before_s: float = 0.0) -> bool:
        """Return whether another failure of expected_s keeps the share over any minute.

        before_s: of units whose turn comes first.  One try is always allowed in an otherwise
        quiet minute, whatever it costs: a unit that can never be asked could never come back.
        """
        self._forget(now_s)
        if not self._spent and not before_s:
            return True
        total = sum(cost for _, cost in self._spent) + before_s + expected_s
        return total <= DEAD_SHARE_MAX * WINDOW_S

    def _forget(self, now_s: float) -> None:
        # An entry counts until no minute that still runs can hold any part of it, and a long one
        # until it is a twentieth of the time.
        while self._spent and self._spent[0][0] <= now_s - max(
                WINDOW_S, self._spent[0][1] / DEAD_SHARE_MAX):
            self._spent.popleft()


def may_ask(unit: PolledUnit, units: Sequence[PolledUnit], budget: LineBudget,
            now: tuple[int, float, float]) -> bool:
    """Return whether a unit that is failing, or is another device, is asked in this slot.

    units: of the line.  now: ticks, real seconds, real seconds between two slots.
    """
    now_ms, now_s, interval_s = now
    if not unit.failures:
        return now_ms >= unit.identity_due_ms
    if not unit.due(now_ms):
        return False
    if unit.failures == 1 and unit.good >= RETRY_EARNED:
        return True                     # one lost answer costs one scan
    if now_s + interval_s - unit.asked_s > again_s(units):
        return True
    waiting = [one.cost_s for one in units
               if one.failures and one.asked_s < unit.asked_s and one.due(now_ms)]
    return budget.allows(now_s, unit.cost_s, sum(waiting))


def again_s(units: Sequence[PolledUnit]) -> float:
    """Return within how many real seconds each failing unit is asked again, whatever the others
    do: two minutes, or as long as keeps the sum of their time-outs a twentieth of the time."""
    dead_s = sum(one.timeout.value_s for one in units if one.failures)
    return max(AGAIN_S, dead_s / DEAD_SHARE_MAX)
