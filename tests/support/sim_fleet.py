"""The fleet in the simulation: real receiver, desk, admission and SQLite store.

    fleet = Fleet(world, folder)            of sim_world; one FleetLife after the other

The worker may crash inside a transaction, between commit and receipt or at any time; the
store may be replaced by an older one: with `fleet restore`, by a plain copy of its file, or by a
snapshot of its whole folder, which only a cabinet can notice.  What the fleet promised is held
against its database over a second connection, which sees committed rows only.
"""

import json
import shutil
import sqlite3
from hashlib import sha256
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.formats.registry import Registry
from fleet.ingest.ingest import SHOWN, Ingest, Outcome
from fleet.ingest.live_table import LiveTable
from fleet.ingest.receiver import QUEUE_MAX, Receiver
from fleet.store import backup, epoch
from fleet.store import writer as fleet_store
from fleet.store.writer import EvidenceStore
from gateway.core.errors import FormatError
from gateway.core.evidence import chain, downsampled, receipt
from gateway.signer import EvidenceSigner
from tests.support.sim_gateway import NAME
from tests.support.sim_truth import ORIGIN_S

CLIENT = "fleet-receiver"
OTHER = "cab-2"                 # enrolled as well, with a key of its own; it never sends itself
OTHER_SEED = bytes([2]) * 32
TOO_EARLY = "too-early"         # a forgery of what this store does not hold any more


class WorkerCrash(BaseException):
    """The fleet's process ends in the middle of a line of code."""


class SimStore(EvidenceStore):
    """The real store with places to fail around its transactions."""

    def attach(self, life):
        """Let faults hit from now on."""
        self.life = life

    def transaction(self):
        """A transaction that may end in a crash before or after its commit."""
        return _Transaction(super().transaction(), getattr(self, "life", None))


class _Transaction:
    def __init__(self, real, life):
        self._real, self._life = real, life

    def __enter__(self):
        self._point("fleet.begin")
        return self._real.__enter__()

    def __exit__(self, kind, error, trace):
        if kind is None:
            try:
                self._point("fleet.commit.before")
            except WorkerCrash as crash:
                self._real.__exit__(type(crash), crash, None)
                raise
        done = self._real.__exit__(kind, error, trace)
        if kind is None:
            self._point("fleet.commit.after")
        return done

    def _point(self, name):
        if self._life is not None:
            self._life.world.point(name, self._life)


class SimReceiver(Receiver):
    """The real receiver over the simulation's broker."""

    def _client(self):
        return self.life.world.broker.client(CLIENT, self.life, QUEUE_MAX)


class SimDesk(Ingest):
    """The real desk; what it admits is held to what was sealed."""

    def process(self, messages):
        """Receive, note the outcomes once they are committed, and check what was admitted."""
        life, outcomes = self.life, super().process(messages)
        for (_, sealed), outcome in zip(messages, outcomes, strict=True):
            if outcome.code != TOO_EARLY:
                life.world.note("fleet", outcome.code, outcome.low_water or 0)
                life.fleet.refused += outcome.low_water is None
                life.fleet.outcome(outcome, sealed)
        return outcomes

    def _process_one(self, sender, sealed):
        """Take one of the messages that are committed together, or crash before it."""
        self.life.world.point("fleet.take", self.life)
        if self.life.fleet.too_early(sealed):
            return Outcome(TOO_EARLY, "", None, sender, None), None
        return super()._process_one(sender, sealed)


class FleetLife:
    """One run of the fleet's process."""

    prefix = "fleet."

    def __init__(self, fleet):
        self.fleet, self.world, self.dead = fleet, fleet.world, False
        self.start_s = self.world.now()
        self.store = SimStore(fleet.data, fleet.now_ms)
        self.store.attach(self)
        self.table = LiveTable()
        ingest = SimDesk(self.store, Registry(fleet.data).find, fleet.world.receipt_key,
                         fleet.now_ms)
        ingest.life = self
        self.receiver = SimReceiver(SimpleNamespace(host="broker", port=8883), ingest, self.table)
        self.receiver.life = self

    async def run(self):
        """Serve until crashed."""
        await self.receiver.run()


