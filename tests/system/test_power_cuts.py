"""Power cuts and flash errors at every operation: nothing acknowledged is ever lost.

`make test` runs a slice; `make proof` runs the whole matrix on all cores and prints how many
cases of which kind there were, and how fast.
"""

import os
import time

import pytest

from gateway.core.codec import frame
from tests.support.memory_store import EIO, Fault
from tests.support.power_cut_matrix import KINDS, SOAK, faults, play, run_all, soak
from tests.support.power_cuts import (
    big_batches,
    frames_of,
    life,
    run,
    run_bytes,
    run_faults,
    run_kills,
    run_pairs,
    run_two,
    sealing,
    snapshots,
    two_hours,
)

CASES_MIN = 300_000
SOAK_CASES = 20_000_000


def test_a_power_cut_at_any_operation_loses_nothing_acknowledged():
    assert run(snapshots(two_hours), range(1)) > 150


def test_a_cut_in_a_commit_of_many_frames_loses_nothing_and_invents_no_gap():
    assert run(life(3), range(1)) > 50


def test_a_cut_in_a_batch_of_many_sectors_loses_nothing():
    assert run(snapshots(big_batches), range(1)) > 50


def test_a_cut_between_sealing_and_recycling_loses_nothing_even_after_errors():
    assert run(snapshots(sealing), range(1), faults=True) > 150


def test_a_cut_after_flash_errors_loses_nothing():
    assert run(life(18, Fault(6, 3, EIO)), range(1), faults=True) > 100


def test_a_second_cut_during_recovery_loses_nothing():
    assert run_pairs(snapshots(two_hours)[::10], range(1)) > 200


def test_a_write_torn_at_any_byte_loses_nothing():
    assert run_bytes(snapshots(frames_of((300,))), 1) > 500


def test_a_killed_process_and_a_later_cut_lose_nothing():
    assert run_kills(two_hours, range(0, 110, 5)) > 20


def test_flash_errors_lose_nothing_and_no_file_is_synced_twice_after_one():
    assert run_faults(two_hours, faults(range(0, 130, 43))) > 150


def test_a_second_cut_at_any_operation_of_the_life_after_one_loses_nothing():
    taken = snapshots(two_hours)
    assert run_two(taken, range(5, len(taken), 20)) > 500


def test_each_kind_of_soak_case_runs_for_a_seed_of_its_own():
    for kind in ("cut during recovery", "pair of cuts", "kill, then cut"):
        assert play(("soak: " + kind, 10_007))[1] > 50


@pytest.mark.proof
@pytest.mark.both_cores
@pytest.mark.timeout(900)
def test_three_hundred_thousand_cuts_and_errors_lose_nothing(capsys):
    started = time.perf_counter()
    counts = run_all()
    seconds, cases = time.perf_counter() - started, sum(counts.values())
    with capsys.disabled():
        print(f"\npower cuts: {cases} cases {dict(counts)}, 0 lost, 0 wrong, 0 phantom, "
              f"{60 * cases / seconds:.0f} cases/min")
    assert cases >= CASES_MIN
    assert {kind: count for kind, count in counts.items() if count < KINDS[kind][2]} == {}
    assert set(counts) == set(KINDS)
    assert frame.PAYLOAD_AIM == 10240


@pytest.mark.soak
@pytest.mark.timeout(24 * 3600)
def test_twenty_million_cuts_and_errors_lose_nothing(capsys):
    def say(line):
        with capsys.disabled():
            print(line, flush=True)

    first = int(os.environ.get("WATTPROOF_SEED", "10000"))
    counts = soak(first, SOAK_CASES, say)
    say(f"power cuts: {dict(counts)}")
    assert set(counts) == set(SOAK) and min(counts.values()) > 0
