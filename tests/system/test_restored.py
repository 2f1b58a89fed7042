"""A fleet that lost data gets back what its cabinets still hold, and names what nobody holds.

A real writer, outbox, lane and receipts on a folder against a real desk and store, without a
broker: what is published is received at once, what the fleet answers is taken in order.
"""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.formats.registry import Registry
from fleet.ingest.ingest import SHOWN, Ingest
from fleet.store import backup
from fleet.store.incidents import RESTORED, UNHELD
from fleet.store.reader import open_reader
from fleet.store.writer import EvidenceStore
from fleet.verify import site
from gateway.core import session_table
from gateway.core.evidence import batch
from gateway.core.journal.downsampled_files import DownsampledBatches
from gateway.core.journal.journal import JournalOpening, Sealer
from gateway.core.journal.successor import Standby
from gateway.core.reading import Scan
from gateway.delivery.evidence_lane import EvidenceLane
from gateway.delivery.receipts import Receipts
from gateway.signer import Verifier
from gateway.storage.deflate import deflate
from gateway.storage.retention import CounterLimits, Retention
from gateway.storage.store import FlashStore
from gateway.storage.succession import Succession
from gateway.storage.writer import JournalWriter, WriteRules
from tests.fleet import maker
from tests.support import virtual_time
from tests.support.fake_bus import ORIGIN_S, virtual_clock

CABINET = "shop-1"
ONE_BLOCK = 4096


class Fleet:
    """The fleet's process and its folder.  said: codes of what it received."""

    def __init__(self, folder, key):
        self.folder, self.key, self.said, self.clock_s = folder, key, [], 0.0
        self.is_away = False            # nothing that is sent arrives
        self.start()

    def now_ms(self):
        return int((ORIGIN_S + self.clock_s + asyncio.get_event_loop().time()) * 1000)

    def start(self):
        self.store = EvidenceStore(self.folder, self.now_ms)
        self.ingest = Ingest(self.store, Registry(self.folder).find, self.key, self.now_ms)

    def receive(self, data):
        """Return the receipts that an incoming message brings."""
        outcome = self.ingest.process_one(CABINET, data)
        self.said.append(outcome.code)
        answers = [outcome.receipt] if outcome.receipt else []
        return answers + [one for _, one in self.ingest.repeated()]

    def kinds(self):
        return {one.kind for one in self.store.incidents.all(CABINET)}

    def low_water(self):
        return max((one.low_water for one in self.store.chains()), default=0)