class Fleet:
    """The fleet's machine: its data folder, its lives, and the check of its word."""

    def __init__(self, world, folder):
        self.world, self.data = world, folder / "fleet"
        self.crashes = self.refused = 0
        self.outcomes = {}
        self.known = {}                 # digest -> what was injected and must be refused
        self.life = self.task = None
        self.backup = None
        self.epoch, self.promised = 0, 0    # highest low water published in this epoch
        self.epochs = 0                     # begun so far
        for name, seed in ((NAME, bytes([1]) * 32), (OTHER, OTHER_SEED)):
            self._enrol(name, EvidenceSigner(Ed25519PrivateKey.from_private_bytes(seed)))
        self.connection, self._seen, self._low = None, 0, (0, None)

    def _enrol(self, name, signer):
        folder = self.data / "registry"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps({
            "device": name, "site": "shop", "name": "Corner shop", "timezone": "UTC",
            "evidence_key_hex": signer.public_raw.hex(), "kid_hex": signer.kid.hex(),
            "tls_sha256": "00" * 32, "enrolled": "2026-06-01T00:00:00Z"}))

    async def live(self):
        """Run one life until it crashes; any other end is an error."""
        self.life = FleetLife(self)
        self._open_second()
        self.check_promise()
        self.world.note("fleet-start", self.life.store.epoch)
        try:
            await self.life.run()
        except BaseException:
            if not self.life.dead:
                raise
        self.life.store.close()

    def crash(self, life):
        """End the process at this instant."""
        self.crashes += 1
        life.dead, life.dead_s = True, self.world.now()

    def _open_second(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = sqlite3.connect(f"file:{self.data / fleet_store.FILE}?mode=ro", uri=True)
        self._speaks(self.life.store.epoch)

    def _speaks(self, found):
        """Note the epoch of a store or a receipt; what was promised before it is over."""
        if found < self.epoch:
            self.world.fail("I3", f"epoch {found} after {self.epoch}")
        if found > self.epoch:
            self.epoch, self.promised, self._low = found, 0, (0, None)
            self.epochs += 1

    def take_backup(self):
        """Copy the database as it is committed now, with the product's own command."""
        if self.life is not None:
            self.backup = self.data / "backup.db"
            backup.take(self.data, self.backup)
            shutil.copy(self.data / epoch.FILE, self.data / "backup.epoch")

    def restore(self, kind):
        """Put the backup in place of the database (the process is down).

        kind: "restore": by the command.  "copy": its file is copied.  "snapshot": the whole folder
        comes back, and nothing in it knows.
        """
        self.connection.close()
        self.connection = None
        self.promised = 0               # what the backup lacks is lost: the world did that
        if kind == "restore":
            with backup.lock(self.data):
                backup.restore(self.data, self.backup, self.now_ms)
            return
        for name in (fleet_store.FILE + "-wal", fleet_store.FILE + "-shm"):
            (self.data / name).unlink(missing_ok=True)
        shutil.copy(self.backup, self.data / fleet_store.FILE)
        if kind == "snapshot":          # it is back in the epoch it had, until a cabinet proves
            shutil.copy(self.data / "backup.epoch", self.data / epoch.FILE)     # a later one
            self.epoch = epoch.EpochFile(self.data).read().epoch

    def contiguous(self):
        """Return (low water, chain value) of what is committed, worked out from the rows."""
        low, link = self._low
        rows = self.connection.execute(
            "SELECT first_seq, last_seq, prev, chain_hash FROM batches WHERE cabinet = ? AND "
            "first_seq > ? ORDER BY first_seq", (NAME, low))
        for first, last, prev, own in rows:
            if first != low + 1 or link not in (None, prev):
                break
            low, link = last, own
        self._low = low, link
        return low, link

    def said(self, payload):
        """Hold a receipt on its way out to what is committed at this instant (I3)."""
        found = receipt.open_sealed(payload)[1]
        self._speaks(found.epoch)
        if found.cabinet != NAME:
            return
        low, link = self.contiguous()
        if found.low_water > low:
            self.world.fail("I3", f"receipt {found.low_water}, committed without a hole {low}")
        start = chain.start(NAME, found.journal_id)
        if found.low_water == low and found.chain != (link or start):
            self.world.fail("I3", f"receipt {low} with a chain value that is not stored")
        if found.epoch == self.epoch:
            self.promised = max(self.promised, found.low_water)

    def epoch_of(self, payload):
        """Return the epoch in a receipt, None if it is none."""
        try:
            return receipt.open_sealed(payload)[1].epoch
        except FormatError:
            return None

    def check_promise(self):
        """Hold the store after a start to the highest receipt of its epoch (I3)."""
        self._low = 0, None
        low, _ = self.contiguous()
        if low < self.promised:
            self.world.fail("I3", f"said {self.promised}, after a crash {low}")

    def outcome(self, outcome, sealed):
        """Note an outcome; an injected message must be refused, a sealed batch never is."""
        code = outcome.code
        self.outcomes[code] = self.outcomes.get(code, 0) + 1
        digest = sha256(sealed).digest()
        wanted = self.known.get(digest)
        if wanted is None:
            # After fork evidence the fleet takes a journal's batches in order only.
            waits = code == "broken-chain" and "disputed" in outcome.detail
            if code not in ("admit", "duplicate", SHOWN) and not waits:
                self.world.fail("I12", f"a batch of our own is refused: {outcome.detail}")
        elif code not in wanted:
            self.world.fail("I12", f"forged to be {wanted}, outcome {code}")

    def expect(self, sealed, *codes):
        """Say which outcomes an injected message may have."""
        self.known[sha256(sealed).digest()] = codes

    def too_early(self, sealed):
        """Return whether a forgery meets a store that lost (a restore) what it forges."""
        codes = self.known.get(sha256(sealed).digest(), ())
        if "fork" not in codes:
            return False
        number = downsampled.open_any(sealed)[1].number - ("broken-chain" in codes)
        return not self.rows("SELECT 1 FROM batches WHERE number = ?", number)

    def now_ms(self):
        """Return the fleet's clock, UTC in ms."""
        return int((ORIGIN_S + self.world.now()) * 1000)

    def twin(self, sealed):
        """Return a connection to the books of another fleet that got all batches in order."""
        store = EvidenceStore(self.data.parent / "twin", self.now_ms)
        ingest = Ingest(store, Registry(self.data).find, self.world.receipt_key, self.now_ms)
        for one in ingest.process([(NAME, data) for data in sealed]):
            if one.code != "admit":
                self.world.fail("I6", f"a whole batch is refused: {one.detail}")
        store.close()
        return sqlite3.connect(self.data.parent / "twin" / fleet_store.FILE)

    def rows(self, statement, *given):
        """Return committed rows."""
        return self.connection.execute(statement, given).fetchall()
