"""The demo's site under chaos: every process real, each party on a disk of its own, and a
service manager that starts again what ends by itself.

A party is "gateway", "broker" or "fleet".  Whatever is asked of the site is asked by a command
of the product; `said` keeps what the commands printed.
"""

import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import sys
import time
from collections import namedtuple

from simulator.demo import run
from simulator.demo.gateway_run import Demo, mosquitto_path
from simulator.demo.processes import free_port, python, tail
from tests.support.chaos.disk import Disk
from tests.support.chaos.ledger import Ledger
from tests.support.parts import need, need_mounts

PARTIES = ("gateway", "broker", "fleet")
KIB = {"gateway": 32_768, "broker": 4096, "fleet": 65_536}
RESTART_S = 1.0
# Whether a command said that all is well, and all that it printed.
Said = namedtuple("Said", ("code", "out", "error"))


class ChaosSite(Demo):
    """One site.  trouble: what was seen that must not be; notes: what happened, for people."""

    def __init__(self, out, speed):
        need("mosquitto")
        need_mounts()
        run.prepare_folder(out)
        super().__init__(run.parser().parse_args([
            "--out", str(out), "--speed", str(speed), "--port", str(free_port())]))
        self.broker_folder = self.out / "broker"
        places = {"gateway": self.site / "journal", "broker": self.broker_folder,
                  "fleet": self.fleet}
        self.disks = {name: Disk(self.out / "disks" / name, places[name], KIB[name])
                      for name in PARTIES}
        self.ledger, self.trouble, self.notes = Ledger(self.out), [], []
        # On purpose not there (or frozen): since when, real seconds.
        self.down, self.read_only, self.frozen = {}, {}, {}
        self.commands = asyncio.Lock()      # held while a disk changes below the commands
        self.played, self.ended, self._began_s = [], [], time.monotonic()

    def note(self, text):
        """Write one line of the run's diary."""
        self.notes.append(f"{time.monotonic() - self._began_s:6.1f} s  {text}")

    def wrong(self, text):
        """Note that a promise was broken."""
        self.note(f"WRONG: {text}")
        self.trouble.append(text)

    # --- starting ------------------------------------------------------------------------

    async def provision(self):
        """Make the site as the product does, each party's folder on its own disk."""
        self.disks["fleet"].attach()
        await super().provision()
        self.disks["gateway"].attach()
        self.disks["broker"].attach()
        shutil.copytree(self.fleet / "broker", self.broker_folder, dirs_exist_ok=True)
        for disk in self.disks.values():
            disk.settle()

    async def start_broker(self):
        """Start mosquitto where its folder was moved to."""
        await self.launch("broker")

    async def start_fleet(self):
        """Start the fleet."""
        await self.launch("fleet")

    async def start_gateway(self):
        """Start the gateway with a witness for this life."""
        await self.launch("gateway")

    def witnessed(self):
        """Return the highest sequence that this life has witnessed."""
        return self.ledger.highest()

    def _command(self, party):
        if party == "gateway":
            return python("gateway", "run", "--config", str(self.site / "cabinet.toml"),
                          "--witness", str(self.ledger.next_life()))
        if party == "fleet":
            return python("fleet", "serve", "--data", str(self.fleet), "--port",
                          str(self.args.port))
        return [str(mosquitto_path(self.args)), "-c", "mosquitto.conf"]

    async def launch(self, party):
        """Start a party; it is supervised from now on."""
        await self.processes.start(party, self._command(party),
                                   self.broker_folder if party == "broker" else None)
        self.down.pop(party, None)

    async def end(self, party, how=signal.SIGKILL):
        """End a party for a while; return its exit code."""
        self.down[party], code = math.inf, None         # it may take a while to end
        if self.alive(party):
            code = await self.processes.stop(party, how)
        self.down[party] = time.monotonic()
        return code

    def alive(self, party):
        """Return whether a party's process is there."""
        return self.processes.alive(party)

    def freeze(self, party, frozen):
        """Stop a process where it stands, or let it go on."""
        if self.alive(party):
            os.kill(self.processes.pid(party), signal.SIGSTOP if frozen else signal.SIGCONT)
        if frozen:
            self.frozen[party] = time.monotonic()
        else:
            self.frozen.pop(party, None)

    async def supervise(self):
        """Start again, as a service manager does, whatever ended by itself."""
        while True:
            for party in PARTIES:
                if party not in self.down and not self.alive(party):
                    await self._again(party)
            await asyncio.sleep(0.2)

    async def _again(self, party):
        self.ended.append(party)
        self.note(f"{party} ended by itself: {tail(self.out / 'logs' / f'{party}.log', 1)}")
        await asyncio.sleep(RESTART_S)
        if party not in self.down:
            await self.launch(party)

    def destroy(self, row):
        """Note that the records of a row of `gateway journal ls` were destroyed."""
        self.ledger.destroy(row["first_seq"], row["last_seq"])
        if row["what"] == "batch":
            self.note(f"destroyed: batch {row['number']}, records {row['first_seq']} to "
                      f"{row['last_seq']}{', receipted' if row['acknowledged'] else ''}")

    # --- asking --------------------------------------------------------------------------

    async def ask(self, room, *words):
        """Run a command of the product; return what it Said.  A traceback is trouble."""
        said = await self._run(python(room, *words))
        if "Traceback" in said.error or said.code not in (0, 1):
            self.wrong(f"{room} {' '.join(words)}: {said.code}: {said.error[-2000:]}")
        return said

    async def run_script(self, path, *words):
        """Run a script as an auditor does; return what it Said."""
        return await self._run([sys.executable, str(path), *words])

    async def _run(self, command):
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, error = (text.decode(errors="replace") for text in await process.communicate())
        return Said(process.returncode, out, error)

    async def status(self):
        """Return `gateway status` as JSON; its journal id is noted beside the witness."""
        said = await self.ask("gateway", "status", "--json", *self.config())
        found = json.loads(said.out)
        journal = found.get("journal", {})
        if journal and found.get("state") == "running" and self.alive("gateway") and (
                found.get("pid") == self.processes.pid("gateway")):
            self.ledger.mark(journal["journal_id"])
        return found

    async def check_farewell(self, code):
        """A gateway that stopped in order and says that the fleet has everything must be right."""
        log = (self.out / "logs" / "gateway.log").read_text(errors="replace").splitlines()
        last = next((line for line in reversed(log) if "stopped; " in line), "")
        if "the fleet has everything" not in last:
            return
        found = await self.status()
        journal = found.get("journal", {})
        if journal.get("acknowledged_seq", 0) < self.ledger.highest():
            self.wrong(f"stopped ({code}), \"the fleet has everything\", but record "
                       f"{self.ledger.highest()} was witnessed, receipts are for "
                       f"{journal.get('acknowledged_seq')}")

    async def receipted(self):
        """Return up to which record the gateway says that the fleet has signed."""
        return (await self.status()).get("journal", {}).get("acknowledged_seq", 0)

    async def journal(self, what, *words):
        """Return what a `gateway journal` command Said."""
        return await self.ask("gateway", "journal", what, *words, *self.config())

    async def listing(self):
        """Return the rows of `gateway journal ls`."""
        return json.loads((await self.journal("ls", "--json")).out or "[]")

    def config(self):
        """Return the words that name the cabinet."""
        return "--config", str(self.site / "cabinet.toml")

    def data(self):
        """Return the words that name the fleet."""
        return "--data", str(self.fleet)

    def site_id(self):
        """Return the words that name the site at the fleet."""
        parts = json.loads((self.out / "parts.json").read_text())
        return "--site", parts["site"]["id"]

    async def close(self):
        """End everything and take the disks away."""
        for party in list(self.frozen):
            self.freeze(party, False)
        await self.processes.stop_all()
        for disk in self.disks.values():
            disk.detach()


@contextlib.asynccontextmanager
async def supervised(site):
    """Keep a site's processes running."""
    task = asyncio.create_task(site.supervise())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
