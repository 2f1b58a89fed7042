"""From checked values to a CabinetSettings: dataclasses, the schema, and the site descriptor.

The descriptor is what the fleet needs to account: a CBOR map of text keys with whole numbers
and decimal texts, no floats.  It travels in the CONFIG event; its SHA-256 is the config hash
that every batch names.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from drivers.links.base import BusConfig
from drivers.links.registry import BY_PAIR
from gateway.aio.toml_check import Values
from gateway.config.values import (
    BatterySettings,
    CabinetSettings,
    DeviceSettings,
    JournalSettings,
    SiteSettings,
    UplinkSettings,
)
from gateway.core import measurand
from gateway.core.codec import cbor
from gateway.core.codec.record import SERIAL_CHARS_MAX
from gateway.core.reading import Point, Stream
from gateway.ledger.factors.factors import load as load_factors
from gateway.timekeeping.clock import Scale

if TYPE_CHECKING:
    from drivers.types import Driver

DESCRIPTOR_VERSION = 1
POINTS_MAX = 512            # of one device: keeps a scan within a journal frame
STREAM_POINTS_MAX = 4096    # of one cabinet: one commit stays in memory many times over
DESCRIPTOR_BYTES_MAX = 8000     # an event's body holds 8 KiB, hash and heads included
ADDRESS_CHARS_MAX = 64          # of a bus, in the descriptor


def build(values: Values, folder: Path) -> CabinetSettings:
    """Return the cabinet of values without mistakes; drivers and schema are still empty."""
    uplink, journal = dict(values["uplink"]), dict(values["journal"])
    for name in ("ca", "certificate", "key", "receipt_key"):
        uplink[name] = folder / uplink[name]
    journal["directory"] = folder / journal["directory"]
    factors = values["factors"]
    return CabinetSettings(
        site=SiteSettings(**values["site"]),
        journal=JournalSettings(**journal),
        evidence_key=folder / values["keys"]["evidence"],
        uplink=UplinkSettings(**uplink),
        status_file=folder / values["status"]["file"],
        factors=str(folder / factors["file"]) if factors["file"] else factors["id"],
        battery=BatterySettings(**values["battery"]) if "battery" in values else None,
        scale=Scale(**_scale(values["clock"])) if "clock" in values else None,
        buses=tuple(_bus(bus, folder) for bus in values["bus"]),
        devices=tuple(DeviceSettings(**device) for device in values["device"]),
    )


def _scale(clock: Values) -> dict[str, int]:
    return {"speed": clock["speed"], "origin_utc_ms": clock["origin_utc"],
            "started_unix_ms": clock["started_unix_ms"]}


def _bus(values: Values, folder: Path) -> BusConfig:
    bus = dict(values)
    for key, usual in BY_PAIR[bus["transport"], bus["protocol"]].usual.items():
        bus[key] = bus[key] or usual
    if bus["tty"]:
        bus["tty"] = str(folder / bus["tty"])
    bus["timeout_s"] = float(bus["timeout_s"])
    return BusConfig(**bus)


def schema_of(devices: tuple[DeviceSettings, ...],
              drivers: "tuple[Driver, ...]") -> tuple[Stream, ...]:
    """Return the schema: one Stream per device, in the order of the file."""
    return tuple(Stream(device.name, tuple(driver.points))
                 for device, driver in zip(devices, drivers, strict=True))


def counter_step_mwh(points: tuple[Point, ...]) -> int:
    """Return the step of a device's energy counters in mWh, 0 if it has none.

    The coarsest of the counted steps: a bound must not promise more than the worst counter.
    """
    steps = [0]
    for point in points:
        known = measurand.BY_ID[point.measurand]
        if known.kind == measurand.COUNTER and known.unit == "Wh":
            steps.append(int(Decimal(1000).scaleb(point.exponent)))
    return max(steps)


def descriptor(cabinet: CabinetSettings, kinds: tuple[str, ...]) -> bytes:
    """Return the site descriptor as CBOR.  kinds: meter | pv | bms | climate | node, by device."""
    site, buses = cabinet.site, {bus.name: bus for bus in cabinet.buses}
    devices = [_device_entry(device, kind, counter_step_mwh(stream.points)) | _wiring(device, buses)
               for device, kind, stream in zip(cabinet.devices, kinds, cabinet.schema,
                                               strict=True)]
    nodes = [device for device in cabinet.devices if device.is_node]
    factors = load_factors(cabinet.factors)
    encoded: bytes = cbor.encode({
        "v": DESCRIPTOR_VERSION,
        "site": site.id, "name": site.name, "cabinet": site.cabinet, "timezone": site.timezone,
        "interval_s": cabinet.journal.interval_s,
        "interval_ms_step": cabinet.journal.interval_s * 1000,
        "batch_minutes": cabinet.journal.batch_minutes,
        "buses": [{"name": bus.name, "address": bus_address(bus)} for bus in cabinet.buses],
        "devices": devices,
        "battery": _battery_entry(cabinet.battery),
        "nodes": [{"name": node.name, "cores": plain(node.cores), "idle_w": plain(node.idle_w),
                   "meter": node.meter} for node in nodes],
        "workloads": [{"node": node.name, "name": name}
                      for node in nodes for name in node.workloads],
        "factor_set": factors.id, "factor_sha256": factors.sha256,
    })
    return encoded


def _device_entry(device: DeviceSettings, kind: str, step_mwh: int) -> dict[str, object]:
    return {
        "name": device.name, "profile": device.profile, "kind": kind,
        "role": None if device.role == "none" else device.role,
        "rated_w": device.rated_w, "counter_step_mwh": step_mwh,
        "ct_ratio": plain(device.ct_ratio), "meter_class": device.meter_class,
        "ct_class": device.ct_class, "feeds": list(device.feeds),
    }


def _wiring(device: DeviceSettings, buses: Mapping[str, BusConfig]) -> dict[str, object]:
    """Return where a device hangs, so that two that are exchanged change the configuration."""
    found: dict[str, object] = {"bus": device.bus}
    if not buses[device.bus].url:
        found["unit"] = device.unit
    elif device.path:
        found["path"] = device.path
    return found


def bus_address(bus: BusConfig) -> str:
    """Return what a bus is reached by: the serial device's name, host and port, or the url
    without a user's name and password.  Of a long one the begin and a hash."""
    written = PurePath(bus.tty).name or (f"{bus.host}:{bus.port}" if bus.host else "")
    if bus.url:
        scheme, _, rest = bus.url.partition("://")
        host, slash, path = rest.partition("/")
        written = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    if len(written) <= ADDRESS_CHARS_MAX:
        return written
    digest = hashlib.sha256(written.encode()).hexdigest()
    return f"{written[:ADDRESS_CHARS_MAX - 17]}~{digest[:16]}"


