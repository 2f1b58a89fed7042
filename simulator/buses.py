"""The buses the simulator plays: one row per kind, by the names of drivers/links/registry.py.

Written down a second time on purpose: the simulator has an opinion of its own.  A test compares
both tables.  server: the module of simulator/servers/ that opens the far end, by its `serve`.
"""

from typing import NamedTuple

RTU_METERS = ("eastron-sdm630-v2", "eastron-sdm120")
HOST = "127.0.0.1"


class SimulatedBus(NamedTuple):
    """One kind of bus.  profiles: the device models that are played on it.

    is_bare_line: it is opened without devices too, as a cable that nobody sits on.
    """

    transport: str
    protocol: str
    server: str
    profiles: tuple[str, ...]
    is_bare_line: bool = False


BUSES = {
    "modbus-rtu": SimulatedBus("serial", "modbus", "rtu_pty", (*RTU_METERS, "xy-md02"), True),
    # An RTU meter stands behind a gateway of its line.
    "modbus-tcp": SimulatedBus("tcp", "modbus", "tcp", (*RTU_METERS, "sunspec-generic")),
    "pylontech": SimulatedBus("serial", "pylontech", "pylontech_pty", ("pylontech-rs485",)),
    "prometheus": SimulatedBus("http", "prometheus", "metrics_http", ("compute-prometheus",)),
}
TRANSPORTS = tuple(dict.fromkeys(bus.transport for bus in BUSES.values()))
PROTOCOLS = tuple(dict.fromkeys(bus.protocol for bus in BUSES.values()))
PROFILES = tuple(dict.fromkeys(name for bus in BUSES.values() for name in bus.profiles))

# `kind`, as scenarios were written before -> the name of the row
OLD_KINDS = {"rtu": "modbus-rtu", "tcp": "modbus-tcp", "pylontech": "pylontech",
             "http": "prometheus"}


def name_of(transport: str, protocol: str) -> str:
    """Return the name of a kind of bus, "" for a pair that is not played."""
    for name, bus in BUSES.items():
        if (bus.transport, bus.protocol) == (transport, protocol):
            return name
    return ""


def where(transport: str, position: str | int, baud: int) -> dict[str, str | int]:
    """Return the keys of cabinet.toml that say where a bus answers.

    position: pty path or TCP port of this machine.
    """
    if transport == "serial":
        return {"tty": position, "baud": baud, "parity": "N", "stopbits": 1}
    if transport == "tcp":
        return {"host": HOST, "port": position}
    return {"url": f"http://{HOST}:{position}"}
