"""A disk that is really full: the journal says so, keeps what it can, and goes on with room.

Another program (the ballast) takes the room and gives it back, on tmpfs and on ext4; needs
root.  What is promised stands in docs/formats.md, section 9, "After an error".
"""

from contextlib import contextmanager

import pytest

from gateway.core.codec import record
from gateway.core.errors import StoreError
from gateway.core.journal.journal import Journal
from gateway.core.journal.policy import FULL, OK
from gateway.storage.store import FlashStore
from tests.support import loop_disk
from tests.support.journal_world import SEALER, World, all_records, open_journal, opening

RAM_BYTES = 2048            # of records that may wait; the product's 4 MiB would take minutes
SEGMENT_BYTES = 4096
COMMITS_MAX = 4000          # a full disk of any size here is noticed long before
BLOCK = 4096
DISKS = (("tmpfs", 64), ("tmpfs", 256), ("tmpfs", 1024), ("ext4", 256), ("ext4", 1024),
         ("ext4", 16_384))


@contextmanager
def disk(kind, kib, folder):
    """Mount a disk of so many KiB; yield its folder."""
    if kind == "tmpfs":
        with loop_disk.tmpfs(folder / "disk", kib) as place:
            yield place
        return
    loop_disk.make_image(folder / "image", kib)
    with loop_disk.mounted(folder / "image", folder / "disk") as place:
        yield place


def fill(place):
    """Let another program take all the room there is; return its file."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(BLOCK))
    return ballast


class Life:
    """A journal with little RAM on a store, and every record it took, by sequence."""

    def __init__(self, store):
        self.journal = Journal.open(store, opening(), SEGMENT_BYTES, RAM_BYTES)
        self.taken, self.refused, self._ticks_ms = {}, 0, 0

    def scan(self):
        """Append one scan of each stream; count those that found no room."""
        self._ticks_ms += 10_000
        for stream, values in ((0, (self._ticks_ms * 7919 % 3001, 5)), (1, (-50,))):
            seq = self.journal.append_scan(self._ticks_ms, stream, values)
            if seq:
                self.taken[seq] = record.ScanRecord(seq, self._ticks_ms, stream, values)
            self.refused += not seq

    def event(self, text):
        """Append an event; it must be taken."""
        seq = self.journal.append_event(self._ticks_ms, record.LOGIN, [text, "panel", 1])
        assert seq, "an event was refused"
        self.taken[seq] = record.EventRecord(seq, self._ticks_ms, record.LOGIN,
                                             [text, "panel", 1])

    def work(self, commits):
        """Scan and commit so often, then seal all there is."""
        for _ in range(commits):
            self.scan()
            self.journal.commit()
        while self.journal.seal(SEALER) is not None:
            pass

    def until_refused(self):
        """Go on until scans are refused."""
        for _ in range(COMMITS_MAX):
            if self.refused:
                return
            self.work(1)
        raise AssertionError("the disk is full, and nothing was ever refused")


def hold(store, taken, durable_seq):
    """Start on a store: every record up to durable_seq is there and equal; return the rest."""
    found = {item.seq: item for item in all_records(open_journal(store))}
    assert {seq: found.get(seq) for seq in taken if seq <= durable_seq} == {
        seq: item for seq, item in taken.items() if seq <= durable_seq}
    assert sorted(found) == list(range(1, max(found) + 1))
    return found


@pytest.mark.parametrize(("kind", "kib"), DISKS)
def test_a_full_disk_loses_nothing_durable_is_declared_and_is_left_behind(kind, kib, tmp_path):
    with disk(kind, kib, tmp_path) as place:
        store = FlashStore(place / "journal")
        life = Life(store)
        life.work(5)
        assert life.journal.acknowledge(life.journal.sealed_seq, 0)
        ballast = fill(place)
        life.until_refused()
        assert life.journal.state == FULL
        life.event("who came while it was full")
        hold(store, life.taken, life.journal.commit())

        ballast.unlink()
        life.work(3)
        last_seq = life.journal.commit()
        assert (life.journal.state, last_seq) == (OK, life.journal.last_seq)
        found = hold(store, life.taken, last_seq)
        gaps = [item for item in found.values()
                if record.is_event(item) and item.kind == record.GAP]
        assert {gap.body[0] for gap in gaps} == {0, 1}      # both streams had scans refused
        store.close()


def test_a_start_on_a_full_disk_runs_and_writes_once_there_is_room(tmp_path):
    with disk("tmpfs", 256, tmp_path) as place:
        store = FlashStore(place / "journal")
        life = Life(store)
        life.work(5)
        durable_seq = life.journal.durable_seq
        ballast = fill(place)
        again = Life(store)
        again.scan()
        for _ in range(10):
            again.journal.commit()
        assert durable_seq <= again.journal.recovered_seq
        hold(store, life.taken, durable_seq)
        ballast.unlink()
        again.work(1)
        assert again.journal.state == OK
        hold(store, life.taken | again.taken, again.journal.last_seq)
        store.close()


def test_a_disk_smaller_than_one_segment_is_said_to_be_full_and_nothing_is_raised(tmp_path):
    with disk("tmpfs", 8, tmp_path) as place:
        store = FlashStore(place / "journal")
        world = World(store)
        world.journal = Journal.open(store, opening(), 4 * SEGMENT_BYTES, RAM_BYTES)
        world.scans(3)
        world.commit()
        assert (world.durable, world.journal.state) == (0, FULL)
        with pytest.raises(StoreError, match="No space left"):
            store.create("t0009")
            store.write("t0009", 0, bytes(3 * BLOCK))
        store.close()
