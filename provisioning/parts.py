"""Read what a site is made of: parts.toml, or the simulator's endpoints.json.

Only what decides names, keys and addresses is judged here; every other value is judged by
the gateway's own configuration check, so that there is one truth about cabinet.toml.
"""

import difflib
import json
import re
import tomllib
import zoneinfo
from pathlib import Path

from gateway.aio.toml_check import line_index
from gateway.config.renamed import renamed
from gateway.core.errors import ConfigError
from provisioning.toml_text import TomlTable

TABLES = ("site", "journal", "bus", "device", "battery", "clock", "uplink", "factors", "status")
# The simulator's endpoints.json names its lists in the plural and adds what a gateway
# must not know ("truth").
PLURALS = {"buses": "bus", "devices": "device", "factor_set": "factors"}
SIMULATOR_ONLY = ("truth", "scenario", "seed", "version", "started", "pid", "witness")
NAME = re.compile(r"[a-z0-9-]{3,40}")
PARTS_BYTES_MAX = 1 << 20       # the largest site has some hundred devices of ~300 bytes


def load(path: Path, site_id: str | None = None) -> TomlTable:
    """Return {table: content} of a parts file, checked; lists for bus and device.

    site_id: takes the place of the [site] id in the file.

    Raises ConfigError naming the file, the key, what is allowed and the next step.
    """
    text = _text(path)
    parts = _singular(_parsed(text, path), path)
    _check_tables(parts, path)
    _check_old_keys(parts["bus"], path, {} if path.suffix == ".json" else line_index(text))
    site = parts.setdefault("site", {})
    if site_id is not None:
        site["id"] = site_id
    site.setdefault("id", "shop")
    site.setdefault("name", site["id"])
    site.setdefault("timezone", "UTC")
    site.setdefault("cabinet", f"{site['id']}-1")
    _check_site(site, path)
    _check_references(parts, path)
    for bus in parts["bus"]:
        _clock_anchor(bus, "tty", path.resolve().parent)
    _clock_anchor(parts.get("factors", {}), "file", path.resolve().parent)
    return parts


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > PARTS_BYTES_MAX:
            raise ConfigError(f"{path}: larger than {PARTS_BYTES_MAX} bytes; is it a parts file?")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); "
                          "next: give --parts an existing parts.toml or endpoints.json") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error


def _parsed(text: str, path: Path) -> TomlTable:
    try:
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except ValueError as error:      # TOML and JSON errors; they name line and column
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: tables expected, such as [site] and [[bus]]")
    return content


def _singular(content: TomlTable, path: Path) -> TomlTable:
    if path.suffix != ".json":
        return content
    return {PLURALS.get(key, key): value for key, value in content.items()
            if key not in SIMULATOR_ONLY and value is not None}


def _check_tables(parts: TomlTable, path: Path) -> None:
    for key, value in parts.items():
        if key not in TABLES:
            near = difflib.get_close_matches(key, TABLES, 1)
            hint = f"; did you mean [{near[0]}]?" if near else f"; known: {', '.join(TABLES)}"
            raise ConfigError(f"{path}: unknown table [{key}]{hint}")
        wanted = list if key in ("bus", "device") else dict
        if not isinstance(value, wanted):
            brackets = f"[[{key}]]" if wanted is list else f"[{key}]"
            raise ConfigError(f"{path}: {key} must be written as {brackets}")
    for key in ("bus", "device"):
        if not parts.get(key):
            raise ConfigError(f"{path}: no [[{key}]]; a site needs at least one")


def _check_old_keys(buses: list[TomlTable], path: Path,
                    lines: dict[tuple[str | int, ...], int]) -> None:
    """Refuse keys of [[bus]] that have new names, all at once and with their lines."""
    listing = []
    for index, bus in enumerate(buses):
        for key, text in renamed(bus)[1] if isinstance(bus, dict) else ():
            line = lines.get(("bus", index, key))
            listing.append(f"{path}:{line}: {text}" if line else f"{path}: [[bus]] {text}")
    if listing:
        keys = "1 key has a new name" if len(
            listing) == 1 else f"{len(listing)} keys have new names"
        listing.append(f"{keys}; next: write the new ones and run the command again")
        raise ConfigError("\n".join(listing))


def _check_site(site: TomlTable, path: Path) -> None:
    for key in ("id", "cabinet"):
        if not isinstance(site[key], str) or not NAME.fullmatch(site[key]):
            raise ConfigError(f"{path}: [site] {key} = {site[key]!r}: 3 to 40 characters "
                              "out of a-z, 0-9 and '-' (it becomes a certificate's name)")
    if site["cabinet"] in ("fleet", "broker", "authority"):
        raise ConfigError(f"{path}: [site] cabinet may not be {site['cabinet']!r}: "
                          "that name belongs to another certificate")
    try:
        zoneinfo.ZoneInfo(site["timezone"])
    except (ValueError, TypeError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise ConfigError(f"{path}: [site] timezone = {site['timezone']!r}: an IANA name "
                          "such as 'Europe/Berlin'") from error


def _check_references(parts: TomlTable, path: Path) -> None:
    buses = _unique_names(parts["bus"], "bus", path)
    _unique_names(parts["device"], "device", path)
    for device in parts["device"]:
        if device.get("bus") not in buses:
            near = difflib.get_close_matches(str(device.get("bus")), buses, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(buses)}"
            raise ConfigError(f"{path}: [[device]] {device['name']}: "
                              f"no bus named {device.get('bus')!r}; {hint}")


def _unique_names(rows: list[TomlTable], table: str, path: Path) -> list[str]:
    names: list[str] = []
    for number, row in enumerate(rows, 1):
        name = row.get("name") if isinstance(row, dict) else None
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{path}: [[{table}]] number {number} has no name")
        if name in names:
            raise ConfigError(f"{path}: two [[{table}]] are named {name!r}; names are unique")
        names.append(name)
    return names


def _clock_anchor(table: TomlTable, key: str, folder: Path) -> None:
    """Make a relative path absolute: cabinet.toml lies in another folder."""
    if isinstance(table.get(key), str):
        table[key] = str(folder / table[key])
