"""The journal on a real kernel: ext4 on a loop device, processes killed, a disk that is full.

Needs root and loop devices (tests/support/parts.py).  Where the models of the power-cut matrix
say what a disk may do, this asks what one does.
"""

import pytest

from tests.support.journal_world import Violated
from tests.support.process_kills import Forgetful, Killer

SEED = 20261126


def kill(folder, count, capsys, per_disk=25):
    """Kill `count` writers, a fresh disk for each 25 of them; print and return what was seen."""
    total = {}
    for first in range(0, count, per_disk):
        (folder / str(first)).mkdir()
        killer = Killer(folder / str(first), SEED + first)
        for _ in range(min(per_disk, count - first)):
            killer.kill_once()
        for key, number in killer.seen.items():
            total[key] = total.get(key, 0) + number
    with capsys.disabled():
        print(f"\nreal kills, seed {SEED}: {total}, 0 lost, 0 wrong")
    return total


def test_killed_writers_and_copies_of_their_disk_keep_every_promise(tmp_path, capsys):
    assert kill(tmp_path, 3, capsys)["kills"] == 3


def test_a_copy_of_the_disk_is_a_power_cut_what_was_not_synced_is_gone(tmp_path):
    killer = Killer(tmp_path, SEED, Forgetful)
    with pytest.raises(Violated):
        for _ in range(5):
            killer.kill_once()


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_fifty_kills_with_a_copy_of_the_disk_lose_nothing(tmp_path, capsys):
    seen = kill(tmp_path, 50, capsys)
    assert seen["kills"] == 50 and seen["notes"] > 1000


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_kills_with_a_copy_of_the_disk_lose_nothing(tmp_path, capsys):
    assert kill(tmp_path, 200, capsys)["kills"] == 200
