"""The power-cut matrix: every kind of case, dealt out to as many processes as there are cores.

A case is a cut (or an error) that leaves an image of its own, a start on it with all promises
held, and, but for errors, more records, a second cut and another start.  A job is a name from
KINDS and one number, so that a failing job can be run again by hand:
`python -m tests.support.power_cut_matrix KIND NUMBER`.
"""

import multiprocessing
import os
import sys
from collections import Counter

from tests.support import power_cuts as cuts
from tests.support.cached_decoding import cached_decoding
from tests.support.memory_store import EINTR, EIO, ENOSPC, EROFS, Fault

ERRORS = ((ENOSPC, False), (EIO, False), (EROFS, False), (EINTR, False), (ENOSPC, True),
          (EIO, True))          # True: half of a write is made before it fails
TIMES = (1, 3, 10 ** 9)
FRAME_BYTES = (400, 1500, 9000)
OPERATIONS = 130        # of the two hours, at least


def faults(operations):
    """Return every error, once, three times and for ever, from each of the operations on."""
    return [Fault(first, times, errno, short)
            for first in operations for errno, short in ERRORS for times in TIMES]


def _life(number):
    return cuts.run(cuts.life(number), range(3))


def _life_with_an_error(number):
    errno, short = ERRORS[number % len(ERRORS)]
    fault = Fault(number * 37 % 110, TIMES[number // 2 % 2], errno, short)
    return cuts.run(cuts.life(number, fault), range(2), faults=True)


def _two_hours(number):
    taken = cuts.snapshots((cuts.two_hours, cuts.big_batches)[number % 2])
    return cuts.run(taken, range(10 * number, 10 * number + 10))


def _sealing(number):
    return cuts.run(cuts.snapshots(cuts.sealing), range(8 * number, 8 * number + 8), faults=True)


def _recovery(number):
    life = (cuts.snapshots(cuts.two_hours), cuts.life(1), cuts.life(4))[number // 8 % 3]
    return cuts.run_pairs(life[number % 8::8], range(1))


def _two_cuts(number):
    taken = cuts.snapshots(cuts.two_hours)
    return cuts.run_two(taken, range(number % 4, len(taken), 4), number // 4)


def _frames(_number):
    return cuts.run_bytes(cuts.snapshots(cuts.frames_of(FRAME_BYTES)), 1, 11000)


def _byte(number):
    return cuts.run_bytes(cuts.life(number), 4)


def _error(number):
    operations = len(cuts.snapshots(cuts.two_hours)) - 1
    return cuts.run_faults(cuts.two_hours, faults(range(number, operations, 16)))


def _kill(number):
    if number == 0:
        return cuts.run_kills(cuts.two_hours, range(len(cuts.snapshots(cuts.two_hours))))
    return cuts.run_kills(cuts.any_life(number), range(number % 3, 110, 3))


def _lives_recovery(seed):
    return cuts.run_pairs(cuts.life(seed)[seed % 16::16], range(seed, seed + 1))


def _lives_two_cuts(seed):
    taken = cuts.life(seed)
    return cuts.run_two(taken, range(seed % 4, len(taken), 4), seed)


def _lives_errors(seed):
    operations = len(cuts.life(seed)) - 1
    return cuts.run_faults(cuts.any_life(seed), faults(range(seed % 8, operations, 8)))


# kind: (function of a job's number, how many jobs in `make proof`, cases of it at least).
KINDS = {
    "one cut": (_life, 180, 90_000), "error, then cut": (_life_with_an_error, 100, 60_000),
    "two hours, 10 seeds": (_two_hours, 6, 5_000), "sealing to recycling": (_sealing, 4, 4_000),
    "cut during recovery": (_recovery, 24, 40_000), "pair of cuts": (_two_cuts, 8, 20_200),
    "every byte of frames of 3 sizes": (_frames, 1, sum(FRAME_BYTES)),
    "torn at every byte": (_byte, 9, 25_000),
    # Each leaves at least one image, and the well store's after it.
    "every error at every operation": (_error, 16, 2 * OPERATIONS * len(ERRORS) * len(TIMES)),
    "kill, then cut": (_kill, 5, 800),
}
# The same for any number of seeds, each with lives of its own: `make soak`.
SOAK = {
    "one cut": _life, "error, then cut": _life_with_an_error, "kill, then cut": _kill,
    "cut during recovery": _lives_recovery, "pair of cuts": _lives_two_cuts,
    "torn at every byte": _byte, "every error at every 8th operation": _lives_errors,
    "two hours, 10 seeds": _two_hours, "sealing to recycling": _sealing,
}
SEEDS_A_ROUND = 16
SOAKING = "soak: "      # before a kind: the function of SOAK where both tables have the kind


def play(job):
    """Run one job (kind, number); return (kind, cases)."""
    kind, number = job
    name = kind.removeprefix(SOAKING)
    function = SOAK[name] if kind != name else KINDS[name][0]
    try:
        with cached_decoding():
            return name, function(number)
    except Exception as error:
        error.add_note("to run it again: python -m tests.support.power_cut_matrix "
                       f"'{kind}' {number}")
        raise


def _pool():
    return multiprocessing.get_context("spawn").Pool(os.cpu_count() or 1)


def run_all():
    """Run the whole matrix on all cores; return a Counter of cases by kind."""
    jobs = [(kind, number) for kind, (_, count, _) in KINDS.items() for number in range(count)]
    jobs.sort(key=lambda job: job[0] != "every byte of frames of 3 sizes")     # the long ones first
    counts: Counter[str] = Counter()
    with _pool() as pool:
        for kind, cases in pool.imap_unordered(play, jobs):
            counts[kind] += cases
    return counts


def soak(first, cases_min, say):
    """Run seed after seed from `first` until there were cases_min cases; return a Counter.

    say: takes a line of progress after each round of seeds; a round that was said is done.
    """
    counts: Counter[str] = Counter()
    with _pool() as pool:
        while sum(counts.values()) < cases_min:
            jobs = [(SOAKING + kind, seed) for kind in SOAK
                    for seed in range(first, first + SEEDS_A_ROUND)]
            for kind, cases in pool.imap_unordered(play, jobs):
                counts[kind] += cases
            first += SEEDS_A_ROUND
            say(f"power cuts: {sum(counts.values())} of {cases_min} cases, seeds below {first} "
                "done, 0 lost")
    return counts


if __name__ == "__main__":
    print(*play((sys.argv[1], int(sys.argv[2]))))
