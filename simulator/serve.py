"""`simulator serve`: all devices of a scenario on real ptys and ports of this machine.

Writes into DIR: endpoints.json (what stands where, last, so that its presence means ready),
bus/NAME (links to the ptys) and truth.jsonl (the books at every quarter hour).
"""

import asyncio
import importlib
import json
import os
import signal
from pathlib import Path
from typing import IO, Any

from simulator.buses import BUSES, SimulatedBus, name_of
from simulator.clock import ScaledClock
from simulator.endpoints import endpoints
from simulator.runner import Runner, Truth, truth_entry
from simulator.scenario import Scenario, ScenarioBus
from simulator.servers.base import BusToServe, Server, ServerClock
from simulator.world import SimulatedSite

TICK_S = 0.25               # real; the world also moves whenever a device is asked


class SimulatedCabinet:
    """A scenario being served.  addresses: bus name -> pty path or TCP port."""

    def __init__(self, scenario: Scenario, clock: ScaledClock, truth: IO[str]):
        self.scenario, self.clock = scenario, clock
        self.addresses: dict[str, str | int] = {}
        self._truth = truth
        self.runner = Runner(SimulatedSite(scenario), self._write)
        self._now = ServerClock(self.advance, clock.speed)
        self._servers: list[Server] = []

    def advance(self) -> float:
        """Move the world to now; returns simulated seconds since the origin."""
        t_s = self.clock.elapsed_s()
        self.runner.advance(t_s)
        return t_s

    def _write(self, entry: Truth) -> None:
        self._truth.write(json.dumps(entry) + "\n")
        self._truth.flush()

    async def start(self) -> None:
        """Open every bus.  A line is there without devices too; a server needs one to play."""
        for bus in self.scenario.buses:
            devices = [d for d in self.scenario.devices if d.bus == bus.name]
            kind = _kind(bus)
            if devices or kind.is_bare_line:
                asked = BusToServe(bus, devices, self.runner, self._now)
                opened = await _module(kind.server).serve(asked)
                self.addresses[bus.name] = opened.position
                self._servers.append(opened.server)

    async def close(self) -> None:
        """Take every bus down and write where the books stood."""
        for server in self._servers:
            done = server.close()
            if done is not None:
                await done
        self._write({**truth_entry(self.runner.site, self.runner.before), "stopped": True})


def _kind(bus: ScenarioBus) -> SimulatedBus:
    return BUSES[name_of(bus.transport, bus.protocol)]


def _module(server: str) -> Any:
    """Return the module of simulator/servers that opens a bus, loaded with the first one."""
    return importlib.import_module(f"simulator.servers.{server}")


def link_lines(addresses: dict[str, str | int], folder: Path) -> dict[str, str | int]:
    """Give every pty a lasting name in a folder; returns the places with those names."""
    folder.mkdir(parents=True, exist_ok=True)
    named: dict[str, str | int] = {}
    for name, position in addresses.items():
        named[name] = position
        if isinstance(position, str):
            link = folder / name
            link.unlink(missing_ok=True)
            link.symlink_to(position)
            named[name] = str(link)
    return named


async def serve(scenario: Scenario, out: Path, speed: int) -> None:
    """Serve until SIGTERM or SIGINT.  out: a folder, made if missing; its files are replaced."""
    for bus in scenario.buses:
        _module(_kind(bus).server)      # a package that is missing is told before a file is made
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "endpoints.json").unlink(missing_ok=True)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    with open(out / "truth.jsonl", "w", encoding="utf-8") as truth:
        cabinet = SimulatedCabinet(scenario, ScaledClock(scenario.origin_utc_ms, speed), truth)
        await cabinet.start()
        addresses = link_lines(cabinet.addresses, out / "bus")
        publish(out / "endpoints.json", endpoints(scenario, cabinet.clock, addresses,
                                                  out / "truth.jsonl"))
        print(f"{scenario.title}: {len(scenario.devices)} devices at speed {speed:g};"
              f" see {out / 'endpoints.json'}", flush=True)
        try:
            await _tick(cabinet, stop)
        finally:
            await cabinet.close()


async def _tick(cabinet: SimulatedCabinet, stop: asyncio.Event) -> None:
    while not stop.is_set():
        cabinet.advance()
        try:
            async with asyncio.timeout(TICK_S):
                await stop.wait()
        except TimeoutError:
            continue


def publish(path: Path, table: dict[str, object]) -> None:
    """Write a JSON file that is whole as soon as it is there."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, path)
