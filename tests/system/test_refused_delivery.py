"""A gateway whose flash is refused or rotten, and a fleet: what is sent, what is believed.

Real writer, outbox, lane and receipts against a real desk and store, in virtual time, with the
refusals of flash injected at its door.
"""

import asyncio

import pytest

from fleet.store.incidents import GAP, LOST, RESET, RESTORED, UNHELD
from gateway.core.codec import record
from gateway.core.errors import StoreError
from gateway.core.evidence import batch
from gateway.service import stopping
from gateway.service.receipt_age import FINE, ReceiptAge
from gateway.storage.restart import inflate
from gateway.storage.store import FlashStore
from tests.system.test_restored import CABINET, everything_is_there, world

EACCES, EROFS = 13, 30
ACCUSATIONS = {GAP, LOST, RESET, RESTORED, UNHELD}


class Door(FlashStore):
    """The door to flash, which refuses to write or to read."""

    writes = reads = True

    def _may(self, allowed, errno):
        if not allowed:
            raise StoreError("open /journal/x: refused", errno)

    def read(self, name, offset, count):
        """Read, if that is allowed."""
        self._may(self.reads, EACCES)
        return super().read(name, offset, count)

    def create(self, name):
        """Make, if that is allowed."""
        self._may(self.writes, EROFS)
        super().create(name)

    def write(self, name, offset, data):
        """Write, if that is allowed."""
        self._may(self.writes, EROFS)
        super().write(name, offset, data)

    def remove(self, name):
        """Delete, if that is allowed."""
        self._may(self.writes, EROFS)
        super().remove(name)


def ages(cabinet):
    """Follow how old records grow, as the gateway does; return a function that says the word."""
    age = ReceiptAge(900, cabinet.journal.recovered_seq, cabinet.clock.real_s())

    def note(event):
        if hasattr(event, "recovered_seq"):
            age.begin(event.recovered_seq)
        age.note(event, cabinet.clock.real_s())
    cabinet.writer.subscribe(note)
    return lambda: age.word(cabinet.lane.outbox.acknowledged_seq, cabinet.clock.real_s(), True)


def lost_alarms(cabinet):
    """Return what all sealed batches that can be read declare lost, in order."""
    found = []
    for number in cabinet.journal.batch_numbers():
        try:
            content = batch.open_sealed(cabinet.journal.read_batch(number))[1]
        except Exception as error:
            assert "missing or its bytes changed" in str(error), error
            continue
        found += [item.body[1] for item in batch.open_body(content, inflate)[1]
                  if record.is_event(item) and item.kind == record.ALARM
                  and item.body[0] == "batch-lost"]
    return found


def test_what_is_sealed_is_sent_while_flash_is_read_only_and_the_rest_after_it(tmp_path):
    async def story(cabinet, fleet):
        fleet.is_away = True
        await cabinet.run(4)
        old = list(cabinet.journal.batch_numbers())
        sealed, boot = cabinet.journal.sealed_seq, cabinet.journal.boot
        cabinet.store.writes, fleet.is_away = False, False
        cabinet.start()
        word = ages(cabinet)
        await cabinet.run(3)
        assert fleet.low_water() == sealed and len(set(cabinet.sent)) >= len(old)
        assert cabinet.journal.state == "read-only" and cabinet.journal.unwritten > 100
        assert list(cabinet.journal.batch_numbers()) == old
        assert word() == FINE                   # all that is durable has its receipt
        ended = stopping.ended(cabinet.journal, fleet.low_water(), 0)
        assert ended.lost == cabinet.journal.unwritten
        assert "the fleet has everything" not in stopping.text(ended)
        cabinet.store.writes = True
        await cabinet.run(2)
        assert cabinet.journal.boot == boot + 1
        everything_is_there(fleet, cabinet)
        assert not fleet.kinds() & ACCUSATIONS
    world(tmp_path, story, door=Door)


def test_a_journal_that_could_not_be_read_for_hours_is_delivered_whole_under_its_own_id(tmp_path):
    async def story(cabinet, fleet):
        fleet.is_away = True
        await cabinet.run(4)
        known = cabinet.journal.journal_id
        fleet.is_away, cabinet.store.reads = False, False
        cabinet.start()
        word = ages(cabinet)
        sent = len(cabinet.sent)
        await cabinet.run(6)
        assert (cabinet.journal.state, len(cabinet.sent)) == ("unreadable", sent)
        cabinet.store.reads, fleet.is_away = True, True
        await cabinet.run(1)
        assert cabinet.journal.journal_id == known
        assert word() != FINE                   # old records have no receipt yet
        fleet.is_away = False
        await cabinet.run(1)
        everything_is_there(fleet, cabinet)
        assert word() == FINE
        assert [one.journal for one in fleet.store.chains()] == [known]
        assert not fleet.kinds() & ACCUSATIONS
    world(tmp_path, story, door=Door)


