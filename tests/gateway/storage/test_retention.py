"""Room on flash: acknowledged batches go first, then old ones get downsampled; the reserve."""

import asyncio

import pytest

from gateway.core.codec import record
from gateway.core.errors import StoreError
from gateway.core.evidence import batch, downsampled
from gateway.core.journal.downsampled_files import DownsampledBatches
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.journal.policy import FULL, OK
from gateway.core.reading import ClockState, Point, Stream
from gateway.storage import retention as rooms
from gateway.storage.deflate import deflate
from gateway.storage.restart import inflate
from gateway.storage.retention import CounterLimits, Retention
from tests.support import virtual_time
from tests.support.memory_store import ENOSPC, Fault, MemoryStore
from tests.support.writer_setup import WriterSetup

BLOCK = 4096
SCHEMA = (Stream("meter", (Point(43, 0, ""), Point(14, 0, ""))),)
SEALER = Sealer(b"kid-0001", lambda data: bytes(64), deflate, batch.CODEC_DEFLATE)
CLOCK = ClockState(3, 0, 1_760_000_400_000, 20)     # a whole quarter hour
QUARTER_MS = 900_000


class Cabinet:
    """A journal with its room on a store, fed by hand."""

    def __init__(self, store, keep_bytes=1 << 30):
        self.store, self.at_ms, self.counter = store, 0, 0
        self.journal = Journal.open(store, JournalOpening(
            "cab-1", SCHEMA, bytes(32), b"\xa0", "test", lambda: b"J" * 16, CLOCK, 0),
            batches=DownsampledBatches)
        self.under_way = []
        self.retention = Retention(self.journal, store, keep_bytes, SEALER,
                                   CounterLimits(bytes(32), LIMITS))

    def quarter(self, scans=9):
        """Take a quarter hour of scans, commit and seal it."""
        for _ in range(scans):
            self.at_ms += QUARTER_MS // scans
            self.counter += 40
            self.journal.append_scan(self.at_ms, 0, (self.counter, self.at_ms // 7 % 900))
        self.commit()
        return self.journal.seal(SEALER)

    def commit(self):
        """Commit as the writer does."""
        durable = self.journal.commit()
        if durable < self.journal.last_seq and self.retention.release_reserve():
            durable = self.journal.commit()
        return durable

    def tend(self):
        """Let the room work until nothing is due; return what was downsampled."""
        self.retention.schedule()
        done = []
        while self.retention.due:
            found = self.retention.reclaim_step(self.under_way)
            done += [found] if found else []
        return done

    def records(self):
        """Return all records of all batches on flash."""
        bodies = [downsampled.open_any(self.journal.read_batch(number))[1]
                  for number in self.journal.batch_numbers()]
        return [item for body in bodies for item in downsampled.open_records(body, inflate)[1]]


LIMITS = b"\xa2" + b"\x67devices\x80" + b"\x6ainterval_s\x0a"


def test_acknowledged_batches_go_before_anything_is_made_coarser():
    cabinet = Cabinet(MemoryStore(), keep_bytes=20 * BLOCK)
    for _ in range(40):
        cabinet.quarter()
    cabinet.journal.acknowledge(cabinet.journal.batch_info(30)[1], 0)
    assert cabinet.tend() == []
    assert list(cabinet.journal.batch_numbers()) == list(range(21, 41))
    assert cabinet.retention.counts == {"trimmed": 20, "coarsened": 0}


def test_what_the_fleet_does_not_have_is_made_coarser_oldest_first():
    cabinet = Cabinet(MemoryStore(), keep_bytes=30 * BLOCK)
    for _ in range(40):
        cabinet.quarter()
    before = cabinet.records()
    (done,) = cabinet.tend()
    assert (done.numbers, done.rule) == (list(range(1, 17)), downsampled.QUARTERS)
    assert list(cabinet.journal.batch_numbers()) == list(range(16, 41))
    after = cabinet.records()
    assert len(after) < len(before) and all(item in before for item in after)
    assert [item for item in after if item.seq > done.last_seq] == [
        item for item in before if item.seq > done.last_seq]


def test_batches_under_way_and_the_newest_are_left_alone():
    cabinet = Cabinet(MemoryStore(), keep_bytes=0)
    for _ in range(24):
        cabinet.quarter()
    cabinet.under_way = [3]
    done = cabinet.tend()
    assert done[0].numbers == [1, 2]
    assert not {3, *range(17, 25)} & {number for one in done for number in one.numbers}


def test_the_reserve_is_made_once_and_found_again():
    store = MemoryStore()
    Cabinet(store).tend()
    assert store.size(rooms.RESERVE) == rooms.RESERVE_BYTES
    again = Cabinet(store)
    assert again.retention.status()["reserve"] == "whole"


def test_a_reserve_that_never_became_whole_is_made_anew():
    store = MemoryStore({rooms.RESERVE: b"torn"})
    Cabinet(store).tend()
    assert store.size(rooms.RESERVE) == rooms.RESERVE_BYTES


def test_on_a_full_disk_events_are_kept_and_scans_are_refused_and_declared():
    disk = MemoryStore()
    disk.capacity = 3 << 20
    cabinet = Cabinet(disk)
    cabinet.quarter()
    cabinet.tend()
    disk.capacity = disk.used_bytes()                   # full
    while not cabinet.retention.released:
        cabinet.quarter()
    assert rooms.RESERVE not in disk.list() and cabinet.journal.state == OK
    assert cabinet.journal.append_scan(cabinet.at_ms, 0, (1, 1)) == 0
    seq = cabinet.journal.append_event(cabinet.at_ms, record.ALARM, ["test", ""])
    assert cabinet.commit() == seq                      # kept in the reserve's room
    disk.capacity += 4 << 20                            # somebody made room
    cabinet.tend()
    assert cabinet.retention.status()["reserve"] == "whole" and not cabinet.retention.released
    assert cabinet.journal.append_scan(cabinet.at_ms, 0, (2, 2)) > 0
    cabinet.commit()
    cabinet.commit()
    gaps = [item.body for _, item in cabinet.journal.replay()
            if record.is_event(item) and item.kind == record.GAP]
    assert [(body[0], body[3]) for body in gaps] == [(0, "no room: 1 scans dropped")]


def test_only_a_full_disk_spends_the_reserve_not_an_error_after_one_that_was_survived():
    cabinet = Cabinet(MemoryStore())
    cabinet.tend()
    store = cabinet.store
    store.fault = Fault(store.ops, 1, ENOSPC)
    cabinet.quarter()                               # full once, then the second try went well
    assert store.hits == 1 and cabinet.journal.state == OK
    store.fault = Fault(operation="write")          # now it is broken, not full
    cabinet.quarter()
    assert store.hits > 1
    assert cabinet.retention.status()["reserve"] == "whole"


def test_a_disk_that_fills_up_is_made_room_on_before_scans_are_lost():
    disk = MemoryStore()
    disk.capacity = 4 << 20
    cabinet = Cabinet(disk)
    cabinet.tend()
    for _ in range(900):
        cabinet.quarter()
        cabinet.tend()
    assert not cabinet.retention.released and cabinet.journal.state != FULL
    assert cabinet.journal.stats()["dropped_scans"] == 0
    counted = [item.values[0] for item in cabinet.records() if not record.is_event(item)]
    assert counted[0] == 40 and counted[-1] == cabinet.counter      # both ends of the counter


def test_a_failing_flash_is_told_and_the_next_call_tries_again():
    cabinet = Cabinet(MemoryStore(), keep_bytes=10 * BLOCK)
    for _ in range(30):
        cabinet.quarter()
    cabinet.store.fault = Fault(operation="create")
    with pytest.raises(StoreError):
        cabinet.tend()
    cabinet.store.fault = None
    assert cabinet.tend()


def test_a_rotten_batch_neither_stops_trimming_nor_coarsening():
    cabinet = Cabinet(MemoryStore(), keep_bytes=10 * BLOCK)
    for _ in range(40):
        cabinet.quarter()
    for number in (1, 5):
        (name,) = [name for name in cabinet.store.list() if f"-{number:08x}-" in name]
        cabinet.store.rot(name, 99)
    cabinet.journal.acknowledge(cabinet.journal.batch_info(3)[1], 0)
    done = cabinet.tend()
    assert cabinet.retention.counts["trimmed"] == 3
    assert list(cabinet.journal.batch_numbers())[:2] == [4, 5]
    assert done[0].numbers[0] == 6 and 5 not in {n for one in done for n in one.numbers}


def test_limits_learn_the_configuration_that_a_batch_itself_holds():
    known = CounterLimits(bytes(32), LIMITS)
    event = record.EventRecord(1, 0, record.CONFIG, [b"o" * 32, LIMITS])
    content = downsampled.Content(SCHEMA, [event], [])
    strict = known(b"?" * 32, content)(0, 0)
    assert strict == rooms.STRICT
    assert known(b"o" * 32, content)(0, 0).rate_per_hour > 0


def test_the_writer_makes_room_while_it_writes_and_says_so_in_an_event(tmp_path):
    async def some_hours():
        setup = WriterSetup(tmp_path, keep_bytes=24 * BLOCK)
        task = asyncio.create_task(setup.writer.run())
        await setup.feed(10 * 3600, step_s=60)
        setup.writer.stop()
        await task
        return setup

    setup = virtual_time.run(some_hours())
    numbers = setup.journal.batch_numbers()
    first = downsampled.open_any(setup.journal.read_batch(numbers[0]))[1]
    assert isinstance(first, downsampled.DownsampledBatch) and first.replaced[0].number == 1
    told = [item.body for number in numbers for item in downsampled.open_records(
        downsampled.open_any(setup.journal.read_batch(number))[1], inflate)[1]
        if record.is_event(item) and item.kind == record.DOWNSAMPLED]
    link = first.replaced[-1].chain_hash
    assert told[0] == [first.first_seq, first.last_seq, downsampled.QUARTERS, link]


class Shared(MemoryStore):
    """A disk on which another program's files lie."""

    others = 0

    def used_bytes(self):
        return super().used_bytes() + self.others


@pytest.mark.parametrize("others", [0, 100 << 20])
def test_a_full_disk_says_whose_files_fill_it(others, caplog):
    store = Shared()
    cabinet = Cabinet(store)
    cabinet.quarter()
    cabinet.tend()
    assert cabinet.retention.status()["foreign_bytes"] == 0     # nothing is full yet
    store.others, store.fault = others, Fault(errno=ENOSPC, operation="write")
    cabinet.journal.append_scan(cabinet.at_ms + 1, 0, (cabinet.counter, 5))
    cabinet.commit()
    assert cabinet.retention.status()["reserve"] == "spent"
    assert cabinet.retention.status()["foreign_bytes"] == pytest.approx(others, abs=1 << 20)
    said = "the disk is full of other files (10" if others else "flash is full: the reserve"
    assert said in caplog.text
    store.fault, store.others = None, 0
    cabinet.commit()
    cabinet.tend()
    assert cabinet.retention.status()["foreign_bytes"] == 0
