"""A cabinet in the simulation: flash, clock, bus, and the real gateway's tasks on them.

`Machine` survives its lives.  A `Life` is one run of the gateway process: gateway.app's own
composition and order of stopping, with writer, pollers and uplink as they ship; only the
doors (flash, wall clock, line, MQTT client) are the simulation's.
"""

import asyncio
import hashlib
import math
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import app
from gateway.aio.keep_alive import Progress
from gateway.config.values import UplinkSettings
from gateway.core.codec import cbor
from gateway.core.errors import BadFrame, FormatError, NoReply
from gateway.core.evidence import batch, receipt
from gateway.core.journal.journal import JournalOpening, Sealer
from gateway.core.journal.successor import Standby
from gateway.core.reading import CLOCK_NTP, CLOCK_RTC, CLOCK_UNKNOWN, Absent, Point, Stream
from gateway.delivery.uplink import Uplink
from gateway.polling.poller import BusLine, BusPoller
from gateway.polling.unit import PolledUnit, Timeout
from gateway.service.health import Notifier
from gateway.signer import EvidenceSigner, Verifier
from gateway.storage.deflate import deflate
from gateway.storage.restart import known_utc_ms, last_read_utc_ms
from gateway.storage.retention import CounterLimits, Retention
from gateway.storage.succession import Succession
from gateway.storage.writer import JournalWriter, WriteRules
from gateway.timekeeping.clock import Clock, Sources
from tests.support.power_cut_images import DAMAGE, image_after_cut
from tests.support.sim_coarse import SimBatches
from tests.support.sim_journal import Flash, SimJournal
from tests.support.sim_truth import ORIGIN_S, Witness

NAME = "cab-1"
STREAMS = ("grid", "node")
SCHEMA = tuple(Stream(name, (Point(14, 0, ""), Point(43, 0, ""))) for name in STREAMS)
SEGMENT_BYTES, RAM_BYTES = 32_768, 65_536
KEEP_BYTES = 1 << 30        # what batches may take on flash
QUEUE_MAX = 16
LIVE_S = 30
UNSET_S, FUTURE_S = 411, 4_070_909_022      # 1970, 2099; their quarter hours are not the true ones
RETRY_S_MAX = 30


class PowerCut(BaseException):
    """The machine has no power any more, in the middle of a line of code."""


def descriptor(interval_s):
    """Return the CBOR bytes of the cabinet's site descriptor."""
    devices = [{"name": name, "profile": "paper", "kind": "meter", "role": role,
                "rated_w": 6000, "counter_step_mwh": 1000, "ct_ratio": 1, "meter_class": "",
                "ct_class": "", "feeds": []} for name, role in zip(STREAMS, ("grid", "it"),
                                                                  strict=True)]
    return cbor.encode({
        "v": 1, "site": "shop", "name": "Corner shop", "cabinet": NAME, "timezone": "UTC",
        "interval_s": interval_s, "interval_ms_step": 1000 * interval_s, "batch_minutes": 15,
        "devices": devices, "battery": None, "nodes": [], "workloads": [],
        "factor_set": "de-2024-direct-duck-1"})


def meter(stream, at_s):
    """Return (power in W, import in Wh) of a meter that never stands still."""
    power = 2000 + 500 * stream
    swing = power / 2 * math.sin(at_s / 700)
    energy = (power * at_s + power / 2 * 700 * (1 - math.cos(at_s / 700))) / 3600
    return int(power + swing), 100_000 + int(energy)


class Wall:
    """The machine's wall clock and what the kernel says about it.

    mode: ntp (3 ms wrong, says 5), rtc (wrong by offset_s, says up to 631 s), unset (1970)
    or future (2099); the last two say that nobody set them.
    """

    def __init__(self, world):
        self._world = world
        self.mode, self.offset_s = "ntp", 0.0

    def read(self):
        """Return UNIX seconds as the machine believes them."""
        now = self._world.now()
        if self.mode in ("unset", "future"):
            return now + (UNSET_S if self.mode == "unset" else FUTURE_S)
        return ORIGIN_S + now + (0.003 if self.mode == "ntp" else self.offset_s)

    def knowledge(self):
        """Return (source, uncertainty in ms)."""
        if self.mode == "ntp":
            return CLOCK_NTP, 5
        return (CLOCK_RTC, 631_000) if self.mode == "rtc" else (CLOCK_UNKNOWN, 0)

    def sources(self):
        """Return what gateway.clock reads."""
        return Sources(self.read, self._world.now, self.knowledge)


class Transaction:
    """One question to one meter."""

    turns = 1

    def __init__(self, stream):
        self.stream, self.result = stream, None


