"""The demo with a board as its gateway: MicroPython, booted from the flash image.

Everything else is the same: simulator, broker and fleet are the real ones, the broker goes
away, the board loses its power (SIGKILL) and comes back from the same image file.  A board has
no orderly stop; the demo ends when the fleet holds all that the board's console called durable.
"""

import argparse
import json
import signal
import zlib

from gateway.core.counter import HOUR_MS
from simulator.clock import format_utc
from simulator.demo import board, checks
from simulator.demo import report as demo_report
from simulator.demo.context import print_line
from simulator.demo.gateway_run import Demo
from simulator.demo.processes import python, until

DRAIN_S = 60.0              # real: a batch is sealed each quarter hour of a fast clock


class BoardDemo(Demo):
    """Demo whose gateway is a board."""

    def __init__(self, args: argparse.Namespace) -> None:
        if args.scenario == "shop":
            args.scenario = "board"             # the shop has buses that a board does not speak
        super().__init__(args)
        self.image = self.out / "board.img"
        self.console = self.out / "logs" / "gateway.log"
        self.heap = board.HEAP
        self.options: list[str] = []            # of simulator.board
        self.drained = 0

    async def provision(self) -> None:
        """Make the site as for any gateway, then the image of its board."""
        await super().provision()
        await self.processes.run("provisioning", python(
            "provisioning", "image", "--site", str(self.site), "--out", str(self.image)))

    async def start_gateway(self) -> None:
        """Switch the board on."""
        started = await self.processes.start("gateway", python(
            "simulator.demo.board", str(self.image), "--heap", self.heap, *self.options))
        self.usage.begin(started.process.pid)

    def witnessed(self) -> int:
        """Return the highest sequence that the board's console called durable."""
        if not self.console.exists():
            return 0
        lines = self.console.read_bytes().split(b"\n")[:-1]
        return max((int(line[8:]) for line in lines
                    if line.startswith(b"durable ") and line[8:].isdigit()), default=0)

    def delivered(self) -> checks.DeliveredData:
        """Return what the fleet holds of the board."""
        parts = json.loads((self.out / "parts.json").read_text())
        return checks.read_delivered(
            demo_report.sealed_batches(self.fleet / "fleet.db", parts["site"]["cabinet"]),
            lambda data, limit: zlib.decompressobj(-15).decompress(data, limit))

    async def drain(self) -> None:
        """Wait until the fleet holds what is durable now, then switch the board off."""
        witnessed = self.witnessed()
        print_line(
            f"draining: waiting until the fleet holds the {witnessed} records durable now ...")
        await until(lambda: checks.lost_and_duplicated(self.delivered().ranges, witnessed)[0] == 0,
                    f"record {witnessed} in the fleet", self.processes, DRAIN_S)
        self.usage.mark("end")
        await self.processes.stop("gateway", signal.SIGKILL)
        self.drained = witnessed

    async def conclude(self) -> int:
        """Judge what reached the fleet; write summary.json; return the exit code."""
        parts = json.loads((self.out / "parts.json").read_text())
        end_ms = self.origin_ms + round(self.args.hours * HOUR_MS)
        data = ("--data", str(self.fleet), "--site", parts["site"]["id"])
        code, said = await demo_report.command(self, "verify", *data)
        failed, _ = await demo_report.command(
            self, "report", *data, "--from", format_utc(self.origin_ms), "--to",
            format_utc(end_ms), "--format", "json", "--out", str(self.out / "report.json"))
        truth = demo_report.books_between(
            self.out / "sim" / "truth.jsonl", self.origin_ms, end_ms)
        report = json.loads((self.out / "report.json").read_text()) if not failed else {}
        metered = {checks.COUNTERS.get((meter["role"], meter["measurand"]))
                   for meter in report.get("meters", ())}
        rows = [row for row in (checks.energy_rows(report, truth) if report else ())
                if row["role"] in metered]
        return self._judge(rows, said if code else "")

    def _judge(self, rows: list[checks.EnergyRow], verify_said: str) -> int:
        found = self.delivered()
        lost, doubled = checks.lost_and_duplicated(found.ranges, self.drained)
        holes = checks.undeclared_gaps(found, demo_report.INTERVAL_MS)
        off = checks.within_bounds(rows)
        verdicts = [
            ("every witnessed record is in the fleet", lost == 0, f"{self.drained} witnessed"),
            ("none is there twice", doubled == 0, f"{doubled} doubled"),
            ("every gap is declared", not holes, "; ".join(holes[:3]) or f"{len(found.gaps)}"),
            ("the chain verifies", not verify_said, verify_said.strip()[-300:]),
            ("each metered energy is within its bound", bool(rows) and not off, "; ".join(off)),
        ]
        summary = {"ok": all(good for _, good, _ in verdicts), "lost": lost,
                   "duplicated": doubled, "witnessed": self.drained, "heap": self.heap,
                   "batches": len(found.ranges), "gaps": len(found.gaps), "energy": rows,
                   "checks": [{"name": n, "ok": good, "detail": d} for n, good, d in verdicts]}
        (self.out / "summary.json").write_text(json.dumps(summary, indent=1))
        print_line("\n" + checks.table(rows) + "\n")
        for name, good, detail in verdicts:
            print_line(f"  {'ok  ' if good else 'FAIL'}  {name}: {detail}")
        return 0 if summary["ok"] else 1
