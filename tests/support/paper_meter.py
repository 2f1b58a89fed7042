"""A meter that exists on paper only: its profile, cells and Modbus TCP frames; portable.

    driver = RegisterDriver(meter([("voltage_l1", 0)]), ...)
    cells = cells_of(point, 2300, -1)       what the meter's registers hold for 230.0
"""

from drivers import profile, registers


def meter(rows, limits=None, gap_ms=60, kind="int16"):
    """Return a profile of registers of one format: rows of (measurand, address)."""
    reading = {"function": 4, "registers_max": 20, "gap_max": 5, "source": ["a"]}
    reading.update(limits or {})
    return profile.make("meter", {
        "manufacturer": "M", "model": "X", "kind": "meter", "protocol": "modbus",
        "maturity": "simulated", "sources": {"a": "a test"},
        "transport": {"buses": ["modbus-rtu"], "min_gap_ms": gap_ms, "source": ["a"]},
        "reading": reading,
        "identity": [{"name": "serial", "function": 3, "address": 900, "format": "uint32",
                      "source": ["a"]}],
        "point": [{"measurand": name, "address": address, "format": kind, "group": "journal",
                   "absent": [0x8000] if kind == "int16" else [], "source": ["a"]}
                  for name, address in rows]})


def frame(tid, pdu, unit=1):
    """Return a Modbus TCP frame."""
    return (tid.to_bytes(2, "big") + b"\x00\x00" + (len(pdu) + 1).to_bytes(2, "big")
            + bytes([unit]) + pdu)


def cells_of(point, value, exponent):
    """Return the cells of a RegisterPoint for value x 10**exponent."""
    return registers.encode(value, point.format, exponent - point.exponent)
