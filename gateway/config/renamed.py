"""Keys of [[bus]] that have new names: the old ones are refused, with what to write instead.

Pure.  The new keys stand in for the old ones while the rest of the file is checked, so that one
run of `check` still lists every mistake.
"""

from collections.abc import Mapping
from typing import NamedTuple

# kind, as it was -> transport, protocol
KINDS = {
    "rtu": ("serial", "modbus"),
    "tcp": ("tcp", "modbus"),
    "pylontech": ("serial", "pylontech"),
    "http": ("http", "prometheus"),
}


class OldKey(NamedTuple):
    """One old key of a table, and what to write instead."""

    key: str
    text: str


def renamed(bus: Mapping[str, object]) -> tuple[dict[str, object], list[OldKey]]:
    """Return the [[bus]] with the new keys, and what was written with old ones."""
    new, old = dict(bus), list[OldKey]()
    kind = bus.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        transport, protocol = KINDS[kind]
        new.pop("kind")
        new.setdefault("transport", transport)
        new.setdefault("protocol", protocol)
        old.append(OldKey("kind", f'kind = "{kind}" is now transport = "{transport}", '
                                  f'protocol = "{protocol}"'))
    if "tcp_port" in bus:
        number = new.pop("tcp_port")
        new.setdefault("port", number)
        old.append(OldKey("tcp_port", f"tcp_port = {number} is now port = {number}"))
    path = bus.get("port")
    if isinstance(path, str) and new.get("transport") == "serial":
        new.pop("port")
        new.setdefault("tty", path)
        old.append(OldKey("port", f'port = "{path}" is now tty = "{path}"; '
                                  "port is the port of a TCP server"))
    return new, old
