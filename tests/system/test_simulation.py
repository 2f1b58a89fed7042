"""Simulated days: gateway, broker and fleet under faults from a seed, then in calm.

docs/simulation.md lists the faults and the invariants.  `make test` runs a slice, `make
proof` whole days in both styles, `make soak` thousands; each failure prints its seed, which
then goes into seeds.txt and is run again for ever.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import sim_loop, sim_run, sim_world

ROOT = Path(__file__).resolve().parents[2]
FINE_DAYS, COARSE_DAYS = 40, 120        # of `make proof`; reliability row 9 asks for 100 and 300
SOAK_DAYS = 5000
CUTS_PER_DAY = 20                       # at least, on average
ONE_RUN = """
from tests.support import sim_world
print(sim_world.run(77, sim_world.COARSE, 3).trace)
"""


def passed(done, capsys):
    """Print one line and hold every Day to its verdict."""
    with capsys.disabled():
        print(f"\nsimulation: {sim_run.summary(done)}")
    reports = [one.report for one in done if one.report]
    assert not reports, "\n\n".join(reports[:sim_run.SHOWN_MAX])


def trace_with(hash_seed):
    """Return the trace of one run in a process of its own."""
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", ONE_RUN], env=environment, cwd=ROOT,
                          capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_six_coarse_hours_of_faults_break_no_promise():
    counts = sim_world.run(1, sim_world.COARSE, 6).counts
    assert counts["cuts"] >= 5 and counts["crashes"] >= 2 and counts["batches"] > 24


def test_two_fine_hours_of_faults_break_no_promise():
    counts = sim_world.run(2, sim_world.FINE, 2).counts
    assert counts["boots"] > 1 and counts["batches"] > 8


def test_the_same_seed_gives_the_same_trace_whatever_the_hash_seed():
    traces = {trace_with(hash_seed) for hash_seed in ("0", "1", "77")}
    assert len(traces) == 1 and len(traces.pop()) == 64


def test_another_seed_gives_another_trace():
    one, other = (sim_world.run(seed, sim_world.COARSE, 1).trace for seed in (1, 2))
    assert one != other


def test_a_loop_in_which_nothing_can_happen_any_more_raises():
    async def waits_for_ever():
        await sim_loop.asyncio.Event().wait()

    with pytest.raises(sim_loop.Deadlock):
        sim_loop.run(waits_for_ever)


@pytest.mark.proof
@pytest.mark.both_cores
@pytest.mark.timeout(3600)
def test_simulated_days_of_faults_break_no_promise(capsys):
    wanted = sim_run.kept_seeds()
    wanted += [("fine", seed, 24) for seed in range(FINE_DAYS)]
    wanted += [("coarse", 1000 + seed, 24) for seed in range(COARSE_DAYS)]
    done = sim_run.days(wanted)
    passed(done, capsys)
    whole = [one for one in done if one.counts["cuts"] > CUTS_PER_DAY // 2]
    assert sum(one.counts["cuts"] for one in whole) >= CUTS_PER_DAY * (FINE_DAYS + COARSE_DAYS)


@pytest.mark.soak
@pytest.mark.timeout(12 * 3600)
def test_thousands_of_simulated_days_break_no_promise(capsys):
    first = int(os.environ.get("WATTPROOF_SEED", "10000"))
    wanted = [("fine" if seed % 4 == 0 else "coarse", seed, 24)
              for seed in range(first, first + SOAK_DAYS)]
    passed(sim_run.days(wanted), capsys)
