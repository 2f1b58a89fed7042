"""What the ledger knows of a site: its meters' roles, battery, nodes; and one interval of it.

The site descriptor is the map that travels in the signed CONFIG event (docs/formats.md); its
decimal strings become floats here, where whole numbers end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core import roles
from gateway.core.errors import ConfigError
from gateway.core.interval import MEASURED, MISSING
from gateway.ledger.counter_limits import Descriptor

# Energy roles of a report, and the device role that meters each.
DEVICE_ROLE: dict[str, str] = {energy.name: energy.role for energy in roles.ENERGIES}
ENERGY_ROLES = tuple(DEVICE_ROLE)
# Names among the bus's supplies and sinks, and the energy role of each.
SUPPLY_ROLES: dict[str, str] = {energy.flow: energy.name for energy in roles.SUPPLIES}
SINK_ROLES: dict[str, str] = {energy.flow: energy.name for energy in roles.SINKS}


@dataclass(frozen=True)
class WorkloadUse:
    """A workload in an interval: CPU seconds, mean cores reserved, seconds they were held,
    tasks completed.  None = not read."""

    cpu_s: float | None = None
    cores_reserved: float | None = None
    reserved_s: float | None = None
    tasks: float | None = None


@dataclass(frozen=True)
class NodeUse:
    """A compute node in an interval: metered energy, quality, CPU seconds of the whole host."""

    energy_wh: float | None = None
    workloads: Mapping[str, WorkloadUse] = field(default_factory=dict)
    cpu_s: float | None = None
    quality: int = MISSING


@dataclass(frozen=True)
class SiteInterval:
    """One interval of a site.  energy_wh and quality: by energy role (None / MISSING where a
    meter was not read; roles nobody meters may be left out).  soc: 0..1 at the interval's end.
    fuel_l: genset fuel burned, None if not known."""

    start_ms: int
    length_ms: int
    energy_wh: Mapping[str, float | None] = field(default_factory=dict)
    quality: Mapping[str, int] = field(default_factory=dict)
    nodes: Mapping[str, NodeUse] = field(default_factory=dict)
    soc: float | None = None
    fuel_l: float | None = None

    @property
    def end_ms(self) -> int:
        """First millisecond after the interval."""
        return self.start_ms + self.length_ms


@dataclass(frozen=True)
class BatteryRating:
    """A battery's configured facts: capacity Wh, one-way efficiencies 0..1, standby W."""

    capacity_wh: float
    eta_charge: float
    eta_discharge: float
    standby_w: float


@dataclass(frozen=True)
class NodeRating:
    """A compute node's configured facts: cores, idle power of a calibration, its meter."""

    cores: float
    idle_w: float
    meter: str


@dataclass(frozen=True)
class AccountedSite:
    """A site as configured.  metered: the device roles that some device has."""

    id: str
    timezone: str
    metered: frozenset[str]
    battery: BatteryRating | None = None
    nodes: Mapping[str, NodeRating] = field(default_factory=dict)
    workloads: tuple[tuple[str, str], ...] = ()

    @property
    def has_supply(self) -> bool:
        """Whether any supply is metered: without one nothing can be held against the loads."""
        return any(self.is_metered(role) for role in SUPPLY_ROLES.values())

    def is_metered(self, energy_role: str) -> bool:
        """Whether any device has the role; without one its energy is 0, not missing."""
        return DEVICE_ROLE[energy_role] in self.metered

    def energy_wh(self, interval: SiteInterval, energy_role: str) -> float | None:
        """Return an interval's energy of a role: 0 if nobody meters it, None if not read."""
        if not self.is_metered(energy_role):
            return 0.0
        return interval.energy_wh.get(energy_role)

    def quality(self, interval: SiteInterval, energy_role: str) -> int:
        """Return the quality of a metered role in an interval."""
        if interval.energy_wh.get(energy_role) is None:
            return MISSING
        return interval.quality.get(energy_role, MEASURED)


def read_site(descriptor: Descriptor) -> AccountedSite:
    """Return the site of a descriptor.  Raises ConfigError naming what is wrong in it."""
    try:
        battery = descriptor.get("battery")
        return AccountedSite(
            id=str(descriptor["site"]), timezone=str(descriptor.get("timezone", "UTC")),
            metered=frozenset(str(device["role"]) for device in descriptor["devices"]
                              if device.get("role")),
            battery=None if battery is None else BatteryRating(
                float(battery["capacity_wh"]), _efficiency(battery.get("eta_charge", "1")),
                _efficiency(battery.get("eta_discharge", "1")),
                float(battery.get("standby_w", "0"))),
            nodes={str(node["name"]): NodeRating(float(node["cores"]), float(node["idle_w"]),
                                                 str(node.get("meter") or ""))
                   for node in descriptor.get("nodes") or ()},
            workloads=tuple((str(load["node"]), str(load["name"]))
                            for load in descriptor.get("workloads") or ()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"site descriptor: {type(error).__name__} {error}") from error


def _efficiency(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError(f"efficiency {text} is not above 0 and at most 1")
    return value
