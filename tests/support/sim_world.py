"""One simulated day: a cabinet, a broker and a fleet in one virtual-time loop, from one seed.

`run(seed, style)` lets faults happen for the style's hours, ends them, gives the system the
time of I9 to come to rest, and then holds everything to docs/simulation.md.  It returns a
`Result` or raises `Violation` with seed, time and the end of the trace.
"""

import asyncio
import contextlib
import gc
import hashlib
import random
import shutil
import tempfile
from collections import deque
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.errors import StoreError
from gateway.delivery.uplink import WINDOW
from gateway.storage.input_queue import WAITING_MAX
from tests.support import sim_checks, sim_loop, sim_setup
from tests.support.sim_broker import Broker
from tests.support.sim_coarse import RULES_MAX
from tests.support.sim_faults import DEADLINE_S, Faults
from tests.support.sim_fleet import CLIENT, Fleet, WorkerCrash
from tests.support.sim_gateway import NAME, Machine, PowerCut
from tests.support.sim_truth import Violation as Violation

TRACE_TAIL = 40
SETTLE_S = 120.0            # I9, beside the time the bytes need
CALM_S = 150.0              # after this without a fault live figures must be fresh
MONITOR_S = 60.0
JOURNAL_BYTES_MAX = 8 << 20
TASKS_MAX = 40


class Style(NamedTuple):
    """interval_s: polling.  look_s: how often idle tasks look up (1 s in the product)."""

    name: str
    interval_s: int
    look_s: float


FINE, COARSE = Style("fine", 5, 10.0), Style("coarse", 60, 20.0)
STYLES = {style.name: style for style in (FINE, COARSE)}


class Result(NamedTuple):
    """What a run was.  trace: SHA-256 of every event.  counts: of what happened."""

    trace: str
    counts: dict


class _Stop(BaseException):
    """A violation was noted; nothing may catch this."""


