"""Plants one mistake into a file of the product while it is imported: a plugin for pytest.

    WATTPROOF_MUTANT=cursor-slot python -m pytest -x -p tests.support.plant tests/gateway/core

The text of a mutant must stand in its file exactly once, so that one which the code has outgrown is
noticed.  Nothing is written; workers that are forked have it too.
"""

import os
from importlib.machinery import SourceFileLoader
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "WATTPROOF_MUTANT"


def planted(mutant, root=ROOT):
    """Return the source of a mutant's file with the mistake in it."""
    source = (root / mutant.file).read_text(encoding="utf-8")
    found = source.count(mutant.right)
    if found != 1:
        raise ValueError(f"{mutant.name}: its text stands {found} times in {mutant.file}, not once")
    return source.replace(mutant.right, mutant.wrong)


def install(mutant):
    """Let the file of a mutant be compiled with its mistake from now on."""
    path, source, plain = str(ROOT / mutant.file), planted(mutant), SourceFileLoader.get_code

    def get_code(self, fullname):
        if os.path.realpath(self.path) == path:
            return compile(source, path, "exec", dont_inherit=True)
        return plain(self, fullname)
    SourceFileLoader.get_code = get_code


if VARIABLE in os.environ:          # at once: conftest.py files of the tests import the product
    from tests.support.fast_mutants import MUTANTS
    install(next(one for one in MUTANTS if one.name == os.environ[VARIABLE]))
