"""The buses we can read: one row per pair of transport and protocol.  The one place to add one.

    [[bus]] of cabinet.toml -> transport + protocol -> row -> link (carries) and wire (builds)

A row names the keys of [[bus]] that it takes, what stands for the ones left out, the units that
may be on such a bus, what opens the transport and what builds the transactions.  Everything a row
needs is loaded with the first bus of its kind.  The simulator has a table of its own
(simulator/buses.py) that maps a row's name to the server that plays the far end; profiles name
rows in `[transport] buses`.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from drivers.links.base import BusConfig, Link, LinkClock
from gateway.core.errors import ConfigError

# Keys of [[bus]] that every row takes.
COMMON_KEYS = ("name", "transport", "protocol", "timeout_s")
SERIAL_KEYS = ("baud", "parity", "stopbits")


class BusRow(NamedTuple):
    """One kind of bus.

    needed, optional: its keys of [[bus]] beside COMMON_KEYS.  usual: what stands for a key that
    is not written.  units: lowest and highest address of a device.  wire: gets the bus and the
    device's `path`, which only compute nodes have.
    """

    name: str
    transport: str
    protocol: str
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    usual: Mapping[str, int]
    units: tuple[int, int]
    open: Callable[[BusConfig, LinkClock], Link]
    wire: Callable[[BusConfig, str], object]

    def takes(self, key: str) -> bool:
        """Return whether a key of [[bus]] means anything on such a bus."""
        return key in COMMON_KEYS or key in self.needed or key in self.optional


def _serial(bus: BusConfig, clock: LinkClock) -> Link:
    from drivers.links.serial_line import SerialLink
    return SerialLink(bus, clock)


def _tcp(bus: BusConfig, clock: LinkClock) -> Link:
    from drivers.links.tcp import TcpLink
    return TcpLink(bus, clock)


def _http(bus: BusConfig, clock: LinkClock) -> Link:
    from drivers.links.http import HttpLink
    return HttpLink(bus, clock)


def _rtu_reads(_bus: BusConfig, _path: str) -> object:
    from drivers import modbus
    return modbus.RtuReads()


def _tcp_reads(bus: BusConfig, _path: str) -> object:
    from drivers import modbus
    from drivers.links.in_turn import READS_MAX, ReadsInTurn
    return modbus.TcpReads(bus.at_once) if bus.at_once > 1 else ReadsInTurn(READS_MAX)


def _frames(_bus: BusConfig, _path: str) -> object:
    from drivers import pylontech
    return pylontech.Frames()


def _gets(bus: BusConfig, path: str) -> object:
    from drivers import prometheus
    from drivers.links.http import host_and_port
    host, port, default = host_and_port(bus.url)
    return prometheus.Gets(f"{host}:{port}", path or default)


ROWS = (
    BusRow("modbus-rtu", "serial", "modbus", ("tty",), (*SERIAL_KEYS, "echo"), {"baud": 9600},
        (1, 247), _serial, _rtu_reads),
    BusRow("modbus-tcp", "tcp", "modbus", ("host",), ("port", "at_once"), {"port": 502},
        (0, 247), _tcp, _tcp_reads),
    BusRow("pylontech", "serial", "pylontech", ("tty",), SERIAL_KEYS, {"baud": 115_200},
        (0, 15), _serial, _frames),
    BusRow("prometheus", "http", "prometheus", ("url",), (), {}, (0, 247), _http, _gets),
)
NAMES = tuple(row.name for row in ROWS)
TRANSPORTS = tuple(dict.fromkeys(row.transport for row in ROWS))
PROTOCOLS = tuple(dict.fromkeys(row.protocol for row in ROWS))
BY_PAIR = {(row.transport, row.protocol): row for row in ROWS}


def row_of(bus: BusConfig) -> BusRow:
    """Return the row of a bus; raises ConfigError with the pairs there are."""
    row = BY_PAIR.get((bus.transport, bus.protocol))
    if row is None:
        allowed = ", ".join(f"{one.protocol} over {one.transport}" for one in ROWS)
        raise ConfigError(f"{bus.name}: {bus.protocol} over {bus.transport} is not known; "
                          f"allowed: {allowed}")
    return row


def open_link(bus: BusConfig, clock: LinkClock) -> Link:
    """Return the link of a bus; ports are opened at the first exchange.  Raises ConfigError."""
    return row_of(bus).open(bus, clock)


def wire_for(bus: BusConfig, path: str = "") -> object:
    """Return what builds the transactions of a bus; path: of a compute node's metrics.

    Raises ConfigError.
    """
    return row_of(bus).wire(bus, path)