class Driver:
    """A meter's driver: one question gives both values."""

    points = SCHEMA[0].points

    def __init__(self, stream):
        self._stream = stream

    def poll(self):
        """Ask; a silent meter's values have a reason."""
        try:
            return (yield Transaction(self._stream))
        except NoReply:
            return (Absent(1),) * len(self.points)
        except BadFrame:
            return (Absent(2),) * len(self.points)

    def identify(self):
        """Every meter here is the same."""
        return {"serial": str(self._stream), "model": "sim"}
        yield


class Bus:
    """The line to both meters; one may be dead or babble for a while."""

    def __init__(self, world):
        self._world = world
        self.silent_s, self.babble_s = {}, {}

    async def exchange(self, transaction, timeout_s):
        """Answer in 30 ms with the truth of now, or fail as the fault says."""
        stream, now = transaction.stream, self._world.now()
        if now < self.silent_s.get(stream, 0.0):
            await asyncio.sleep(timeout_s)
            raise NoReply("nothing came")
        await asyncio.sleep(0.03)
        if now < self.babble_s.get(stream, 0.0):
            raise BadFrame("7 bytes that are no frame")
        ticks_ms = self.clock.ticks_ms()
        transaction.result = meter(stream, self.start_s + ticks_ms / 1000)
        return ticks_ms

    async def close(self):
        """A line in memory needs no closing."""


class SimUplink(Uplink):
    """The real uplink over the simulation's broker."""

    def _client(self):
        return self.life.machine.client(self.life)

    async def take_receipt(self, data):
        """Act on a receipt, with a place to fail before and after."""
        self.life.world.point("receipt.before", self.life)
        epoch, seq = self.outbox.epoch, self.outbox.acknowledged_seq
        await super().take_receipt(data)
        if self.outbox.epoch == epoch and self.outbox.acknowledged_seq < seq:
            self.life.world.fail("I4", f"the mark fell from {seq} within epoch {epoch}")
        self.life.world.point("receipt.after", self.life)


class Life(app.Gateway):
    """One run of the gateway: app.Gateway's tasks and stopping over the simulation's doors."""

    prefix = ""
    coarsening = False          # a downsampled batch is being written, or what it replaces deleted

    def __init__(self, machine):
        """Open the journal and build everything; may raise PowerCut."""
        self.machine, self.world, self.dead = machine, machine.world, False
        machine.life = self
        self.cabinet = machine.cabinet
        self.start_s = self.world.now()
        self.store = machine.flash
        self.clock = Clock(None, machine.wall.sources(), known_utc_ms(self.store))
        self.standby = Standby(self.store, JournalOpening(
            NAME, SCHEMA, machine.config_hash, machine.descriptor, app.SOFTWARE,
            machine.random16, self.clock.state(), self.clock.ticks_ms()),
            SimBatches, SEGMENT_BYTES, RAM_BYTES)
        journal = self.standby.open(SimJournal)
        self._found(journal)
        self.sealer = Sealer(machine.signer.kid, machine.signer.sign, deflate, batch.CODEC_DEFLATE)
        self.writer = JournalWriter(journal, self.clock, WriteRules(10, 15, self.sealer),
                                    self._retention(journal), Succession(None, self._go_on))
        self.uplink = SimUplink(NAME, machine.settings, self.writer, machine.verifier)
        self.uplink.life = self
        self._build(journal)

    def _found(self, journal):
        """Hold a start to what was promised, as soon as the files can be read."""
        journal.attach(self)
        if not journal.is_waiting:
            self.machine.witness.recovered(journal)
        self.world.note("boot", journal.boot, journal.durable_seq, self.machine.wall.mode)

    def _go_on(self, waiting):
        def declare(journal):
            self._found(journal)
            self._declare(journal)
        found = self.standby.go_on(waiting, declare)
        self.machine.went_on += found is not None
        return found and (found, self._retention(found))

    def _retention(self, journal):
        return Retention(journal, self.store, KEEP_BYTES, self.sealer,
                         CounterLimits(self.machine.config_hash, self.machine.descriptor))

    def _build(self, journal):
        bus = self.machine.bus
        bus.clock, bus.start_s = self.clock, self.start_s
        units = [PolledUnit(name, stream, Driver(stream), Timeout(1.0))
                 for stream, name in enumerate(STREAMS)]
        line = BusLine(SimpleNamespace(name="bus"), self.clock, lambda _bus, _clock: bus)
        poller = BusPoller(line, units, self.clock, self.writer.put, last_read_utc_ms(journal))
        self.pollers = {"bus": poller}
        self.progress = Progress(self.clock.real_s)
        self.notifier = Notifier({"WATCHDOG_USEC": "180000000"})
        self.stop, self.drain_s = asyncio.Event(), 10.0

    def message(self):
        """A live message that says how far the journal is."""
        return {"v": 1, "device": NAME, "seq": self.writer.journal.durable_seq}

    def status(self, state):
        """The status file is tested elsewhere."""
        return {"state": state}

    async def _figures(self, beat):
        while True:
            beat()
            await asyncio.sleep(50.0)

    _statuses = _figures


