"""umqtt.simple without its waits: it makes and reads packets, this file moves them.

The package blocks the loop, writes a packet in pieces (45 ms each against delayed
acknowledgements), never wraps its packet ids and never pings.  Here it writes into a Pipe that
goes out in one piece, it only ever reads packets that have come whole, and where it would wait
it is told that somebody else does.  Connecting is ours: TLS with the client's certificate.
"""

import asyncio
import ssl
import struct

from umqtt.simple import MQTTClient

from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PACKET_BYTES_MAX = 2048     # a receipt has about 300 bytes; nothing larger is for us
PID_MAX = 65535
PUBACK, SUBACK = 0x40, 0x90
REFUSED = 0x80


class HandedMessage(Exception):
    """The packet is in the pipe; its answer comes to the reader."""


class Refusal(OSError):
    """The broker says no: a person must look."""


class Pipe:
    """What umqtt.simple takes for its socket: out goes whole, in comes whole."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._packet, self._at = b"", 0

    def write(self, data: bytes, count: int | None = None) -> None:
        """Take bytes (the first `count`) for the next packet out."""
        self.out.extend(data if count is None else memoryview(data)[:count])

    def read(self, count: int) -> bytes:
        """Give bytes of the packet that came in."""
        data = self._packet[self._at:self._at + count]
        self._at += count
        return data

    def setblocking(self, flag: bool) -> None:
        """Nothing here blocks."""

    def show(self, packet: bytes) -> None:
        """Let `read` give this packet from its first byte."""
        self._packet, self._at = packet, 0


class BoardMqttClient(MQTTClient):       # type: ignore[misc]  # umqtt has no types
    """One connection.  identity: (client id, keepalive in s).  on_message: (topic, payload)."""

    def __init__(self, identity: tuple[str, int], broker: tuple[str, int, str],
                 context: ssl.SSLContext, on_message: "Callable[[bytes, bytes], None]") -> None:
        """broker: (host, port, name in the broker's certificate).  context: ssl.SSLContext."""
        super().__init__(identity[0], broker[0], broker[1], keepalive=identity[1])
        self._broker, self._context = broker, context
        self.set_callback(on_message)
        self.sock = Pipe()
        self._stream: Any = None
        self.acknowledged = 0               # newest packet id that the broker took

    def wait_msg(self) -> None:
        """Never wait: see HandedMessage."""
        raise HandedMessage()

    async def open(self) -> None:
        """Connect and be accepted; raises OSError, EOFError, ValueError, Refusal."""
        host, port, name = self._broker
        self._stream, _ = await asyncio.open_connection(
            host, port, ssl=self._context, server_hostname=name)
        client = self.client_id.encode()
        body = (b"\x00\x04MQTT\x04\x02" + struct.pack(">HH", self.keepalive, len(client))
                + client)                   # MQTT 3.1.1, 3.1: clean session, no will, no user
        await self._send(b"\x10" + bytes((len(body),)) + body)
        answer = await self._stream.readexactly(4)
        if answer[:2] != b"\x20\x02":
            raise OSError("mqtt: the answer to CONNECT is %s" % answer.hex())
        if answer[3]:
            raise Refusal("mqtt: the broker refuses us, code %d" % answer[3])

    async def post(self, topic: str, data: bytes) -> int:
        """Send a message at QoS 1; return its packet id (1..65535, wrapped)."""
        self.pid %= PID_MAX                 # umqtt adds one and never wraps
        try:
            self.publish(topic, data, qos=1)
        except HandedMessage:
            await self._flush()
        pid: int = self.pid
        return pid

    async def listen(self, topic: str) -> None:
        """Ask for the messages of a topic at QoS 1; the answer comes to `take`."""
        self.pid %= PID_MAX
        try:
            self.subscribe(topic, 1)
        except HandedMessage:
            await self._flush()

    async def heartbeat(self) -> None:
        """Send a PINGREQ."""
        self.ping()
        await self._flush()

    async def take(self) -> None:
        """Wait for one packet and act on it; raises OSError, EOFError, Refusal."""
        packet = await self._packet()
        self.sock.show(packet)
        op = MQTTClient.wait_msg(self)      # calls on_message, acknowledges into the pipe
        if op == PUBACK:
            self.acknowledged = packet[2] << 8 | packet[3]
        elif op == SUBACK and packet[4] == REFUSED:
            raise Refusal("mqtt: the broker refuses our subscription")
        await self._flush()

    def close(self) -> None:
        """Drop the connection."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _packet(self) -> bytes:
        head: bytes = await self._stream.readexactly(1)
        size, shift = 0, 0
        while True:
            part = await self._stream.readexactly(1)
            head += part
            size |= (part[0] & 0x7F) << shift
            shift += 7
            if not part[0] & 0x80:
                break
            if shift > 21:
                raise OSError("mqtt: a length of more than four bytes")
        if size > PACKET_BYTES_MAX or size < 2 and head[0] != 0xD0:
            raise OSError("mqtt: a packet of %d bytes" % size)
        body: bytes = await self._stream.readexactly(size) if size else b""
        return head + body

    async def _flush(self) -> None:
        if self.sock.out:
            data, self.sock.out = self.sock.out, bytearray()
            await self._send(data)

    async def _send(self, data: bytes | bytearray) -> None:
        self._stream.write(data)
        await self._stream.drain()


def context(ca: bytes, certificate: bytes, key: bytes) -> ssl.SSLContext:
    """Return the TLS context of DER files' bytes: the broker must show a certificate of `ca`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(cadata=ca)
    made.load_cert_chain(certificate, key)
    return made
