"""The journal over a board's store: appended, never overwritten, found again."""

import pytest

from gateway.core.codec import record
from gateway.core.errors import StoreError
from gateway.core.evidence.batch import CODEC_RAW, open_body, open_sealed
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import CLOCK_SIMULATED, ClockState, Point, Stream
from gateway.micro.store import BoardStore

SLOT = 4096
SCHEMA = (Stream("grid", (Point(1, -1, ""), Point(43, 0, ""))),)
SEALER = Sealer(b"kid-0001", lambda data: bytes(64), None, CODEC_RAW)


def reopen(folder):
    store = BoardStore(str(folder), SLOT)
    return store, Journal.open(store, JournalOpening(
        "board-1", SCHEMA, bytes(32), b"\xa0", "test", lambda: bytes(range(16)),
        ClockState(CLOCK_SIMULATED, 0, 1_790_000_000_000, 1000), 0), SLOT, 8192)


def poll(journal, count):
    for index in range(count):
        assert journal.append_scan(1000 * index, 0, (2300 + index % 3, 1000 + index))
        journal.commit()
    return journal.durable_seq


def records_of(journal):
    found = []
    for number in journal.batch_numbers():
        found += open_body(open_sealed(journal.read_batch(number))[1], None)[1]
    return found + [item for _, item in journal.replay()]


def test_what_was_durable_is_there_after_a_start_exactly_once(tmp_path):
    _, journal = reopen(tmp_path / "j")
    durable = poll(journal, 30)                 # several slots of 4 KiB
    _, again = reopen(tmp_path / "j")
    assert again.boot == journal.boot + 1
    assert [item.seq for item in records_of(again)] == list(range(1, durable + 1))


def test_batches_and_slots_follow_each_other_through_seals_and_starts(tmp_path):
    for _ in range(4):
        _, journal = reopen(tmp_path / "j")
        while journal.seal(SEALER) is not None:
            pass
        durable = poll(journal, 17)
        while journal.seal(SEALER) is not None:
            pass
    found = records_of(journal)
    assert [item.seq for item in found] == list(range(1, durable + 1))
    boots = [item for item in found if record.is_event(item) and item.kind == record.BOOT]
    assert len(boots) == 4


def test_a_slot_grows_by_appending_and_tells_its_nominal_size(tmp_path):
    store, journal = reopen(tmp_path / "j")
    sizes = []
    for _ in range(5):
        poll(journal, 1)
        sizes.append((tmp_path / "j" / "t0001").stat().st_size)
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] < SLOT
    assert store.size("t0001") == SLOT
    assert store.read("t0001", 0, SLOT)[sizes[-1]:] == bytes(SLOT - sizes[-1])


def test_writing_into_the_middle_of_a_file_is_refused(tmp_path):
    store = BoardStore(str(tmp_path / "j"), SLOT)
    store.create("c0")
    store.write("c0", 0, b"0123")
    store.sync("c0")
    with pytest.raises(StoreError, match="not its end"):
        store.write("c0", 2, b"x")
    with pytest.raises(StoreError, match="errno 17"):
        store.create("c0")
    assert store.read("c0", 0, 10) == b"0123"


def test_what_cannot_be_read_or_removed_is_a_store_error(tmp_path):
    store = BoardStore(str(tmp_path / "j"), SLOT)
    for work in (lambda: store.read("b1", 0, 1), lambda: store.size("b1"),
                 lambda: store.remove("b1")):
        with pytest.raises(StoreError) as caught:
            work()
        assert caught.value.errno == 2
