"""CPython transports: serial lines, TCP and HTTP, and profiles from TOML files.

    wire = wire_for(bus)                      # one per bus: builds its transactions
    link = open_link(bus, clock)              # one per bus: carries them
    device = driver.build(profile_files.find("eastron-sdm120"), driver.Setup(wire, unit=2))
"""

from collections.abc import Callable
from typing import Any

from drivers import modbus
from drivers.links.base import BusConfig, Link, LinkClock
from drivers.links.in_turn import READS_MAX, ReadsInTurn
from drivers.links.tcp import TcpLink
from gateway.core.errors import ConfigError

__all__ = ["BusConfig", "Link", "LinkClock", "open_link", "wire_for"]

def _serial(bus: Any, clock: LinkClock) -> Link:
    """Return a serial link; pyserial is loaded only where there is a serial line."""
    from drivers.links.serial_line import SerialLink
    return SerialLink(bus, clock)


def _http(bus: Any, clock: LinkClock) -> Link:
    """Return a link to compute nodes."""
    from drivers.links.http import HttpLink
    return HttpLink(bus, clock)


LINKS: dict[str, Callable[[Any, LinkClock], Link]] = {
    "rtu": _serial, "pylontech": _serial, "tcp": TcpLink, "http": _http}


def open_link(bus: Any, clock: LinkClock) -> Link:
    """Return the link of a bus (see base.BusConfig); ports are opened at the first exchange.

    Raises ConfigError for an unknown kind.
    """
    if bus.kind not in LINKS:
        raise ConfigError(f"{bus.name}: kind = {bus.kind!r}; allowed: {', '.join(sorted(LINKS))}")
    return LINKS[bus.kind](bus, clock)


def wire_for(bus: Any, path: str = "") -> Any:
    """Return what builds the transactions of a bus; path: of a compute node's metrics."""
    if bus.kind == "rtu":
        return modbus.RtuReads()
    if bus.kind == "tcp":
        return modbus.TcpReads(bus.at_once) if bus.at_once > 1 else ReadsInTurn(READS_MAX)
    if bus.kind == "pylontech":
        from drivers import pylontech
        return pylontech.Frames()
    if bus.kind == "http":
        from drivers import prometheus
        from drivers.links.http import place
        host, port, default = place(str(bus.url))
        return prometheus.Gets(f"{host}:{port}", path or default)
    raise ConfigError(f"{bus.name}: kind = {bus.kind!r}; allowed: {', '.join(sorted(LINKS))}")
