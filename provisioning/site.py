"""Make a site: cabinet.toml, keys, local authority, broker files, the fleet's keys.

The folder that comes out:

    cabinet.toml                     what the gateway reads
    keys/      evidence.key          Ed25519, signs batches; never leaves the gateway
               tls.key tls.crt       P-256, the gateway towards the broker (CN = cabinet id)
    ca/        ca.crt ca.key         the authority; take ca.key offline after `init`
    broker/    broker.key broker.crt ca.crt acl mosquitto.conf amqtt.yaml
    fleet/     client.key client.crt the fleet towards the broker (CN = fleet)
               receipt.key receipt.pub   Ed25519, signs receipts; the gateway holds the .pub
"""

import contextlib
import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.config import load as config
from gateway.core.errors import ConfigError
from provisioning import broker_files, identity, toml_text

PORT = 8883                     # MQTT over TLS, IANA "secure-mqtt"
FOLDERS = ("keys", "ca", "broker", "fleet")
JOURNAL = {"directory": "journal", "interval_s": 10, "loss_window_s": 10, "batch_minutes": 15,
           "keep_mib": 256}
LOOPBACK = ("localhost", "127.0.0.1")

Table = dict[str, Any]


def create(parts: Table, out: Path, now: datetime.datetime) -> list[Path]:
    """Write a site into `out` and return the files made, in order.

    parts: as parts.load gives it.  now: aware time from which certificates are valid.
    Raises ConfigError when any of the files is there already (a key is never replaced), and
    with every mistake when the gateway could not run what the parts describe.
    """
    root = out.resolve()
    files = dict(_files(parts, root, now))
    there = [name for name in files if (root / name).exists()]
    if there:
        raise ConfigError(f"{root / there[0]} is there already and is not overwritten; "
                          "next: choose another --out, or move the old site away first")
    root.mkdir(parents=True, exist_ok=True)
    for folder in FOLDERS:
        private_folder(root / folder)
    for name, content in files.items():
        write_new(root / name, content, mode=0o644 if _is_public(name) else 0o600)
    _check(root, list(files))
    return [root / name for name in files]


def _check(root: Path, names: list[str]) -> None:
    """Let the gateway judge the cabinet; one it would not run leaves no keys behind."""
    mistakes = config.check(root / "cabinet.toml")
    if not mistakes:
        return
    for name in names:
        (root / name).unlink()
    for folder in FOLDERS:
        with contextlib.suppress(OSError):          # something else of the owner's is in it
            (root / folder).rmdir()
    with contextlib.suppress(OSError):
        root.rmdir()
    told = "\n".join(f"  {text}" for _, text in mistakes)
    raise ConfigError(f"{told}\nthe parts do not make a cabinet that could run, nothing was made; "
                      "next: correct them")


def private_folder(path: Path) -> None:
    """Make a folder only its owner may enter; an existing one is narrowed to that."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist yet; a secret is never readable by others, not
    even between creation and chmod."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)


def _is_public(name: str) -> bool:
    return name.endswith((".crt", ".pub", ".toml", ".conf", ".yaml", "acl"))


def _files(parts: Table, root: Path, now: datetime.datetime) -> Iterator[tuple[str, bytes]]:
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
