"""A copy made while the fleet runs is whole or is none; putting it back loses no evidence."""

import sqlite3

import pytest

from fleet.__main__ import main
from fleet.errors import StoreDamaged, StoreInUse
from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.store import backup
from fleet.store.incidents import RESTORED
from fleet.store.reader import open_reader
from fleet.store.writer import EvidenceStore
from fleet.verify import site
from tests.fleet.maker import ORIGIN_MS

LATER_MS = ORIGIN_MS + 3_600_000


def rotten(file, at, size=4096):
    """Overwrite a piece of a file."""
    with file.open("r+b") as opened_file:
        opened_file.seek(at)
        opened_file.write(b"\xa5" * size)


def test_a_backup_taken_beside_the_writer_holds_what_was_committed(filled, store):
    data, _ = filled
    with store.transaction():               # a transaction is open, and is not in it
        store.refuse("ghost-1", "bad-schema", "x", (0, b"", 1))
        made = backup.take(data, data / "out")
    assert (made.batches, made.bytes) == (4, (data / "out").stat().st_size)
    assert not list(data.glob("out?*"))
    copy = sqlite3.connect(data / "out")
    assert copy.execute("SELECT count(*) FROM refused").fetchone() == (0,)
    assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    copy.close()


@pytest.mark.parametrize("what", ["page", "batch"])
def test_a_backup_of_a_rotten_store_is_refused_and_the_older_one_stays(filled, what):
    data, _ = filled
    beside = sqlite3.connect(data / "fleet.db")
    (data / "out").write_bytes(b"last night's")
    if what == "page":
        beside.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rotten(data / "fleet.db", 3 * 4096)
    else:                                   # SQLite has no check sums: nothing of it notices
        beside.execute("UPDATE batches SET sealed = CAST(substr(sealed, 1, 500) || x'00' || "
                            "substr(sealed, 502) AS BLOB) WHERE number = 2")
    beside.commit()
    beside.close()
    with pytest.raises(StoreDamaged, match="next: restore it" if what == "page" else "batch 2 of"):
        backup.take(data, data / "out")
    assert (data / "out").read_bytes() == b"last night's"
    assert not list(data.glob("out?*"))


def test_a_restored_store_speaks_in_a_higher_epoch_and_takes_what_comes_again(
        filled, store, ingest, gateway, receipt_key):
    data, sealed = filled
    spoken = store.epoch
    backup.take(data, data / "out")
    later = [gateway.seal(seconds=450) for _ in range(2)]
    for one in later:
        ingest.process_one("shop-1", one)
    store.close()
    before = backup.restore(data, data / "out", lambda: LATER_MS)
    assert before is not None and before.name.startswith("fleet.db.before-2026")
    again = EvidenceStore(data, lambda: LATER_MS)
    assert again.epoch >= LATER_MS > 0 and again.epoch > spoken
    taken = Ingest(again, Registry(data).find, receipt_key, lambda: LATER_MS)
    assert [taken.process_one("shop-1", one).code for one in (*sealed, *later)] == [
        "duplicate"] * 4 + ["admit"] * 2
    again.close()
    with open_reader(data) as reader:
        checked, = site(reader, Registry(data).sites()["shop"])
        noted = [one for one in reader.incidents("shop-1") if one.kind == RESTORED]
    assert (checked.batches, checked.faults) == (6, [])
    assert len(noted) == 1 and "from a copy or a backup" in noted[0].detail
    kept = sqlite3.connect(before)
    assert kept.execute("SELECT count(*) FROM batches").fetchone() == (6,)
    kept.close()


@pytest.mark.parametrize("clock_ms", [LATER_MS, 0])
def test_two_restorations_of_one_backup_never_speak_in_one_epoch(filled, store, clock_ms):
    data, _ = filled
    backup.take(data, data / "out")
    epochs = [store.epoch]
    store.close()
    for _ in range(3):
        backup.restore(data, data / "out", lambda: clock_ms)
        again = EvidenceStore(data, lambda: clock_ms)
        epochs.append(again.epoch)
        again.close()
    assert epochs == sorted(set(epochs))
    assert len(list(data.glob("fleet.db.before-*"))) == 3


def test_a_backup_that_is_not_whole_replaces_nothing(filled, store):
    data, _ = filled
    backup.take(data, data / "out")
    store.close()
    whole = (data / "fleet.db").read_bytes()
    rotten(data / "out", 3 * 4096)
    with pytest.raises(StoreDamaged, match="nothing was changed; next: take an older one"):
        backup.restore(data, data / "out", lambda: LATER_MS)
    assert (data / "fleet.db").read_bytes() == whole


def test_restore_refuses_a_folder_that_a_fleet_serves(tmp_path):
    with backup.lock(tmp_path), pytest.raises(StoreInUse, match="next: stop it"), \
            backup.lock(tmp_path):
        raise AssertionError("locked twice")


def test_backup_and_restore_are_commands_that_say_what_they_did(filled, store, capsys):
    data, _ = filled
    out = data / "out"
    assert main(["backup", "--data", str(data), "--out", str(out)]) == 0
    assert "4 batches" in capsys.readouterr().out
    store.close()
    assert main(["restore", "--data", str(data), "--backup", str(out)]) == 0
    said = capsys.readouterr().out
    assert "fleet.db.before-" in said and "cabinets send again" in said
    assert main(["restore", "--data", str(data), "--empty"]) == 0
    assert "a new, empty store" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main(["restore", "--data", str(data)])
    assert stop.value.code == 2
