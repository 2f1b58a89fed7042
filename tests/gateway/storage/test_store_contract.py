"""What the journal asks of a store: one contract, which every store keeps.

A new store gets a row in STORES.  Beyond it a store may promise more (FlashStore: holes and
writes in the middle); its own tests say so.
"""

import errno

import pytest

from gateway.core.errors import StoreError
from gateway.core.journal.journal import Journal
from gateway.micro.store import BoardStore
from gateway.storage.store import FlashStore
from tests.support.journal_world import SEALER, SEGMENT_BYTES, all_records, opening
from tests.support.memory_store import LyingStore, MemoryStore

BATCH, MARK, SEGMENT = "b4a4a4a4a-00000001-0", "c0", "t0001"


def flash(folder):
    """Return a function that opens the gateway's door to flash, again at each call."""
    doors = []

    def start():
        if doors:
            doors[-1].close()           # the process before is gone, and its lock with it
        doors.append(FlashStore(folder))
        return doors[-1]
    return start


def board(folder):
    """Return a function that opens a board's door to flash, on this machine's file system."""
    return lambda: BoardStore(str(folder), SEGMENT_BYTES)


def memory(kind):
    """Return the same for a store in memory: it goes on with what the one before held."""
    def medium(_folder):
        stores = []

        def start():
            stores.append(kind(stores[-1].image() if stores else None))
            return stores[-1]
        return start
    return medium


STORES = {"flash": flash, "board": board, "memory": memory(MemoryStore),
          "lying": memory(LyingStore)}


@pytest.fixture(params=STORES)
def start(request, tmp_path):
    return STORES[request.param](tmp_path / "journal")


@pytest.fixture
def store(start):
    return start()


def fill(store, name, *parts):
    """Create a file and append parts to it, each synced."""
    store.create(name)
    offset = 0
    for part in parts:
        store.write(name, offset, part)
        store.sync(name)
        offset += len(part)
    store.sync_dir()


def and_after_a_start(store, start):
    """Yield the store, then the one that the next start opens."""
    yield store
    yield start()


def test_a_new_store_holds_nothing(store):
    assert list(store.list()) == []


@pytest.mark.parametrize("name", (BATCH, MARK))
def test_what_was_appended_and_synced_is_read_back_also_by_the_next_start(start, name):
    store = start()
    fill(store, name, b"abc", b"", b"defg")
    for door in and_after_a_start(store, start):
        assert door.size(name) == 7 and list(door.list()) == [name]
        assert bytes(door.read(name, 0, 7)) == b"abcdefg"
        assert bytes(door.read(name, 2, 3)) == b"cde"


def test_a_read_across_the_end_is_short_and_one_behind_it_is_empty(store):
    fill(store, BATCH, b"abcdefg")
    assert bytes(store.read(BATCH, 5, 100)) == b"fg"
    assert bytes(store.read(BATCH, 7, 100)) == b""


def test_what_was_written_is_read_before_it_is_synced(store):
    store.create(MARK)
    store.write(MARK, 0, b"mark")
    assert bytes(store.read(MARK, 0, 4)) == b"mark" and store.size(MARK) == 4


def test_a_mark_is_written_again_in_place(start):
    store = start()
    fill(store, MARK, b"m" * 128)
    store.write(MARK, 0, b"n" * 128)
    store.sync(MARK)
    for door in and_after_a_start(store, start):
        assert bytes(door.read(MARK, 0, 200)) == b"n" * 128


def test_a_segment_file_made_of_zeros_takes_its_frames_one_behind_the_other(start):
    store = start()
    fill(store, SEGMENT, bytes(SEGMENT_BYTES))
    store.write(SEGMENT, 0, b"h" * 512)
    store.write(SEGMENT, 512, b"f" * 512)
    store.sync(SEGMENT)
    for door in and_after_a_start(store, start):
        assert door.size(SEGMENT) == SEGMENT_BYTES
        assert bytes(door.read(SEGMENT, 0, SEGMENT_BYTES)) == (
            b"h" * 512 + b"f" * 512 + bytes(SEGMENT_BYTES - 1024))


def test_names_come_sorted_and_a_removed_one_is_gone_also_at_the_next_start(start):
    store = start()
    for name in (SEGMENT, MARK, BATCH, "c1"):
        fill(store, name, b"x")
    assert list(store.list()) == [BATCH, MARK, "c1", SEGMENT]
    store.remove(MARK)
    store.sync_dir()
    for door in and_after_a_start(store, start):
        assert list(door.list()) == [BATCH, "c1", SEGMENT]


def test_a_removed_file_may_be_made_again_and_is_empty(store):
    fill(store, MARK, b"old")
    store.remove(MARK)
    fill(store, MARK, b"new!")
    assert bytes(store.read(MARK, 0, 100)) == b"new!"


@pytest.mark.parametrize("act, number", [
    (lambda store: store.read(BATCH, 0, 1), errno.ENOENT),
    (lambda store: store.size(BATCH), errno.ENOENT),
    (lambda store: store.write(BATCH, 3, b"x"), errno.ENOENT),
    (lambda store: store.remove(BATCH), errno.ENOENT),
    (lambda store: store.create(MARK), errno.EEXIST),
], ids=("read", "size", "write", "remove", "create"))
def test_a_failure_is_a_store_error_with_its_number_and_changes_nothing(store, act, number):
    fill(store, MARK, b"mark")
    with pytest.raises(StoreError) as failure:
        act(store)
    assert failure.value.errno == number
    assert list(store.list()) == [MARK] and bytes(store.read(MARK, 0, 9)) == b"mark"


def test_a_journal_lives_through_starts_seals_receipts_and_trims(start):
    durable, kept = 0, []
    for life in range(4):
        journal = Journal.open(start(), opening(), SEGMENT_BYTES)
        assert journal.boot == life + 1 and journal.recovered_seq == durable
        for i in range(30):
            journal.append_scan(10 * i, 0, (life, i))
            assert journal.commit() == journal.last_seq
        while journal.seal(SEALER) is not None:
            pass
        durable = journal.durable_seq
        kept = [item.seq for item in all_records(journal)]
        assert kept == list(range(kept[0], durable + 1))
        assert journal.acknowledge(journal.batch_info(life + 1)[1], 0)
        journal.trim(0)
    assert kept[0] > 1 and journal.state == "ok" and journal.stats()["errors"] == 0
