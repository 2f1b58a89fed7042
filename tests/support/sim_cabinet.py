"""A whole gateway in virtual time beside a broker in memory: for long outages and thin links.

    with doors() as folder:
        gateway = Gateway(make_cabinet(folder, meters, interval_s), broker)

gateway.app as it ships, with live figures, status file and the real store in a folder in
memory; only its doors are changed: the clock's sources, the line (meters of 34 points that
answer at once) and the MQTT client.  Idle tasks look up more rarely than in the product.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import random
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from drivers.links import profile_files
from gateway import app
from gateway.config import load as config
from gateway.core.evidence import batch, chain, receipt
from gateway.core.reading import CLOCK_NTP
from gateway.delivery import evidence_lane, uplink
from gateway.polling import poller
from gateway.signer import EvidenceSigner
from gateway.storage import writer
from gateway.timekeeping import clock
from tests.bench import meter
from tests.bench.load import NAMES, ROLES
from tests.support import one_site as create
from tests.support.sim_gateway import Transaction
from tests.support.sim_truth import ORIGIN_S

CABINET = "cab-long"
ROLE_NAMES = {"misc": "other"}
LOOK_S, STATUS_S = 20.0, 50.0
QUEUE_MAX = 16


class Yard:
    """What the broker model wants of its world: time, chance, and nothing that goes wrong."""

    def now(self):
        """Return virtual seconds."""
        return asyncio.get_running_loop().time()

    def chance(self, name):
        """Return the random numbers of one part."""
        return random.Random(name)

    def note(self, *_event):
        """Keep no trace: it would grow."""

    def point(self, _name, _life):
        """Nothing strikes here."""


class Process:
    """What the broker model wants of a client's process."""

    dead, prefix = False, ""


class PaperMeter:
    """A driver that answers with 34 whole numbers: powers that wander, counters that rise."""

    answer_ms_max = 2000

    def __init__(self, stream, points):
        self.points, self._stream = points, stream

    def poll(self):
        """Ask once for all points."""
        return (yield Transaction(self._stream))

    def identify(self):
        """Return nothing: every meter here is the same."""
        return {}
        yield


def _scatter(second, place):
    """Return a whole number that looks like chance and is the same in every run."""
    return (second * 2654435761 ^ place * 2246822519) * 3266489917 >> 17 & 0xFFFF


class Bus:
    """The line to all meters: 5 ms per answer.  noise: how far a power wanders, in steps."""

    def __init__(self, gateway_clock, noise):
        self._clock, self._noise = gateway_clock, noise

    async def exchange(self, transaction, _timeout_s):
        """Answer with the values of this moment."""
        ticks_ms = self._clock.ticks_ms()
        await asyncio.sleep(0.005)
        second, stream = ticks_ms // 1000, transaction.stream
        transaction.result = tuple(
            1000 * stream + second * (stream + place) // 3600 if name.startswith("energy")
            else 2300 + _scatter(second, 64 * stream + place) % self._noise
            for place, name in enumerate(NAMES))
        return ticks_ms

    async def close(self):
        """Nothing is open."""


class Fleet:
    """Takes each batch in its order and signs for it."""

    def __init__(self, broker, key_file):
        self._broker = broker
        self._signer = EvidenceSigner(load_pem_private_key(key_file.read_bytes(), None))
        self.batches, self.last_seq, self.connection, self._waiting = 0, 0, None, {}

    def take(self, payload):
        """Keep a batch and give a receipt for the unbroken row."""
        message, found = batch.open_sealed(payload)
        self._waiting[found.first_seq] = found, chain.chain_hash(message.payload)
        self.connection = self.connection or chain.start(found.cabinet, found.journal_id)
        while self.last_seq + 1 in self._waiting:
            found, link = self._waiting.pop(self.last_seq + 1)
            if found.prev != self.connection:
                raise AssertionError(f"batch {found.number} does not continue the one before")
            self.batches, self.last_seq, self.connection = self.batches + 1, found.last_seq, link
        said = receipt.Receipt(found.cabinet, found.journal_id, 1, self.last_seq, self.connection,
                               1)
        self._broker.route(f"wp/1/{CABINET}/receipt",
                           receipt.seal(said, self._signer.kid, self._signer.sign))


def make_cabinet(folder, meters, interval_s, **uplink_settings):
    """Make a site of so many meters on one bus; return the Cabinet with paper drivers."""
    with mock.patch.object(profile_files, "FOLDER", folder / "profiles"):
        meter.write_profile(folder / "profiles")
        create.site({
            "site": {"id": "long", "name": "Long", "timezone": "UTC", "cabinet": CABINET},
            "battery": {"capacity_wh": 10_000, "eta_charge": 0.96, "eta_discharge": 0.96},
            "journal": {"interval_s": interval_s}, "factors": {"id": "de-2024-direct-duck-1"},
            "uplink": {"host": "127.0.0.1", "port": 1} | uplink_settings,
            "bus": [{"name": "bus", "transport": "tcp", "protocol": "modbus",
                     "host": "127.0.0.1", "port": 1}],
            "device": [{"name": f"meter-{i:02d}", "bus": "bus", "unit": i + 1, "rated_w": 20_000,
                        "profile": meter.STEM, "role": ROLE_NAMES.get(role, role)}
                       for i, role in enumerate(ROLES[:meters])],
        }, folder / "site", datetime.datetime.now(datetime.UTC))
        cabinet = config.load(folder / "site" / "cabinet.toml")
    drivers = tuple(PaperMeter(i, one.points) for i, one in enumerate(cabinet.drivers))
    return dataclasses.replace(cabinet, drivers=drivers)


class Gateway(app.Gateway):
    """The shipped gateway; its clients are those of a broker in memory.

    on_client: called before each, e.g. to make a real one beside it.
    """

    def __init__(self, cabinet, broker):
        super().__init__(cabinet)
        self.on_client = lambda: None
        self.uplink.connect = lambda: (
            self.on_client(), broker.client(CABINET, Process(), QUEUE_MAX))[1]


class Uplink(uplink.Uplink):
    """The shipped uplink, over whatever `connect` returns.  connect: set before it runs."""

    connect = None

    def _client(self):
        return self.connect()

    def real_client(self):
        """Return the client that the shipped uplink makes."""
        return super()._client()


def _sources():
    loop = asyncio.get_running_loop()
    return clock.Sources(lambda: ORIGIN_S + loop.time(), loop.time, lambda: (CLOCK_NTP, 5))


@contextlib.contextmanager
def doors(noise=37):
    """Put virtual time and the paper line in place; give a folder in memory."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="wattproof-long-", dir=base))
    changes = (
        mock.patch.object(clock, "system_sources", _sources),
        mock.patch.object(app, "open_link", lambda _bus, its_clock: Bus(its_clock, noise)),
        mock.patch.object(app, "Uplink", Uplink),
        mock.patch.object(app, "STATUS_S", STATUS_S),
        mock.patch.object(writer, "SETTLE_S", LOOK_S),
        mock.patch.object(evidence_lane, "IDLE_S", LOOK_S),
        mock.patch.object(poller, "WAIT_S_MAX", 60.0))
    try:
        with contextlib.ExitStack() as stack:
            for change in changes:
                stack.enter_context(change)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
