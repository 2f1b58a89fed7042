"""What no single key can tell: names that must exist, pairs that must fit, files that must be.

Each check adds its mistakes to the document and none stops the others.
"""

import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from drivers.links.registry import BY_PAIR, ROWS, BusRow
from gateway.aio.toml_check import Document, Values, nearest
from gateway.config.site_checks import check_site
from gateway.config.table import BAUDS
from gateway.config.values import COMPUTE_PROFILE
from gateway.core.errors import ConfigError
from gateway.ledger.factors.factors import load as load_factors
from gateway.signer import permission_fault

ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
SET_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")    # what a site descriptor can carry
ZONES = Path("/usr/share/zoneinfo")     # of this machine; a zone's file begins with TZif (RFC 8536)

NODE_KEYS = ("cores", "idle_w", "meter", "workloads", "path")


class ProfileFacts(NamedTuple):
    """What a check must know of a device profile.

    kind: meter | pv | bms | climate | node.  buses: names of registry rows it can live on.
    bauds: rates the device knows, () = any.
    """

    kind: str
    buses: tuple[str, ...]
    bauds: tuple[int, ...]


class Catalogue(Protocol):
    """The profiles this gateway knows."""

    def stems(self) -> Iterable[str]:
        """Return the names of all profiles."""

    def facts(self, stem: str) -> ProfileFacts:
        """Return the facts of a profile that exists."""


def check_all(document: Document, values: Values, folder: Path, catalogue: Catalogue) -> None:
    """Add every cross mistake of the whole file to the document."""
    _check_zone(document, values)
    _check_files(document, values, folder)
    _check_factors(document, values, folder)
    _check_retry(document, values)
    for index, bus in enumerate(values.get("bus", ())):
        _check_bus(document, index, bus)
    _check_unique(document, "bus", values.get("bus", ()))
    _check_unique(document, "device", values.get("device", ()))
    _check_units(document, values)
    for index, device in enumerate(values.get("device", ())):
        _check_device(document, (("device", index), device), values, catalogue)
    _check_bauds(document, values, catalogue)
    _check_battery(document, values)
    check_site(document, values, folder)


def _check_zone(document: Document, values: Values) -> None:
    zone = values.get("site", {}).get("timezone")
    if not zone or _has_zone(zone):
        return
    from zoneinfo import ZoneInfo, available_timezones  # a megabyte, for nothing else here
    try:
        ZoneInfo(zone)
    except (OSError, ValueError, KeyError):
        known = available_timezones()
        if not known and ZONE.fullmatch(zone):
            return              # a machine without tzdata cannot know better
        hint = nearest(zone, known)
        document.fault(("site", "timezone"), f'"{zone}" is not a known time zone{hint}; '
                                             "write an IANA name, e.g. Europe/Berlin")


def _has_zone(zone: str) -> bool:
    path = ZONES / zone
    if not ZONE.fullmatch(zone) or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"TZif"


def _check_files(document: Document, values: Values, folder: Path) -> None:
    private = (("keys", "evidence"), ("uplink", "key"))
    public = (("uplink", "ca"), ("uplink", "certificate"), ("uplink", "receipt_key"))
    for table, name in private + public:
        written = values.get(table, {}).get(name)
        if not written:
            continue
        path = folder / written
        fault = permission_fault(path) if (table, name) in private else readable_fault(path)
        if fault:
            document.fault((table, name), fault)
    for table, name in (("journal", "directory"), ("status", "file")):
        written = values.get(table, {}).get(name)
        if written and not (folder / written).parent.is_dir():
            document.fault((table, name), f"folder {(folder / written).parent} does not exist; "
                                          "next: mkdir -p it")
    written = values.get("journal", {}).get("directory")
    if written and (folder / written).exists() and not (folder / written).is_dir():
        document.fault(("journal", "directory"), f"{folder / written} is not a folder; "
                                                 "next: move that file away")


