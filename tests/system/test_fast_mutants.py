"""Mistakes planted one at a time into the product: the fast tests of the room must find each.

The list: tests/support/fast_mutants.py.  A mutant that survives means that a fast test is missing.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fast_mutants import MUTANTS
from tests.support.plant import ROOT, VARIABLE, planted

FAILED = 1                  # pytest: tests were run, and some failed


def hunted(mutant):
    """Run the fast tests that must find a mutant, as `make test` would; return the process."""
    places = [str(Path("tests") / place) for place in mutant.tests.split()]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "tests.support.plant", "-p",
         "no:cacheprovider", "-m", "not proof and not soak", *places], cwd=ROOT,
        env=os.environ | {VARIABLE: mutant.name}, capture_output=True, text=True, check=False)


@pytest.mark.proof
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_mistake_is_still_a_change_of_the_code(mutant):
    compile(planted(mutant), mutant.file, "exec")
    assert mutant.right != mutant.wrong


def test_the_names_are_different():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.proof
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_fast_tests_find_a_planted_mistake(mutant):
    done = hunted(mutant)
    assert done.returncode == FAILED, f"{mutant.name} survived:\n{done.stdout[-2000:]}"
    assert "error" not in done.stdout.splitlines()[-1], done.stdout[-2000:]
