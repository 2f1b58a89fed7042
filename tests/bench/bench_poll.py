"""Goals P2, P3: polling alone.  TCP as fast as it goes, and a serial line against its model.

The peer in the same run is pymodbus' asynchronous client, reading the same blocks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from pymodbus.client import AsyncModbusSerialClient

from drivers.links import BusConfig, open_link, profile_files
from gateway.timekeeping.clock import Clock
from tests.bench import meter, rig
from tests.bench.figure import Figure
from tests.bench.load import METERS, NAMES
from tests.bench.meter import SPANS
from tests.bench.poll_loop import meter_on
from tests.bench.process import Process, compile_all, python, running
from tests.bench.rtu_line import read_s

WINDOW_LINES = 10               # a line a second
CYCLES = 20
# baud, goal: cycle time over the model's
BAUDS = ((9600, 1.03), (19_200, 1.03), (38_400, 1.03), (115_200, 1.10))


def measure() -> Iterator[Figure]:
    """Yield TCP polls a second and CPU, then cycle times over a pty."""
    compile_all()
    with rig.workshop() as folder:
        profiles = folder / "profiles"
        meter.write_profile(profiles)
        yield from _tcp(folder, profiles)
        profile_files.FOLDER = profiles
        for baud, goal in BAUDS:
            yield from _rtu(folder, baud, goal)


def _tcp(folder: Path, profiles: Path) -> Iterator[Figure]:
    with running("meters", python("tests.bench.meter_server"), folder / "meters.log") as meters:
        ports = [str(port) for port in meters.line()["ports"]]
        ours = [python("tests.bench.poll_loop", str(profiles), at_once, *ports) for at_once in "12"]
        commands = (("our poller, both at once", ours[1]), ("our poller, one by one", ours[0]),
                    ("raw pymodbus", python("tests.bench.pymodbus_loop", "0", "2", *ports)))
        load = (f"{METERS} Modbus TCP meters x {len(NAMES)} points, {len(SPANS)} reads a poll, "
                f"as fast as it goes, {WINDOW_LINES} s each")
        costs = []
        for name, command in commands:
            with running(name, command, folder / "loop.log") as loop:
                polls_s, cost = _rate(loop)
            costs.append(cost)
            yield Figure(f"{name}, polls", polls_s, "1/s", None, load)
            yield Figure(f"{name}, CPU", cost, "CPU-s/M", 0.7 if not costs[1:] else None, load)
        yield Figure("both at once / pymodbus", costs[0] / costs[2], "ratio", 1.0, load)
        yield Figure("one by one / pymodbus", costs[1] / costs[2], "ratio", 1.0, load)


def _rate(loop: Process) -> tuple[float, float]:
    """Return (polls a second, CPU seconds per million readings) after a second of warming."""
    loop.line()
    first, before_s, began_s = loop.line()["polls"], loop.cpu_s(), time.monotonic()
    for _ in range(WINDOW_LINES):
        last = loop.line()["polls"]
    polls = last - first
    return (polls / (time.monotonic() - began_s),
            (loop.cpu_s() - before_s) / (polls * len(NAMES)) * 1e6)


def _rtu(folder: Path, baud: int, goal: float) -> Iterator[Figure]:
    model_s = sum(read_s(baud, count) for _, count in SPANS)
    load = (f"one meter x {len(NAMES)} points on a pty at {baud} baud, {len(SPANS)} reads, model "
            f"with 3.5 characters of silence {model_s * 1e3:.1f} ms, {CYCLES} cycles")
    with running("line", python("tests.bench.rtu_line", str(baud)), folder / "line.log") as line:
        path = line.line()["path"]
        ours_s, peer_s = asyncio.run(_both(path, baud))
    yield Figure("our cycle / model", ours_s / model_s, "ratio", goal, load)
    yield Figure("pymodbus' cycle / model", peer_s / model_s, "ratio (no silence kept)", None,
                 load)


async def _both(path: str, baud: int) -> tuple[float, float]:
    bus = BusConfig("line", "serial", "modbus", tty=path, baud=baud)
    link = open_link(bus, Clock())
    made = meter_on(bus)

    async def ours() -> None:
        steps = made.poll()
        question = next(steps)
        for _ in SPANS[1:]:
            await link.exchange(question, 2.0)
            question = steps.send(question.result)
        await link.exchange(question, 2.0)
        try:
            steps.send(question.result)
        except StopIteration as stop:
            if not isinstance(stop.value[-1], int):
                raise SystemExit("a scan without values is no measure") from None

    ours_s = await _cycle_s(ours)
    await link.close()
    client = AsyncModbusSerialClient(path, baudrate=baud, timeout=2)
    await client.connect()

    async def peer() -> None:
        for address, count in SPANS:
            await client.read_input_registers(address, count=count, device_id=1)

    peer_s = await _cycle_s(peer)
    client.close()
    return ours_s, peer_s


async def _cycle_s(poll: Callable[[], Awaitable[None]]) -> float:
    """Return the median seconds of a cycle when the next begins at once."""
    await poll()
    marks = [time.monotonic()]
    for _ in range(CYCLES):
        await poll()
        marks.append(time.monotonic())
    return sorted(b - a for a, b in zip(marks, marks[1:], strict=False))[CYCLES // 2]
