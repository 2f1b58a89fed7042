"""The flash door on a real directory."""

import errno
import os
import random

import pytest

from gateway.core.codec import record
from gateway.core.errors import StoreError
from gateway.core.journal.journal import Journal
from gateway.storage.store import FlashStore
from tests.support import loop_disk
from tests.support.journal_world import SEALER, all_records, opening
from tests.support.uncommitted import uncommitted


@pytest.fixture
def store(tmp_path):
    door = FlashStore(tmp_path / "journal")
    yield door
    door.close()


def test_bytes_written_are_read_back_and_holes_are_zero(store):
    store.create("t0001")
    store.write("t0001", 4, b"abc")
    store.sync("t0001")
    assert store.read("t0001", 0, 100) == b"\0\0\0\0abc"
    assert store.size("t0001") == 7
    assert store.list() == ["t0001"]


def test_the_door_counts_bytes_blocks_and_syncs(store):
    store.create("t0001")
    store.write("t0001", 4090, b"x" * 12)       # over the edge of a 4 KiB block
    store.write("t0001", 0, b"y")               # again in the first block
    store.sync("t0001")
    store.sync("t0001")
    assert store.counts() == (13, 2, 2)


@pytest.mark.parametrize("act, number", [
    (lambda s: s.read("t0009", 0, 1), errno.ENOENT),
    (lambda s: s.create("t0001"), errno.EEXIST),
    (lambda s: s.remove("t0009"), errno.ENOENT),
    (lambda s: s.create("../up"), errno.EINVAL),
    (lambda s: s.create("Upper"), errno.EINVAL),
])
def test_a_failure_is_a_store_error_with_its_number(store, act, number):
    store.create("t0001")
    with pytest.raises(StoreError) as failure:
        act(store)
    assert failure.value.errno == number


def test_a_full_disk_is_reported_as_such(store, monkeypatch):
    full, pwrite = os.open("/dev/full", os.O_RDWR), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda _fd, data, offset: pwrite(full, data, offset))
    store.create("t0001")
    with pytest.raises(StoreError) as failure:
        store.write("t0001", 0, b"x")
    assert failure.value.errno == errno.ENOSPC


def test_a_second_gateway_is_kept_out(store, tmp_path):
    with pytest.raises(StoreError, match="another gateway"):
        FlashStore(tmp_path / "journal")


@pytest.mark.parametrize("place", ["", "deeper"])
def test_a_file_where_the_folder_should_be_is_told_with_the_next_step(tmp_path, place):
    (tmp_path / "journal").write_text("a file")
    with pytest.raises(StoreError) as failure:
        FlashStore(tmp_path / "journal" / place)
    assert "not a folder" in str(failure.value) and "next: move that file" in str(failure.value)
    assert failure.value.errno in (errno.EEXIST, errno.ENOTDIR)


def test_a_file_system_without_locks_is_told_with_the_next_step(tmp_path):
    def no_locks(_descriptor, _how):
        raise OSError(errno.ENOLCK, "No locks available")
    with pytest.raises(StoreError, match="cannot be locked .No locks available.; next: put the"):
        FlashStore(tmp_path / "journal", no_locks)


def test_a_folder_that_is_refused_for_now_is_opened_when_it_may_be(tmp_path):
    with loop_disk.tmpfs(tmp_path / "disk", 256) as place:
        loop_disk.remount(place, "ro")
        store = FlashStore(place / "journal")
        for act in (store.list, store.free_bytes, store.sync_dir, lambda: store.create("t0001")):
            with pytest.raises(StoreError) as failure:
                act()
            assert failure.value.errno == errno.EROFS
        loop_disk.remount(place, "rw")
        store.create("t0001")
        assert store.list() == ["t0001"]
        with pytest.raises(StoreError, match="another gateway"):    # and it is locked
            FlashStore(place / "journal")
        store.close()


