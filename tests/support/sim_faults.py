"""What goes wrong in a simulated day, when, and at which line of code: all from one seed.

    faults = Faults(world)                  of sim_world; nothing else makes one

A fault is put on the schedule at a random time.  Cuts and crashes are then armed at an
instrumented point (before or after a commit, a seal, a cursor write, a publish, a receipt, a
store transaction, any flash operation): they strike when the code gets there for the n-th
time, or at the deadline.  Faults thrown over the day at random would miss short windows.
"""

import asyncio

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.evidence import batch, downsampled, receipt
from gateway.signer import EvidenceSigner
from tests.support.memory_store import EIO, ENOSPC, EROFS, Fault
from tests.support.sim_coarse import COARSE_POINTS
from tests.support.sim_fleet import CLIENT, OTHER
from tests.support.sim_gateway import NAME, SCHEMA

DAY_S = 86_400
DEADLINE_S = 1200.0
GATEWAY_POINTS = (
    "commit.before", "commit.after", "seal.before", "seal.after", "cursor.before",
    "cursor.after", "flash.op", "flash.op", "publish.before", "publish.after",
    "receipt.before", "receipt.after")
FLEET_POINTS = (
    "fleet.take", "fleet.begin", "fleet.commit.before", "fleet.commit.after",
    "fleet.publish.before", "fleet.publish.after")
# How often per day.  Cuts: with those of `kill` at least the 20 of reliability_targets 9.
PER_DAY = (
    ("cut", 26), ("kill", 6), ("stop", 5), ("crash", 14), ("flash", 6), ("link", 8),
    ("fleet_link", 6), ("freeze", 4), ("restart", 5), ("lie", 5), ("refuse", 4), ("lossy", 8),
    ("clock", 6), ("meter", 8), ("forge_receipt", 60), ("forge_batch", 24), ("replay", 8),
    ("backup", 6), ("restore", 3), ("long", 1), ("fleet_long", 2), ("refused", 6))

LONG_PER_DAY = 3        # where flash is small: batches nobody has acknowledged get downsampled


