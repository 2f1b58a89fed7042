"""Print the verdicts of tests/gateway/core/test_fuzz_inner.py for a seed, on either interpreter.

    micropython -X heapsize=16M fuzz.py SEED CASES PATH...
"""

import sys


def main(seed, cases, places):
    """Print one line for each reader: name, cases read, hash of all verdicts."""
    sys.path[:] = places + sys.path + [".frozen"]
    from tests.gateway.core.test_fuzz_inner import READERS, verdicts
    for name, reader, _ in READERS:
        read, digest = verdicts(reader, seed, cases)
        print(name, read, digest.hex())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