def test_what_is_read_only_can_be_read_and_is_written_once_it_may(tmp_path):
    with loop_disk.tmpfs(tmp_path / "disk", 256) as place:
        store = FlashStore(place / "journal")
        store.create("t0001")
        store.write("t0001", 0, b"old")
        store.sync("t0001")
        store.close()
        loop_disk.remount(place, "ro")
        store = FlashStore(place / "journal")
        assert (store.read("t0001", 0, 9), store.size("t0001")) == (b"old", 3)
        for act in (lambda: store.write("t0001", 0, b"new"), lambda: store.create("t0002"),
                    lambda: store.remove("t0001")):
            with pytest.raises(StoreError) as failure:
                act()
            assert failure.value.errno == errno.EROFS
        assert store.read("t0001", 0, 9) == b"old"
        loop_disk.remount(place, "rw")
        store.write("t0001", 0, b"new")
        store.sync("t0001")
        assert store.read("t0001", 0, 9) == b"new"
        store.close()


def test_another_disk_mounted_over_a_read_only_one_is_used(tmp_path):
    """As after `umount -l` and `mount`: the folder is looked for again by its name."""
    with loop_disk.tmpfs(tmp_path / "disk", 256) as place:
        loop_disk.remount(place, "ro")
        store = FlashStore(place)
        with loop_disk.tmpfs(place, 256):
            with pytest.raises(StoreError):
                store.create("t0001")                   # still the one below
            store.create("t0001")
            assert (place / "t0001").exists()
            store.close()


def test_sync_and_sync_dir_reach_the_medium_each_by_its_own_call(store, tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: called.append(
        ("data", os.readlink(f"/proc/self/fd/{fd}"))))
    monkeypatch.setattr(os, "fsync", lambda fd: called.append(
        ("all", os.readlink(f"/proc/self/fd/{fd}"))))
    folder = tmp_path / "journal"
    store.create("t0001")
    store.write("t0001", 0, b"x")
    assert called == []
    store.sync("t0001")
    assert called == [("data", str(folder / "t0001"))]
    store.sync_dir()
    assert called[1:] == [("all", str(folder))]


def test_a_sync_that_fails_is_a_store_error(store, monkeypatch):
    def refuse(_fd):
        raise OSError(errno.EIO, "gone")
    store.create("t0001")
    monkeypatch.setattr(os, "fdatasync", refuse)
    monkeypatch.setattr(os, "fsync", refuse)
    for act in (lambda: store.sync("t0001"), store.sync_dir):
        with pytest.raises(StoreError) as failure:
            act()
        assert failure.value.errno == errno.EIO


def test_links_and_folders_in_the_directory_are_not_files_of_ours(store, tmp_path):
    (tmp_path / "journal" / "quarantine").mkdir()
    (tmp_path / "journal" / "c0").symlink_to("/etc/passwd")
    assert store.list() == []
    with pytest.raises(StoreError):
        store.read("c0", 0, 10)


def test_a_journal_on_a_real_directory_survives_a_restart(tmp_path):
    door = FlashStore(tmp_path / "journal")
    journal = Journal.open(door, opening())
    for i in range(50):
        journal.append_scan(10 * i, 0, (i, 2 * i))
        journal.commit()
    assert journal.seal(SEALER) == 1
    journal.append_scan(600, 1, (7,))
    durable = journal.commit()
    door.close()
    again = FlashStore(tmp_path / "journal")
    reopened = Journal.open(again, opening())
    assert [item.seq for item in all_records(reopened)] == list(range(1, durable + 1))
    again.close()


def test_a_commit_begins_a_block_where_that_touches_fewer_and_is_found_again(store):
    journal = Journal.open(store, opening())
    journal.commit()
    before, ends = store.counts().blocks_touched, []
    write = store.write

    def noting(name, offset, data):
        write(name, offset, data)
        ends.append(offset + len(data))
    store.write = noting
    for i in range(24):                         # 1.5 to 3.5 KiB each, noise that nothing predicts
        for k in range(80 + 5 * i):
            journal.append_scan(100 * i + k, 0, (random.Random(100 * i + k).getrandbits(40), k))
        journal.commit()
    spans = [end - begin for begin, end in zip(ends, ends[1:], strict=False)]
    assert len(ends) == 24 and max(spans) <= 2 * 4096 and journal.stats()["generation"] == 1
    assert store.counts().blocks_touched - before == 24
    journal.append_event(0, record.ALARM, ["x", ""])
    journal.commit()
    again = Journal.open(store, opening())
    assert [item.seq for item in all_records(again)] == list(range(1, journal.durable_seq + 1))
    assert not [item for item in uncommitted(again) if item.kind in (record.GAP, record.TORN)]
