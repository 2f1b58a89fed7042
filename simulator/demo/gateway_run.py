"""The demo with our gateway as a process: start everything, follow the timetable, drain."""

import argparse
import asyncio
import json
import shutil
import signal
from dataclasses import dataclass

from gateway.core.counter import HOUR_MS
from gateway.core.interval import QUARTER_MS
from simulator.clock import ScaledClock, format_utc
from simulator.demo import report
from simulator.demo.context import Context, print_line
from simulator.demo.processes import ProcessEnded, port_is_open, python, until

SETTLE_MS = 60_000                # simulated; the polls after the end are part of its reading
RETRY_S_MAX = 2.0                 # real; under a fast clock the usual 30 s would be half an hour
PROGRESS_S = 5.0                  # real seconds between two lines of progress


@dataclass(frozen=True)
class Plan:
    """When what happens, in simulated hours after the start of the books."""

    broker_stops_h: float
    broker_returns_h: float
    kill_h: float
    end_h: float | None


def plan(hours: float | None, outage_h: float = 1.0) -> Plan:
    """Return the timetable of a demo of `hours` (None: it runs on), the broker away outage_h."""
    if hours is None or hours >= 4 + outage_h:
        return Plan(2.0, 2.0 + outage_h, 3.0 + outage_h, hours)
    return Plan(hours / 3, hours / 3 + hours / 4, hours * 2 / 3, hours)


def mosquitto_path(args: argparse.Namespace) -> str | None:
    """Return the path of mosquitto, None where amqtt takes its place."""
    if args.amqtt:
        return None
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


