"""The device profiles that came with the product, as load.py asks for them.

The one place where a line of cabinet.toml meets the drivers room: which wire a bus speaks,
which profile a device has, and which kind of device that is for the fleet.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from drivers import driver
from drivers.links import BusConfig, decimals, profile_files, wire_for
from drivers.profile import Profile
from gateway.config.checks import ProfileFacts
from gateway.config.values import DeviceSettings

if TYPE_CHECKING:
    from drivers.types import Driver

# kind of a profile -> kind in the site descriptor
KINDS = {"meter": "meter", "inverter": "pv", "bms": "bms", "environment": "climate",
         "compute": "node"}


class InstalledProfiles:
    """Profiles of drivers/profiles; builds one wire per bus, one driver per device."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._wires: dict[tuple[str, str], object] = {}
        self._profiles: dict[str, Profile] = {}

    def stems(self) -> Iterable[str]:
        """Return the names of all profiles."""
        return list(profile_files.names())

    def facts(self, stem: str) -> ProfileFacts:
        """Return the facts of a profile that exists; raises ConfigError if it is broken."""
        profile = self._profile(stem)
        transport = profile.transport
        return ProfileFacts(KINDS.get(profile.kind, profile.kind), tuple(transport.buses),
                            tuple(transport.bauds))

    def driver(self, device: DeviceSettings, bus: BusConfig) -> "Driver":
        """Return the driver of a device on its bus; raises ConfigError."""
        setup = driver.Setup(self._wire(device, bus), unit=device.unit,
                             fine=device.resolution == "fine", workloads=device.workloads)
        setup.floats = decimals.floats
        return driver.build(self._profile(device.profile), setup)

    def _profile(self, stem: str) -> Profile:
        if stem not in self._profiles:
            self._profiles[stem] = profile_files.find(stem)
        return self._profiles[stem]

    def _wire(self, device: DeviceSettings, bus: BusConfig) -> object:
        key = bus.name, device.path             # the path is the device's, not the bus's
        if key not in self._wires:
            self._wires[key] = wire_for(bus, device.path)
        return self._wires[key]
