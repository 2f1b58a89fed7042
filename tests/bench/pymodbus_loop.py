"""The peer: pymodbus' asynchronous client reads the same blocks once a second, and keeps nothing.

    python -m tests.bench.pymodbus_loop PERIOD_S READS PORT...

PERIOD_S 0: as fast as it can.  READS: of one poll: 2 as the planner joins them, or 3, one for each
island of registers.  Registers are turned into floats, as any program that uses them must.  Prints
{"polls": n} each second at full speed.
"""

import asyncio
import json
import sys
import time

from pymodbus.client import AsyncModbusTcpClient

from tests.bench.meter import ISLANDS, SPANS, Spans

POLLS = [0]


async def poll(port: int, period_s: float, spans: Spans) -> None:
    """Read one meter for ever."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=3)
    await client.connect()
    due_s = time.monotonic()
    while True:
        for address, count in spans:
            reply = await client.read_input_registers(address, count=count, device_id=1)
            client.convert_from_registers(reply.registers, client.DATATYPE.FLOAT32)
        POLLS[0] += 1
        if period_s:
            due_s += period_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))


async def tell() -> None:
    """Say each second how many polls there were."""
    while True:
        print(json.dumps({"polls": POLLS[0]}), flush=True)
        await asyncio.sleep(1.0)


async def main() -> None:
    """Poll all meters until killed."""
    period_s, spans = float(sys.argv[1]), {"2": SPANS, "3": ISLANDS}[sys.argv[2]]
    jobs = [poll(int(text), period_s, spans) for text in sys.argv[3:]]
    await asyncio.gather(*jobs, *([] if period_s else [tell()]))


if __name__ == "__main__":
    asyncio.run(main())
