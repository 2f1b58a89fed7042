"""Live figures beside the evidence: after each commit, but not more often than is useful."""

import asyncio
import json
import logging
from collections.abc import Callable

from gateway.aio.wakeup import Wakeup
from gateway.core.errors import Bug
from gateway.core.event import Committed
from gateway.core.live_dictionary import MESSAGE_BYTES_MAX
from gateway.delivery import rate_limit
from gateway.delivery.live_codec import pack_live
from gateway.delivery.publisher import Publisher

LOG = logging.getLogger("wattproof.uplink")
LIVE_S_MIN = 0.2                # real: a fast simulation must not flood the broker
LIVE_QUIET_S = 15.0             # real: a live message at least so often, news or not

Figures = Callable[[], dict[str, object] | None]


def no_figures() -> dict[str, object] | None:
    """Nobody computes live figures."""
    return None


class LiveLane:
    """When the next live message goes out.  Seconds are real."""

    def __init__(self, live_s: float) -> None:
        """live_s: shortest distance of two messages."""
        self._period_s = max(live_s, LIVE_S_MIN)
        self._change, self._broken = Wakeup(), False
        self.counts = {"live_bytes": 0, "live_sent": 0}

    def note(self, event: object) -> None:
        """Take note of a commit: there are new figures to show."""
        if isinstance(event, Committed) and event.scans:
            self.refresh()

    def refresh(self) -> None:
        """Say that there are new figures to show."""
        self._change.set()

    async def run(self, publisher: Publisher, figures: Figures) -> None:
        """Send figures until the connection breaks."""
        while True:
            await asyncio.sleep(self._period_s)
            await self._change.wait(max(LIVE_QUIET_S - self._period_s, 0.0))
            self._change.clear()
            await publisher.wait_turn(rate_limit.LIVE)
            message = self._message(figures)    # after the wait: what goes out is of now
            if message is None:
                continue
            text = json.dumps(message, separators=(",", ":")).encode()
            if len(text) > MESSAGE_BYTES_MAX:
                LOG.warning("live message of %d bytes left out; at most %d", len(text),
                            MESSAGE_BYTES_MAX)
                continue
            data = pack_live(text)
            await publisher.publish(rate_limit.LIVE, "live", data)
            self.counts["live_sent"] += 1
            self.counts["live_bytes"] += len(data)

    def _message(self, figures: Figures) -> dict[str, object] | None:
        """Return the live figures; a bug in them must not stop evidence."""
        try:
            return None if self._broken else figures()
        except Bug:
            LOG.exception("no live figures; next: report this")
            self._broken = True
            return None
