"""A start whose files cannot be read for now: no journal begins, nothing is called lost.

In memory, with the refusals of a store injected; with real processes: tests/system/
test_refused_flash.py.
"""

import itertools

import pytest

from gateway.core.codec import record
from gateway.core.errors import Bug, JournalUnreadable, StoreError
from gateway.core.evidence import batch
from gateway.core.evidence.receipt import Receipt
from gateway.core.journal import policy, segment
from gateway.core.journal.batch_files import Batches
from gateway.core.journal.journal import Journal
from gateway.core.journal.outbox import Outbox
from gateway.core.journal.successor import Standby
from tests.support.journal_world import (
    DEVICE,
    GOOD_CLOCK,
    SEALER,
    SEGMENT_BYTES,
    World,
    all_records,
    inflate,
    open_journal,
    opening,
)
from tests.support.memory_store import EACCES, EIO, ENOSPC, EROFS, Fault, MemoryStore

OTHER_ID = b"N" * 16
EMFILE, EPERM = 24, 1


def life(seals=2, unsealed=True):
    """Return a World whose journal has some batches and unsealed records, all durable."""
    world = World(MemoryStore()).start()
    for number in range(seals):
        world.scans(20, 100 * number)
        world.commit()
        world.seal()
        world.acknowledge()
    if unsealed:
        world.scans(20, 5000)
        world.commit()
    return world


def again(world, fault=None, read_fault=None):
    """Return the store as the next process finds it."""
    store = MemoryStore(world.store.image())
    store.fault, store.read_fault = fault, read_fault
    return store


def standby(store):
    """Return the Standby of a start that would give a new journal another id."""
    return Standby(store, opening(journal_id=OTHER_ID, clock=GOOD_CLOCK), Batches, SEGMENT_BYTES)


def feed(journal, count, base=0):
    """Append scans; return what was appended as (ticks, stream, values)."""
    taken = [(10 * (base + i), i % 2, ((i, 7), (-i,))[i % 2]) for i in range(count)]
    for one in taken:
        assert journal.append_scan(*one)
    return taken


def names_of(events, kind):
    """Return the bodies of the events of a kind."""
    return [item.body for item in events if record.is_event(item) and item.kind == kind]


class Refusing(MemoryStore):
    """A store of which some names cannot be read, each with its errno."""

    def __init__(self, image, refused):
        super().__init__(image)
        self.refused = refused          # name -> errno

    def read(self, name, offset, count):
        """Refuse, or read."""
        if name in self.refused:
            raise StoreError(f"open {name}: refused", self.refused[name])
        return super().read(name, offset, count)


@pytest.mark.parametrize("errno", [EACCES, EPERM, EIO, EMFILE])
def test_where_nothing_can_be_read_no_journal_begins_and_all_goes_into_the_old_one_later(errno):
    world = life()
    store = again(world, read_fault=Fault(errno=errno))
    before = store.image()
    opener = standby(store)
    waiting = opener.open()
    assert (waiting.is_waiting, waiting.journal_id, waiting.state) == (True, b"", "unreadable")
    taken = feed(waiting, 30)
    for _ in range(5):
        assert waiting.commit() == 0
        assert waiting.seal(SEALER) is None
    assert opener.go_on(waiting) is None
    assert store.image() == before                          # nothing was written
    store.read_fault = None
    journal = opener.go_on(waiting)
    assert (journal.journal_id, journal.boot) == (world.journal.journal_id, world.journal.boot + 1)
    last = journal.commit()
    assert (journal.state, last) == ("ok", journal.last_seq)
    while journal.seal(SEALER):
        pass
    found = all_records(open_journal(again_of(store)))
    assert found[:len(world.appended)] == list(world.appended)
    assert [item.seq for item in found] == list(range(1, last + 1))
    mine = [item for item in found[len(world.appended):] if not record.is_event(item)]
    assert [(item.ticks_ms, item.stream, item.values) for item in mine] == taken
    own = found[len(world.appended):]
    assert names_of(own, record.GAP) == names_of(own, record.TORN) == []
    assert [body[3] for body in names_of(own, record.BOOT)] == [len(world.appended)]


def again_of(store):
    """Return the files of a store in the hands of another process."""
    return MemoryStore(store.image())


