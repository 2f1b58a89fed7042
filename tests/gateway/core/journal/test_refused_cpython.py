"""Flash that refuses, in memory: read-only at a start, or refused while the journal is in use.

Nothing is called damaged or lost that is whole; with real processes: tests/system/
test_refused_flash.py.
"""

import pytest

from gateway.core.codec import record
from gateway.core.errors import StoreError
from gateway.core.journal import frame_search, unsealed
from gateway.core.journal.outbox import Outbox
from tests.gateway.core.journal.test_unreadable_cpython import (
    EMFILE,
    EPERM,
    again,
    again_of,
    feed,
    life,
    names_of,
    standby,
)
from tests.support.journal_world import DEVICE, SEALER, all_records, open_journal
from tests.support.memory_store import EACCES, EIO, ENOSPC, EROFS, Fault, MemoryStore

# Read-only: everything can be read, nothing written.

@pytest.mark.parametrize("errno", [EROFS, EACCES, EPERM])
def test_a_read_only_start_is_the_old_journal_and_writes_once_it_may(errno):
    world = life()
    store = again(world, fault=Fault(errno=errno))
    before = store.image()
    journal = standby(store).open()
    assert journal.journal_id == world.journal.journal_id
    box = Outbox(DEVICE, open_journal(MemoryStore({
        name: data for name, data in before.items() if name[0] != "c"})))
    assert box.next_batch() == 1                            # what is sealed is still sent
    feed(journal, 30)
    for _ in range(50):
        journal.commit()
        journal.seal(SEALER)
    assert (journal.state, journal.durable_seq) == ("read-only", world.journal.sealed_seq)
    assert journal.unwritten > 30 and "injected" in journal.reason
    assert store.image() == before
    store.fault = None
    last = journal.commit()
    assert (journal.state, last, journal.unwritten) == ("ok", journal.last_seq, 0)
    while journal.seal(SEALER):
        pass
    found = all_records(open_journal(again_of(store)))
    assert [item.seq for item in found] == list(range(1, last + 1))
    assert found[:len(world.appended)] == list(world.appended)
    own = found[len(world.appended):]
    assert names_of(own, record.GAP) == names_of(own, record.TORN) == []
    assert len(names_of(own, record.IO_ERROR)) == 1


class ReadOnly(MemoryStore):
    """A disk as it is mounted read-only: its directory can be synced, nothing is taken."""

    refuses = True

    def _step(self, operation, name):
        if self.refuses and operation != "sync_dir":
            raise StoreError(f"{operation} {name}: Read-only file system", EROFS)
        super()._step(operation, name)


def test_days_of_refusals_use_up_no_names_and_no_generations():
    world = life()
    store = ReadOnly(world.store.image())
    journal = standby(store).open()
    feed(journal, 5)
    for _ in range(500):
        journal.commit()
        journal.acknowledge(journal.sealed_seq, 0)
    assert journal.stats()["generation"] == world.journal.stats()["generation"]
    store.refuses = False
    journal.commit()
    # One segment for the boot before, written again, and one for this boot.
    assert journal.stats()["generation"] == world.journal.stats()["generation"] + 2
    used = {int(name[1:]) for name in store.list() if name[0] in "tc"}
    assert max(used) < 12
    torn = names_of([item for _, item in open_journal(again_of(store)).replay()], record.TORN)
    assert torn == []


def test_a_folder_that_takes_no_new_file_is_named_although_commits_succeed():
    """Segments may be written, nothing may be made: batches cannot be sealed."""
    world = life(unsealed=False)
    store, journal = world.store, world.journal
    store.fault = Fault(errno=EACCES, operation="create")
    journal.append_scan(1, 1, (5,))
    assert journal.commit() == journal.last_seq
    for _ in range(40):
        assert journal.seal(SEALER) is None
        assert journal.state == "read-only" and "injected" in journal.reason
    store.fault = None
    number = journal.seal(SEALER)
    assert (number, journal.state) == (3, "ok")
    assert [name for name in store.list() if "00000003" in name] == ["b4a4a4a4a-00000003-0"]


def test_a_full_disk_stays_a_full_disk():
    world = life()
    store = again(world, fault=Fault(errno=ENOSPC))
    journal = standby(store).open()
    journal.commit()
    assert (journal.state, journal.is_waiting) == ("full", False)


# Refused while it runs: nothing is called damaged or lost.

def test_batches_that_are_refused_to_the_scrub_are_not_called_damaged():
    world = life()
    for errno, bad in ((EACCES, []), (EMFILE, []), (EIO, [1, 2])):
        world.store.read_fault = Fault(errno=errno)
        assert world.journal.scrub() == bad


@pytest.mark.parametrize(("errno", "lost"), [(EACCES, 0), (EIO, 1)])
def test_what_a_start_found_is_written_again_later_if_it_is_refused_now(errno, lost, monkeypatch):
    monkeypatch.setattr(frame_search, "COLUMNS_BYTES", 0)       # a tail too long to keep in RAM
    world = life()
    store = again(world)
    journal = open_journal(store)
    store.read_fault = Fault(errno=errno)
    for _ in range(10):
        journal.commit()
        journal.seal(SEALER)
    assert (journal.stats()["lost_pieces"] > 0) == bool(lost)
    store.read_fault = None
    journal.commit()
    kept = [item.seq for _, item in journal.replay() if item.seq <= len(world.appended)]
    assert len(kept) == (0 if lost else len(world.appended) - world.journal.sealed_seq)


@pytest.mark.parametrize(("errno", "lost"), [(EACCES, False), (EIO, True)])
def test_a_piece_that_is_refused_to_the_seal_is_sealed_later(errno, lost, monkeypatch):
    monkeypatch.setattr(unsealed, "READINGS_IN_RAM_MAX", 0)  # what is sealed is read from flash
    world = life()
    journal = world.journal
    world.store.read_fault = Fault(errno=errno)
    for _ in range(10):
        journal.seal(SEALER)
    world.store.read_fault = None
    assert (journal.stats()["lost_pieces"] > 0) == lost
