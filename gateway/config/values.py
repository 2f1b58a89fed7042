"""The values of a valid cabinet.toml: what the rest of the gateway gets to see.

Pure values.  Lengths, powers and times carry their unit in the name; a Decimal is exactly the
number that was written.  Paths are absolute.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.links.base import BusConfig
from gateway.core.reading import Stream
from gateway.timekeeping.clock import Scale

if TYPE_CHECKING:
    from drivers.types import Driver

COMPUTE_PROFILE = "compute-prometheus"


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """Whose energy is measured, and by which cabinet."""

    id: str
    name: str
    timezone: str
    cabinet: str
    off_grid: bool = False


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """Where evidence is kept and how often it is written and sealed."""

    directory: Path
    interval_s: int
    loss_window_s: int
    batch_minutes: int
    keep_mib: int


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """The way to the fleet.  retry_s_*: bounds of the back-off, in real seconds.
    cap_kbit_s: of all that is sent, 0 = none; backlog_percent: share of it for old batches."""

    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path
    receipt_key: Path
    cap_kbit_s: int
    live_s: int
    retry_s_min: Decimal
    retry_s_max: Decimal
    backlog_percent: int = 50


@dataclass(frozen=True, slots=True)
class BatterySettings:
    """Storage of the site: capacity, efficiencies per direction, own use in standby."""

    capacity_wh: int
    eta_charge: Decimal
    eta_discharge: Decimal
    standby_w: Decimal


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """One device on a bus.  Its position in CabinetSettings.devices is its stream's number."""

    name: str
    bus: str
    unit: int
    profile: str
    role: str
    rated_w: int
    ct_ratio: Decimal
    meter_class: str
    ct_class: str
    resolution: str
    feeds: tuple[str, ...]
    cores: Decimal
    idle_w: Decimal
    meter: str
    workloads: tuple[str, ...]
    path: str

    @property
    def is_node(self) -> bool:
        """Whether this is a compute node rather than a meter or sensor."""
        return self.profile == COMPUTE_PROFILE


@dataclass(frozen=True, slots=True)
class CabinetSettings:
    """Everything cabinet.toml says, checked, and what follows from it.

    drivers: one per device, in order.  schema: tuple of core Streams, same order.
    descriptor: deterministic CBOR for the fleet; config_hash: its SHA-256.  configured_hash: the
    same before serial numbers stood in it, so of the file alone.
    """

    site: SiteSettings
    journal: JournalSettings
    evidence_key: Path
    uplink: UplinkSettings
    status_file: Path
    factors: str
    battery: BatterySettings | None
    scale: Scale | None
    buses: tuple[BusConfig, ...]
    devices: tuple[DeviceSettings, ...]
    drivers: "tuple[Driver, ...]" = ()
    schema: tuple[Stream, ...] = ()
    descriptor: bytes = b""
    config_hash: bytes = b""
    configured_hash: bytes = b""
