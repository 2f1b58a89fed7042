"""Chaos with real processes: kills, freezes, full and read-only disks, restored and moved stores,
damaged segments, in random order.  No witnessed record is lost but those that the chaos destroyed,
and each of these is declared; nobody says `ok` falsely; all energy is right at the end.

Another order: WATTPROOF_CHAOS_SEED=7; how long it lasts in `make soak`: WATTPROOF_CHAOS_SECONDS.
"""

import os
import random

import pytest

from tests.support.chaos import play

PROOF_S, SOAK_S = 100, 3600


async def chaos(tmp_path, capsys, seconds):
    """Run chaos for some seconds, print what happened, return the summary."""
    seed = int(os.environ.get("WATTPROOF_CHAOS_SEED", random.SystemRandom().randrange(10**6)))
    with capsys.disabled():
        print(f"\nchaos: seed {seed}, {seconds:.0f} s, files in {tmp_path}")
    summary, faults = await play.run(tmp_path / "chaos", seed, seconds)
    diary = summary.pop("notes")
    with capsys.disabled():
        print(f"chaos: {({key: one for key, one in summary.items() if key != 'table'})}")
    assert not faults, "\n".join([f"seed {seed}", *faults, *diary, summary.get("table", "")])
    return summary


@pytest.mark.proof
@pytest.mark.timeout(420)
async def test_minutes_of_chaos_lose_nothing_that_was_witnessed(tmp_path, capsys):
    summary = await chaos(tmp_path, capsys, PROOF_S)
    assert summary["witnessed"] > 1000 and summary["gateway lives"] > 2
    assert summary["moves"] > 12 and summary["energies"] >= 9


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
async def test_an_hour_of_chaos_loses_nothing_that_was_witnessed(tmp_path, capsys):
    seconds = float(os.environ.get("WATTPROOF_CHAOS_SECONDS", SOAK_S))
    summary = await chaos(tmp_path, capsys, seconds)
    assert summary["witnessed"] > 1000 and summary["moves"] > seconds / 20
