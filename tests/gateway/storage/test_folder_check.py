"""The journal's folder is tried, and each refusal has its reason and its next step.

Refusals by owner and mount need root: tests/system/test_refused_flash.py.
"""

import pytest

from gateway.storage.folder_check import folder_faults
from gateway.storage.store import FlashStore
from tests.support import loop_disk


def test_a_good_folder_is_left_as_it_was(tmp_path):
    store = FlashStore(tmp_path / "journal")
    store.create("t0001")
    before = sorted((tmp_path / "journal").iterdir())
    assert folder_faults(tmp_path / "journal") == []    # beside the gateway that has it open
    assert sorted((tmp_path / "journal").iterdir()) == before
    store.close()


def test_a_folder_that_is_not_there_yet_is_not_made(tmp_path):
    assert folder_faults(tmp_path / "a" / "journal") == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    (fault,) = folder_faults(tmp_path / "a" / "journal")
    assert fault == (f"journal folder {tmp_path / 'a'}: is no folder; next: move the file away "
                     "that stands on the way")
    assert any("Not a directory" in one for one in folder_faults(tmp_path / "a"))


@pytest.mark.parametrize("there", [True, False])
def test_a_disk_that_is_read_only_is_named(tmp_path, there):
    with loop_disk.tmpfs(tmp_path / "disk", 256) as place:
        folder = place / "journal"
        if there:
            folder.mkdir()
            (folder / "t0001").write_bytes(b"")
        loop_disk.remount(place, "ro")
        (fault,) = folder_faults(folder)
        loop_disk.remount(place, "rw")
        assert "Read-only file system; next: mount it writable: mount -o remount,rw" in fault
        assert fault.startswith(f"journal folder {folder}: cannot be ")


def test_a_disk_that_is_full_is_named(tmp_path):
    with loop_disk.tmpfs(tmp_path / "disk", 64) as place:
        with (place / "ballast").open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
        (fault,) = folder_faults(place)
        assert "No space left on device; next: delete or move what is not Wattproof's" in fault
        assert [path.name for path in place.iterdir()] == ["ballast"]
