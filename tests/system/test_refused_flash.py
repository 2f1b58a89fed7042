"""A real gateway process on flash that is read-only, belongs to somebody else, or cannot be read.

The disk is a tmpfs of its own, mounted read-only and writable again; files are given to another
user and back while the gateway runs as one without root's rights over them.  Needs root.  What is
promised: docs/operations.md, "Flash that is not written or read".
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gateway.config import load as config
from gateway.core.codec import record
from gateway.core.codec.record import is_event
from gateway.core.evidence import batch
from gateway.polling.poller import NO_READINGS
from gateway.storage import inspect
from gateway.storage.restart import inflate
from tests.gateway.test_app import make_cabinet
from tests.support import loop_disk
from tests.support.parts import need, need_mounts

ROOT = Path(__file__).resolve().parents[2]
OWN, OTHER = 0, 65534               # users; the gateway's has no capabilities, so no rights of root
LIMIT_S = 30
DEVICES = 12                        # of the example cabinet
KIB = 65_536


class Cabinet:
    """A cabinet whose gateway runs as a user without rights, on a disk of its own."""

    def __init__(self, folder):
        self.path = make_cabinet(folder)
        self.site, self.journal = self.path.parent, self.path.parent / "journal"
        self.journal.mkdir(exist_ok=True)
        self.log, self.process = folder / "log", None
        self.gateway = [need("setpriv"), "--bounding-set=-all", "--inh-caps=-all", sys.executable,
                        "-m", "gateway"]

    def give(self, user, *paths):
        """Let a user own files; without paths the whole site."""
        for path in paths or (self.site,):
            subprocess.run(["chown", "-R", f"{user}:{user}", str(path)], check=True)

    def command(self, *words):
        """Run a command of the gateway as its user; return what it said."""
        return subprocess.run(
            [*self.gateway, *words], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)})

    def start(self):
        """Start the gateway and wait until it shows itself."""
        (self.site / "status.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.gateway, "run", "--config", str(self.path), "--witness",
                 str(self.site / "witness")], stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)})
        self.until(lambda: "journal" in self.status())

    def until(self, condition, limit_s=LIMIT_S):
        """Wait until a condition holds."""
        end_s = time.monotonic() + limit_s
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end_s, (self.status(), self.log.read_text()[-3000:])
            time.sleep(0.05)

    def status(self):
        """Return what the process wrote of itself last."""
        try:
            return json.loads((self.site / "status.json").read_text())
        except (OSError, ValueError):
            return {}

    def told(self):
        """Return the words of `gateway status`, and its exit code."""
        done = self.command("status", "--config", str(self.path), "--json")
        return json.loads(done.stdout)["words"], done.returncode

    def end(self, number=signal.SIGTERM):
        """Stop the gateway; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)

    def witnessed(self):
        """Return the highest sequence that was ever said to be durable."""
        return int((self.site / "witness").read_text().split()[-1])

    def view(self):
        """Return the journal as it lies on flash."""
        return inspect.open_view(self.journal, config.load(self.path).site.cabinet)

    def records(self):
        """Return (journal ids, every sealed record in order)."""
        view, ids, found = self.view(), set(), []
        for number in view.found.batches.numbers():
            content = batch.open_sealed(view.found.batches.read(number))[1]
            ids.add(content.journal_id)
            found += batch.open_body(content, inflate)[1]
        return ids, found


@pytest.fixture
def cabinet():
    """A cabinet whose journal has a disk of its own."""
    need_mounts()
    need("chown")
    folder = Path(tempfile.mkdtemp(prefix="wattproof-refused-"))
    made = Cabinet(folder)
    try:
        with loop_disk.tmpfs(made.journal, KIB):
            made.journal.chmod(0o755)
            yield made
            if made.process is not None and made.process.poll() is None:
                made.process.kill()
                made.process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def live_and_die(cabinet):
    """Let the gateway keep some records, kill it, and return (journal id, last durable)."""
    cabinet.give(OWN)
    cabinet.start()
    cabinet.until(lambda: len(list(cabinet.journal.glob("b*"))) >= 3)
    journal_id = cabinet.status()["journal"]["journal_id"]
    cabinet.end(signal.SIGKILL)
    return bytes.fromhex(journal_id), cabinet.witnessed()