class Demo(Context):
    """One run of the demo: the processes, the clock and the timetable of a cabinet.

    The first one leads: it has the fleet and the broker, and the others of the fleet.
    """

    def __init__(self, args: argparse.Namespace, first: "Demo | None" = None,
                 number: int = 1) -> None:
        super().__init__(args, first, number)
        self.others: list[Demo] = [] if first else [
            Demo(args, self, other) for other in range(2, args.cabinets + 1)]

    async def run(self) -> int:
        """Run the whole demo; returns the exit code.  SIGTERM and SIGHUP end it like Ctrl-C."""
        me, loop = asyncio.current_task(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, me.cancel if me else loop.stop)
        try:
            await self.start()
            await self.follow_timetable()
            if not self.args.exit:
                print_line(
                    f"the time is over; files: {self.out} (with --exit a demo also judges itself)")
                return 0
            for one in (self, *self.others):
                await one.drain()
            return await self.conclude()
        finally:
            await self.processes.stop_all()

    async def conclude(self) -> int:
        """Judge the run and write what it leaves; returns the exit code."""
        return max([await report.conclude(one) for one in (self, *self.others)])

    async def start(self) -> None:
        """Start all processes and wait until the first records are durable."""
        if port_is_open(self.args.port):
            raise ProcessEnded(f"port {self.args.port} is taken; next: stop what uses it or give"
                               " another --port")
        print_line("starting the simulated shop ...")
        await self.start_simulator()
        print_line("making the site's keys and certificates ...")
        await self.provision()
        await self.start_broker()
        await self.start_fleet()
        await self.open_books()
        seed = json.loads((self.out / "parts.json").read_text())["seed"]
        for other in self.others:
            print_line(f"cabinet {other.number} joins the fleet while it runs ...")
            other.args = argparse.Namespace(**vars(self.args) | {"seed": seed + other.number})
            await other.start_simulator()
            await other.join()
            await other.open_books()
        print_line(f"\n  the page: http://127.0.0.1:{self.args.port}/\n"
                   f"  files:    {self.out}\n"
                   f"  {self.clock.speed} simulated seconds pass in one second;"
                   f" the books open at {format_utc(self.origin_ms)}\n")

    async def open_books(self) -> None:
        """Start the gateway; its books begin with the next quarter hour after its first record."""
        await self.start_gateway()
        await until(lambda: self.witnessed() > 0, "the first durable record", self.processes)
        self.usage.mark("start")
        self.origin_ms = (self.clock.utc_ms() // QUARTER_MS + 1) * QUARTER_MS

    async def start_simulator(self) -> None:
        """Start the cabinet without the cabinet and read where its devices answer."""
        folder = self.out / "sim"
        seed = [] if self.args.seed is None else ["--seed", str(self.args.seed)]
        await self.processes.start(self.named("simulator"), python(
            "simulator", "serve", "--scenario", self.args.scenario, "--out", str(folder),
            "--speed", str(self.args.speed), *seed))
        endpoints = folder / "endpoints.json"
        await until(endpoints.exists, "the simulator's endpoints", self.processes)
        parts = json.loads(endpoints.read_text())
        self.clock = ScaledClock.from_table(parts["clock"])
        if self.number > 1:                 # the same shop, in another town
            site = parts["site"]
            parts["site"] = site | {"id": f"{site['id']}-{self.number}",
                                    "name": f"{site['name']} {self.number}",
                                    "cabinet": f"{site['id']}-{self.number}-1"}
        parts["uplink"] = {"host": "127.0.0.1", "port": self.broker_port,
                           "retry_s_max": RETRY_S_MAX}
        (self.out / "parts.json").write_text(json.dumps(parts, indent=1))

    async def provision(self) -> None:
        """Make the fleet, and let the cabinet join it."""
        parts = json.loads((self.out / "parts.json").read_text())
        await self.command("fleet", "init", "--data", str(self.fleet), "--port",
                           str(self.broker_port), "--factors", parts["factors"]["id"])
        await self.join()

    async def join(self) -> None:
        """Make the cabinet's keys and request; enrol it and install the answer."""
        parts = json.loads((self.out / "parts.json").read_text())
        name, data = parts["site"]["cabinet"], str(self.fleet)
        await self.command("provisioning", "request", "--parts", str(self.out / "parts.json"),
                           "--out", str(self.site))
        await self.command("fleet", "enrol", str(self.site / f"{name}.request"), "--data", data)
        await self.command("provisioning", "install", str(self.site / f"{name}.answer"))

    async def command(self, room: str, *words: str) -> None:
        """Run a command of one of our rooms to its end; its log is provisioning.log."""
        await self.processes.run("provisioning", python(room, *words))

    async def start_broker(self) -> None:
        """Start mosquitto if it is on the PATH, else amqtt; both ask for certificates."""
        mosquitto = mosquitto_path(self.args)
        if mosquitto:
            command = [mosquitto, "-c", "mosquitto.conf"]
        else:
            command = python("provisioning.amqtt_broker", "amqtt.yaml")
        await self.processes.start("broker", command, self.fleet / "broker")
        await until(lambda: port_is_open(self.broker_port), "the broker", self.processes)

    async def start_fleet(self) -> None:
        """Start the fleet and wait for its page."""
        await self.processes.start("fleet", python(
            "fleet", "serve", "--data", str(self.fleet), "--port", str(self.args.port)))
        await until(lambda: port_is_open(self.args.port), "the fleet's page", self.processes)

    async def start_gateway(self) -> None:
        """Start the gateway with the witness file outside its data directory."""
        started = await self.processes.start(self.named("gateway"), python(
            "gateway", "run", "--config", str(self.site / "cabinet.toml"),
            "--witness", str(self.witness)))
        self.usage.begin(started.process.pid)

    async def follow_timetable(self) -> None:
        """Stop the broker, kill the gateway, and go on until the end, or for ever."""
        times = plan(self.args.hours, self.args.outage)
        await self.wait_until(times.broker_stops_h)
        print_line("the broker stops: the journal grows, nothing is lost")
        self.usage.mark("before outage")
        await self.processes.stop("broker", signal.SIGKILL)
        await self.wait_until(times.broker_returns_h)
        self.usage.mark("in the outage")
        print_line("the broker is back")
        await self.start_broker()
        await self.wait_until(times.kill_h)
        print_line("the gateway is killed (SIGKILL) and started again")
        self.usage.mark("before kill")
        await self.processes.stop("gateway", signal.SIGKILL)
        await self.start_gateway()
        await self.wait_until(times.end_h)
        if times.end_h is not None:
            for one in (self, *self.others):
                await one.wait_until(times.end_h + SETTLE_MS / HOUR_MS)

    async def wait_until(self, hour: float | None) -> None:
        """Wait for a simulated hour (None: for ever), showing progress."""
        while hour is None or self.hours() < hour:
            self.processes.check()
            left_s = PROGRESS_S
            if hour is not None:
                left_s = max((hour - self.hours()) * 3600 / self.clock.speed, 0.0)
            if left_s >= PROGRESS_S:
                for one in (self, *self.others):
                    print_line(report.progress_line(one))
            await asyncio.sleep(min(left_s, PROGRESS_S))

    async def drain(self) -> None:
        """Stop the gateway, which drains first; give it a second life if it could not."""
        for _ in range(3):
            print_line("draining: the gateway stops when the fleet has receipted everything ...")
            self.usage.mark("end")
            await self.processes.stop(self.named("gateway"))
            if report.is_drained(self):
                return
            await self.start_gateway()
            await asyncio.sleep(2 * RETRY_S_MAX)
