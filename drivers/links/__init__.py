"""CPython transports: serial lines, TCP and HTTP, and profiles from TOML files.

    wire = wire_for(bus)                      # one per bus: builds its transactions
    link = open_link(bus, clock)              # one per bus: carries them
    device = driver.build(profile_files.find("eastron-sdm120"), driver.Setup(wire, unit=2))

Which buses there are: registry.py.
"""

from drivers.links.base import BusConfig, Link, LinkClock
from drivers.links.registry import open_link, wire_for

__all__ = ["BusConfig", "Link", "LinkClock", "open_link", "wire_for"]
