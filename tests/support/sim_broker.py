"""An MQTT broker in memory that does everything a broker may do to its clients.

It may be down, frozen or forgetful, acknowledge what it throws away, refuse silently, send
twice, late or in another order, and lose what it retained.  `Client` has the part of
aiomqtt.Client that uplink and receiver use, with its errors.
"""

import asyncio
from collections import deque
from functools import lru_cache
from typing import NamedTuple

import aiomqtt

FLIGHT_S = 0.02             # one way, when nothing is wrong
KEEPALIVE_S = 45.0          # 1.5 x 30 s: after this a dead line is noticed
TIMEOUT_S = 10.0


@lru_cache(64)
def matches(topic, pattern):
    """Return whether a subscription to pattern gets what is published on topic."""
    return aiomqtt.Topic(topic).matches(pattern)


class Message(NamedTuple):
    """What a subscriber gets."""

    topic: aiomqtt.Topic
    payload: bytes
    retain: bool


class Broker:
    """Sessions by client name, retained messages by topic, and faults with an end (s)."""

    def __init__(self, world):
        self.world, self.chance = world, world.chance("broker")
        self.sessions, self.retained = {}, {}
        self.down_s = self.frozen_s = self.lying_s = self.lossy_s = 0.0
        self.cut_s, self.refused_s = {}, {}         # by client name
        self.on_publish = self.on_deliver = lambda client, topic, payload: None

    def client(self, name, life, queue_max):
        """Return a connection to be made; life: the process that makes it."""
        return Client(self, name, life, queue_max)

    def calm(self):
        """End every fault now."""
        now = self.world.now()
        self.down_s, self.frozen_s = min(self.down_s, now), min(self.frozen_s, now)
        self.lying_s, self.lossy_s = min(self.lying_s, now), min(self.lossy_s, now)
        for ends in (self.cut_s, self.refused_s):
            ends.update({name: min(end, now) for name, end in ends.items()})

    def is_calm(self, since_s):
        """Return whether no fault was active at since_s or later."""
        ends = (self.down_s, self.frozen_s, self.lying_s, self.lossy_s,
                *self.cut_s.values(), *self.refused_s.values())
        return max(ends) <= since_s

    def restart(self, down_s, forget):
        """Kill the broker: sessions and messages in flight are gone, perhaps retained ones."""
        self.down_s = self.world.now() + down_s
        if forget:
            self.retained.clear()
        for name in sorted(self.sessions):
            self.sessions[name].lose("connection reset")

    def cut(self, name, seconds):
        """Let a client's line fall silent: nobody is told before the keepalive ends."""
        self.cut_s[name] = max(self.cut_s.get(name, 0.0), self.world.now() + seconds)

    def reaches(self, name):
        """Return whether packets of a client get through and are handled now."""
        now = self.world.now()
        return now >= max(self.down_s, self.frozen_s, self.cut_s.get(name, 0.0))

    def flight_s(self):
        """Return how long one packet takes now, in s."""
        if self.world.now() < self.lossy_s:
            return self.chance.choice((FLIGHT_S, 0.3, 2.0, 9.0))
        return FLIGHT_S

    def take(self, client, topic, payload, retain):
        """Take a PUBLISH; return whether a PUBACK is sent back."""
        now = self.world.now()
        self.on_publish(client, topic, payload)
        if now < self.refused_s.get(client.name, 0.0):
            return True                         # the ACL says no, MQTT 3.1.1 does not tell
        if now < self.lying_s and self.chance.random() < 0.5:
            self.world.note("lie", topic)
            return True
        self.route(topic, payload, retain)
        return not (now < self.lossy_s and self.chance.random() < 0.1)

    def route(self, topic, payload, retain=False):
        """Send a message to all who subscribed, perhaps twice."""
        if retain:
            self.retained[topic] = payload
        for name in sorted(self.sessions):
            client = self.sessions[name]
            if client.wants(topic):
                twice = self.world.now() < self.lossy_s and self.chance.random() < 0.3
                for _ in range(2 if twice else 1):
                    self._send(client, Message(aiomqtt.Topic(topic), payload, False))

    def _send(self, client, message):
        loop = asyncio.get_running_loop()
        loop.call_later(self.flight_s(), self._arrive, client, message)

    def _arrive(self, client, message):
        if client.lost or not client.entered:
            return
        if not self.reaches(client.name):
            if self.world.now() >= self.cut_s.get(client.name, 0.0):
                asyncio.get_running_loop().call_later(5.0, self._arrive, client, message)
            return                              # a cut line loses it, a frozen broker is late
        self.on_deliver(client, message.topic.value, message.payload)
        client.deliver(message)

    async def connect(self, client):
        """Admit a client; one of the same name is thrown out, as MQTT demands."""
        await asyncio.sleep(self.flight_s())
        if self.world.now() < self.down_s:
            raise aiomqtt.MqttError("[Errno 111] Connection refused")
        if not self.reaches(client.name):
            await asyncio.sleep(TIMEOUT_S)
            raise aiomqtt.MqttError("Operation timed out")
        older = self.sessions.get(client.name)
        if older is not None:
            older.lose("taken over")
        self.sessions[client.name] = client

    def subscribed(self, client, pattern):
        """Send what is retained under a new subscription."""
        for topic in sorted(self.retained):
            if matches(topic, pattern):
                self._send(client, Message(aiomqtt.Topic(topic), self.retained[topic], True))


