"""Log lines with a limit: what a peer can cause is not written as often as it likes.

Of warnings and errors that are alike - one text of one logger, about one subject - so many are
written in a minute; the next one after it says how many were left out.  A caller names the subject
with extra={"about": name}, so that one noisy cabinet does not hide the lines about another.
"""

import logging
import sys
from collections.abc import MutableMapping

LINES_MAX = 20              # alike, in one window
WINDOW_S = 60.0
KINDS_MAX = 1000            # told apart; beyond that all others count as one kind

Kind = tuple[str, int, str, str]


class LogLimit(logging.Filter):
    """For a handler: passes LINES_MAX lines of a kind in WINDOW_S, and counts the others."""

    def __init__(self) -> None:
        super().__init__()
        # kind -> [when its window began, lines in it, of those not written]
        self._kinds: MutableMapping[Kind, list[float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True for a line that is to be written."""
        if record.levelno < logging.WARNING:
            return True
        window = self._window(record)
        if not 0 <= record.created - window[0] < WINDOW_S:
            left_out = int(window[2])
            window[:] = [record.created, 0, 0]
            if left_out:
                _add(record, f"{left_out} more lines like this one were left out before")
        window[1] += 1
        if window[1] > LINES_MAX:
            window[2] += 1
            return False
        if window[1] == LINES_MAX:
            _add(record, f"more lines like this one are counted only, for {WINDOW_S:g} s")
        return True

    def _window(self, record: logging.LogRecord) -> list[float]:
        kind = (record.name, record.levelno, str(record.msg), str(getattr(record, "about", "")))
        if kind not in self._kinds and len(self._kinds) >= KINDS_MAX:
            old = [key for key, window in self._kinds.items()
                   if record.created - window[0] >= WINDOW_S and not window[2]]
            for key in old:
                del self._kinds[key]
            if not old:
                kind = ("", 0, "", "")
        return self._kinds.setdefault(kind, [record.created, 0, 0])


def _add(record: logging.LogRecord, text: str) -> None:
    record.msg, record.args = f"{record.getMessage()} [{text}]", None


def to_stderr(level: int) -> None:
    """Log to stderr with limited lines, unless somebody set up logging before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(LogLimit())
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s",
                        handlers=[handler])