def test_what_waited_is_one_boot_and_one_context_with_what_comes_after():
    world = life()
    store = again(world, read_fault=Fault(errno=EACCES))
    opener = standby(store)
    waiting = opener.open()
    feed(waiting, 10)
    waiting.commit()
    store.read_fault = None
    journal = opener.go_on(waiting)
    feed(journal, 10, 100)
    journal.commit()
    while journal.seal(SEALER):
        pass
    contents = [batch.open_sealed(journal.read_batch(number))[1]
                for number in journal.batch_numbers()]
    mine = [content for content in contents if content.boot == journal.boot]
    assert len(mine) == 1
    assert {content.clock for content in mine} == {GOOD_CLOCK}
    assert len(batch.open_body(mine[0], inflate)[1]) == mine[0].last_seq - mine[0].first_seq + 1


def test_what_waited_keeps_its_commits_under_the_new_numbers():
    world = life()
    store = again(world, read_fault=Fault(errno=EACCES))
    opener = standby(store)
    waiting = opener.open()
    for base in (0, 10):
        feed(waiting, 10, base)
        waiting.commit()
    store.read_fault = None
    journal = opener.go_on(waiting)
    journal.commit()
    found = []
    for name in store.list():
        data = store.read(name, 0, store.size(name))
        header, start = segment.find_header(data) or (None, 0)
        if header and header.context.boot == journal.boot:
            found += [block for _, block in segment.scan(data, start, header).blocks]
    commits = sorted({block.commit_seq for block in found if block.boot == journal.boot})
    own = len(world.appended)
    assert commits == [own + 1, own + 2, own + 12]      # BOOT; 10 scans; IO_ERROR and 10 scans


def test_what_was_learned_of_the_configuration_meanwhile_holds_for_the_whole_boot():
    world = life()
    store = again(world, read_fault=Fault(errno=EACCES))
    opener = standby(store)
    waiting = opener.open()
    feed(waiting, 10)
    store.read_fault = None
    opener.configure(b"d" * 32, b"\xa1")
    journal = opener.go_on(waiting)
    journal.commit()
    mine = [(context, item) for context, item in journal.replay() if context.boot == journal.boot]
    assert {context.config_hash for context, _ in mine} == {b"d" * 32}
    assert names_of([item for _, item in mine], record.CONFIG) == [[b"d" * 32, b"\xa1"]]


def test_a_full_memory_drops_scans_and_declares_them_once_the_journal_is_there():
    world = life()
    store = again(world, read_fault=Fault(errno=EACCES))
    opener = Standby(store, opening(clock=GOOD_CLOCK), Batches, SEGMENT_BYTES, 2000)
    waiting = opener.open()
    refused = sum(not waiting.append_scan(10 * i, 1, (i,)) for i in range(2000))
    assert refused and waiting.unwritten >= 2000        # those dropped are lost as well
    store.read_fault = None
    journal = opener.go_on(waiting)
    journal.commit()
    journal.commit()
    gaps = names_of([item for _, item in journal.replay()], record.GAP)
    assert [gap[0] for gap in gaps] == [1] and f"{refused} scans dropped" in gaps[0][3]


@pytest.mark.parametrize(("errno", "step"), [(EACCES, "wait"), (EIO, "go on")])
def test_one_segment_among_readable_ones_is_waited_for_if_whole_and_declared_if_broken(errno, step):
    world = life()
    name = max(name for name in world.store.list() if name[0] == "t")
    store = Refusing(world.store.image(), {name: errno})
    journal = standby(store).open()
    assert journal.is_waiting == (step == "wait")
    if step == "go on":
        assert journal.journal_id == world.journal.journal_id
        journal.commit()
        own = [item for _, item in journal.replay()]
        assert names_of(own, record.GAP)[0][3] == f"whatever stood in segment {name}"
        assert journal.last_seq > 1 << 20                   # no number in it is used again


def test_a_newest_batch_that_is_whole_and_refused_is_waited_for():
    world = life(unsealed=False)
    newest = max(name for name in world.store.list() if name[0] == "b")
    with pytest.raises(JournalUnreadable, match="refused"):
        open_journal(Refusing(world.store.image(), {newest: EACCES}))


def test_a_known_batch_on_a_bad_block_is_named_and_its_file_stays():
    world = life(unsealed=False)
    newest = max(name for name in world.store.list() if name[0] == "b")
    store = Refusing(world.store.image(), {newest: EIO})
    journal = open_journal(store)
    journal.commit()
    own = [item for _, item in journal.replay()]
    assert [body[0] for body in names_of(own, record.ALARM)] == ["batch-missing"]
    assert [body[0] for body in names_of(own, record.IO_ERROR)] == ["read batch 2"]
    assert newest in store.list()


