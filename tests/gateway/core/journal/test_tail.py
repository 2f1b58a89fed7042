"""Segment files that failed or cannot be read, and holes in the tail: what must never happen."""

import hashlib

from gateway.core.codec import record
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


def medium(store):
    """Return what a power cut now would leave if nothing that was not synced survived."""
    names, _, files = store.snapshot()
    return dict([(name, files[number][0]) for name, number in names.items()])


class Killed(Exception):
    """The process ends here."""


def test_a_segment_file_that_a_killed_process_made_is_durable_before_records_stand_in_it():
    def kill(store, operation):
        if operation == "sync_dir" and store.list():
            raise Killed()
    store = MemoryStore(None, kill)
    journal = start(store)
    try:
        commit_scans(journal, 1)
        raise AssertionError("no name was made durable")
    except Killed:
        store.calm()
    assert "t0001" in store.list() and "t0001" not in medium(store)
    journal = start(store)
    commit_scans(journal, 3)
    found = [item for _, item in start(MemoryStore(medium(store))).replay()]
    assert [item.seq for item in found] == list(range(1, journal.last_seq + 1))


def test_a_batch_is_on_the_medium_when_its_seal_has_returned():
    store = MemoryStore()
    journal = start(store)
    commit_scans(journal, 5)
    assert journal.seal(SEALER) == 1
    after = start(MemoryStore(medium(store)))
    assert list(after.batch_numbers()) == [1] and after.read_batch(1) == journal.read_batch(1)


def test_frames_behind_a_header_that_a_power_cut_lost_never_come_back():
    store = MemoryStore()
    journal = start(store)
    while journal.stats()["segments_free"] == 0:
        commit_scans(journal, 3, journal.last_seq)
        seal_all(journal)
    name = "t0001"
    before = store.image()[name]
    while store.image()[name] == before:            # until it is used again ...
        commit_scans(journal, 1, journal.last_seq)
    commit_scans(journal, 3, journal.last_seq)      # ... and has more than one commit
    image = store.image()
    image[name] = before[:1536] + image[name][1536:]        # the header did not get there
    store = MemoryStore(image)
    journal = start(store)
    for _ in range(30):
        commit_scans(journal, 1, journal.last_seq)
        known = [item for _, item in journal.replay()]
        again = [item for _, item in start(MemoryStore(medium(store))).replay()]
        assert again == known
