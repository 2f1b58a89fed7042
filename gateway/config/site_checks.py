"""What makes a site wrong although each of its keys is right: who shares what, who feeds whom.

Each mistake says what is allowed and what to do next; none stops the others.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.aio.toml_check import Document, Values
from gateway.config.values import COMPUTE_PROFILE

TCP_PORT, HTTP_PORT = 502, 80           # where a bus says none
SUPPLY_ROLES = ("grid", "pv", "battery", "genset")


def check_site(document: Document, values: Values, folder: Path) -> None:
    """Add every mistake that the devices of a site make together to the document."""
    _check_ports(document, values, folder)
    _check_meters(document, values)
    _check_grid(document, values)


def _check_ports(document: Document, values: Values, folder: Path) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for index, bus in enumerate(values.get("bus", ())):
        key, address = _port(bus, folder)
        if not address:
            continue
        if address in seen:
            name = " port ".join(address[1:]) if key == "host" else bus[key]
            document.fault(("bus", index, key), f'{name} already belongs to bus '
                           f'"{seen[address]}"; allowed: one bus for a port, for two would take '
                           f"each other's answers; next: put its devices on \"{seen[address]}\"")
        seen.setdefault(address, bus.get("name") or "?")


def _port(bus: Values, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return (the key that names it, what is the same for two buses at one far end)."""
    if bus.get("transport") == "serial" and bus.get("tty"):
        return "tty", ("serial", _line(folder / bus["tty"]))
    if bus.get("transport") == "tcp" and bus.get("host"):
        return "host", ("tcp", _host(bus["host"]), str(bus.get("port") or TCP_PORT))
    if bus.get("transport") == "http" and bus.get("url"):
        return "url", _page(bus["url"])
    return "", ()


def _line(tty: Path) -> str:
    """Return what identifies a serial line under any of its names (link, by-id, second node)."""
    try:
        found = os.stat(tty)
    except OSError:
        return str(tty.resolve())           # not there now: the name is all there is
    if stat.S_ISCHR(found.st_mode):
        return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return str(tty.resolve())


def _host(name: str) -> str:
    lower = name.lower().rstrip(".")
    return "127.0.0.1" if lower in ("localhost", "::1") else lower


def _page(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    try:
        port = parts.port or HTTP_PORT
    except ValueError:
        return ()                           # the url itself is a mistake
    path = parts.path.rstrip("/") or "/metrics"
    return ("http", _host(parts.hostname or ""), str(port), path)


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
    _check_feeds(document, values, devices)


def _check_feeds(document: Document, values: Values, devices: dict[str, Values]) -> None:
    for index, device in enumerate(values.get("device", ())):
        name = device.get("name") or "?"
        if device.get("feeds") and device.get("role") in SUPPLY_ROLES:
            document.fault(("device", index, "feeds"), _not_a_meter_of_nodes(devices, name))
            continue
        for node in device.get("feeds") or ():
            other = devices.get(node, {}).get("meter")
            if other and other != name:
                document.fault(("device", index, "feeds"), f'node "{node}" names "{other}" as '
                               "its meter; allowed: one meter for a node; next: write the same "
                               "meter in both places")


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
