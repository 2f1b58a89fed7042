"""`simulator serve`: all devices of a scenario on real ptys and ports of this machine.

Writes into DIR: endpoints.json (what stands where, last, so that its presence means ready),
bus/NAME (links to the ptys) and truth.jsonl (the books at every quarter hour).
"""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import IO, Any

from simulator.clock import ScaledClock
from simulator.devices import registers
from simulator.endpoints import endpoints
from simulator.pylontech import stack
from simulator.runner import Runner, truth_entry
from simulator.scenario import Bus, Device, Scenario
from simulator.servers.metrics_http import MetricsServer
from simulator.servers.pylontech_pty import PylontechServer
from simulator.servers.rtu_pty import Now, RtuServer, Unit
from simulator.servers.tcp import TcpServer
from simulator.servers.tcp_gateway import TcpGateway
from simulator.world import Site

TICK_S = 0.25               # real; the world also moves whenever a device is asked
Server = RtuServer | PylontechServer | TcpServer | TcpGateway | MetricsServer


class Cabinet:
    """A scenario being served.  places: bus name -> pty path or TCP port."""

    def __init__(self, scenario: Scenario, clock: ScaledClock, truth: IO[str]):
        self.scenario, self.clock = scenario, clock
        self.places: dict[str, str | int] = {}
        self._truth = truth
        self.runner = Runner(Site(scenario), self._write)
        self._now = Now(self.advance, clock.speed)
        self._servers: list[Server] = []

    def advance(self) -> float:
        """Move the world to now; returns simulated seconds since the origin."""
        t_s = self.clock.elapsed_s()
        self.runner.advance(t_s)
        return t_s

    def _write(self, entry: dict[str, Any]) -> None:
        self._truth.write(json.dumps(entry) + "\n")
        self._truth.flush()

    async def start(self) -> None:
        """Open every bus."""
        for bus in self.scenario.buses:
            devices = [d for d in self.scenario.devices if d.bus == bus.name]
            if devices or bus.kind == "rtu":
                self.places[bus.name] = await self._open(bus, devices)

    async def _open(self, bus: Bus, devices: list[Device]) -> str | int:
        units = {d.unit: Unit(d.profile, registers(self.runner, d)) for d in devices}
        if bus.kind == "rtu":
            line = RtuServer((bus.name, bus.baud), units, self._now, self.scenario.faults)
            self._servers.append(line)
            return line.line.path
        device = devices[0]
        if bus.kind == "pylontech":
            bms = PylontechServer(bus.baud, device.unit, self._now,
                                  lambda: stack(self.runner, device))
            self._servers.append(bms)
            return bms.line.path
        if bus.kind == "tcp" and device.profile == "sunspec-generic":
            server: TcpServer | TcpGateway | MetricsServer = TcpServer(
                device.unit, registers(self.runner, device), self._now)
        elif bus.kind == "tcp":
            server = TcpGateway(units, self._now)
        else:
            node = next(n for n in self.scenario.nodes if n.name == device.name)
            server = MetricsServer(self.runner, node, self._now)
        self._servers.append(server)
        await server.start()
        return server.port

    async def close(self) -> None:
        """Take every bus down and write where the books stood."""
        for server in self._servers:
            done = server.close()
            if done is not None:
                await done
        self._write({**truth_entry(self.runner.site, self.runner.before), "stopped": True})


def link_lines(places: dict[str, str | int], folder: Path) -> dict[str, str | int]:
    """Give every pty a lasting name in a folder; returns the places with those names."""
    folder.mkdir(parents=True, exist_ok=True)
    named: dict[str, str | int] = {}
    for name, place in places.items():
        named[name] = place
        if isinstance(place, str):
            link = folder / name
            link.unlink(missing_ok=True)
            link.symlink_to(place)
            named[name] = str(link)
    return named


async def serve(scenario: Scenario, out: Path, speed: int) -> None:
    """Serve until SIGTERM or SIGINT.  out: a folder, made if missing; its files are replaced."""
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    (out / "endpoints.json").unlink(missing_ok=True)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    with open(out / "truth.jsonl", "w", encoding="utf-8") as truth:
        cabinet = Cabinet(scenario, ScaledClock(scenario.origin_utc_ms, speed), truth)
        await cabinet.start()
        places = link_lines(cabinet.places, out / "bus")
        publish(out / "endpoints.json", endpoints(scenario, cabinet.clock, places,
                                                  out / "truth.jsonl"))
        print(f"{scenario.title}: {len(scenario.devices)} devices at speed {speed:g};"
              f" see {out / 'endpoints.json'}", flush=True)
        try:
            await _tick(cabinet, stop)
        finally:
            await cabinet.close()


async def _tick(cabinet: Cabinet, stop: asyncio.Event) -> None:
    while not stop.is_set():
        cabinet.advance()
        try:
            async with asyncio.timeout(TICK_S):
                await stop.wait()
        except TimeoutError:
            continue


def publish(path: Path, table: dict[str, Any]) -> None:
    """Write a JSON file that is whole as soon as it is there."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, path)
