"""`make bench`: run every bench_*.py here and print its figures; exit 1 if one misses its bound.

A bench is a module with `measure()`, which yields Figures.  Timings belong here and never in a
unit test; each figure names its load, and docs that quote a figure name this command.
"""

import importlib
import platform
import sys
from pathlib import Path

WORDS = sys.argv[1:]        # only benches whose name holds one of these words


def main() -> int:
    """Return the exit status: 0 if every figure keeps its bound."""
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}")
    print(f"{'figure':<28} {'value':>12} {'at most':>12}  unit           load")
    missed = 0
    for file in sorted(Path(__file__).parent.glob("bench_*.py")):
        if WORDS and not any(word in file.stem for word in WORDS):
            continue
        for figure in importlib.import_module(f"tests.bench.{file.stem}").measure():
            bound = "" if figure.most is None else f"{figure.most:,.3f}"
            print(f"{figure.name:<28} {figure.value:>12,.3f} {bound:>12}  {figure.unit:<14} "
                  f"{figure.load}{'' if figure.is_good else '   MISSED'}", flush=True)
            missed += not figure.is_good
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