class Client:
    """One connection of one process, used once.  life: has `dead` (after a cut) and `prefix`."""

    def __init__(self, broker, name, life, queue_max):
        self.broker, self.name, self.life = broker, name, life
        self.entered = self.left = False
        self.lost = ""
        self.queue_max, self.dropped = queue_max, 0
        self._patterns, self._queue = [], deque()
        self._news = asyncio.Event()

    async def __aenter__(self):
        self._check()
        if self.entered:
            raise aiomqtt.MqttReentrantError("a client is used once")
        await self.broker.connect(self)
        self.entered = True
        return self

    async def __aexit__(self, *error):
        self.left = True
        self.lose("closed")

    def lose(self, why):
        """End the connection; whoever waits on it gets an error."""
        if not self.lost:
            self.lost = why
            self._news.set()
        if self.broker.sessions.get(self.name) is self:
            self.broker.sessions.pop(self.name)

    def wants(self, topic):
        """Return whether this client subscribed to a topic."""
        return self.entered and any(matches(topic, pattern) for pattern in self._patterns)

    def deliver(self, message):
        """Queue a message; a full queue drops it, as aiomqtt's does."""
        if len(self._queue) >= self.queue_max:
            self.dropped += 1
            return
        self._queue.append(message)
        self._news.set()

    async def subscribe(self, topic, qos=0, timeout=TIMEOUT_S):
        """Subscribe to one pattern or to a list of (pattern, qos)."""
        patterns = [topic] if isinstance(topic, str) else [pattern for pattern, _ in topic]
        await self._round_trip(timeout)
        self._patterns += patterns
        for pattern in patterns:
            self.broker.subscribed(self, pattern)

    async def publish(self, topic, payload, qos=0, retain=False, timeout=TIMEOUT_S):
        """Publish; qos 1 waits for the PUBACK, which may never come."""
        self._check()
        if qos == 0:
            if self.broker.reaches(self.name) and not self.lost:
                self.broker.take(self, topic, payload, retain)
            return
        point = self.broker.world.point
        point(self.life.prefix + "publish.before", self.life)
        await self._packet(timeout)
        if not self.broker.take(self, topic, payload, retain):
            self.lose("connection reset")
            raise aiomqtt.MqttError("Disconnected before the PUBACK")
        await self._packet(timeout)
        point(self.life.prefix + "publish.after", self.life)

    async def _round_trip(self, timeout):
        await self._packet(timeout)
        await self._packet(timeout)

    async def _packet(self, timeout):
        """Let one packet travel; raises MqttError when it does not arrive."""
        self._check()
        await asyncio.sleep(self.broker.flight_s())
        while not self.lost and not self.broker.reaches(self.name):
            step = min(timeout, KEEPALIVE_S, 5.0)
            await asyncio.sleep(step)
            timeout -= step
            if timeout <= 0:
                raise aiomqtt.MqttError("Operation timed out")
        self._check()

    def _check(self):
        if self.life.dead:
            self.broker.world.ended(self.life, f"use of a client of {self.name}")
        if self.left:
            self.broker.world.fail("I14", f"{self.name}: a client is used after its connection")
        if self.lost:
            raise aiomqtt.MqttError(f"Disconnected: {self.lost}")

    @property
    def messages(self):
        """What arrives, until the connection ends."""
        return self._messages()

    async def _messages(self):
        silent_s = 0.0
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self.lost:
                raise aiomqtt.MqttError("Disconnected during message iteration")
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), KEEPALIVE_S)
                silent_s = 0.0
            except TimeoutError:
                silent_s = 0.0 if self.broker.reaches(self.name) else silent_s + KEEPALIVE_S
                if silent_s:
                    self.lose("keepalive")
