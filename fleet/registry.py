"""Who may send: one JSON file for each enrolled gateway, read again when it changes."""

import json
from collections import namedtuple
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.core.errors import ConfigError

# device, site, name, timezone: text.  kid: 8 bytes.  public: 32 raw Ed25519 bytes.
Device = namedtuple("Device", ("device", "site", "name", "timezone", "kid", "public"))

FILES_MAX = 100_000     # gateways of one fleet; a folder with more is something else


def registry_file(data: Path, device: Device) -> Path:
    """Return the file that holds a gateway's entry."""
    return data / "registry" / f"{device.device}.json"


def signed_by(device: Device, signed: bytes, signature: bytes) -> bool:
    """Return whether a device's evidence key made this signature over these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(device.public).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


class Registry:
    """The enrolled gateways of a fleet's data folder."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "registry"
        self._devices: dict[str, Device] = {}
        self._stamp: list[tuple[str, int]] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again if a file came, went or changed; raises ConfigError."""
        files = sorted(self._folder.glob("*.json"))[:FILES_MAX]
        stamp = [(file.name, file.stat().st_mtime_ns) for file in files]
        if stamp != self._stamp:
            entries = [_device(file) for file in files]
            self._devices = {entry.device: entry for entry in entries}
            self._stamp = stamp

    def find(self, device: str) -> Device | None:
        """Return an enrolled gateway; a new one is found without a restart."""
        if device not in self._devices:
            self.refresh()
        return self._devices.get(device)

    def sites(self) -> dict[str, list[Device]]:
        """Return the gateways of each site, both in order of name."""
        self.refresh()
        sites: dict[str, list[Device]] = {}
        for entry in sorted(self._devices.values()):
            sites.setdefault(entry.site, []).append(entry)
        return dict(sorted(sites.items()))


def _device(file: Path) -> Device:
    try:
        entry = json.loads(file.read_text(encoding="utf-8"))
        device = Device(entry["device"], entry["site"], entry.get("name", entry["site"]),
                        entry.get("timezone", "UTC"), bytes.fromhex(entry["kid_hex"]),
                        bytes.fromhex(entry["evidence_key_hex"]))
        Ed25519PublicKey.from_public_bytes(device.public)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: not a registry entry ({error!r}); enrol the site again: "
                          "python -m provisioning enrol") from error
    return device
