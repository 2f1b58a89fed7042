"""Run the tests of one file on the interpreter that runs this; made for MicroPython.

    micropython -X heapsize=16M runner.py FILE PATH...

FILE is executed with PATH... as the places to import from; each of its test_ functions is
called.  Prints `ok NAME` or `FAIL NAME` with the traceback; exits 0 only if every test passed,
there was at least one, and this interpreter really checks assertions.
"""

import gc
import sys

gc.threshold(8192)      # as at a board's boot: keeps the free memory in one piece


def main(file, places):
    """Return the exit status for the tests of one file."""
    sys.path[:] = places + [".frozen"]
    if not _assertions_are_live():
        print("assertions are switched off: nothing would be tested")
        return 2
    names = {"__name__": "portable_tests", "__file__": file}
    with open(file) as source:
        text = source.read()
    exec(compile(text, file, "exec"), names)
    tests = sorted(name for name in names if name.startswith("test_"))
    failed = [name for name in tests if not _passes(name, names[name])]
    return 0 if tests and not failed else 1


def _assertions_are_live():
    try:
        assert not sys.path
    except AssertionError:
        return True
    return False


def _passes(name, test):
    try:
        test()
    except Exception as error:
        print("FAIL", name)
        sys.print_exception(error)
        return False
    print("ok", name)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
