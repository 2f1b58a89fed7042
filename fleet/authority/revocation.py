"""Revoke a cabinet: its evidence is refused at once, its certificates by the broker.

The registry entry stays, for what the cabinet delivered before is evidence as before.
"""

import datetime
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from fleet.authority import certificates, downlink, issue
from fleet.authority.setup import REVOKED
from fleet.formats.registry import Registry, RegistryEntry
from gateway.aio.private_files import replace
from gateway.core.errors import ConfigError


def revoke(data: Path, cabinet: str, now: datetime.datetime) -> bool:
    """Revoke an enrolled cabinet; return whether the broker's list could be signed.

    It could not while the authority's key is offline; run it again then.  Doing it twice changes
    nothing else.  Raises ConfigError if there is no such cabinet.
    """
    known = Registry(data).find(cabinet)
    if known is None:
        raise ConfigError(f"no cabinet {cabinet!r} is enrolled in {data / 'registry'}; next: "
                          "give the name of its registry file")
    if not known.revoked:
        path = data / "registry" / f"{cabinet}.json"
        entry: RegistryEntry = json.loads(path.read_text(encoding="utf-8"))
        entry["revoked"] = now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        replace(path, json.dumps(entry, indent=2, ensure_ascii=False).encode() + b"\n")
    for _, file in downlink.waiting(data, cabinet):
        file.unlink()
    if not issue.is_here(data):
        return False
    write_list(data, now)
    return True


def write_list(data: Path, now: datetime.datetime) -> None:
    """Sign the list of every certificate that a revoked cabinet was ever given."""
    revoked = [one.id for cabinets in Registry(data).sites().values() for one in cabinets
               if one.revoked]
    serials = [certificate.serial_number for cabinet in revoked
               for certificate in issue.issued(data, cabinet)]
    content = certificates.revocations(issue.load(data), serials, now)
    replace(data / REVOKED, content.public_bytes(serialization.Encoding.PEM))
