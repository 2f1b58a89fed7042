"""Load modules and keep them all; made for MicroPython with a small heap.

    micropython -X heapsize=320K loader.py PLACE MODULE...

Prints `loaded MODULE` for each; what does not fit ends with MemoryError and a status of 1.
"""

import gc
import sys


def main(place, modules):
    """Import each module from place, in the order given."""
    gc.threshold(8192)
    sys.path[:] = [place, ".frozen"]
    for name in modules:
        __import__(name)
        print("loaded", name)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