class Faults:
    """The director of one run."""

    def __init__(self, world):
        self.world, self.chance = world, world.chance("faults")
        self.counts = {name: 0 for name, _ in PER_DAY}
        self._until_s = 0.0
        self.points = GATEWAY_POINTS + (COARSE_POINTS if world.trims else ())
        self._stranger = EvidenceSigner(Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32))

    def schedule(self, until_s):
        """Return [(at_s, name)] up to until_s, in order."""
        chance, found = self.chance, []
        for name, per_day in PER_DAY:
            if name == "restore" and self.world.trims:
                continue                    # what was deleted nobody can send again
            per_day = LONG_PER_DAY if name == "long" and self.world.trims else per_day
            count = per_day * until_s / DAY_S
            count = int(count) + (chance.random() < count % 1)
            found += [(chance.uniform(30, until_s), name) for _ in range(count)]
        return sorted(found)

    async def run(self, until_s):
        """Let everything happen, each at its time."""
        self._until_s = until_s
        for at_s, name in self.schedule(until_s):
            await asyncio.sleep(max(at_s - self.world.now(), 0))
            self.counts[name] += 1
            self.world.note("fault", name)
            getattr(self, "_" + name)()
        await asyncio.sleep(max(until_s - self.world.now(), 0))

    def _span(self, low_s, high_s):
        return self.chance.uniform(low_s, high_s)

    def _cut(self):
        self.world.arm(self.chance.choice(self.points), self._visits(), "cut")

    def _kill(self):
        self.world.arm(self.chance.choice(self.points), self._visits(), "kill")

    def _crash(self):
        self.world.arm(self.chance.choice(FLEET_POINTS), self._visits(), "crash")

    def _visits(self):
        return self.chance.choice((1, 1, 1, 2, 2, 3, 5, 9))

    def _stop(self):
        life = self.world.machine.life
        if life is not None and not life.dead:
            life.stop.set()

    def _flash(self):
        flash = self.world.machine.flash
        flash.fault = Fault(flash.ops + self.chance.randint(0, 20),
                            self.chance.choice((1, 1, 3, 40, 400)),
                            self.chance.choice((ENOSPC, EIO, EROFS)),
                            self.chance.random() < 0.3)

    def _refused(self):
        """A mount or an owner refuses flash for a while; the gateway starts on it, or not."""
        machine = self.world.machine
        machine.refused = self.chance.choice(("write", "read"))
        self.world.later(self._span(5, 2400), lambda: setattr(machine, "refused", ""))
        if self.chance.random() < 0.8:
            self._kill()

    def _link(self):
        self.world.broker.cut(NAME, self._span(5, 900))

    def _long(self):
        """Away for hours; where flash is small so long that batches have to be downsampled,
        some of them held by the fleet, whose receipts no longer came."""
        if not self.world.trims:
            self.world.broker.cut(NAME, self._span(3600, 14_400))
            return
        unheard_s, away_s = self._span(0, 3600), self._span(18_000, 36_000)
        self.world.broker.refused_s[CLIENT] = self.world.now() + unheard_s
        self.world.later(unheard_s, lambda: self._cut_line(away_s))

    def _cut_line(self, seconds):
        if self.world.now() < self._until_s:
            self.world.broker.cut(NAME, seconds)

    def _fleet_link(self):
        self.world.broker.cut(CLIENT, self._span(5, 900))

    def _fleet_long(self):
        self.world.broker.cut(CLIENT, self._span(3600, 14_400))

    def _freeze(self):
        self.world.broker.frozen_s = self.world.now() + self._span(5, 200)

    def _restart(self):
        self.world.broker.restart(self._span(0, 300), self.chance.random() < 0.5)

    def _lie(self):
        self.world.broker.lying_s = self.world.now() + self._span(60, 1800)

    def _refuse(self):
        name = self.chance.choice((NAME, CLIENT))
        self.world.broker.refused_s[name] = self.world.now() + self._span(60, 1800)

    def _lossy(self):
        self.world.broker.lossy_s = self.world.now() + self._span(60, 2400)

    def _clock(self):
        wall = self.world.machine.wall
        wall.mode = self.chance.choice(("ntp", "ntp", "rtc"))
        wall.offset_s = self._span(-300, 300)

    def boot_clock(self):
        """Let the clock be unset, wrong or good at a start; NTP comes back later."""
        wall = self.world.machine.wall
        wall.mode = self.chance.choice(("ntp", "ntp", "ntp", "rtc", "unset", "future"))
        wall.offset_s = self._span(-300, 300)
        if wall.mode != "ntp":
            self.world.later(self._span(20, 900), lambda: setattr(wall, "mode", "ntp"))

    def _meter(self):
        bus, stream = self.world.machine.bus, self.chance.randrange(2)
        kind = self.chance.choice((bus.silent_s, bus.babble_s))
        kind[stream] = self.world.now() + self._span(5, 600)

    def _backup(self):
        self.world.fleet.take_backup()

    def _restore(self):
        self.world.restore_next = True
        self.world.arm("fleet.take", 1, "crash")

    # -- forgeries: what must never change anything

    def _some_batch(self):
        """Return a Sealed the gateway made, or None before the first."""
        batches = self.world.machine.witness.batches
        return batches[self.chance.choice(sorted(batches))] if batches else None

    def _bytes_of(self, number):
        rows = self.world.fleet.rows("SELECT sealed FROM batches WHERE cabinet = ? AND "
                                     "number = ?", NAME, number)
        return rows[0][0] if rows else None

    def _replay(self):
        """An old batch comes again, perhaps on the topic of another cabinet."""
        known = self._some_batch()
        data = known and self._bytes_of(known.content.number)
        if data:
            self.world.broker.route(f"wp/1/{NAME}/up", data)

    def _forge_batch(self):
        """A clone, a stranger, a splice, a wrong link, or nonsense comes as a batch."""
        known = self._some_batch()
        if known is None:
            return
        kind = self.chance.choice(("clone", "stranger", "splice", "link", "coarse", "nonsense"))
        topic, data, codes = getattr(self, "_batch_" + kind)(known)
        self.world.fleet.expect(data, *codes)
        self.world.note("forged", kind, known.content.number)
        self.world.broker.route(f"wp/1/{topic}/up", data)

    def _signed(self, content, signer):
        return batch.seal(batch.encode_payload(content), signer.kid, signer.sign)

    def _batch_clone(self, known):
        """The same key, number and sequences; another content."""
        if self._bytes_of(known.content.number) is None:
            return self._batch_nonsense(known)
        clock = known.content.clock._replace(
            anchor_utc_ms=known.content.clock.anchor_utc_ms + 1 + self.chance.randrange(9999))
        made = self._signed(known.content._replace(clock=clock), self.world.machine.signer)
        return NAME, made, ("fork",)

    def _batch_stranger(self, known):
        """The right names, a key that is not enrolled, under the right key id or its own."""
        signer = self._stranger
        kid = self.world.machine.signer.kid if self.chance.random() < 0.5 else signer.kid
        content = known.content._replace(boot=known.content.boot + 1)
        made = batch.seal(batch.encode_payload(content), kid, signer.sign)
        return NAME, made, ("bad-signature",)

    def _batch_splice(self, known):
        """A genuine batch of a later place, on the topic of another enrolled cabinet."""
        made = self._signed(known.content._replace(boot=known.content.boot + 7),
                            self.world.machine.signer)
        return OTHER, made, ("unknown-device",)

    def _batch_link(self, known):
        """The right key, the next number, another predecessor."""
        held = self.world.fleet.rows("SELECT max(number) FROM batches WHERE cabinet = ?", NAME)
        known = self.world.machine.witness.batches.get(held[0][0])
        if known is None:
            return self._batch_nonsense(known)
        number = known.content.number
        low, span = known.content.last_seq + 1, known.content.last_seq - known.content.first_seq
        content = known.content._replace(number=number + 1, first_seq=low, last_seq=low + span,
                                         prev=self.chance.randbytes(32))
        made = self._signed(content, self.world.machine.signer)
        return NAME, made, ("broken-chain", "fork", "bad-schema")

    def _batch_coarse(self, known):
        """The right key; a downsampled batch that names another content than the one that is
        held."""
        content = known.content
        if self._bytes_of(content.number) is None:
            return self._batch_nonsense(known)
        named = [downsampled.Replaced(content.number, content.first_seq, content.last_seq,
                                 self.chance.randbytes(32))]
        empty = downsampled.Content(SCHEMA, [], [])
        parts = list(downsampled.make_parts(empty, named, downsampled.COUNTERS))
        body = downsampled.make_body(parts, batch.CODEC_RAW, None)
        made = downsampled.DownsampledBatch(*content[:6], content.prev, content.config_hash,
                                            content.clock,
                                            batch.CODEC_RAW, body, downsampled.COUNTERS, named)
        signer = self.world.machine.signer
        payload = downsampled.encode_payload(made)
        return NAME, downsampled.seal(payload, signer.kid, signer.sign), ("fork",)

    def _batch_nonsense(self, _known):
        """Bytes."""
        return NAME, self.chance.randbytes(self.chance.randint(0, 300)), ("bad-schema",)

    def _forge_receipt(self):
        """A receipt that must not count will reach the gateway right after its next seal:
        only while something waits could it do harm."""
        self.world.on_seal = self._send_forged_receipt

    def _send_forged_receipt(self):
        kind = self.chance.choice(("stranger", "chain", "journal", "ahead", "nonsense", "old"))
        data = getattr(self, "_receipt_" + kind)()
        if data is not None:
            self.world.note("forged", kind)
            self.world.broker.route(f"wp/1/{NAME}/receipt", data)

    def _said(self, **changes):
        life = self.world.machine.life
        if not hasattr(life, "writer"):
            return None
        journal = life.writer.journal
        number = self.world.machine.witness.ends.get(journal.sealed_seq)
        if number is None:
            return None
        known = self.world.machine.witness.batches[number]
        said = receipt.Receipt(NAME, journal.journal_id, self.world.fleet.epoch,
                               known.content.last_seq, known.chain_hash, 1)
        return said._replace(**changes)

    def _seal_receipt(self, said, signer=None):
        signer = signer or EvidenceSigner(self.world.receipt_key)
        return said and receipt.seal(said, signer.kid, signer.sign)

    def _receipt_stranger(self):
        """True words, another key."""
        return self._seal_receipt(self._said(), self._stranger)

    def _receipt_chain(self):
        """The fleet's key, a chain value that is not ours."""
        return self._seal_receipt(self._said(chain=self.chance.randbytes(32)))

    def _receipt_journal(self):
        """The fleet's key and true numbers, another device or journal."""
        change = self.chance.choice(({"cabinet": OTHER}, {"journal_id": bytes(16)}))
        return self._seal_receipt(self._said(**change))

    def _receipt_ahead(self):
        """The fleet's key, a sequence that was never sealed."""
        said = self._said()
        return said and self._seal_receipt(said._replace(low_water=said.low_water + 1000))

    def _receipt_nonsense(self):
        """Bytes."""
        return self.chance.randbytes(self.chance.randint(0, 300))

    def _receipt_old(self):
        """A genuine receipt of the past, perhaps of an epoch that has ended."""
        kept = self.world.receipts_sent
        return self.chance.choice(kept) if kept else None