def test_a_batch_that_may_be_the_only_copy_is_not_deleted_because_a_block_was_bad():
    """The mark after it was lost, its segment recycled: only the file has these records."""
    world = life(unsealed=False)
    image = world.store.image()
    newest = max(name for name in image if name[0] == "b")
    kept = {name: data for name, data in image.items() if name[0] not in "ct"}
    store = Refusing(kept, {newest: EIO})
    journal = open_journal(store)
    journal.append_scan(1, 1, (5,))
    journal.commit()
    while journal.seal(SEALER):
        pass
    assert store.image()[newest] == image[newest]
    assert journal.last_seq > 1 << 20                       # no number of it is used again


def test_a_cursor_that_cannot_be_read_only_means_that_all_is_sent_again():
    world = life()
    slots = [name for name in world.store.list() if name[0] == "c"]
    store = Refusing(world.store.image(), dict.fromkeys(slots, EACCES))
    journal = standby(store).open()
    assert (journal.journal_id, journal.acknowledged_seq) == (world.journal.journal_id, 0)
    assert Outbox(DEVICE, journal).next_batch() == 1
    journal.commit()
    assert journal.acknowledge(journal.sealed_seq, 0, 1)
    mark = open_journal(again_of(store)).acknowledged_seq   # the old slots can be read again
    assert mark == journal.acknowledged_seq


def test_files_that_are_only_rotten_do_not_make_a_start_wait():
    store = MemoryStore({"t0001": b"\x55" * SEGMENT_BYTES, "c0": b"\x55" * 512})
    assert not standby(store).open().is_waiting


def test_a_store_that_cannot_be_listed_is_waited_for():
    class Closed(MemoryStore):
        """Nothing is listed while `open` is false."""

        open = False

        def list(self):
            if not self.open:
                raise StoreError("open /journal: Permission denied", EACCES)
            return super().list()
    store = Closed()
    opener = standby(store)
    waiting = opener.open()
    feed(waiting, 4)
    waiting.commit()
    assert "Permission denied" in waiting.reason
    store.open = True
    journal = opener.go_on(waiting)
    assert journal.journal_id == OTHER_ID                   # there is none: one may begin now
    assert journal.commit() == journal.last_seq


def test_nothing_of_a_waiting_journal_is_offered_to_the_fleet_and_no_receipt_moves_it():
    waiting = standby(again(life(), read_fault=Fault(errno=EACCES))).open()
    box = Outbox(DEVICE, waiting)
    feed(waiting, 10)
    waiting.commit()
    assert box.next_batch() is None and box.waiting() == 0
    for journal_id in (waiting.journal_id, bytes(16), b"J" * 16):
        box.receipt(Receipt(DEVICE, journal_id, 9, 3, bytes(32), 1))
        assert (box.acknowledged_seq, waiting.acknowledged_seq) == (0, 0)


# The table.

def test_the_table_of_starts_has_a_row_for_everything():
    for known, kinds in itertools.product((True, False), ([], [EIO], [EACCES], [EIO, EROFS])):
        step = policy.start_step(known, kinds)
        assert step == ("wait" if EACCES in kinds or EROFS in kinds or kinds and not known
                        else "go-on" if known else "begin")


def test_every_refusal_has_its_state():
    assert [policy.flash_state(errno) for errno in (EROFS, EACCES, EPERM, ENOSPC, EIO, 99)] == [
        "read-only", "read-only", "read-only", "full", "degraded-ram", "degraded-ram"]


@pytest.mark.parametrize(("own", "used", "keep", "foreign"), [
    (1, 100, 50, True), (60, 100, 512, False), (49, 100, 512, True), (50, 100, 512, False),
    (49, 1000, 49, False)])
def test_whose_files_fill_a_disk(own, used, keep, foreign):
    assert policy.full_of_others(own, used, keep) is foreign


def test_a_journal_that_waits_is_never_acknowledged():
    waiting = standby(again(life(), read_fault=Fault(errno=EACCES))).open()
    with pytest.raises(Bug):
        waiting.acknowledge(5, 0, 1)
    assert isinstance(waiting, Journal)