@pytest.mark.parametrize("times", [1, 3])
def test_a_batch_that_rotted_is_told_once_however_often_the_gateway_starts(tmp_path, times):
    async def story(cabinet, fleet):
        fleet.is_away = True
        await cabinet.run(3)
        (file,) = (tmp_path / "flash").glob("b*-00000002-*")
        file.write_bytes(b"rotten" + file.read_bytes()[6:])
        for _ in range(times):
            cabinet.start()
            await cabinet.run(1)                # connected, but the fleet's answers do not come
        assert lost_alarms(cabinet) == ["2"]
        fleet.is_away = False
        await cabinet.run(1)
        assert cabinet.lane.outbox.acknowledged_seq == cabinet.journal.sealed_seq
        lost, = [one for one in fleet.store.incidents.all(CABINET) if one.kind == LOST]
        assert (lost.position, lost.count) == ("2", 1)
    world(tmp_path, story)


def test_a_batch_that_rotted_after_its_receipt_is_not_told(tmp_path):
    async def story(cabinet, fleet):
        await cabinet.run(3)
        for file in sorted((tmp_path / "flash").glob("b*"))[:2]:
            file.write_bytes(b"rotten" + file.read_bytes()[6:])
        cabinet.start()
        await cabinet.run(2)
        assert lost_alarms(cabinet) == []
        assert LOST not in fleet.kinds()
        assert cabinet.lane.outbox.acknowledged_seq == cabinet.journal.sealed_seq
    world(tmp_path, story)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("how", ["rotten", "refused"])
def test_a_newest_batch_that_cannot_be_read_before_its_turn_holds_up_nothing(tmp_path, how):
    """The newest of a long backlog goes first; it was offered again and again without a pause."""
    async def story(cabinet, fleet):
        fleet.is_away = True
        await cabinet.run(9)
        cabinet.start()
        if how == "rotten":
            file = sorted((tmp_path / "flash").glob("b*"))[-1]
            file.write_bytes(b"rotten" + file.read_bytes()[6:])
        else:
            cabinet.store.reads = False
        await cabinet.run(1)
        fleet.is_away, cabinet.store.reads = False, True
        await cabinet.run(1)
        assert cabinet.lane.outbox.acknowledged_seq == cabinet.journal.sealed_seq
        assert (LOST in fleet.kinds()) == (how == "rotten")
    world(tmp_path, story, door=Door)


def test_an_empty_queue_is_not_a_delivered_one(tmp_path):
    """Nothing was ever sealed, so nothing waits; all is lost."""
    async def story(cabinet, fleet):
        cabinet.store.writes = False
        cabinet.start()
        await cabinet.run(1)
        assert cabinet.lane.outbox.waiting() == 0
        ended = stopping.ended(cabinet.journal, fleet.low_water(), 0)
        assert ended.lost == cabinet.journal.last_seq > 90
        assert stopping.text(ended).startswith(f"stopped; {ended.lost} records are lost: flash did "
                                               "not take them (open /journal/x: refused); next: ")
    world(tmp_path, story, door=Door)


def test_the_last_line_says_what_is_left_and_praises_nothing_early(tmp_path):
    async def story(cabinet, fleet):
        fleet.is_away = True
        await cabinet.run(2)
        cabinet.writer.seal()
        waiting = stopping.ended(cabinet.journal, 0, 2)
        assert stopping.text(waiting) == (f"stopped; {cabinet.journal.durable_seq} records wait on "
                                          "flash for the next start, 2 batches of them sealed")
        fleet.is_away = False
        await cabinet.run(1)
        cabinet.writer.seal()
        await asyncio.sleep(0)
        done = stopping.ended(cabinet.journal, cabinet.journal.durable_seq, 0)
        assert stopping.text(done) == "stopped; the fleet has everything"
        assert stopping.ended(cabinet.journal, cabinet.journal.durable_seq - 1, 0).missing == 1
    world(tmp_path, story)
