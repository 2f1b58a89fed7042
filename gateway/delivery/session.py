"""The state of the uplink's session, its reason in words, and how patient to be next time.

The moves stand in gateway/core/session_table.py.
"""

import logging
import random
from collections.abc import Callable

from gateway.aio.keep_alive import Backoff
from gateway.config.values import UplinkSettings
from gateway.core import session_table as table
from gateway.core.errors import Rejected, UplinkError

LOG = logging.getLogger("wattproof.uplink")
STEADY_S = 20.0                 # real: after a connection that lasted so long the wait is short
SHORT_SESSIONS_REPORTED = 4                  # so many shorter ones in a row are reported
UNANSWERED = ("the broker takes batches, but the fleet acknowledges none; next: see whether the "
              "fleet runs, what it refused, and the broker's access list")
CLOSED_AGAIN = ("closed again soon after each start ({}); next: see whether another gateway uses "
                "this name, and the broker's log")


class Session:
    """state: a number of session_table.  reason: why, with the next step; else empty."""

    def __init__(self, settings: UplinkSettings, real_s: Callable[[], float]) -> None:
        """real_s: monotonic real seconds.  Nothing is connected yet."""
        self.state, self.reason = table.STARTING, ""
        self.connects = 0
        self.short = 0                          # connections in a row that did not last
        self.backoff = Backoff(float(settings.retry_s_min), float(settings.retry_s_max),
                               lambda: 0.5 + random.random() / 2)
        self._broker = f"{settings.host}:{settings.port}"
        self._real_s = real_s
        self._online_s: float | None = None

    @property
    def name(self) -> str:
        """The state as a word."""
        name: str = table.STATES[self.state]
        return name

    def connected(self) -> None:
        """Note a connection that may be used."""
        LOG.info("online at %s", self._broker)
        self._move(table.CONNECTED)
        self.connects += 1
        self._online_s = self._real_s()

    def answered(self) -> None:
        """Note a sign of the fleet."""
        self._move(table.ANSWERED)

    def silent(self) -> None:
        """Note that receipts are overdue, and not for the first time."""
        if self._move(table.SILENT):
            LOG.warning("%s", UNANSWERED)
            self.reason = UNANSWERED

    def lost(self, error: UplinkError) -> None:
        """Note that there is no connection, and why."""
        short_again = self._was_short() and self.short >= SHORT_SESSIONS_REPORTED
        before = self.reason
        self._move(table.REFUSED if isinstance(error, Rejected) else table.LOST)
        self.reason = CLOSED_AGAIN.format(error) if short_again else str(error)
        if self.reason != before:
            LOG.warning("%s: %s; trying on", self.name, self.reason)

    def _was_short(self) -> bool:
        """Return whether a connection ended that did not last; after one that did, the next wait
        is short.  Two gateways of one name must not throw each other out five times a second."""
        began_s, self._online_s = self._online_s, None
        if began_s is None:
            return False
        if self._real_s() - began_s >= STEADY_S:
            self.backoff.reset()
            self.short = 0
            return False
        self.short += 1
        return True

    def _move(self, event: int) -> bool:
        """Follow the table; return whether the state is another one.  Only `lost` has a reason
        of its own to give."""
        before, self.state = self.state, table.next_state(self.state, event)
        if self.state == before:
            return False
        self.reason = ""
        return True