class Machine:
    """The cabinet's hardware, and the witness that remembers across its lives."""

    def __init__(self, world, interval_s, folder):
        self.world, self.witness = world, Witness(world.fail)
        self.wall, self.bus = Wall(world), Bus(world)
        self.descriptor = descriptor(interval_s)
        self.config_hash = hashlib.sha256(self.descriptor).digest()
        chance = world.chance("keys")
        self.random16 = lambda: chance.randbytes(16)
        self.signer = EvidenceSigner(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
        self.verifier = Verifier(world.receipt_key.public_key())
        self.settings = UplinkSettings(
            "broker", 8883, Path(), Path("tls.crt"), Path(), Path(), 0, LIVE_S, Decimal(1),
            Decimal(RETRY_S_MAX))
        self.cabinet = SimpleNamespace(
            site=SimpleNamespace(cabinet=NAME), devices=STREAMS, uplink=self.settings,
            journal=SimpleNamespace(interval_s=interval_s), status_file=folder / "status.json")
        self.flash = Flash(self, {})
        self.life, self.powered = None, True
        self.lives = self.cuts = self.went_on = 0
        self.refused = ""               # of the flash: "write" or "read"
        self.genuine = {}              # bytes that came as a receipt -> Receipt or None

    def before_op(self, store, operation):
        """Strike if armed; a life that ended touches no flash."""
        if not self.powered or store is not self.flash:
            self.world.ended(self.life, f"flash {operation}")
        self.world.point("flash.op", self.life)
        if self.life.coarsening:
            self.world.point("coarsen.op", self.life)

    def client(self, life):
        """Return the uplink's next MQTT client."""
        return self.world.broker.client(NAME, life, QUEUE_MAX)

    async def live(self):
        """Run one life to its end, whatever ends it.  Returns when no task of it is left."""
        self.lives += 1
        self.powered = True
        own = asyncio.current_task()
        own.owner = f"life {self.lives}"
        try:
            await Life(self).run()
            self.world.note("stopped")
            self.life.dead, self.life.dead_s = True, -1.0
        except BaseException as error:
            if self.powered or not _is_cut(error):
                raise
        self.powered = False
        left = [task for task in asyncio.all_tasks()
                if task is not own and task.owner == own.owner and not task.done()]
        if left:
            self.world.fail("I14", f"tasks of an ended life: {len(left)}")

    def cut(self, life, kill=False):
        """End a life at this instant; a kill leaves the flash's cache, a power cut does not."""
        chance = self.world.chance_of_cuts
        self.cuts += 1
        self.powered, life.dead, life.dead_s = False, True, self.world.now()
        if kill:
            self.flash.failed_syncs.clear()
            return
        damage = chance.choice(DAMAGE)
        image = image_after_cut(self.flash.snapshot(), damage, chance.getrandbits(32))
        self.world.note("damage", *damage)
        self.flash = Flash(self, image)

    def hears(self, payload):
        """Note a receipt that is about to reach the gateway, if it is genuine."""
        if payload not in self.genuine:
            self.genuine[payload] = _opened(payload, self.world.receipt_key.public_key())
        found = self.genuine[payload]
        if found is None:
            return
        journal = self.life.writer.journal if self.life else None
        if journal and found.cabinet == NAME and found.journal_id == journal.journal_id:
            self.witness_hears(found)

    def witness_hears(self, found):
        """A receipt counts only if its chain value is the one of our batch that ends there."""
        number = self.witness.ends.get(found.low_water)
        if number is not None and self.witness.batches[number].chain_hash == found.chain:
            self.witness.heard(found)


def _opened(payload, public_key):
    """Return the Receipt in a genuine one's bytes, else None."""
    try:
        message, found = receipt.open_sealed(payload)
        public_key.verify(message.signature, message.signed)
    except (FormatError, InvalidSignature):
        return None
    return found


def _is_cut(error):
    if isinstance(error, BaseExceptionGroup):
        return all(_is_cut(one) for one in error.exceptions)
    return isinstance(error, PowerCut | asyncio.CancelledError)
