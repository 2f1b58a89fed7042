"""Answers of a Pylontech stack as its own software sends them; portable.

    info = encode_analog(1, (Module(...),))     to be read by drivers.pylontech.analog
"""

from drivers.pylontech import FULL_16, ZERO_CELSIUS


def encode_analog(count, modules):
    """Return INFO of a 0x42 answer; each Module has its capacities."""
    out = bytes([0x11, count])
    for one in modules:
        remaining, capacity = one.remaining, one.total
        wide = max(remaining, capacity) >= FULL_16
        out += bytes([len(one.cells)]) + b"".join([_two(c) for c in one.cells])
        out += bytes([len(one.temperatures)])
        out += b"".join([_two(t + ZERO_CELSIUS) for t in one.temperatures])
        out += _two(one.current) + _two(one.voltage)
        out += _two(FULL_16 if wide else remaining) + bytes([4 if wide else 2])
        out += _two(FULL_16 if wide else capacity) + _two(one.cycles)
        if wide:
            out += remaining.to_bytes(3, "big") + capacity.to_bytes(3, "big")
    return out


def _two(value):
    return (value & 0xFFFF).to_bytes(2, "big")
