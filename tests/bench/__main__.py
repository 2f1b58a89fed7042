"""`make bench`: run every bench_*.py here and print its figures; exit 1 if one misses its bound.

A bench is a module with `measure()`, which yields Figures.  Timings belong here and never in a
unit test; each figure names its load, and docs that quote a figure name this command.
"""

import importlib
import platform
import sys
from pathlib import Path

from tests.bench.figure import Figure

WORDS = sys.argv[1:]        # only benches whose name holds one of these words


def line(figure: Figure) -> str:
    """Return one figure as a line of text."""
    bound = "" if figure.most is None else f"(at most {figure.most:,})"
    missed = "" if figure.is_good else "  MISSED"
    return f"  {figure.name:<24} {figure.value:>14,.3f} {figure.unit:<14} {bound}{missed}".rstrip()


def main() -> int:
    """Return the exit status: 0 if every figure keeps its bound."""
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}")
    missed, load = 0, None
    for file in sorted(Path(__file__).parent.glob("bench_*.py")):
        if WORDS and not any(word in file.stem for word in WORDS):
            continue
        for figure in importlib.import_module(f"tests.bench.{file.stem}").measure():
            if figure.load != load:
                load = figure.load
                print(f"\n{load}")
            print(line(figure), flush=True)
            missed += not figure.is_good
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