def held_to_everything(cabinet, journal_id, durable):
    """One journal, numbers without a hole or a second use, each device's absence declared once,
    nothing called lost."""
    ids, found = cabinet.records()
    assert ids == {journal_id}
    assert [item.seq for item in found] == list(range(1, len(found) + 1))
    assert len(found) > durable
    boots = [item.seq for item in found if is_event(item) and item.kind == record.BOOT]
    assert len(boots) == 2 and boots[1] == durable + 1
    gaps = [item.body for item in found[durable:] if is_event(item) and item.kind == record.GAP]
    absent = [gap[0] for gap in gaps if gap[3] == NO_READINGS]
    assert sorted(absent) == list(range(DEVICES))
    assert not [gap for gap in gaps if gap[0] < 0], gaps
    names = [item.body[0] for item in found if is_event(item) and item.kind == record.ALARM]
    assert not {"foreign-journal", "batch-missing", "batch-damaged"} & set(names)
    assert cabinet.command("journal", "verify", "--config", str(cabinet.path)).returncode == 0
    return names


def test_a_start_on_a_read_only_disk_goes_on_in_the_old_journal_and_writes_after_the_remount(
        cabinet):
    journal_id, durable = live_and_die(cabinet)
    loop_disk.remount(cabinet.journal, "ro")
    before = {path.name: path.read_bytes() for path in cabinet.journal.iterdir()}
    cabinet.start()
    cabinet.until(lambda: cabinet.status()["journal"]["unwritten"] > 100)
    now = cabinet.status()
    assert now["journal"]["journal_id"] == journal_id.hex()
    assert now["journal"]["state"] == "read-only" and "Read-only" in now["journal"]["reason"]
    assert now["journal"]["batches_waiting"] >= 3           # they are offered to the fleet
    words, code = cabinet.told()
    assert "journal-read-only" in words and "ok" not in words and code == 1
    assert {path.name: path.read_bytes() for path in cabinet.journal.iterdir()} == before
    loop_disk.remount(cabinet.journal, "rw")
    cabinet.until(lambda: "flash takes records again" in cabinet.log.read_text())
    assert cabinet.end() == 0
    assert "journal-read-only" in held_to_everything(cabinet, journal_id, durable)
    assert cabinet.witnessed() > durable


def own_all(cabinet):
    """Give the journal to another user, as a copy does."""
    cabinet.give(OTHER, cabinet.journal)
    for path in cabinet.journal.iterdir():
        path.chmod(0o600)


def own_one_segment(cabinet):
    """Give one segment of the tail to another user."""
    path = sorted(cabinet.journal.glob("t*"))[-1]
    cabinet.give(OTHER, path)
    path.chmod(0o600)


def hide_content(cabinet):
    """Let everybody list the folder, and nobody open what is in it."""
    cabinet.journal.chmod(0o400)


@pytest.mark.parametrize("refuse", [
    own_all, pytest.param(own_one_segment, marks=pytest.mark.proof),
    pytest.param(hide_content, marks=pytest.mark.proof)])
def test_files_that_cannot_be_read_are_waited_for_and_no_other_journal_begins(cabinet, refuse):
    journal_id, durable = live_and_die(cabinet)
    before = {path.name: path.read_bytes() for path in cabinet.journal.iterdir()}
    refuse(cabinet)
    cabinet.start()
    cabinet.until(lambda: cabinet.status()["journal"]["unwritten"] > 100)
    now = cabinet.status()
    assert now["journal"]["state"] == "unreadable" and "denied" in now["journal"]["reason"]
    assert (now["journal"]["journal_id"], now["journal"]["durable_seq"]) == ("", 0)
    words, code = cabinet.told()
    assert "journal-unreadable" in words and "ok" not in words and code == 1
    assert {path.name: path.read_bytes() for path in cabinet.journal.iterdir()} == before
    cabinet.journal.chmod(0o750)
    cabinet.give(OWN, cabinet.journal)
    cabinet.until(lambda: "flash takes records again" in cabinet.log.read_text())
    assert cabinet.end() == 0
    assert "journal-unreadable" in held_to_everything(cabinet, journal_id, durable)


