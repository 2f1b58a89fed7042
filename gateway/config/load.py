"""cabinet.toml -> CabinetSettings: every value with bounds, unknown keys are errors, all at once.

`load` is for the service: it stops at start with the whole list of mistakes.  `check` is for
people.  Both see the same mistakes, each with its line, what is allowed, and the nearest name;
`check` also opens the keys, which a start does by itself.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from drivers.links.base import BusConfig
from gateway.aio import toml_check
from gateway.aio.toml_check import Document, Mistake, Values
from gateway.config.build import (
    DESCRIPTOR_BYTES_MAX,
    POINTS_MAX,
    STREAM_POINTS_MAX,
    build,
    descriptor,
    hash_of,
    schema_of,
    wiring_bytes,
)
from gateway.config.checks import Catalogue, check_all
from gateway.config.keys import check_keys
from gateway.config.parse import read
from gateway.config.values import CabinetSettings, DeviceSettings
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from drivers.types import Driver


class DriverCatalogue(Catalogue, Protocol):
    """A catalogue that can also build the driver of a device."""

    def driver(self, device: DeviceSettings, bus: BusConfig) -> "Driver":
        """Return a driver object (points, poll, identify); raises ConfigError."""


def check(path: Path, catalogue: DriverCatalogue | None = None) -> list[Mistake]:
    """Return every mistake of a file, by line; an empty list means it can run."""
    return _examine(path, catalogue or _installed(), check_keys)[1]


def load(path: Path, catalogue: DriverCatalogue | None = None) -> CabinetSettings:
    """Return the cabinet of a file; raises ConfigError that lists every mistake."""
    cabinet, mistakes = _examine(path, catalogue or _installed())
    if mistakes or cabinet is None:
        raise ConfigError(report(path, mistakes))
    return cabinet


def report(path: Path, mistakes: list[Mistake]) -> str:
    """Return the mistakes as text, one line each, in the form file:line: what."""
    return toml_check.report(path, mistakes, f"python -m gateway check {path}")


def _examine(path: Path, catalogue: DriverCatalogue,
             also: Callable[[Document, Values, Path], None] | None = None,
             ) -> tuple[CabinetSettings | None, list[Mistake]]:
    try:
        document = toml_check.load(path.read_bytes())
    except OSError as error:
        return None, [Mistake(0, f"cannot be read: {error.strerror}")]
    if document.mistakes:
        return None, document.mistakes
    folder = path.resolve().parent
    values = read(document)
    check_all(document, values, folder, catalogue)
    if also:
        also(document, values, folder)
    if document.mistakes:
        return None, sorted(set(document.mistakes))
    cabinet = _complete(document, build(values, folder), catalogue)
    return cabinet, sorted(set(document.mistakes))


def _complete(document: Document, cabinet: CabinetSettings,
              catalogue: DriverCatalogue) -> CabinetSettings:
    """Return the cabinet with drivers, schema, descriptor and hash; faults to the document."""
    buses = {bus.name: bus for bus in cabinet.buses}
    drivers = []
    for index, device in enumerate(cabinet.devices):
        try:
            driver = catalogue.driver(device, buses[device.bus])
        except ConfigError as error:
            document.fault(("device", index, "profile"), str(error))
            continue
        if len(driver.points) > POINTS_MAX:
            document.fault(("device", index), f"has {len(driver.points)} points; "
                                              f"at most {POINTS_MAX} are allowed")
        drivers.append(driver)
    total = sum(len(driver.points) for driver in drivers)
    if total > STREAM_POINTS_MAX:
        document.fault(("device",), f"all devices together have {total} points; "
                                    f"at most {STREAM_POINTS_MAX} are allowed")
    if document.mistakes:
        return cabinet
    kinds = tuple(catalogue.facts(device.profile).kind for device in cabinet.devices)
    full = replace(cabinet, drivers=tuple(drivers),
                   schema=schema_of(cabinet.devices, tuple(drivers)))
    encoded = descriptor(full, kinds)
    if len(encoded) > DESCRIPTOR_BYTES_MAX:
        document.fault(("device",), f"the site's description takes {len(encoded)} bytes, of them "
                                    f"{wiring_bytes(encoded)} for buses and addresses; at most "
                                    f"{DESCRIPTOR_BYTES_MAX} fit one event: use fewer devices "
                                    "or shorter names")
    return replace(full, descriptor=encoded, config_hash=hash_of(encoded),
                   configured_hash=hash_of(encoded))


def _installed() -> DriverCatalogue:
    """Return the catalogue of the profiles that came with the product."""
    from gateway.config.profiles import InstalledProfiles
    return InstalledProfiles()
