"""amqtt as a fleet's broker: a client id belongs to the certificate of that name.

amqtt takes the session of a client id away from its owner before anybody is authenticated.  Here
the first packet is read beforehand, and a connection that claims another's id ends there.

    python -m provisioning.amqtt_broker amqtt.yaml
"""

import asyncio
import json
import logging
import ssl
import sys
from asyncio import StreamReader, StreamWriter
from pathlib import Path

from amqtt.adapters import BufferReader
from amqtt.broker import Broker
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.mqtt.connect import ConnectPacket

from provisioning.amqtt_gate import common_name

CONNECT_BYTES_MAX = 4096        # ids and no will: under 200
LENGTH_BYTES_MAX = 4            # MQTT 3.1.1, 2.2.3
FIRST_PACKET_S = 10.0           # real
REJECTED = bytes((0x20, 2, 0, 2))       # CONNACK "identifier rejected", MQTT 3.1.1, 3.2.2.3
LOG = logging.getLogger("wattproof.broker")


class ReplayedStream:
    """A stream whose first bytes were read already."""

    def __init__(self, first: bytes, reader: StreamReader) -> None:
        """first: what comes before the reader's own bytes."""
        self._first, self._reader = first, reader

    async def read(self, count: int = -1) -> bytes:
        """Return some bytes, as asyncio.StreamReader does."""
        if not self._first:
            return await self._reader.read(count)
        given = self._first if count < 0 else self._first[:count]
        self._first = self._first[len(given):]
        return given

    async def readexactly(self, count: int) -> bytes:
        """Return so many bytes; raises asyncio.IncompleteReadError."""
        given, self._first = self._first[:count], self._first[count:]
        return given + await self._reader.readexactly(count - len(given))

    def feed_eof(self) -> None:
        """End the stream."""
        self._reader.feed_eof()


class FleetBroker(Broker):  # type: ignore[misc]  # amqtt is untyped
    """amqtt's broker that looks at the client id first."""

    async def stream_connected(self, reader: StreamReader, writer: StreamWriter,
                               listener_name: str) -> None:
        """Serve a connection whose client id is its certificate's name."""
        try:
            async with asyncio.timeout(FIRST_PACKET_S):
                first = await first_packet(reader)
            packet = await ConnectPacket.from_stream(BufferReader(first))
        except (OSError, TimeoutError, EOFError, ValueError, AMQTTError, MQTTError,
                NoDataError) as error:
            LOG.warning("no CONNECT came: %s", error)
            writer.close()
            return
        channel: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        name = common_name(channel.getpeercert() if channel else None)
        if name is None or packet.client_id != name:
            LOG.warning("refused: client id %.40r, certificate %s", packet.client_id, name)
            writer.write(REJECTED)
            writer.close()
            return
        await super().stream_connected(ReplayedStream(first, reader), writer, listener_name)


async def first_packet(reader: StreamReader) -> bytes:
    """Return the bytes of one MQTT packet; raises ValueError if it is larger than a CONNECT."""
    head = await reader.readexactly(2)
    while head[-1] & 0x80 and len(head) <= LENGTH_BYTES_MAX:
        head += await reader.readexactly(1)
    length = sum((byte & 0x7F) << 7 * position for position, byte in enumerate(head[1:]))
    if length > CONNECT_BYTES_MAX:
        raise ValueError(f"a packet of {length} bytes")
    return head + await reader.readexactly(length)


async def serve(config: Path) -> None:
    """Run the broker until it is cancelled."""
    broker = FleetBroker(json.loads(config.read_text(encoding="utf-8")),
                         loop=asyncio.get_running_loop())
    await broker.start()
    try:
        await asyncio.Event().wait()
    finally:
        await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("transitions").setLevel(logging.WARNING)
    asyncio.run(serve(Path(sys.argv[1])))