@pytest.mark.proof
def test_a_cursor_that_cannot_be_read_only_means_that_everything_is_sent_again(cabinet):
    journal_id, durable = live_and_die(cabinet)
    for path in cabinet.journal.glob("c*"):
        cabinet.give(OTHER, path)
        path.chmod(0o600)
    cabinet.start()
    cabinet.until(lambda: cabinet.status()["journal"]["state"] == "ok"
                  and cabinet.status()["journal"]["durable_seq"] > durable)
    assert cabinet.end() == 0
    held_to_everything(cabinet, journal_id, durable)


def test_records_that_flash_never_took_are_counted_at_the_stop_which_ends_with_code_1(cabinet):
    cabinet.give(OWN)
    loop_disk.remount(cabinet.journal, "ro")
    checked = cabinet.command("check", str(cabinet.path))
    assert checked.returncode == 1
    assert f"{cabinet.journal}: cannot be written: Read-only file system; next:" in checked.stderr
    cabinet.start()
    cabinet.until(lambda: cabinet.status()["journal"]["unwritten"] > 50)
    assert cabinet.end() == 1
    said = cabinet.log.read_text()
    assert "journal folder" in said and "keeps records in memory" in said
    stopped = cabinet.status()
    lost = stopped["journal"]["unwritten"]
    assert f"stopped; {lost} records are lost" in said and lost > 50
    assert "the fleet has everything" not in said
    assert stopped["words"] == ["stopped", "records-lost"]
    assert cabinet.told() == (["stopped", "records-lost"], 1)


def test_a_folder_of_another_user_is_named_by_check_and_start_and_a_good_one_is_left_as_it_was(
        cabinet):
    cabinet.give(OWN)
    cabinet.give(OTHER, cabinet.journal)
    done = cabinet.command("check", str(cabinet.path))
    assert done.returncode == 1 and "Permission denied; next: give it to the user" in done.stderr
    cabinet.give(OWN, cabinet.journal)
    assert cabinet.command("check", str(cabinet.path)).returncode == 0
    assert list(cabinet.journal.iterdir()) == []


@pytest.mark.proof
def test_a_disk_full_of_other_files_is_called_that_and_scans_are_taken_again(cabinet):
    live_and_die(cabinet)
    ballast = cabinet.journal / "Another-Program's"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    assert "No space left" in cabinet.command("check", str(cabinet.path)).stderr
    cabinet.start()
    cabinet.until(lambda: "disk-full" in cabinet.status()["words"])
    assert cabinet.status()["journal"]["foreign_bytes"] > KIB * 1024 // 2
    assert "flash-full" not in cabinet.told()[0] and cabinet.told()[1] == 1
    ballast.unlink()
    cabinet.until(lambda: "disk-full" not in cabinet.status()["words"])
    assert cabinet.end() == 0
    assert "the disk is full of other files" in cabinet.log.read_text()


def test_sighup_never_ends_a_gateway(cabinet):
    cabinet.give(OWN)
    cabinet.start()
    for _ in range(3):
        cabinet.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
    cabinet.until(lambda: "SIGHUP: the uplink connects again" in cabinet.log.read_text())
    (cabinet.site / "keys" / "tls.key").write_text("no key any more")
    cabinet.process.send_signal(signal.SIGHUP)
    cabinet.until(lambda: "SIGHUP: the connection stays as it is" in cabinet.log.read_text())
    assert cabinet.end() == 0


def test_status_looks_at_the_process_before_it_looks_at_the_file(cabinet):
    cabinet.give(OWN)
    cabinet.start()
    assert "not-running" not in cabinet.told()[0]
    cabinet.end(signal.SIGKILL)
    assert cabinet.told() == (["not-running"], 1)           # at once, the file is a second old
