"""Which epoch a store speaks in, and a file beside it that notices an older copy.

An epoch rises whenever the store may hold less than it promised: cabinets then send again what
they still hold.  The file stands beside the database, outside of backups: a database that was
put back from a copy is older than it.  A copy of the whole folder has both; then a cabinet proves
with the fleet's own receipt that more was acknowledged (fleet/ingest/ingest.py).
"""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

FILE = "fleet.epoch"
BYTES_MAX = 100
LEAVES_MAX = 1 << 53        # more than any store has: whatever is beside the file is older


class Position(NamedTuple):
    """How far a store is: its epoch, and how many batches its log holds."""

    epoch: int
    leaves: int


def after(now_ms: int, *epochs: int) -> int:
    """Return an epoch above all of these: the time of now in UTC ms, or one more than the
    highest where the clock stands behind it."""
    return max([now_ms, 1] + [epoch + 1 for epoch in epochs])


class EpochFile:
    """The file beside one database; written after each commit, so it may lag but never leads."""

    def __init__(self, data: Path) -> None:
        self._path = data / FILE
        self._written: Position | None = None

    def read(self) -> Position | None:
        """Return what the file says, None if there is none or it cannot be read."""
        try:
            with self._path.open("rb") as file:
                epoch, leaves = file.read(BYTES_MAX).split()
            return Position(int(epoch), int(leaves))
        except (OSError, ValueError):
            return None

    def write(self, position: Position) -> None:
        """Replace the file if it says something else; it need not outlive a power cut."""
        if position == self._written:
            return
        part = self._path.with_suffix(".epoch-part")
        with contextlib.suppress(OSError):      # a full disk: the next commit tries again
            part.write_bytes(b"%d %d\n" % position)
            os.replace(part, self._path)
            self._written = position
