"""fleet.toml: where the broker is, with which keys, and which factors count.

    [broker]  host port ca certificate key     mutual TLS towards the broker
    [receipt] key                              Ed25519 PEM: signs receipts
    [factors] id                               optional: the factor set of reports
    [page]    hosts                            optional: names under which a proxy asks
    [cabinets] host port                       optional: where cabinets reach the broker

Paths are relative to the file.  `python -m fleet init` writes it.
"""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.errors import ConfigError

NEXT_STEP = "next: python -m fleet init --data {data}"
KEYS = {"broker": ("host", "port", "ca", "certificate", "key"), "receipt": ("key",)}
HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\]", re.IGNORECASE)
HOSTS_MAX = 100

Tables = dict[str, Any]


class Settings(NamedTuple):
    """What fleet.toml says; paths are absolute, factors: id of a factor set, or None for the
    ledger's own default, page_hosts: names the page answers to beside this machine's own,
    cabinet_host, cabinet_port: where cabinets reach the broker."""

    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path
    receipt_key: Path
    factors: str | None
    page_hosts: tuple[str, ...] = ()
    cabinet_host: str = ""
    cabinet_port: int = 8883


def load(data: Path) -> Settings:
    """Return the settings of a fleet's data folder; raises ConfigError with the next step."""
    path = data / "fleet.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; there is no fleet here yet. "
                          + NEXT_STEP.format(data=data)) from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    for table, keys in KEYS.items():
        for key in keys:
            if key not in tables.get(table, {}):
                raise ConfigError(f"{path}: [{table}] {key} is missing; "
                                  + NEXT_STEP.format(data=data))
    return _settings(tables, path)


def _settings(tables: Tables, path: Path) -> Settings:
    broker, folder = tables["broker"], path.resolve().parent
    if not isinstance(broker["port"], int) or not 1 <= broker["port"] <= 65535:
        raise ConfigError(f"{path}: [broker] port = {broker['port']!r}: 1..65535 is allowed")
    ca, certificate, key = (folder / broker[key] for key in ("ca", "certificate", "key"))
    receipt_file = folder / tables["receipt"]["key"]
    for file in (ca, certificate, key, receipt_file):
        if not file.is_file():
            raise ConfigError(f"{path}: {file} does not exist; "
                              + NEXT_STEP.format(data=path.parent))
    return Settings(broker["host"], broker["port"], ca, certificate, key, receipt_file,
                    tables.get("factors", {}).get("id"), _page_hosts(tables, path),
                    *_cabinets(tables, path))


def _cabinets(tables: Tables, path: Path) -> tuple[str, int]:
    """Return host and port for cabinets: where the fleet itself reaches the broker, if the
    file says nothing else."""
    broker, own = tables["broker"], tables.get("cabinets", {})
    host, port = own.get("host", broker["host"]), own.get("port", broker["port"])
    if not isinstance(host, str) or not is_host(host):
        raise ConfigError(f"{path}: [cabinets] host = {host!r}: a host name or an IP address")
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise ConfigError(f"{path}: [cabinets] port = {port!r}: 1..65535 is allowed")
    return host, port


def _page_hosts(tables: Tables, path: Path) -> tuple[str, ...]:
    names = tables.get("page", {}).get("hosts", [])
    if not isinstance(names, list) or len(names) > HOSTS_MAX or not all(
            isinstance(name, str) and HOST_NAME.fullmatch(name) for name in names):
        raise ConfigError(f"{path}: [page] hosts = {names!r}: a list of host names is allowed, "
                          'each whole, without scheme, port or *, like ["energy.example.org"]')
    return tuple(names)


def is_host(text: str) -> bool:
    """Return whether a text is a host's name or an IP address, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return not text.startswith("[") and HOST_NAME.fullmatch(text) is not None
    return True


def receipt_key(path: Path) -> Ed25519PrivateKey:
    """Return the fleet's receipt key; raises ConfigError when the file is not one."""
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path}: others can read this private key; next: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: receipts are signed with an Ed25519 key")
    return key
