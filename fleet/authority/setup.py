"""Make a fleet, once: its keys, its certificate authority, its broker's files.

The folder that comes out:

    fleet.toml                       what `fleet serve` reads
    keys/       client.key client.crt    the fleet towards the broker (CN = fleet)
                receipt.key receipt.pub  Ed25519, signs receipts, answers and the downlink
                ca.crt
    authority/  ca.key ca.crt        signs certificates; issued/ holds those of cabinets
    broker/     broker.key broker.crt ca.crt revoked.crl acl mosquitto.conf amqtt.yaml
    registry/   the enrolled cabinets
    downlink/   what waits for a cabinet
"""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.authority import broker_files, certificates
from gateway.aio.private_files import private_folder, write_new
from gateway.aio.toml_check import is_host
from gateway.core.errors import ConfigError

FOLDERS = ("keys", "authority", "authority/issued", "broker", "registry", "downlink")
LOOPBACK = ("localhost", "127.0.0.1")
CA_KEY, CA = "authority/ca.key", "authority/ca.crt"
CA_COPIES = ("keys/ca.crt", "broker/ca.crt")
REVOKED = "broker/revoked.crl"
FACTORS = re.compile(r"[a-z0-9._-]{1,80}")
FLEET_TOML = """\
# The receiving side.  docs/operations.md, "A fleet and its cabinets".
[broker]
host = "{inside}"
port = {port}
ca = "keys/ca.crt"
certificate = "keys/client.crt"
key = "keys/client.key"

[receipt]
key = "keys/receipt.key"

# Where cabinets reach the broker; their answers say so.
[cabinets]
host = "{host}"
port = {port}
"""


class BrokerAddress(NamedTuple):
    """Where the broker is: host, port as cabinets reach it; bind: address it listens on."""

    host: str
    port: int = 8883
    bind: str = "127.0.0.1"


def create(data: Path, position: BrokerAddress, now: datetime.datetime,
           factors: str | None = None) -> list[Path]:
    """Make the fleet's folder and return the files made.

    factors: id of the factor set of reports.  Raises ConfigError if one of the files is there
    already: a key is never replaced.
    """
    _check(position, factors)
    files = dict(_files(position, now, factors))
    there = [name for name in files if (data / name).exists()]
    if there:
        raise ConfigError(f"{data / there[0]} is there already and is not overwritten; next: "
                          "enrol cabinets at this fleet, or choose another --data")
    for folder in ("", *FOLDERS):
        private_folder(data / folder)
    for name, content in files.items():
        write_new(data / name, content, 0o600 if name.endswith(".key") else 0o644)
    return [data / name for name in files]


def _check(position: BrokerAddress, factors: str | None) -> None:
    for name, value in (("host", position.host), ("bind", position.bind)):
        if not is_host(value):
            raise ConfigError(f"--{name} {value!r}: a host name or an IP address is allowed")
    if not 1 <= position.port <= 65535:
        raise ConfigError(f"--port {position.port}: 1..65535 is allowed, 8883 is usual")
    if factors is not None and not FACTORS.fullmatch(factors):
        raise ConfigError(f"--factors {factors!r}: the id of a factor set is allowed")


def _files(position: BrokerAddress, now: datetime.datetime,
           factors: str | None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content): keys first, what refers to them after."""
    ca = certificates.authority("Wattproof fleet", now)
    broker, client, receipt = (certificates.new_key(), certificates.new_key(),
                               Ed25519PrivateKey.generate())
    authority = certificates.pem(ca.certificate)
    for name, key in ((CA_KEY, ca.key), ("broker/broker.key", broker),
                      ("keys/client.key", client), ("keys/receipt.key", receipt)):
        yield name, certificates.private_pem(key)
    for name in (CA, *CA_COPIES):
        yield name, authority
    yield "broker/broker.crt", certificates.pem(
        certificates.server(ca, (*LOOPBACK, position.host), broker.public_key(), now))
    yield "keys/client.crt", certificates.pem(
        certificates.client(ca, certificates.FLEET, client.public_key(), now))
    yield "keys/receipt.pub", certificates.public_pem(receipt.public_key())
    yield REVOKED, certificates.revocations(ca, (), now).public_bytes(
        serialization.Encoding.PEM)
    yield "broker/acl", broker_files.mosquitto_acl().encode()
    yield "broker/mosquitto.conf", broker_files.mosquitto_conf(position.bind,
                                                               position.port).encode()
    yield "broker/amqtt.yaml", broker_files.amqtt_yaml(position.bind, position.port).encode()
    yield "fleet.toml", _toml(position, factors).encode()


def _toml(position: BrokerAddress, factors: str | None) -> str:
    inside = position.bind if position.bind not in ("0.0.0.0", "::") else LOOPBACK[1]
    text = FLEET_TOML.format(inside=inside if inside in LOOPBACK else position.host,
                             host=position.host, port=position.port)
    return text + (f'\n[factors]\nid = "{factors}"\n' if factors else "")