class Cabinet:
    """A gateway without buses and broker."""

    def __init__(self, folder, fleet, keep_bytes=64 << 20, door=FlashStore):
        self.fleet, self.clock, self.sent = fleet, virtual_clock(), []
        paper = maker.PaperGateway(CABINET)
        paper.enrol(fleet.folder)
        self.sealer = Sealer(paper.kid, paper.key.sign, deflate, batch.CODEC_DEFLATE)
        self.store, self.keep_bytes = door(folder), keep_bytes
        self.verifier = Verifier(fleet.key.public_key())
        self.start()

    def start(self):
        """Start on what the flash holds; a receipt that was retained comes first."""
        clock = self.clock
        self.standby = Standby(self.store, JournalOpening(
            CABINET, maker.SCHEMA, maker.CONFIG_HASH, maker.CONFIG_BYTES, "test",
            lambda: os.urandom(16), clock.state(), clock.ticks_ms()), DownsampledBatches)
        journal = self.standby.open()
        self.writer = JournalWriter(journal, clock, WriteRules(10, 15, self.sealer),
                                    self.retention(journal),
                                    Succession(None, self.go_on))
        self.lane = EvidenceLane(CABINET, self.writer, 5000)
        self.session = SimpleNamespace(state=session_table.ONLINE, answered=lambda: None,
                                       silent=lambda: None)
        self.receipts = Receipts(self.verifier, self.writer, self.lane, self.session)
        self.writer.subscribe(self.lane.note)

    @property
    def journal(self):
        """The journal in use."""
        return self.writer.journal

    def retention(self, journal):
        """Return what keeps a journal within its budget."""
        return Retention(journal, self.store, self.keep_bytes, self.sealer,
                         CounterLimits(maker.CONFIG_HASH, maker.CONFIG_BYTES))

    def go_on(self, waiting):
        """Return the journal on flash if it can be read by now."""
        found = self.standby.go_on(waiting)
        return found and (found, self.retention(found))

    def beat(self):
        """Nobody watches."""

    async def wait_turn(self, _lane):
        """The line is free."""

    async def publish(self, _lane, _leaf, data):
        """Hand a message to the fleet; its answers come later."""
        await asyncio.sleep(0.02)
        self.sent.append(data)
        for answer in self.fleet.receive(data) if not self.fleet.is_away else ():
            self.answers.put_nowait(answer)

    async def _listen(self):
        while True:
            await self.receipts.take(await self.answers.get())

    async def run(self, quarters):
        """Measure, seal and send for some quarter hours; connect to the fleet as it is first."""
        self.answers = asyncio.Queue()
        for _, answer in self.fleet.ingest.receipts():
            self.answers.put_nowait(answer)
        tasks = [asyncio.create_task(one) for one in (
            self.writer.run(), self.lane.run(self, self.session), self._listen())]
        for _ in range(quarters * 90):
            ticks_ms = self.clock.ticks_ms()
            for stream in range(len(maker.METERS)):
                values = maker.values(stream, ticks_ms // 1000)
                await self.writer.put(Scan(stream, ticks_ms, values))
            await asyncio.sleep(10)
        await asyncio.sleep(60)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


def world(tmp_path, story, **changes):
    """Run a story of a cabinet and its fleet in virtual time."""
    async def main():
        folder = tmp_path / "fleet"
        folder.mkdir()
        fleet = Fleet(folder, Ed25519PrivateKey.generate())
        await story(Cabinet(tmp_path / "flash", fleet, **changes), fleet)
        fleet.store.close()
    virtual_time.run(main())


def everything_is_there(fleet, cabinet):
    """Hold the fleet to every record that the cabinet sealed."""
    assert cabinet.lane.outbox.acknowledged_seq == cabinet.journal.sealed_seq
    assert fleet.low_water() == cabinet.journal.sealed_seq
    with open_reader(fleet.folder) as reader:
        checked, = site(reader, Registry(fleet.folder).sites()["shop"])
    assert (checked.first_seq, checked.last_seq, checked.faults) == (
        1, cabinet.journal.sealed_seq, [])


def everything_else_holds(fleet, first):
    """Hold `verify` to it that what was declared lost is no fault, and that the rest is booked."""
    with open_reader(fleet.folder) as reader:
        checked, = site(reader, Registry(fleet.folder).sites()["shop"])
        assert (checked.faults, reader.unplaced(CABINET)) == ([], 0)
        assert (checked.first_seq == 1) == (first == 1)


def put_back(fleet, tmp_path, how):
    """Put what was copied in place of a stopped fleet's store."""
    fleet.store.close()
    if how == "command":
        backup.restore(fleet.folder, tmp_path / "backup", fleet.now_ms)
    elif how == "file":
        shutil.copy(tmp_path / "copy" / "fleet.db", fleet.folder / "fleet.db")
    elif how == "folder":
        shutil.rmtree(fleet.folder)
        shutil.copytree(tmp_path / "copy", fleet.folder)
    else:                               # all of it is gone, the file beside the store too
        for file in fleet.folder.glob("fleet.*"):
            file.unlink()
    fleet.start()


@pytest.mark.parametrize("clock_s", [0.0, -5e8])
@pytest.mark.parametrize("how", ["command", "file", "folder", "lost"])
def test_a_store_that_came_back_by_any_means_gets_everything_again(tmp_path, how, clock_s):
    """Cases rel-epoch-restored (command, file, folder) and rel-epoch-again (lost)."""
    async def story(cabinet, fleet):
        await cabinet.run(3)
        backup.take(fleet.folder, tmp_path / "backup")
        fleet.store.close()
        shutil.copytree(fleet.folder, tmp_path / "copy")
        fleet.start()
        await cabinet.run(4)
        everything_is_there(fleet, cabinet)
        fleet.clock_s = clock_s
        put_back(fleet, tmp_path, how)
        assert fleet.low_water() < cabinet.journal.sealed_seq
        await cabinet.run(1)
        everything_is_there(fleet, cabinet)
        assert (RESTORED in fleet.kinds()) == (how != "lost" or clock_s < 0)
        assert (SHOWN in fleet.said) == (how == "folder" or how == "lost" and clock_s < 0)
    world(tmp_path, story)


def test_a_gateway_that_started_since_shows_the_receipt_that_its_flash_kept(tmp_path):
    async def story(cabinet, fleet):
        await cabinet.run(2)
        fleet.store.close()
        shutil.copytree(fleet.folder, tmp_path / "copy")
        fleet.start()
        await cabinet.run(2)
        cabinet.start()
        put_back(fleet, tmp_path, "folder")
        await cabinet.run(1)
        everything_is_there(fleet, cabinet)
        assert SHOWN in fleet.said
    world(tmp_path, story)


def test_an_older_receipt_on_the_way_is_answered_and_nothing_is_sent_twice(tmp_path):
    async def story(cabinet, fleet):
        await cabinet.run(1)
        old = fleet.ingest.receipts()[0][1]
        await cabinet.run(2)
        epoch, count = fleet.store.epoch, len(cabinet.sent)
        cabinet.answers = asyncio.Queue()
        for _ in range(5):
            await cabinet.receipts.take(old)
        await cabinet.run(0)
        assert fleet.store.epoch == epoch and fleet.kinds() == set()
        assert len(cabinet.sent) == count + 1 and fleet.said[-1] == SHOWN
    world(tmp_path, story)


def test_what_the_cabinet_has_deleted_is_declared_and_the_rest_comes(tmp_path):
    """The flash keeps three batches only; the store that comes back has one."""
    async def story(cabinet, fleet):
        await cabinet.run(1)
        backup.take(fleet.folder, tmp_path / "backup")
        await cabinet.run(9)
        held = list(cabinet.journal.batch_numbers())
        assert held[0] > 3
        put_back(fleet, tmp_path, "command")
        await cabinet.run(1)
        assert cabinet.lane.outbox.acknowledged_seq == cabinet.journal.sealed_seq
        assert fleet.low_water() == cabinet.journal.sealed_seq
        note, = [one for one in fleet.store.incidents.all(CABINET) if one.kind == UNHELD]
        first, last = map(int, note.position.split("-"))
        with closing(sqlite3.connect(fleet.folder / "fleet.db")) as beside:
            stored = {row[0] for row in beside.execute("SELECT number FROM batches")}
        assert not stored & set(range(first, last + 1))
        assert set(range(1, max(stored) + 1)) - stored == set(range(first, last + 1))
        everything_else_holds(fleet, first=1)
    world(tmp_path, story, keep_bytes=3 * ONE_BLOCK)


@pytest.mark.parametrize("backed_up", [False, True])
def test_a_fleet_that_lost_all_gets_the_configuration_again_with_what_is_left(tmp_path, backed_up):
    """The event that says what the cabinet measures was in its first batch, which nobody holds."""
    async def story(cabinet, fleet):
        if backed_up:                   # before anything came
            backup.take(fleet.folder, tmp_path / "backup")
        await cabinet.run(9)
        assert list(cabinet.journal.batch_numbers())[0] > 3
        put_back(fleet, tmp_path, "command" if backed_up else "lost")
        await cabinet.run(1)
        assert fleet.low_water() == cabinet.journal.sealed_seq
        everything_else_holds(fleet, first=2)
    world(tmp_path, story, keep_bytes=3 * ONE_BLOCK)
