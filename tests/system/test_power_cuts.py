"""Power cuts and flash errors at every operation: nothing acknowledged is ever lost.

`make test` runs a slice; `make proof` runs all kinds and prints how many cases and how fast.
"""

import time

import pytest

from gateway.core import frame
from tests.support.flaky_store import EIO, ENOSPC, EROFS, Fault
from tests.support.power_cuts import (
    any_life,
    lives,
    run,
    run_bytes,
    run_faults,
    run_kills,
    run_pairs,
    snapshots,
    two_hours,
)

ERRORS = ((ENOSPC, False), (EIO, False), (EROFS, False), (ENOSPC, True), (EIO, True))
TIMES = (1, 3, 10 ** 9)
CASES_MIN = 20_000


def faults(operations):
    """Return every error, once, three times and for ever, from each of the operations on."""
    return [Fault(first, times, errno, short)
            for first in operations for errno, short in ERRORS for times in TIMES]


def test_a_power_cut_at_any_operation_loses_nothing_acknowledged():
    assert run(snapshots(two_hours), range(1)) > 150


def test_a_cut_in_a_commit_of_many_frames_loses_nothing_and_invents_no_gap():
    assert run(snapshots(any_life(3), payload_aim=200), range(1)) > 50


def test_a_second_cut_during_recovery_loses_nothing():
    assert run_pairs(snapshots(two_hours)[::10], range(1)) > 200


def test_a_write_torn_at_any_byte_loses_nothing():
    assert run_bytes(snapshots(two_hours), 16) > 100


def test_a_killed_process_and_a_later_cut_lose_nothing():
    assert run_kills(two_hours, range(0, 110, 5)) > 20


def test_flash_errors_lose_nothing_and_no_file_is_synced_twice_after_one():
    assert run_faults(two_hours, faults(range(0, 110, 23))) > 200


@pytest.mark.proof
@pytest.mark.timeout(400)
def test_twenty_thousand_cuts_and_errors_lose_nothing(capsys):
    started, counts = time.perf_counter(), {}
    counts["one cut"] = run(lives(range(30)) + snapshots(two_hours), range(3))
    counts["cut during recovery"] = run_pairs(
        snapshots(two_hours)[::3] + snapshots(any_life(1), 200)[::5], range(2))
    counts["torn byte"] = run_bytes(snapshots(two_hours) + lives(range(6)), 8)
    counts["flash errors"] = run_faults(two_hours, faults(range(116)))
    counts["kill, then cut"] = run_kills(two_hours, range(116)) + run_kills(any_life(5), range(90))
    seconds, cases = time.perf_counter() - started, sum(counts.values())
    with capsys.disabled():
        print(f"\npower cuts: {cases} cases {counts}, 0 lost, 0 wrong, 0 phantom, "
              f"{60 * cases / seconds:.0f} cases/min")
    assert cases >= CASES_MIN
    assert frame.PAYLOAD_AIM == 10240
