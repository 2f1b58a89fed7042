"""Our poller alone, as fast as it can: `python -m tests.bench.poll_loop PROFILES AT_ONCE PORT...`.

AT_ONCE: questions under way on a connection.  Twenty buses, each polled by the gateway's own
BusPoller; scans are dropped.  Prints {"polls": n} each second.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from drivers import driver
from drivers.links import BusConfig, decimals, open_link, profile_files, wire_for
from gateway.polling.poller import BusLine, BusPoller
from gateway.polling.unit import PolledUnit, Timeout
from gateway.timekeeping.clock import Clock
from tests.bench.meter import STEM


class Sink:
    """Counts scans that hold values."""

    def __init__(self) -> None:
        self.polls = 0

    async def put(self, item: Any) -> None:
        """Take a scan or an event."""
        if hasattr(item, "values") and isinstance(item.values[0], int):
            self.polls += 1


def meter_on(bus: BusConfig) -> Any:
    """Return the driver of the bench's meter, made as the gateway makes it."""
    setup = driver.Setup(wire_for(bus), 1)
    setup.floats = decimals.floats
    return driver.build(profile_files.find(STEM), setup)


async def poll(port: int, at_once: int, clock: Clock, sink: Sink) -> None:
    """Poll one meter for ever."""
    bus = BusConfig(f"bus-{port}", "tcp", "modbus", host="127.0.0.1", port=port,
                    at_once=at_once)
    unit = PolledUnit("meter", 0, meter_on(bus), Timeout(2.0))
    poller = BusPoller(BusLine(bus, clock, open_link), [unit], clock, sink.put)
    while True:
        await poller.poll(unit, clock.ticks_ms())


async def tell(sink: Sink) -> None:
    """Say each second how many polls there were."""
    while True:
        print(json.dumps({"polls": sink.polls}), flush=True)
        await asyncio.sleep(1.0)


async def main() -> None:
    """Poll all meters until killed."""
    profile_files.FOLDER = Path(sys.argv[1])
    clock, sink = Clock(), Sink()
    await asyncio.gather(tell(sink), *[
        poll(int(text), int(sys.argv[2]), clock, sink) for text in sys.argv[3:]])


if __name__ == "__main__":
    asyncio.run(main())
