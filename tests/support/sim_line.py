"""A broker behind a thin line: every byte takes its time, in the order in which it was sent.

    broker = ThinBroker(yard, bytes_s)      in place of sim_broker.Broker
"""

import asyncio

import aiomqtt

from tests.support.sim_broker import TIMEOUT_S, Broker, Client

HEAD_BYTES = 120            # MQTT, TLS and TCP heads of one message


class ThinBroker(Broker):
    """A Broker whose clients send over one line of so many bytes per second."""

    def __init__(self, world, bytes_s):
        super().__init__(world)
        self.bytes_s, self.free_s, self.carried = bytes_s, 0.0, 0

    def client(self, name, life, queue_max):
        """Return a connection to be made over the line."""
        return ThinClient(self, name, life, queue_max)

    async def carry(self, count, limit_s):
        """Return when so many bytes are through, after all that were sent before."""
        now = self.world.now()
        self.free_s = max(now, self.free_s) + count / self.bytes_s
        self.carried += count
        await asyncio.sleep(min(self.free_s - now, limit_s))
        if self.free_s - now > limit_s:
            raise aiomqtt.MqttError("Operation timed out")


class ThinClient(Client):
    """A Client whose messages take their time."""

    async def publish(self, topic, payload, qos=0, retain=False, timeout=TIMEOUT_S):
        """Publish; what else is sent meanwhile comes after it."""
        await self.broker.carry(len(payload) + HEAD_BYTES, timeout)
        await super().publish(topic, payload, qos, retain, timeout)
