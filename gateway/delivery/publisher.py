"""One message to the broker: in its turn, within the cap, however slow the line.

A PUBACK proves nothing but that the broker took the bytes.
"""

import asyncio

from gateway.aio.keep_alive import BEAT_S, Beat, no_beat
from gateway.core.errors import Bug
from gateway.core.evidence.batch import SEALED_MAX
from gateway.delivery import rate_limit
from gateway.delivery.mqtt import aiomqtt
from gateway.timekeeping.clock import Clock

LINE_BYTES_S_MIN = 2_000        # slowest line a batch is given time for: 16 kbit/s


class Publisher:
    """Publishes over the connection of now.  Seconds are real."""

    def __init__(self, cabinet: str, publish_s: float, pace: rate_limit.Pace,
                 clock: Clock) -> None:
        """cabinet: its name in the topics.  publish_s: limit of a message beside its length."""
        self._cabinet, self._publish_s = cabinet, publish_s
        self._pace, self._clock = pace, clock
        self._client: aiomqtt.Client | None = None
        self.beat: Beat = no_beat

    def topic(self, leaf: str) -> str:
        """Return a topic of this cabinet: up, live or receipt."""
        return f"wp/1/{self._cabinet}/{leaf}"

    def use(self, client: aiomqtt.Client, beat: Beat) -> None:
        """Publish over a new connection from now on; long waits beat."""
        self._client, self.beat = client, beat

    async def wait_turn(self, lane: str) -> None:
        """Wait until the cap and the lane's share allow one more message."""
        while (left_s := self._pace.wait_s(lane, self._clock.real_s())) > 0:
            self.beat()
            await asyncio.sleep(min(left_s, BEAT_S))

    async def publish(self, lane: str, leaf: str, data: bytes) -> None:
        """Publish one message; evidence waits for its PUBACK."""
        if self._client is None:
            raise Bug("uplink: published without a connection")
        self._pace.consume(lane, len(data), self._clock.real_s())
        limit_s = self._publish_s + len(data) / LINE_BYTES_S_MIN
        if leaf == "live":      # what goes before it may be a whole batch
            limit_s += SEALED_MAX / LINE_BYTES_S_MIN
        job = asyncio.ensure_future(self._client.publish(
            self.topic(leaf), data, qos=0 if leaf == "live" else 1, timeout=limit_s))
        try:
            while not job.done():
                await asyncio.wait({job}, timeout=BEAT_S)
                self.beat()
            await job
        finally:
            job.cancel()
