"""What a site is made of: cabinet.toml, keys, local authority, broker files, the fleet's keys.

The folder that create.py makes of it:

    cabinet.toml                     what the gateway reads
    keys/      evidence.key          Ed25519, signs batches; never leaves the gateway
               tls.key tls.crt       P-256, the gateway towards the broker (CN = cabinet id)
    ca/        ca.crt ca.key         the authority; take ca.key offline after `init`
    broker/    broker.key broker.crt ca.crt acl mosquitto.conf amqtt.yaml
    fleet/     client.key client.crt the fleet towards the broker (CN = fleet)
               receipt.key receipt.pub   Ed25519, signs receipts; the gateway holds the .pub
"""

import datetime
from collections.abc import Iterator
from pathlib import Path

from gateway.core.errors import ConfigError
from provisioning import broker_files, identity, toml_text
from provisioning.toml_text import Table

PORT = 8883                     # MQTT over TLS, IANA "secure-mqtt"
FOLDERS = ("keys", "ca", "broker", "fleet")
JOURNAL = {"directory": "journal", "interval_s": 10, "loss_window_s": 10, "batch_minutes": 15,
           "keep_mib": 256}
LOOPBACK = ("localhost", "127.0.0.1")


def is_public(name: str) -> bool:
    """Return whether everybody may read a file of the site."""
    return name.endswith((".crt", ".pub", ".toml", ".conf", ".yaml", "acl"))


def files_of(parts: Table, root: Path, now: datetime.datetime) -> Iterator[tuple[str, bytes]]:
    """Yield (name below the site, content): keys first, what refers to them after."""
    site, uplink = parts["site"], parts.get("uplink", {})
    cabinet, host, port = site["cabinet"], uplink.get("host", "127.0.0.1"), _port(uplink)
    ca = identity.authority(f"Wattproof site {site['id']}", now)
    gateway = identity.client(ca, cabinet, now)
    fleet = identity.client(ca, broker_files.FLEET_USER, now)
    broker = identity.server(ca, (*LOOPBACK, host), now)
    receipt = identity.new_signing_key()
    yield "keys/evidence.key", identity.private_pem(identity.new_signing_key())
    for name, who in (("keys/tls", gateway), ("ca/ca", ca), ("broker/broker", broker),
                      ("fleet/client", fleet)):
        yield name + ".key", identity.private_pem(who.key)
        yield name + ".crt", identity.certificate_pem(who.certificate)
    yield "broker/ca.crt", identity.certificate_pem(ca.certificate)
    yield "fleet/receipt.key", identity.private_pem(receipt)
    yield "fleet/receipt.pub", identity.public_pem(receipt)
    # Only a broker meant for other machines listens beyond this one.
    folder, bind = root / "broker", uplink.get("bind", "127.0.0.1")
    yield "broker/acl", broker_files.mosquitto_acl(cabinet).encode()
    yield "broker/mosquitto.conf", broker_files.mosquitto_conf(folder, bind, port).encode()
    yield "broker/amqtt.yaml", broker_files.amqtt_yaml(folder, bind, port, cabinet).encode()
    yield "cabinet.toml", cabinet_text(parts).encode()


def _port(uplink: Table) -> int:
    port = uplink.get("port", PORT)
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise ConfigError(f"[uplink] port = {port!r}: 1..65535 is allowed, {PORT} is usual")
    return port


def cabinet_text(parts: Table) -> str:
    """Return cabinet.toml for checked parts; paths are relative to the file itself."""
    uplink = parts.get("uplink", {})
    kept = {key: value for key, value in uplink.items() if key not in ("host", "port", "bind")}
    tables = [
        ("site", parts["site"]),
        ("journal", {**JOURNAL, **parts.get("journal", {})}),
        ("keys", {"evidence": "keys/evidence.key"}),
        ("uplink", {"host": uplink.get("host", "127.0.0.1"), "port": _port(uplink),
                    "ca": "ca/ca.crt", "certificate": "keys/tls.crt", "key": "keys/tls.key",
                    "receipt_key": "fleet/receipt.pub", **kept}),
        ("status", parts.get("status", {"file": "status.json"})),
        *((key, parts[key]) for key in ("factors", "battery", "clock") if key in parts),
        ("bus", parts["bus"]),
        ("device", parts["device"]),
    ]
    return toml_text.document("Cabinet of one site; `python -m gateway check` explains.", tables)
