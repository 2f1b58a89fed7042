"""A board is replaced: the old key signs for the new one, and the fleet believes only that."""

import json
import shutil

import pytest

from fleet.formats.registry import Registry, key_for
from tests.provisioning.test_enrol import make_site, run

OLD_JOURNAL = "0a" * 16


@pytest.fixture
def boards(tmp_path):
    """Return (old, new, data): an enrolled board, its successor of the same site, the fleet."""
    old, new = make_site(tmp_path, "old"), make_site(tmp_path, "new")
    for name in ("receipt.key", "receipt.pub"):         # the fleet stays the same
        shutil.copy(old / "fleet" / name, new / "fleet" / name)
    assert run("enrol", "--site", old, "--data", tmp_path / "fleet") == 0
    return old, new, tmp_path / "fleet"


def hand_over(old, new, data, *more):
    """Run the command; return its exit code."""
    return run("handover", "--old", old, "--new", new, "--journal", OLD_JOURNAL, "--data", data,
               *more)


def test_the_new_key_signs_all_but_the_old_journal_and_the_old_key_only_that(boards):
    before = Registry(boards[2]).find("shop-1")
    assert hand_over(*boards) == 0
    after = Registry(boards[2]).find("shop-1")
    assert after.public != before.public
    assert key_for(after, after.kid, bytes(16)) == after.public
    assert key_for(after, before.kid, bytes.fromhex(OLD_JOURNAL)) == before.public
    assert key_for(after, before.kid, bytes(16)) is None
    assert key_for(after, after.kid, bytes.fromhex(OLD_JOURNAL)) is None


def test_a_running_fleet_sees_the_new_key_at_the_next_batch(boards):
    registry = Registry(boards[2])
    before = registry.find("shop-1")
    assert hand_over(*boards) == 0
    assert registry.find("shop-1").kid != before.kid
    (boards[2] / "registry/shop-1.json").unlink()
    assert registry.find("shop-1") is None              # withdrawn is withdrawn at once


def test_boards_may_be_replaced_again_and_again(boards, tmp_path):
    old, new, data = boards
    third = make_site(tmp_path, "third")
    for name in ("receipt.key", "receipt.pub"):
        shutil.copy(old / "fleet" / name, third / "fleet" / name)
    assert hand_over(old, new, data) == 0
    assert run("handover", "--old", new, "--new", third, "--journal", "0b" * 16,
               "--data", data) == 0
    assert len(Registry(data).find("shop-1").previous) == 2


def test_only_the_enrolled_key_can_hand_over_and_only_to_another_one(boards, tmp_path, capsys):
    old, new, data = boards
    entry = (data / "registry/shop-1.json").read_text()
    assert hand_over(new, new, data) == 1
    assert "only that one can hand over" in capsys.readouterr().err
    assert hand_over(old, old, data) == 1
    assert "needs its own" in capsys.readouterr().err
    (old / "keys/evidence.key").unlink()
    assert hand_over(old, new, data) == 1
    assert "move the registry entry away" in capsys.readouterr().err
    assert (data / "registry/shop-1.json").read_text() == entry


def test_a_board_of_another_name_is_refused_with_the_next_step(boards, tmp_path, capsys):
    old, _, data = boards
    other = make_site(tmp_path, "other", cabinet="kiosk-1")
    assert hand_over(old, other, data) == 1
    assert "must have the name of an enrolled one" in capsys.readouterr().err


def test_a_changed_entry_is_not_believed(boards):
    old, new, data = boards
    assert hand_over(*boards) == 0
    path = data / "registry/shop-1.json"
    entry = json.loads(path.read_text())
    statement = bytes.fromhex(entry["handovers"][0]["statement_hex"])
    entry["handovers"][0]["statement_hex"] = (statement[:-1] + bytes([statement[-1] ^ 1])).hex()
    path.write_text(json.dumps(entry))
    with pytest.raises(Exception, match="hand-over 1 does not hold"):
        Registry(data)
