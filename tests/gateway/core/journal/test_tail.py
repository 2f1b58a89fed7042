"""Segment files that failed or cannot be read, and holes in the tail: what must never happen."""

import hashlib

from gateway.core import record
from gateway.core.evidence import batch
from gateway.core.journal.journal import OK, Journal, JournalOpening, Sealer
from gateway.core.reading import ClockState, Point, Stream
from tests.support.memory_store import Fault, MemoryStore

SCHEMA = (Stream("meter", (Point(14, 0, ""), Point(43, 0, ""))),)
SEALER = Sealer(b"kid-0001", lambda data: 2 * hashlib.sha256(data).digest(), None,
                batch.CODEC_RAW)
SEGMENT_BYTES = 4096


def start(store):
    return Journal.open(store, JournalOpening(
        "cabinet-1", SCHEMA, b"c" * 32, b"\xa0", "1.0", lambda: b"J" * 16,
        ClockState(0, 0, 0, 0), 0), SEGMENT_BYTES)


def commit_scans(journal, count, base=0):
    """Commit scans one by one; values that nothing predicts fill segments quickly."""
    for i in range(base, base + count):
        seq = journal.append_scan(10 * i, 0, (i * 7919 % 3001, i * 104729 % 65521))
        assert journal.commit() >= seq > 0


def seal_all(journal):
    while journal.seal(SEALER) is not None:
        pass


class NotingStore(MemoryStore):
    """written: names of the files that were written to."""

    def __init__(self):
        MemoryStore.__init__(self)
        self.written = []

    def write(self, name, offset, data):
        self.written.append(name)
        MemoryStore.write(self, name, offset, data)


def test_a_batch_never_goes_across_a_hole():
    store = MemoryStore()
    journal = start(store)
    commit_scans(journal, 30)
    data = store.image()["t0001"]
    frames = [at for at in range(0, len(data), 512) if data[at] == 0x82]
    assert len(frames) > 5
    store.rot("t0001", frames[len(frames) // 2] + 20)
    journal = start(store)
    journal.commit()
    seal_all(journal)
    ends = []
    for number in journal.batch_numbers():
        content = batch.open_sealed(journal.read_batch(number))[1]
        seqs = [item.seq for item in batch.open_body(content, None)[1]]
        assert seqs == list(range(content.first_seq, content.last_seq + 1))
        ends.append((content.first_seq, content.last_seq))
    assert len([1 for one, other in zip(ends, ends[1:]) if other[0] > one[1] + 1]) == 1


def test_a_segment_file_that_failed_is_never_written_again():
    store = MemoryStore()
    journal = start(store)
    commit_scans(journal, 2)
    store.fault = Fault(name="t0001", operation="sync")
    commit_scans(journal, 1, 2)                     # said again in another file
    store.fault = None
    before = store.image()["t0001"]
    for i in range(40):
        commit_scans(journal, 3, 10 * i)
        seal_all(journal)
        assert store.image().get("t0001", before) == before
    assert journal.state == OK and journal.stats()["segments_free"] >= 1


def test_a_free_segment_file_that_cannot_be_read_is_never_written_again():
    store = NotingStore()
    journal = start(store)
    while journal.stats()["segments_free"] == 0:
        commit_scans(journal, 3, journal.last_seq)
        seal_all(journal)
    store.read_fault = Fault(name="t0001")
    store.written = []
    generation = journal.stats()["generation"]
    while journal.stats()["generation"] < generation + 4:
        commit_scans(journal, 3, journal.last_seq)
        seal_all(journal)
    assert "t0001" not in store.written and journal.state == OK


def test_what_a_start_found_is_not_recycled_before_it_stands_in_a_batch():
    store = MemoryStore()
    commit_scans(start(store), 60)
    journal = start(store)
    commit_scans(journal, 60, 100)
    found = [item for _, item in start(store).replay() if not record.is_event(item)]
    assert [item.ticks_ms for item in found] == [
        10 * i for i in list(range(60)) + list(range(100, 160))]