def readable_fault(path: Path) -> str:
    """Return why a file cannot be used, or an empty text."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return "" if stat.S_ISREG(mode) else f"{path} is not a file"


def _check_factors(document: Document, values: Values, folder: Path) -> None:
    factors = values.get("factors")
    if factors is None:
        return
    if None not in (factors["file"], factors["id"]) and (
            bool(factors["file"]) == bool(factors["id"])):
        document.fault(("factors",), "exactly one of file and id is needed")
        return
    name = "file" if factors["file"] else "id"
    written = str(folder / factors["file"]) if factors["file"] else factors["id"]
    if written and written.endswith(".toml") != (name == "file"):
        document.fault(("factors", name), f'"{factors[name]}" is not allowed; allowed: file = '
                       '"PATH.toml" for a set of your own, id = "NAME" for a packaged one')
        return
    try:
        if written and not SET_ID.fullmatch(str(load_factors(written).id)):
            document.fault(("factors", name), "the set's id does not travel; allowed: 1 to 64 "
                           "characters of A-Z a-z 0-9 . _ -; next: write such an id in the file")
    except ConfigError as error:
        document.fault(("factors", name), str(error))


def _check_retry(document: Document, values: Values) -> None:
    uplink = values.get("uplink", {})
    low, high = uplink.get("retry_s_min"), uplink.get("retry_s_max")
    if low is not None and high is not None and low > high:
        document.fault(("uplink", "retry_s_max"), f"{high} is below retry_s_min, {low}")


def _check_bus(document: Document, index: int, bus: Values) -> None:
    transport, row = bus.get("transport"), _row(bus)
    if row is None:
        if transport and bus.get("protocol"):
            allowed = ", ".join(one.protocol for one in ROWS if one.transport == transport)
            document.fault(("bus", index, "protocol"), f'"{bus["protocol"]}" is not spoken over '
                                                       f"{transport}; allowed there: {allowed}")
        return
    for name in row.needed:
        if bus.get(name) == "":
            document.fault(("bus", index, name), f'is missing; a "{row.name}" bus needs it')
    for name in document.tables["bus"][index]:
        if name in bus and not row.takes(name):
            document.fault(("bus", index, name), f'does nothing on a "{row.name}" bus; remove it')
    if bus.get("baud") and bus["baud"] not in BAUDS:
        document.fault(("bus", index, "baud"), f"{bus['baud']} is not a usual rate; "
                                               f"allowed: {', '.join(map(str, BAUDS))}")
    if bus.get("url") and not bus["url"].startswith(("http://", "https://")):
        document.fault(("bus", index, "url"), "must begin with http://, e.g. http://10.0.0.5:9100")


def _row(bus: Values) -> BusRow | None:
    return BY_PAIR.get((bus.get("transport", ""), bus.get("protocol", "")))


def _check_unique(document: Document, table: str, items: Iterable[Values]) -> None:
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        name = item.get("name")
        if name in seen:
            first = document.lines.get((table, seen[name], "name"), 0)
            document.fault((table, index, "name"), f'"{name}" is already used in line {first}')
        elif name:
            seen[name] = index


def _check_units(document: Document, values: Values) -> None:
    rows = {bus.get("name"): _row(bus) for bus in values.get("bus", ())}
    seen: dict[tuple[str, int], str] = {}
    for index, device in enumerate(values.get("device", ())):
        row = rows.get(device.get("bus"))
        if row is None or device.get("unit") is None:
            continue
        address = (device["bus"], device["unit"])
        if address in seen:
            document.fault(("device", index, "unit"),
                           f'{device["unit"]} on bus "{device["bus"]}" already belongs to '
                           f'"{seen[address]}"; two units with one address answer at once')
        seen.setdefault(address, device.get("name") or "?")
        low, high = row.units
        if not low <= device["unit"] <= high:
            document.fault(("device", index, "unit"), f'{device["unit"]} is out of range; '
                                                      f"allowed on {row.name}: {low} to {high}")


def _check_device(document: Document, placed: tuple[tuple[str, int], Values],
                  values: Values, catalogue: Catalogue) -> None:
    path, device = placed
    buses = {bus["name"]: bus for bus in values.get("bus", ()) if bus.get("name")}
    bus = buses.get(device.get("bus"))
    if device.get("bus") and bus is None:
        document.fault((*path, "bus"), f'no bus is named "{device["bus"]}"'
                                       f"{nearest(device['bus'], buses)}; "
                                       f"there are: {', '.join(buses) or 'none'}")
    stem, stems = device.get("profile"), list(catalogue.stems())
    if stem and stem not in stems:
        document.fault((*path, "profile"), f'no profile is named "{stem}"{nearest(stem, stems)}; '
                                           f"there are: {', '.join(sorted(stems))}")
    elif stem:
        facts = catalogue.facts(stem)
        if bus is not None:
            _check_fit(document, path, (device, bus), facts)
        _check_kind(document, path, device, facts)
    _check_names(document, path, device, values)


def _check_fit(document: Document, path: tuple[str, int], pair: tuple[Values, Values],
               facts: ProfileFacts) -> None:
    device, bus = pair
    row = _row(bus)
    if row and facts.buses and row.name not in facts.buses:
        document.fault((*path, "bus"), f'"{device["profile"]}" does not live on a "{row.name}" '
                                       f"bus; allowed: {', '.join(facts.buses)}")


def _check_bauds(document: Document, values: Values, catalogue: Catalogue) -> None:
    """Tell once for a line if devices on it do not know its rate."""
    stems = set(catalogue.stems())
    for index, bus in enumerate(values.get("bus", ())):
        baud = bus.get("baud")
        row = _row(bus)
        if row is None or not row.takes("baud") or baud not in BAUDS:
            continue            # no rate of its own, or one that is told already
        known = {stem: catalogue.facts(stem).bauds for stem in stems & {
            device.get("profile") for device in values.get("device", ())
            if device.get("bus") == bus.get("name")}}
        deaf = sorted(stem for stem, bauds in known.items() if bauds and baud not in bauds)
        common = [rate for rate in BAUDS
                  if all(rate in bauds for bauds in known.values() if bauds)]
        if deaf:
            allowed = ", ".join(str(rate) for rate in common) or "none, use two lines"
            document.fault(("bus", index, "baud"), f"{baud} is not known to {', '.join(deaf)}; "
                                                   f"allowed for all on this line: {allowed}")


def _check_kind(document: Document, path: tuple[str, int], device: Values,
                facts: ProfileFacts) -> None:
    written = document.tables["device"][path[1]]
    if device["profile"] == COMPUTE_PROFILE:
        for name in ("cores", "meter"):
            if not written.get(name):
                document.fault((*path, name), "is missing; a compute node needs it")
        if device.get("role") not in ("none", None):
            document.fault((*path, "role"), "a compute node has none; its meter has role it")
        return
    for name in NODE_KEYS:
        if name in written:
            document.fault((*path, name), f'is for "{COMPUTE_PROFILE}" only; remove it')
    ratio = device.get("ct_ratio")
    if ratio is not None and ratio != 1 and device.get("ct_class") == "none":
        document.fault((*path, "ct_ratio"), f"{ratio} needs ct_class, the class on the current "
                                            'transformers; write "unknown" if nobody knows it')
    if device.get("role") not in ("none", None) and "rated_w" not in written:
        document.fault((*path, "rated_w"), "is missing; a metered role needs the power it can "
                                           "never exceed, to tell a jump from a reading")


def _check_names(document: Document, path: tuple[str, int], device: Values,
                 values: Values) -> None:
    devices = [other for other in values.get("device", ()) if other.get("name")]
    nodes = [d["name"] for d in devices if d.get("profile") == COMPUTE_PROFILE]
    meters = [d["name"] for d in devices if d.get("profile") != COMPUTE_PROFILE]
    for name in device.get("feeds") or ():
        if name not in nodes:
            document.fault((*path, "feeds"), f'no compute node is named "{name}"'
                                             f"{nearest(name, nodes)}")
    meter = device.get("meter")
    if meter and meter not in meters:
        document.fault((*path, "meter"), f'no meter is named "{meter}"{nearest(meter, meters)}')


def _check_battery(document: Document, values: Values) -> None:
    roles = [device.get("role") for device in values.get("device", ())]
    if "battery" in roles and "battery" not in document.tables:
        document.fault(("battery",), "table [battery] is missing; a device has role battery")
