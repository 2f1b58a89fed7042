"""`python -m gateway journal`: what a technician sees, with and without damage."""

import json

import pytest

from gateway.__main__ import main, parser
from gateway.config import load as config
from gateway.core.evidence import batch
from gateway.core.journal.downsampled_files import DownsampledBatches
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import Absent, ClockState
from gateway.service import journal_cli
from gateway.signer import EvidenceSigner
from gateway.storage.deflate import deflate
from gateway.storage.retention import CounterLimits, Retention
from gateway.storage.store import FlashStore
from tests.support.cabinet_folder import make_folder

CLOCK = ClockState(3, 0, 1_780_272_000_000, 50)         # 2026-06-01T00:00:00Z


@pytest.fixture
def path(tmp_path):
    """Return a cabinet whose journal holds two batches, the first acknowledged, and a tail."""
    path = make_folder(tmp_path)
    cabinet = config.load(path)
    store, signer = FlashStore(cabinet.journal.directory), EvidenceSigner.load(cabinet.evidence_key)
    journal = Journal.open(store, JournalOpening(
        cabinet.site.cabinet, cabinet.schema, cabinet.config_hash, cabinet.descriptor, "1.0",
        lambda: b"J" * 16, CLOCK, 0))
    for i in range(3):
        journal.append_scan(1000 * i, 0, (Absent(1),) * len(cabinet.schema[0].points))
        journal.commit()
        if i < 2:
            journal.seal(Sealer(signer.kid, signer.sign, None, batch.CODEC_RAW))
        if i == 0:
            journal.acknowledge(journal.sealed_seq, 0)
    store.close()
    return path


def said(capsys, path, *words):
    """Return (exit code, what the command printed as JSON)."""
    code = main(["journal", *words, "--config", str(path), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_ls_tells_batches_from_the_tail_and_what_waits(path, capsys):
    code, rows = said(capsys, path, "ls")
    assert code == 0
    assert [(row["what"], row["last_seq"], row["acknowledged"]) for row in rows] == [
        ("batch", 3, True), ("batch", 4, False), ("tail", 5, False)]


def test_show_gives_the_records_of_a_batch_and_of_the_tail(path, capsys):
    _, rows = said(capsys, path, "show", "1")
    assert [row.get("event") for row in rows] == ["config", "boot", None]
    _, rows = said(capsys, path, "show")
    assert [(row["seq"], row["utc"]) for row in rows] == [(5, "2026-06-01T00:00:02.000+00:00")]


def test_verify_is_content_with_a_whole_journal(path, capsys):
    assert said(capsys, path, "verify") == (0, {"batches": 2, "faults": []})


def test_verify_names_the_batch_whose_bytes_changed(path, capsys):
    folder = config.load(path).journal.directory
    name = next(folder.glob("b*-00000001-0"))
    data = bytearray(name.read_bytes())
    data[99] ^= 1
    name.write_bytes(data)
    code, found = said(capsys, path, "verify")
    assert code == 1 and len(found["faults"]) == 1 and "batch 1" in found["faults"][0]


def test_coarsened_batches_are_listed_shown_and_verified_as_what_they_stand_for(path, capsys):
    cabinet = config.load(path)
    store, signer = FlashStore(cabinet.journal.directory), EvidenceSigner.load(cabinet.evidence_key)
    journal = Journal.open(store, JournalOpening(
        cabinet.site.cabinet, cabinet.schema, cabinet.config_hash, cabinet.descriptor, "1.0",
        lambda: b"J" * 16, CLOCK, 0), batches=DownsampledBatches)
    sealer = Sealer(signer.kid, signer.sign, deflate, batch.CODEC_DEFLATE)
    for i in range(20):
        journal.append_scan(900_000 * i, 0, (Absent(1),) * len(cabinet.schema[0].points))
        journal.commit()
        journal.seal(sealer)
    room = Retention(journal, store, 0, sealer,
                     CounterLimits(cabinet.config_hash, cabinet.descriptor))
    while room.due:
        room.reclaim_step(())
    store.close()
    code, rows = said(capsys, path, "ls")
    assert code == 0 and sum("quarter hours" in row["kept"] for row in rows) >= 1
    first = next(row for row in rows if "quarter hours" in row["kept"])
    assert said(capsys, path, "verify")[0] == 0
    code, records = said(capsys, path, "show", str(first["number"]))
    assert code == 0 and all(first["first_seq"] <= row["seq"] <= first["last_seq"]
                             for row in records)


def test_export_copies_the_bytes_that_travel(path, capsys, tmp_path):
    code, made = said(capsys, path, "export", "--out", str(tmp_path / "out"))
    assert code == 0 and len(made) == 2
    data = (tmp_path / "out" / "00000002.cose").read_bytes()
    assert batch.open_sealed(data)[1].number == 2


def test_doctor_names_the_oldest_waiting_record_and_says_that_all_is_well(path, capsys):
    assert main(["journal", "doctor", "--config", str(path)]) == 0
    text = capsys.readouterr().out
    assert "the fleet has not confirmed: 4 of 2026-06-01T00:00:01.000" in text
    assert "all is well" in text


def test_nothing_in_the_directory_is_changed(path, capsys):
    folder = config.load(path).journal.directory
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    for words in (["ls"], ["show"], ["verify"], ["doctor"]):
        main(["journal", *words, "--config", str(path)])
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_the_help_names_the_words_there_are():
    assert sorted(parser().commands["journal"].commands) == sorted(journal_cli.COMMANDS)
