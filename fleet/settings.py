"""fleet.toml: where the broker is, with which keys, and which factors count.

    [broker]  host port ca certificate key     mutual TLS towards the broker
    [receipt] key                              Ed25519 PEM: signs receipts
    [factors] id                               optional: the factor set of reports
    [page]    hosts                            optional: names under which a proxy asks
    [cabinets] host port                       optional: where cabinets reach the broker

Paths are relative to the file.  `python -m fleet init` writes it, `python -m fleet check` lists
every mistake in it, as each start does.
"""

from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.aio import toml_check
from gateway.aio.toml_check import REQUIRED, ConfigKey, Document, Grammar, Values
from gateway.core.errors import ConfigError

FILE = "fleet.toml"
NEXT_STEP = "next: python -m fleet init --data {data}"
CHECK = "python -m fleet check --data {data}"
PORT = 8883
GRAMMAR = Grammar({
    "broker": (
        ConfigKey("host", "host", REQUIRED, 1, 253, meaning="broker, as the fleet reaches it"),
        ConfigKey("port", "int", PORT, 1, 65535, meaning="its TLS port"),
        ConfigKey("ca", "path", REQUIRED, meaning="PEM of the broker's CA"),
        ConfigKey("certificate", "path", REQUIRED, meaning="PEM certificate, CN = fleet"),
        ConfigKey("key", "path", REQUIRED, meaning="PEM key of the certificate"),
    ),
    "receipt": (ConfigKey("key", "path", REQUIRED, meaning="Ed25519 PEM, mode 0600"),),
    "factors": (ConfigKey("id", "set", REQUIRED, 1, 64, meaning="factor set of reports"),),
    "page": (ConfigKey("hosts", "hosts", (), 0, 100, meaning="names under which a proxy asks"),),
    "cabinets": (
        ConfigKey("host", "host", "", 1, 253, meaning="broker, as cabinets reach it"),
        ConfigKey("port", "int", 0, 1, 65535, meaning="its port for them"),
    ),
}, ("broker", "receipt"), {})
FILES = (("broker", "ca"), ("broker", "certificate"), ("broker", "key"), ("receipt", "key"))


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
    cabinet_port: int = PORT


def load(data: Path) -> Settings:
    """Return the settings of a fleet's data folder; raises ConfigError that lists every mistake,
    with the next step."""
    path = data / FILE
    try:
        document = toml_check.load(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; there is no fleet here yet. "
                          + NEXT_STEP.format(data=data)) from error
    values = toml_check.read(document, GRAMMAR) if not document.mistakes else {}
    _check_files(document, values, path.resolve().parent)
    if document.mistakes:
        raise ConfigError(toml_check.report(path, sorted(set(document.mistakes)),
                                            CHECK.format(data=data)))
    return _settings(values, path.resolve().parent)


def _check_files(document: Document, values: Values, folder: Path) -> None:
    for table, key in FILES:
        written = values.get(table, {}).get(key)
        if written and not (folder / written).is_file():
            document.fault((table, key), f"{folder / written} does not exist; next: write where "
                           "the file is, or " + NEXT_STEP.format(data=folder)[6:])


def _settings(values: Values, folder: Path) -> Settings:
    """Return values without mistakes as Settings.  Cabinets reach the broker where the fleet
    itself does, if the file says nothing else."""
    broker, own = values["broker"], values.get("cabinets", {})
    ca, certificate, key = (folder / broker[name] for name in ("ca", "certificate", "key"))
    return Settings(broker["host"], broker["port"], ca, certificate, key,
                    folder / values["receipt"]["key"], values.get("factors", {}).get("id"),
                    values.get("page", {}).get("hosts", ()), own.get("host") or broker["host"],
                    own.get("port") or broker["port"])


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
