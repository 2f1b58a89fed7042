"""Register a site's public keys at a fleet: what makes its batches welcome.

The fleet learns who may sign (evidence key) and who may connect (hash of the TLS
certificate).  Private keys of the gateway stay where they are; only what `init` made for the
fleet itself (its client key and its receipt key) is copied, with mode 0600.
"""

import datetime
import hashlib
import json
import os
import tomllib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.core.errors import ConfigError
from provisioning import create, identity, toml_text

# File of the site -> file of the fleet.  Keys get mode 0600.
FLEET_FILES = {
    "ca/ca.crt": "keys/ca.crt",
    "fleet/client.crt": "keys/client.crt",
    "fleet/client.key": "keys/client.key",
    "fleet/receipt.key": "keys/receipt.key",
}


def enrol(folder: Path, data: Path, now: datetime.datetime) -> Path:
    """Register the site in `folder` at the fleet in `data`; return the registry entry.

    Doing it twice with the same keys changes nothing.  Raises ConfigError when the cabinet
    is registered with another key (a clone or a new board), or a file is missing.
    """
    cabinet = _cabinet(folder)
    entry = entry_of(folder, now)
    path = data / "registry" / f"{entry['device']}.json"
    check_receipt_key(folder, data)
    if path.exists():
        _check_same_key(path, entry)
    else:
        create.private_folder(data)
        create.private_folder(path.parent)
        replace(path, json.dumps(entry, indent=2, ensure_ascii=False).encode() + b"\n")
    if not (data / "fleet.toml").exists():
        _write_fleet(folder, data, cabinet)
    return path


def _cabinet(folder: Path) -> toml_text.Table:
    path = folder / "cabinet.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; next: name with --site the folder "
                          "that `python -m provisioning init --out` made") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def entry_of(folder: Path, now: datetime.datetime) -> dict[str, str]:
    """Return the registry entry of a site's folder: public keys and names only."""
    cabinet = _cabinet(folder)
    raw = _evidence_public(folder / cabinet.get("keys", {}).get("evidence", "keys/evidence.key"))
    table = cabinet["site"]
    return {
        "device": table["cabinet"], "site": table["id"], "name": table.get("name", table["id"]),
        "timezone": table.get("timezone", "UTC"),
        "evidence_key_hex": raw.hex(), "kid_hex": identity.key_id(raw).hex(),
        "tls_sha256": _fingerprint(folder / cabinet["uplink"]["certificate"]),
        "enrolled": now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _evidence_public(path: Path) -> bytes:
    key = serialization.load_pem_private_key(_content(path), None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{path}: an Ed25519 key is expected; run `init` for a new site")
    return identity.raw_public(key)


def _fingerprint(path: Path) -> str:
    certificate = x509.load_pem_x509_certificate(_content(path))
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; a site made by "
                          "`python -m provisioning init` has it") from error


def _check_same_key(path: Path, entry: dict[str, str]) -> None:
    known = json.loads(path.read_text(encoding="utf-8"))
    if known["evidence_key_hex"] != entry["evidence_key_hex"]:
        raise ConfigError(
            f"{path}: {entry['device']} is enrolled with another evidence key (id "
            f"{known['kid_hex']}, this one has {entry['kid_hex']}). A second board may not "
            "take its name; next: give the site another [site] cabinet, or withdraw the old entry "
            "by moving this file away")


def check_receipt_key(folder: Path, data: Path) -> None:
    """Refuse a site that would not believe this fleet's receipts: it could never trim."""
    held = data / FLEET_FILES["fleet/receipt.key"]
    if held.exists() and held.read_bytes() != _content(folder / "fleet/receipt.key"):
        raise ConfigError(
            f"{held}: this fleet signs receipts with another key than the site expects; "
            f"next: put the fleet's public receipt key into {folder / 'fleet/receipt.pub'} and its "
            f"private key into {folder / 'fleet/receipt.key'}, or enrol at the site's own fleet")


def _write_fleet(folder: Path, data: Path, cabinet: toml_text.Table) -> None:
    create.private_folder(data / "keys")
    for source, target in FLEET_FILES.items():
        if not (data / target).exists():
            mode = 0o600 if target.endswith(".key") else 0o644
            create.write_new(data / target, _content(folder / source), mode)
    uplink = cabinet["uplink"]
    tables = [
        ("broker", {"host": uplink["host"], "port": uplink["port"], "ca": "keys/ca.crt",
                    "certificate": "keys/client.crt", "key": "keys/client.key"}),
        ("receipt", {"key": "keys/receipt.key"}),
        ("factors", cabinet.get("factors", {})),
    ]
    replace(data / "fleet.toml", toml_text.document("The receiving side.", tables).encode())


def replace(path: Path, content: bytes) -> None:
    """Write whole or not at all: a fleet that runs may read it at any moment."""
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(content)
    os.replace(draft, path)
