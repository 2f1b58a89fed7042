"""Modbus TCP meters as one cheap process: `python -m tests.bench.meter_server [METERS]`.

Answers come from images made before; they change every second.  Prints {"ports": [...]}, then
for each connection {"asked_s": monotonic seconds of its first question}.
"""

import asyncio
import functools
import json
import struct
import sys
import time

from tests.bench.load import METERS
from tests.bench.meter import images

HEAD = struct.Struct(">HHHBBHH")    # a read request over TCP: MBAP, function, address, count
SECONDS = 120


class Meter(asyncio.Protocol):
    """One connection to one meter.  Reads of input registers only."""

    def __init__(self, number: int, made: list[list[bytes]]) -> None:
        self._images, self._number = made, number
        self._transport: asyncio.Transport | None = None
        self._rest, self._asked = b"", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in what came."""
        now_s = time.monotonic()
        if not self._asked:
            self._asked = True
            print(json.dumps({"asked_s": now_s}), flush=True)
        self._rest += data
        image = self._images[int(now_s) % len(self._images)][self._number]
        answers = []
        while len(self._rest) >= HEAD.size:
            tid, _, _, unit, function, address, count = HEAD.unpack_from(self._rest)
            self._rest = self._rest[HEAD.size:]
            cells = image[2 * address:2 * (address + count)]
            answers.append(struct.pack(">HHHBBB", tid, 0, 3 + len(cells), unit, function,
                                       len(cells)) + cells)
        if self._transport is not None:
            self._transport.write(b"".join(answers))


async def serve(meters: int) -> None:
    """Serve until killed."""
    made, loop = images(SECONDS), asyncio.get_running_loop()
    servers = [await loop.create_server(functools.partial(Meter, number % METERS, made),
                                        "127.0.0.1", 0) for number in range(meters)]
    print(json.dumps({"ports": [one.sockets[0].getsockname()[1] for one in servers]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else METERS))
