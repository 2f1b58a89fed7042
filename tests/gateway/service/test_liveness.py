"""Is there a gateway process: asked of the kernel, with a /proc of our own where it must lie."""

import fcntl
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gateway.service import liveness, status

BOOT = "11111111-2222-3333-4444-555555555555"


def proc(folder, processes=(), locks=(), up_s=1000.0):
    """Write a /proc.  processes: (pid, start in ticks, state).  locks: lines."""
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text(BOOT + "\n")
    (folder / "uptime").write_text(f"{up_s} 900.0\n")
    (folder / "locks").write_text("".join(f"{line}\n" for line in locks))
    for pid, start, state in processes:
        (folder / str(pid)).mkdir()
        fields = [state, *["0"] * 18, str(start), "0", "0"]
        (folder / str(pid) / "stat").write_text(f"{pid} (a (b) c) {' '.join(fields)}\n")
    return folder


@pytest.fixture
def cabinet(tmp_path):
    """A cabinet with a journal's folder and a status file."""
    (tmp_path / "journal").mkdir()
    return SimpleNamespace(status_file=tmp_path / "status.json",
                           journal=SimpleNamespace(directory=tmp_path / "journal"))


def write(cabinet, **changes):
    """Write a status file of process 77, stamped at 1000 s of both clocks."""
    cabinet.status_file.write_text(json.dumps({
        "state": "running", "pid": 77, "process_mark": f"{BOOT}/500", "written_unix_s": 1000.0,
        "written_up_s": 1000.0, "words": ["ok"], **changes}))


def lock_of(folder, pid):
    """Return the line of /proc/locks for a lock on a folder."""
    state = folder.stat()
    where = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
    return f"1: FLOCK  ADVISORY  WRITE {pid} {where} 0 EOF"


def told(cabinet, where, unix_s=1001.0, up_s=1001.0):
    """Return (words, detail)."""
    found = status.read(cabinet, unix_s, up_s, where)
    return found["words"], found.get("detail", "")


def test_a_living_process_with_a_fresh_file_says_what_it_wrote(cabinet, tmp_path):
    write(cabinet)
    assert told(cabinet, proc(tmp_path / "p", [(77, 500, "S")])) == (["ok"], "")


@pytest.mark.parametrize(("processes", "why"), [
    ([], "gone"), ([(77, 501, "S")], "another process has its number"),
    ([(77, 500, "Z")], "ended")])
def test_a_process_that_is_gone_is_told_at_once_however_fresh_the_file(cabinet, tmp_path,
                                                                       processes, why):
    write(cabinet)
    words, detail = told(cabinet, proc(tmp_path / "p", processes), 1000.1, 1000.1)
    assert (words, detail) == (["not-running"], "process 77 is gone"), why


def test_a_stamp_from_the_future_is_no_life(cabinet, tmp_path):
    where = proc(tmp_path / "p", [(77, 500, "S")])
    write(cabinet, written_up_s=5000.0)
    assert told(cabinet, where) == (
        ["not-responding"], "the status file is stamped 3999 s in the future")
    write(cabinet, written_unix_s=5000.0, written_up_s=None)        # an older gateway's file
    assert told(cabinet, where)[0] == ["not-responding"]


@pytest.mark.parametrize("unix_s", [-7200.0, 1001.0, 90_000.0])
def test_a_wall_clock_that_was_set_makes_no_gateway_silent(cabinet, tmp_path, unix_s):
    write(cabinet)
    assert told(cabinet, proc(tmp_path / "p", [(77, 500, "S")]), unix_s)[0] == ["ok"]


def test_a_living_process_that_is_silent_hangs(cabinet, tmp_path):
    write(cabinet)
    assert told(cabinet, proc(tmp_path / "p", [(77, 500, "S")]), 1031.5, 1031.5) == (
        ["not-responding"], "the last sign of life is 32 s old")


def test_without_a_file_the_lock_on_the_journal_says_that_a_gateway_runs(cabinet, tmp_path):
    lock = lock_of(cabinet.journal.directory, 78)
    young = proc(tmp_path / "young", [(78, 99_000, "S")], [lock])
    assert told(cabinet, young)[0] == ["starting"]
    other = "2: POSIX  ADVISORY  READ 1 08:01:7 0 EOF"
    old = proc(tmp_path / "old", [(78, 500, "S")], [other, lock])
    words, detail = told(cabinet, old)
    assert words == ["status-not-written"] and "process 78 has the journal open" in detail
    write(cabinet)                              # the file of the run before
    assert told(cabinet, old)[0] == ["status-not-written"]
    write(cabinet, state="stopped", words=["stopped"])
    assert told(cabinet, young)[0] == ["starting"]
    assert told(cabinet, proc(tmp_path / "none"))[0] == ["stopped"]


def test_no_file_and_no_process_is_not_running(cabinet, tmp_path):
    words, detail = told(cabinet, proc(tmp_path / "p"))
    assert words == ["not-running"] and "No such file" in detail


def test_the_kernel_tells_who_holds_a_folder_and_that_a_process_lives(tmp_path):
    assert liveness.holder(tmp_path) == 0
    opened = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_EX)
    try:
        assert liveness.holder(tmp_path) == os.getpid()
    finally:
        os.close(opened)
    assert liveness.holder(tmp_path) == 0
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = liveness.mark(child.pid)
    assert mark and mark == liveness.mark(child.pid) != liveness.mark(os.getpid())
    assert 0 <= liveness.age_s(child.pid) < 60
    child.communicate(b"\n")
    assert liveness.mark(child.pid) == "" and liveness.age_s(child.pid) is None
