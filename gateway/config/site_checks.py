"""What makes a site wrong although each of its keys is right: who shares what, who feeds whom.

Each mistake says what is allowed and what to do next; none stops the others.
"""

from collections.abc import Iterator
from pathlib import Path

from gateway.config.parse import Document, Values
from gateway.config.values import COMPUTE_PROFILE

TCP_PORT = 502                          # of Modbus, where a bus says none
SUPPLY_ROLES = ("grid", "pv", "battery", "genset")


def check_site(document: Document, values: Values, folder: Path) -> None:
    """Add every mistake that the devices of a site make together to the document."""
    _check_hosts(document, values)
    _check_ports(document, values, folder)
    _check_name(document, values, folder)
    _check_meters(document, values)
    _check_grid(document, values)


def _check_hosts(document: Document, values: Values) -> None:
    places: list[tuple[tuple[str | int, ...], str | None]] = [
        (("uplink", "host"), values.get("uplink", {}).get("host"))]
    places += [(("bus", index, "host"), bus.get("host"))
               for index, bus in enumerate(values.get("bus", ()))]
    for path, host in places:
        bare = (host or "").partition("://")[2] or (host or "")
        if host and (bare != host or "/" in host or host.count(":") == 1):
            name = bare.split("/")[0].split(":")[0]
            document.fault(path, f'"{host}" is more than a host; allowed: a name or an address '
                                 f'without scheme, port and path; next: write host = "{name}"'
                                 " and the port as port = ...")


def _check_ports(document: Document, values: Values, folder: Path) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for index, bus in enumerate(values.get("bus", ())):
        key, place = _port(bus, folder)
        if place is None:
            continue
        if place in seen:
            document.fault(("bus", index, key), f'{" port ".join(place[1:])} already belongs to '
                           f'bus "{seen[place]}"; allowed: one bus for a port, for two would take '
                           f"each other's answers; next: put its devices on \"{seen[place]}\"")
        seen.setdefault(place, bus.get("name") or "?")


def _port(bus: Values, folder: Path) -> tuple[str, tuple[str, ...] | None]:
    """Return (key that names it, the port that a bus holds open); None if it has none."""
    if bus.get("transport") == "serial" and bus.get("tty"):
        return "tty", ("serial", str((folder / bus["tty"]).resolve()))
    if bus.get("transport") == "tcp" and bus.get("host"):
        return "host", ("tcp", bus["host"].lower(), str(bus.get("port") or TCP_PORT))
    if bus.get("transport") == "http" and bus.get("url"):
        return "url", ("http", bus["url"].rstrip("/"))
    return "", None


def _check_name(document: Document, values: Values, folder: Path) -> None:
    written = values.get("uplink", {}).get("certificate")
    cabinet = values.get("site", {}).get("cabinet")
    if not written or not cabinet:
        return
    from cryptography import x509  # only for who checks a configuration
    from cryptography.x509.oid import NameOID
    try:
        certificate = x509.load_pem_x509_certificate((folder / written).read_bytes())
    except (OSError, ValueError):
        return                          # the file is told of elsewhere
    names = [one.value for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [cabinet]:
        of_it = ", ".join(map(repr, names)) or "nobody"
        document.fault(("site", "cabinet"), f'"{cabinet}" is not the name in {folder / written}, '
                       f"which is made for {of_it}; allowed: the certificate's name, for the "
                       "broker lets no other publish; next: write that name, or request a "
                       f'certificate for "{cabinet}"')


def _check_meters(document: Document, values: Values) -> None:
    devices = {device["name"]: device for device in values.get("device", ())
               if device.get("name")}
    taken: dict[str, str] = {}
    for index, node in _nodes(values):
        meter = node.get("meter")
        if not meter:
            continue
        if meter in taken:
            document.fault(("device", index, "meter"), f'"{meter}" already meters node '
                           f'"{taken[meter]}"; allowed: one node for a meter, for its energy would '
                           "be counted for both; next: give each node a meter of its own, or "
                           "follow both nodes' workloads under one node")
        taken.setdefault(meter, node.get("name") or "?")
        if devices.get(meter, {}).get("role") in SUPPLY_ROLES:
            document.fault(("device", index, "meter"), _not_a_meter_of_nodes(devices, meter))
    for index, device in enumerate(values.get("device", ())):
        if device.get("feeds") and device.get("role") in SUPPLY_ROLES:
            document.fault(("device", index, "feeds"),
                           _not_a_meter_of_nodes(devices, device.get("name") or "?"))


def _not_a_meter_of_nodes(devices: dict[str, Values], meter: str) -> str:
    own = [name for name, device in devices.items() if device.get("role") == "it"]
    return (f'"{meter}" has role {devices.get(meter, {}).get("role", "?")} and meters more than '
            f"nodes; allowed: a meter with role it, here: {', '.join(own) or 'none'}; next: name "
            "the meter in front of the node")


def _check_grid(document: Document, values: Values) -> None:
    if "device" not in values or "site" not in values:
        return
    off_grid = values["site"].get("off_grid")
    meters = [index for index, device in enumerate(values["device"])
              if device.get("role") == "grid"]
    if not meters and not off_grid:
        document.fault(("site",), "no device has role grid, so the carbon of what is imported "
                       "would be missing without a word; allowed: a grid meter, or a site that "
                       'says off_grid = true; next: give the meter at the grid role = "grid"')
    if meters and off_grid:
        document.fault(("site", "off_grid"), "is true, but a device has role grid; next: remove "
                       "one of the two")


def _nodes(values: Values) -> Iterator[tuple[int, Values]]:
    for index, device in enumerate(values.get("device", ())):
        if device.get("profile") == COMPUTE_PROFILE:
            yield index, device
