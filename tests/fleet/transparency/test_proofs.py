"""The page says that evidence holds only when it was checked, and of what was checked."""

import sqlite3
from pathlib import Path

import pytest

from fleet import verify
from fleet.formats.registry import Registry
from fleet.reporting import text
from fleet.store import incidents
from fleet.store.reader import JournalRow, StoreReader
from fleet.texts import say
from fleet.web import panels, proof
from fleet.web.snapshot import EMPTY, Snapshots

# 90 days are stored, without a hole, or with batches waiting behind one.
STORED = JournalRow(bytes(16), 8640, 8_553_600, 1, 8_553_600, 8_553_600, 0)
WAITING = STORED._replace(low_water=1000)
MANUAL = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
PROSE = "shop-1: records 5..9 are missing before batch 3"


def today(batches, *codes, what="shop-1: something"):
    """Return the part of a report of today that the page's proof is made of."""
    return {"evidence": {"faults": [what for _ in codes], "fault_codes": list(codes),
                         "journals": [{"records": 990 * batches, "batches": batches}],
                         "coverage": 1, "present": 1, "gap_list": [], "clock_uncertainty_s": 0},
            "quality": {}}


def chain(**changes):
    """Return the line of a snapshot that says whether evidence is unbroken."""
    line = proof.lines(EMPTY._replace(**changes), None, None)[1]
    return line._replace(text=line.text.replace("\u202f", " "))


def test_what_was_not_checked_is_not_called_good():
    for snapshot in ({"today": None}, {"today": today(0)}):
        line = chain(journals=[STORED], **snapshot)
        assert line.state == proof.WATCH
        assert "signature fits" not in line.text and "not checked" in line.text


def test_only_what_was_checked_is_counted():
    line = chain(journals=[STORED], today=today(4))
    assert line.state == proof.GOOD
    assert "3 960 records in 4 signed batches checked" in line.text
    assert "8 640" not in line.text


@pytest.mark.parametrize("code", [verify.SIGNATURE, verify.CHAIN_HASH, verify.UNREADABLE,
                                  verify.MISPLACED, verify.REPEATED])
def test_damage_is_damage_whatever_its_words_say(code):
    line = chain(journals=[WAITING], today=today(4, code, what=PROSE))
    assert line.state == proof.BAD and PROSE in line.text


def test_a_hole_that_batches_wait_behind_is_watched_and_one_behind_the_mark_is_damage():
    found = today(4, verify.MISSING, what="said in other words")
    assert chain(journals=[WAITING], today=found).state == proof.WATCH
    assert chain(journals=[STORED], today=found).state == proof.BAD


DAMAGE = (
    ("UPDATE batches SET sealed = CAST(substr(sealed, 1, 200) || x'00' || substr(sealed, 202) "
     "AS BLOB) WHERE number = 3", {verify.SIGNATURE, verify.MISSING}),
    ("DELETE FROM batches WHERE number = 3", {verify.MISSING}),
    ("UPDATE batches SET sealed = x'00' WHERE number = 3", {verify.UNREADABLE, verify.MISSING}),
    ("UPDATE batches SET sealed = (SELECT sealed FROM batches WHERE number = 2) WHERE number = 3",
     {verify.MISPLACED, verify.MISSING}),
    ("DELETE FROM batches WHERE number = 6", {verify.LOST}),
)


@pytest.mark.parametrize(("statement", "codes"), DAMAGE)
def test_each_kind_of_damage_has_its_code(statement, codes, ingest, gateway, tmp_path):
    for _ in range(6):
        ingest.process_one("shop-1", gateway.seal())
    spoil(tmp_path, statement)
    (checked,) = verify.site(StoreReader(tmp_path), [Registry(tmp_path).find("shop-1")])
    assert {fault.code for fault in checked.faults} == codes


def test_the_page_of_a_store_with_a_changed_batch_is_red(ingest, gateway, tmp_path):
    for _ in range(6):
        ingest.process_one("shop-1", gateway.seal())
    spoil(tmp_path, DAMAGE[0][0])
    snapshot = Snapshots(tmp_path, None).get(Registry(tmp_path).find("shop-1"))
    line = proof.lines(snapshot, None, None)[1]
    assert line.state == proof.BAD and "signature does not fit" in line.text


def test_a_batch_of_the_right_key_that_names_another_predecessor_is_found(ingest, gateway,
                                                                          tmp_path):
    ingest.process_one("shop-1", gateway.seal())
    number, seq, at_s = gateway.number, gateway.next_seq, gateway.at_s
    ingest.process_one("shop-1", gateway.seal())
    gateway.number, gateway.next_seq, gateway.at_s = number, seq, at_s
    exchanged = gateway.seal(prev=b"\x07" * 32)
    spoil(tmp_path, "UPDATE batches SET sealed = ? WHERE number = 2", exchanged)
    (checked,) = verify.site(StoreReader(tmp_path), [Registry(tmp_path).find("shop-1")])
    assert [(fault.code, fault.what) for fault in checked.faults] == [
        (verify.CHAIN_HASH,
         "batch 2 (records 992..1981): does not name the batch before it; one of "
         "the two was exchanged")]


def spoil(tmp_path, statement, *values):
    """Change a store behind the fleet's back."""
    connection = sqlite3.connect(tmp_path / "fleet.db")
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_a_gateway_that_cannot_write_is_told_in_words_with_the_next_step():
    for state, words_said in (("degraded-ram", "takes no writes"), ("full", "flash is full")):
        line = proof.lines(EMPTY, {"journal": {"durable_seq": 9, "acknowledged_seq": 5,
                                               "state": state}}, 3.0)[3]
        assert (line.title, line.state) == ("Receipts", proof.BAD)
        assert "keeps 4 records" in line.text and words_said in line.text
        assert "Next: " in line.text and "degraded" not in line.text


def test_what_was_refused_is_told_in_whole_words():
    found = proof.lines(EMPTY._replace(refused={"bad-schema": 1, "fork": 2}), None, None)[6]
    assert (found.state, found.text) == (proof.BAD, (
        "1 message that cannot be read. 2 messages that contradict what is stored (copied key or "
        "restored board). None of it counts, and nothing else is affected."))


def test_every_incident_that_is_told_has_a_next_step_as_the_manual_says_it():
    manual = MANUAL.read_text()
    for kind in (*text.INCIDENTS_SEVERE, *text.INCIDENTS_WATCH):
        row = next(line for line in manual.splitlines() if f"(`{kind}`)" in line)
        said = row.split("|")[3].strip()
        assert said == "as above" or say(f"incident_next.{kind}") in said, kind


def test_the_headline_names_the_line_that_keeps_the_evidence_from_being_proven():
    row = incidents.Incident("shop-1", bytes(16), incidents.CLONE, "", 1, 2, "twice", 1, 5, 6)
    view = panels.PageView(None, EMPTY._replace(incidents=[row]), {}, None, 0, None, True)
    tiles = panels.tiles(view, proof.lines(view.snapshot, view.figures, view.receipt_age_s))
    assert "NOT proven, see Journals" in tiles[-1].note