class World:
    """The parts of one run, its randomness, its trace and its armed points."""

    def __init__(self, seed, style, folder):
        self.seed, self.style, self.trims = seed, style, sim_setup.trims(seed)
        self.rule_max = RULES_MAX[seed // 2 % len(RULES_MAX)]
        self.receipt_key = Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32)
        self.armed, self.failed = {}, ""
        self.restore_next, self.on_seal = False, None
        self.ending = self.restored = False
        self.quarters = self.undated_holes = self.same_quarters = 0
        self.chance_of_cuts = self.chance("cuts")
        self._trace, self._tail = hashlib.sha256(), deque(maxlen=TRACE_TAIL)
        self._loop = asyncio.get_running_loop()
        self.receipts_sent = deque(maxlen=200)
        self.broker = Broker(self)
        self.broker.on_publish, self.broker.on_deliver = self._on_publish, self._on_deliver
        self.machine = Machine(self, style.interval_s, folder)
        self.fleet = Fleet(self, folder)
        self.faults = Faults(self)
        self.live_s, self.ages = 0.0, []
        self.life_task = self.fleet_task = None
        self._late = None
        self.wake = asyncio.Event()

    # -- time, chance, trace

    def now(self):
        """Return virtual seconds."""
        return self._loop.now_s

    def chance(self, name):
        """Return the random numbers of one part; no part disturbs another's."""
        return random.Random(f"{self.seed}/{name}")

    def note(self, *event):
        """Add an event to the trace."""
        text = f"{self._loop.now_s:.3f} {event}"
        self._trace.update(text.encode())
        self._tail.append(text)

    def digest(self):
        """Return the trace's SHA-256 so far."""
        return self._trace.hexdigest()

    def fail(self, invariant, text):
        """End the run: an invariant is broken."""
        if not self.failed:
            self.failed = f"{invariant}: {text}"
        raise _Stop(self.failed)

    def ended(self, life, what):
        """Meet code of a dead process: at the very instant of its end it just stops there."""
        if life.dead and life.dead_s == self.now():
            raise PowerCut(what)
        self.fail("I14", f"{what} by a life that ended")

    def report(self, what):
        """Return the text of a failure."""
        days = f"{self.now() / 3600:.3f} h"
        return (f"seed {self.seed} {self.style.name}, {days}: {what}\n"
                + "\n".join(self._tail))

    def later(self, seconds, action):
        """Do something after a while of virtual time."""
        self._loop.call_later(seconds, action)

    # -- instrumented points

    def arm(self, point, visits, action):
        """Let action (cut, kill or crash) strike at the n-th visit of a point."""
        one = [visits, action]
        self.armed.setdefault(point, []).append(one)
        self.later(DEADLINE_S, lambda: self._expire(point, one))

    def point(self, name, life):
        """Visit a point: what is armed for it may strike here."""
        waiting = self.armed.get(name)
        if not waiting or life.dead or life not in (self.machine.life, self.fleet.life):
            return
        waiting[0][0] -= 1
        if waiting[0][0] > 0:
            return
        action = waiting.pop(0)[1]
        self.note(action, name)
        if action == "crash":
            self.fleet.crash(life)
            raise WorkerCrash(name)
        self.machine.cut(life, action == "kill")
        raise PowerCut(name)

    def _expire(self, point, one):
        waiting = self.armed.get(point, [])
        if not any(other is one for other in waiting):
            return
        waiting[:] = [other for other in waiting if other is not one]
        self.note(one[1], "deadline")
        host, task = ((self.fleet, self.fleet_task) if one[1] == "crash" else
                      (self.machine, self.life_task))
        if task is None or host.life is None or host.life.dead:
            return
        if one[1] == "crash":
            self.fleet.crash(host.life)
        else:
            self.machine.cut(host.life, one[1] == "kill")
        task.cancel()

    def sealed(self, number, last_seq):
        """Note a batch; a forged receipt may be waiting for it."""
        self.note("seal", number, last_seq)
        waiting, self.on_seal = self.on_seal, None
        if waiting is not None:
            waiting()

    # -- the broker tells

    def _on_publish(self, client, topic, payload):
        leaf = topic.rsplit("/", 1)[1]
        if leaf == "up":
            self.note("publish", len(payload))
            self._window_holds()
            if self.fleet.epoch_of(payload) is None:
                self.machine.witness.published(payload)
            elif self.machine.genuine.get(payload) is None:
                self.fail("I2", "a receipt on the wire that the fleet never gave")
        elif leaf == "receipt":
            self.fleet.said(payload)
            self.receipts_sent.append(payload)

    def _on_deliver(self, client, topic, payload):
        if topic.endswith("/receipt"):
            self.machine.hears(payload)
            if self._late is not None and self._is_newer(payload, self._late):
                late, self._late = self._late, None     # the ended epoch's last word arrives
                self.broker.route(topic, late)
        elif topic.endswith("/live"):
            self.live_s = self.now()

    def _is_newer(self, payload, late):
        """Return whether a receipt is of a later epoch than another one."""
        epochs = [self.fleet.epoch_of(one) for one in (payload, late)]
        return None not in epochs and epochs[0] > epochs[1]

    def _window_holds(self):
        under_way = len(self.machine.life.uplink.outbox.under_way())
        if under_way > WINDOW + 1:          # one fresh batch may pass the backlog
            self.fail("I11", f"{under_way} batches under way")

    # -- the run

    async def run(self, hours):
        """Live through the faults and the calm after them; return the Result."""
        try:
            async with asyncio.TaskGroup() as group:
                services = [group.create_task(one()) for one in (
                    self._cabinet, self._fleet, self._monitor)]
                await self._story(3600 * hours)
                for service in services:
                    service.cancel()
        except BaseException as error:
            what = self.failed or f"unexpected: {_first(error)!r}"
            raise Violation(self.report(what)) from error
        return Result(self.digest(), self._counts())

    async def _cabinet(self):
        """Power and service manager: start the gateway again after whatever ended it."""
        chance = self.chance("power")
        while not self.ending:
            self.life_task = asyncio.create_task(self.machine.live())
            try:
                await self.life_task
            except StoreError as error:
                self.note("start failed", error.errno)
            except asyncio.CancelledError:
                self.life_task.cancel()
                raise
            off_s = chance.choice((2.0, 2.0, 5.0, 60.0, chance.uniform(60, 1800)))
            self.wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), off_s)
            self.machine.flash.fault = None
            self.faults.boot_clock()

    async def _fleet(self):
        chance = self.chance("fleet")
        while True:
            self.fleet_task = asyncio.create_task(self.fleet.live())
            try:
                await self.fleet_task
            except asyncio.CancelledError:
                self.fleet_task.cancel()
                raise
            self.wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), chance.choice((1.0, 3.0, 30.0, 300.0)))
            if self.restore_next and self.fleet.backup is not None:
                self.restore_next, self.restored = False, True
                self._late = self.receipts_sent[-1] if self.receipts_sent else None
                kind = chance.choice(("restore", "copy", "snapshot"))
                self.fleet.restore(kind)
                self.note("fleet-restored", kind)

    async def _story(self, until_s):
        await self.faults.run(until_s)
        self._calm()
        begun_s = self.now()
        self.note("calm", max(self.machine.witness.batches, default=0))
        await self._until(self._is_delivered, SETTLE_S, "I9")
        self.ending = True
        self.machine.life.stop.set()
        await self._until(lambda: self.life_task.done(), 60.0, "I9")
        self.note("rest", round(self.now() - begun_s))
        sim_checks.at_the_end(self)

    def _calm(self):
        self.broker.calm()
        self.armed.clear()
        self.restore_next, self.on_seal = False, None
        self.machine.flash.fault, self.machine.refused = None, ""
        self.machine.wall.mode = "ntp"
        self.machine.bus.silent_s.clear()
        self.machine.bus.babble_s.clear()
        self.wake.set()

    def _is_delivered(self):
        """Return whether all that is sealed by now is acknowledged, and both sides are there to
        deliver what a stop seals."""
        life, batches = self.machine.life, self.machine.witness.batches
        if life is None or life.dead or not hasattr(life, "uplink"):
            return False
        newest = batches[max(batches)].content.last_seq if batches else 0
        return (life.uplink.outbox.acknowledged_seq >= newest
                and {NAME, CLIENT} <= self.broker.sessions.keys())

    async def _until(self, condition, limit_s, invariant):
        end_s = self.now() + limit_s
        while not condition():
            if self.now() > end_s:
                self.fail(invariant, f"not at rest after {limit_s:.0f} s without faults")
            await asyncio.sleep(1.0)

    async def _monitor(self):
        while True:
            await asyncio.sleep(MONITOR_S)
            life = self.machine.life
            if life is not None and not life.dead and hasattr(life, "pollers"):
                self._look(life)

    def _look(self, life):
        waiting = len(life.writer.waiting)
        size, tasks = self._flash_bytes_and_tasks()
        if waiting > WAITING_MAX or size > JOURNAL_BYTES_MAX or tasks > TASKS_MAX:
            self.fail("I11", f"{waiting} items, {size} bytes, {tasks} tasks")
        stalled = life.progress.stalled()
        if stalled:
            self.fail("I11", f"no progress in {stalled}")
        since_s = self.now() - CALM_S
        fleet = self.fleet.life
        if (self.broker.is_calm(since_s) and life.start_s < since_s and not fleet.dead
                and fleet.start_s < since_s):
            self.ages.append(self.now() - self.live_s)

    def _flash_bytes_and_tasks(self):
        """Return what the journal takes and how many tasks run, looked at once in ten minutes."""
        if int(self.now() / MONITOR_S) % 10:
            return 0, 0
        flash = self.machine.flash
        return sum(flash.size(name) for name in flash.list()), len(asyncio.all_tasks())

    def _counts(self):
        return {"boots": self.machine.lives, "cuts": self.machine.cuts,
                "crashes": self.fleet.crashes, "batches": len(self.machine.witness.batches),
                "coarse": len(self.machine.witness.rules), "epochs": self.fleet.epochs - 1,
                **self.fleet.outcomes,
                "quarters": self.quarters, "same_quarters": self.same_quarters,
                "undated_holes": self.undated_holes,
                "went_on": self.machine.went_on, "faults": sum(self.faults.counts.values())}


def run(seed, style, hours=24):
    """Simulate some hours; return the Result or raise Violation."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder, crashes = Path(tempfile.mkdtemp(prefix="wattproof-sim-", dir=base)), sim_setup.Crashes()

    async def main():
        world = crashes.world = World(seed, style, folder)
        return await world.run(hours)

    collecting = gc.isenabled()
    gc.disable()                # a tenth faster; a run makes some 20 MB of cycles
    try:
        with sim_setup.knobs(seed, style), sim_setup.quiet(crashes):
            return sim_loop.run(main)
    finally:
        if collecting:
            gc.enable()
        shutil.rmtree(folder, ignore_errors=True)


def _first(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
