"""How much work a parser does, as a count: the same on every machine, unlike time.

Counted are lines of Python, calls, and the length of every bytes, text, list or whole number that
was not there before: a copy of the rest of the input for each of its parts is seen, in whatever
C function it is made.  What C functions look at without a copy is not: give them Scanned bytes.
"""

import sys

SEQUENCES = (bytes, bytearray, str, list, tuple)
KEPT_FROM = 32              # shorter ones are not remembered; each look at one counts


class Scanned(bytes):
    """Bytes whose searches count what they look at; parts of them are Scanned, too."""

    looked_at = 0

    def find(self, sought, start=0, end=None):
        """Return as bytes.find does."""
        end = len(self) if end is None else min(end, len(self))
        found = super().find(sought, start, end)
        Scanned.looked_at += max((end if found < 0 else found) - start, 0)
        return found

    def __getitem__(self, key):
        part = super().__getitem__(key)
        return Scanned(part) if isinstance(key, slice) else part

    def split(self, *separators):
        """Return as bytes.split does."""
        return [Scanned(part) for part in super().split(*separators)]

    def strip(self, *characters):
        """Return as bytes.strip does."""
        return Scanned(super().strip(*characters))

    def rstrip(self, *characters):
        """Return as bytes.rstrip does."""
        return Scanned(super().rstrip(*characters))


class _Work:
    def __init__(self):
        self.count = 0
        self._met = {}          # id -> object, kept so that no other one gets its id

    def meet(self, value):
        """Count a value that was not there before."""
        if isinstance(value, int):
            self.count += value.bit_length() >> 7
        elif isinstance(value, SEQUENCES) and id(value) not in self._met:
            self.count += len(value)
            if len(value) >= KEPT_FROM:
                self._met[id(value)] = value

    def trace(self, frame, event, argument):
        """For sys.settrace."""
        self.count += 1
        for value in frame.f_locals.values():
            self.meet(value)
        for value in getattr(frame.f_locals.get("self"), "__dict__", {}).values():
            self.meet(value)
        if event == "return":
            self.meet(argument)
        return self.trace

    def profile(self, frame, event, argument):
        """For sys.setprofile: what a C function is called on may be a copy without a name."""
        if event == "c_call":
            self.count += 1
            self.meet(getattr(argument, "__self__", None))


def work_of(call, *arguments):
    """Return (count, result or the error raised) of a call."""
    work, looked_at = _Work(), Scanned.looked_at
    tracer, profiler = sys.gettrace(), sys.getprofile()
    sys.setprofile(work.profile)
    sys.settrace(work.trace)
    try:
        result = call(*arguments)
    except Exception as error:
        result = error
    finally:
        sys.settrace(tracer)
        sys.setprofile(profiler)
    return work.count + Scanned.looked_at - looked_at, result