def wiring_bytes(encoded: bytes) -> int:
    """Return how many bytes of a descriptor say where its devices hang."""
    site = cbor.decode(encoded)
    site.pop("buses")
    for entry in site["devices"]:
        for key in ("bus", "unit", "path"):
            entry.pop(key, None)
    return len(encoded) - len(cbor.encode(site))


def with_serials(cabinet: CabinetSettings, serials: Mapping[str, str]) -> CabinetSettings:
    """Return the cabinet with the serial numbers of its devices in descriptor and hash.

    serials: by device, as they were read last before this start; a start that reads another one
    says so by a meter-swap event, the descriptor of the next start has it.  Where not all fit
    into the descriptor, none is in it.
    """
    site = cbor.decode(cabinet.descriptor)
    for entry in site["devices"]:
        serial = serials.get(entry["name"], "")[:SERIAL_CHARS_MAX]
        if serial:
            entry["serial"] = "".join(c if c.isprintable() else "?" for c in serial)
    encoded: bytes = cbor.encode(site)
    if len(encoded) > DESCRIPTOR_BYTES_MAX:
        return cabinet
    return replace(cabinet, descriptor=encoded, config_hash=hash_of(encoded))


def _battery_entry(battery: BatterySettings | None) -> dict[str, object] | None:
    if battery is None:
        return None
    return {"capacity_wh": battery.capacity_wh, "eta_charge": plain(battery.eta_charge),
            "eta_discharge": plain(battery.eta_discharge),
            "standby_w": plain(battery.standby_w)}


def plain(number: Decimal) -> int | str:
    """Return an int where the number is whole, else its shortest decimal text, e.g. "0.96"."""
    if number == number.to_integral_value():
        return int(number)
    return format(number.normalize(), "f")


def hash_of(encoded: bytes) -> bytes:
    """Return the 32-byte config hash of a descriptor."""
    return hashlib.sha256(encoded).digest()
