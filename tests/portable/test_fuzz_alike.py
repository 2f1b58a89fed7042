"""Many more repaired cases than core/test_fuzz_inner.py pins: both interpreters agree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.parts import need

ROOT = Path(__file__).resolve().parents[2]
FUZZ = ROOT / "tests" / "portable" / "fuzz.py"


def verdicts(interpreter, seed, cases):
    """Return what an interpreter says about the cases of a seed, a line for each reader."""
    done = subprocess.run(
        [*interpreter, str(FUZZ), str(seed), str(cases), str(ROOT)], cwd=ROOT,
        capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return [line for line in done.stdout.splitlines() if not line.startswith("Warning:")]


def agree(seed, cases):
    """Hold the verdicts of both interpreters to each other."""
    ours = verdicts([sys.executable], seed, cases)
    assert len(ours) == 9
    assert verdicts([need("micropython"), "-X", "heapsize=16M"], seed, cases) == ours


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_both_interpreters_give_one_verdict_on_thousands_of_repaired_cases(seed):
    agree(seed, 2000)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_both_interpreters_give_one_verdict_on_a_million_repaired_cases():
    agree(int(os.environ.get("WATTPROOF_SEED", "10000")), 125_000)
