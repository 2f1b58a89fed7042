"""Many simulated days on all cores: `python -m tests.support.sim_run STYLE FIRST LAST [HOURS]`.

Each day is a process' own piece of work; the seeds that failed are printed with their
reports, to be kept in tests/system/seeds.txt.
"""

import concurrent.futures
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.support import sim_world

SEEDS = Path(__file__).resolve().parents[1] / "system" / "seeds.txt"
SHOWN_MAX = 3


class Day(NamedTuple):
    """One run's verdict.  report: empty when nothing was violated.  cpu_s: what it cost."""

    style: str
    seed: int
    trace: str
    counts: dict
    report: str
    cpu_s: float


def day(style, seed, hours=24):
    """Simulate a day; never raises for a violation."""
    began_s = time.process_time()
    try:
        result, report = sim_world.run(seed, sim_world.STYLES[style], hours), ""
    except sim_world.Violation as error:
        result, report = sim_world.Result("", {}), str(error)
    return Day(style, seed, result.trace, result.counts, report,
               time.process_time() - began_s)


def days(wanted, workers=None):
    """Simulate [(style, seed, hours)] on several cores; return the Days, in the same order."""
    context = multiprocessing.get_context("spawn")
    workers = min(workers or os.cpu_count() or 1, len(wanted))
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting = [pool.submit(day, *one) for one in wanted]
        return [one.result() for one in waiting]


def kept_seeds():
    """Return [(style, seed, hours)] of every run that ever failed."""
    lines = [line.split("#")[0].split() for line in SEEDS.read_text().splitlines()]
    return [(words[0], int(words[1]), float(words[2])) for words in lines if words]


def summary(done):
    """Return one line about Days: how many, how fast, what happened in them."""
    total = {}
    for one in done:
        for name, count in one.counts.items():
            total[name] = total.get(name, 0) + count
    cpu_s = sum(one.cpu_s for one in done)
    rates = []
    for style in sim_world.STYLES:
        mine = [one.cpu_s for one in done if one.style == style]
        if mine:
            rates.append(f"{len(mine)} {style} at {sum(mine) / len(mine):.1f} CPU-s")
    failed = [f"{one.style} {one.seed}" for one in done if one.report]
    return f"{', '.join(rates)}; {cpu_s:.0f} CPU-s; failed: {failed or 'none'}; {total}"


def main(given):
    """Run a range of seeds; return 1 if one failed."""
    style, first, last = given[0], int(given[1]), int(given[2])
    hours = float(given[3]) if len(given) > 3 else 24
    done = days([(style, seed, hours) for seed in range(first, last)])
    for one in [one for one in done if one.report][:SHOWN_MAX]:
        print(one.report, end="\n\n")
    print(summary(done))
    return int(any(one.report for one in done))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
