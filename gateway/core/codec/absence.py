"""Which values of a stream's scans are absent, and why: a side list of runs.

A dead device misses all its points for many scans, a single point may come and go.  So
neighbouring points with the same runs form one group.  For each stream, as varints:

    groups, then for each: points skipped, points - 1, runs,
            then for each run: scans skipped, scans - 1, reason (1..255)
"""

from gateway.core.codec.series import put_varint, varint
from gateway.core.errors import Bug, FormatError
from gateway.core.reading import Absent
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from gateway.core.reading import Value

    # (scans skipped, scans, reason), and all of one point.
    Run = tuple[int, ...]
    Runs = tuple[Run, ...]

REASON_MAX = 255


class Absences:
    """The absent scans of one point.  runs: ((skipped, scans, reason), ...)."""

    __slots__ = ("runs", "count")

    def __init__(self, runs: "Runs") -> None:
        self.runs = runs
        self.count = sum([run[1] for run in runs])

    def fill(self, values: list[int]) -> "Sequence[Value]":
        """Return values with the absent ones put back where they were."""
        if not self.runs:
            return values
        full: "list[Value]"
        full, at = [], 0
        for skipped, scans, reason in self.runs:
            full.extend(values[at:at + skipped])
            full.extend([Absent(reason)] * scans)
            at += skipped
        full.extend(values[at:])
        return full


NONE = Absences(())
_nones: "dict[int, tuple[Runs, ...]]" = {}


def apart(rows: "Sequence[tuple[Any, ...]]",
          points: int) -> "tuple[list[Sequence[int]], Sequence[Runs], tuple[int, int]]":
    """Return (columns of the numbers that are there, their runs, (lowest, highest number)).

    rows: tuples of int or Absent, each as long as `points`.  Columns and runs: by point.
    """
    columns: list[Any] = list(zip(*rows))
    try:
        sum([sum(row) for row in rows])         # the fastest question "is all of it a number?"
        return columns, _none(points), (
            min([min(row) for row in rows]), max([max(row) for row in rows]))
    except TypeError:
        pass
    last: "Runs"
    every, last, low, high = [], (), 0, 0
    for p in range(points):
        columns[p], runs = _runs(columns[p])
        if runs == last:
            runs = last                         # one object for neighbours
        if columns[p]:
            low, high = min(low, min(columns[p])), max(high, max(columns[p]))
        every.append(runs)
        last = runs
    return columns, every, (low, high)


def _none(points: int) -> "tuple[Runs, ...]":
    """Return no runs for each of so many points: one object for all scans of a kind."""
    return _nones.setdefault(points, ((),) * points)


def put_absences(out: bytearray, every: "Sequence[Runs]") -> None:
    """Append a stream's absences: the runs of each point."""
    groups: list[list[Any]]
    last: "Runs"
    groups, last = [], ()
    if any(every):
        for p, runs in enumerate(every):
            if runs and runs == last:
                groups[-1][1] += 1
            elif runs:
                groups.append([p, 1, runs])
            last = runs
    put_varint(out, len(groups))
    at = 0
    for start, width, runs in groups:
        put_varint(out, start - at)
        put_varint(out, width - 1)
        _put_runs(out, runs)
        at = start + width


def read_absences(data: bytes, at: int, rows: int, points: int) -> tuple[tuple[Absences, ...], int]:
    """Return (tuple of Absences for each point, offset after them); raises FormatError."""
    groups, at = varint(data, at)
    if groups > points:
        raise FormatError("absence: %d groups before %d" % (groups, at))
    found = [NONE] * points
    p = 0
    for _ in range(groups):
        skipped, at = varint(data, at)
        width, at = varint(data, at)
        p += skipped
        if p + width >= points:
            raise FormatError("absence: point %d before %d" % (p + width, at))
        runs, at = _read_runs(data, at, rows)
        if skipped == 0 and p and found[p - 1].runs == runs:
            raise FormatError("absence: equal groups before %d" % at)
        found[p:p + width + 1] = [Absences(runs)] * (width + 1)
        p += width + 1
    return tuple(found), at


def _runs(column: "Iterable[Value]") -> "tuple[list[int], Runs]":
    """Return (values that are there, runs of those that are not)."""
    runs: list[list[int]]
    values, runs, skipped, reason = [], [], 0, None
    for value in column:
        if not isinstance(value, Absent):
            values.append(value)
            skipped += 1
            reason = None
        elif value.reason == reason:
            runs[-1][1] += 1
        else:
            reason = value.reason
            if not 0 < reason <= REASON_MAX:
                raise Bug("absence: reason %d" % reason)
            runs.append([skipped, 1, reason])
            skipped = 0
    return values, tuple([tuple(run) for run in runs])


def _put_runs(out: bytearray, runs: "Runs") -> None:
    put_varint(out, len(runs))
    for skipped, scans, reason in runs:
        put_varint(out, skipped)
        put_varint(out, scans - 1)
        put_varint(out, reason)


def _read_runs(data: bytes, at: int, rows: int) -> "tuple[Runs, int]":
    count, at = varint(data, at)
    if not 0 < count <= rows:
        raise FormatError("absence: %d runs before %d" % (count, at))
    runs, row, last = [], 0, 0
    for _ in range(count):
        skipped, at = varint(data, at)
        scans, at = varint(data, at)
        reason, at = varint(data, at)
        row += skipped + scans + 1
        if row > rows or not 0 < reason <= REASON_MAX or (skipped == 0 and reason == last):
            raise FormatError("absence: run before %d does not fit" % at)
        runs.append((skipped, scans + 1, reason))
        last = reason
    return tuple(runs), at
