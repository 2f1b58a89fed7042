"""Whole numbers that mostly follow each other, as runs: memory does not grow with their count.

A board that cannot reach its fleet for a day holds hundreds of batches; here they are one pair.
"""

from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Runs:
    """A set of whole numbers >= 0."""

    __slots__ = ("_runs", "_all")

    def __init__(self) -> None:
        self._runs: list[list[int]] = []             # [first, last], ascending, never touching
        # What numbers() returns; None = to be made.
        self._all: "Sequence[int] | None" = range(0)

    def add(self, number: int) -> None:
        """Take a number in; the order in which they come does not matter."""
        runs, at = self._runs, self._at(number)
        if at < len(runs) and runs[at][0] <= number:
            return
        self._all = None
        joins_below = at > 0 and runs[at - 1][1] == number - 1
        joins_above = at < len(runs) and runs[at][0] == number + 1
        if joins_below and joins_above:
            runs[at - 1][1] = runs.pop(at)[1]
        elif joins_below:
            runs[at - 1][1] = number
        elif joins_above:
            runs[at][0] = number
        else:
            runs.insert(at, [number, number])

    def drop(self, number: int) -> None:
        """Take a number out, if it is in."""
        at = self._at(number)
        if at == len(self._runs) or self._runs[at][0] > number:
            return
        self._all = None
        first, last = self._runs.pop(at)
        if last > number:
            self._runs.insert(at, [number + 1, last])
        if first < number:
            self._runs.insert(at, [first, number - 1])

    def has(self, number: int) -> bool:
        """Return True if a number is in."""
        at = self._at(number)
        return at < len(self._runs) and self._runs[at][0] <= number

    def numbers(self) -> "Sequence[int]":
        """Return all numbers ascending, not to be changed: a range, a list if there are holes."""
        if self._all is None:
            parts = [range(first, last + 1) for first, last in self._runs]
            self._all = parts[0] if len(parts) == 1 else [
                number for part in parts for number in part]
        return self._all

    def _at(self, number: int) -> int:
        """Return the index of the first run that ends at a number or behind it."""
        runs, low, high = self._runs, 0, len(self._runs)
        while low < high:
            middle = (low + high) // 2
            if runs[middle][1] < number:
                low = middle + 1
            else:
                high = middle
        return low
