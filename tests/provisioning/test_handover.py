"""A board is replaced: the old key signs for the new one, and the fleet believes only that."""

import json

import pytest

from fleet.formats.registry import Registry, key_for
from provisioning.__main__ import main
from tests.support.cabinets import NOW, enrol, make_cabinet, make_fleet, request_of

OLD_JOURNAL = "0a" * 16


@pytest.fixture
def boards(tmp_path):
    """Return (old, new, data): an enrolled board, its successor of the same name, the fleet."""
    data = make_fleet(tmp_path / "fleet")
    old, new = make_cabinet(tmp_path / "old"), make_cabinet(tmp_path / "new")
    assert enrol(old, data) == 0
    return old, new, data


def hand_over(old, new, journal=OLD_JOURNAL):
    """Run the command on the old board; return its exit code."""
    return main(["handover", "--old", str(old), "--request", str(request_of(new)), "--journal",
                 journal, "--out", str(old / "statement")], now=NOW)


def replaced(old, new, data, journal=OLD_JOURNAL):
    """Hand over and enrol the new board; return the exit code of the latter."""
    assert hand_over(old, new, journal) == 0
    return enrol(new, data, "--handover", old / "statement")


def test_the_new_key_signs_all_but_the_old_journal_and_the_old_key_only_that(boards):
    before = Registry(boards[2]).find("shop-1")
    assert replaced(*boards) == 0
    after = Registry(boards[2]).find("shop-1")
    assert after.public != before.public
    assert key_for(after, after.kid, bytes(16)) == after.public
    assert key_for(after, before.kid, bytes.fromhex(OLD_JOURNAL)) == before.public
    assert key_for(after, before.kid, bytes(16)) is None
    assert key_for(after, after.kid, bytes.fromhex(OLD_JOURNAL)) is None


def test_a_running_fleet_sees_the_new_key_at_the_next_batch(boards):
    registry = Registry(boards[2])
    before = registry.find("shop-1")
    assert replaced(*boards) == 0
    assert registry.find("shop-1").kid != before.kid
    (boards[2] / "registry/shop-1.json").unlink()
    assert registry.find("shop-1") is None              # withdrawn is withdrawn at once


def test_boards_may_be_replaced_again_and_again(boards, tmp_path):
    old, new, data = boards
    third = make_cabinet(tmp_path / "third")
    assert replaced(old, new, data) == 0
    assert replaced(new, third, data, "0b" * 16) == 0
    assert len(Registry(data).find("shop-1").previous) == 2


def test_only_the_enrolled_key_can_hand_over_and_only_for_this_request(boards, tmp_path, capsys):
    old, new, data = boards
    third = make_cabinet(tmp_path / "third")
    entry = (data / "registry/shop-1.json").read_text()
    assert replaced(third, new, data) == 1
    assert "only that one can hand over" in capsys.readouterr().err
    assert hand_over(old, third) == 0
    assert enrol(new, data, "--handover", old / "statement") == 1
    assert "another key" in capsys.readouterr().err
    (old / "statement").write_bytes(b"garbage")
    assert enrol(new, data, "--handover", old / "statement") == 1
    assert hand_over(old, old) == 1
    assert "needs its own" in capsys.readouterr().err
    (old / "keys/evidence.key").unlink()
    assert hand_over(old, new) == 1
    assert "evidence.key" in capsys.readouterr().err
    assert (data / "registry/shop-1.json").read_text() == entry


def test_a_board_of_another_name_is_refused_with_the_next_step(boards, tmp_path, capsys):
    other = make_cabinet(tmp_path / "other", cabinet="kiosk-1")
    assert hand_over(boards[0], other) == 1
    assert "has the cabinet's name" in capsys.readouterr().err


def test_a_changed_entry_is_not_believed(boards):
    old, new, data = boards
    assert replaced(*boards) == 0
    path = data / "registry/shop-1.json"
    entry = json.loads(path.read_text())
    statement = bytes.fromhex(entry["handovers"][0]["statement_hex"])
    entry["handovers"][0]["statement_hex"] = (statement[:-1] + bytes([statement[-1] ^ 1])).hex()
    path.write_text(json.dumps(entry))
    with pytest.raises(Exception, match="hand-over 1 does not hold"):
        Registry(data)
