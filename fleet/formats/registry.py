"""Who may send: one JSON file for each enrolled gateway, read again when it changes."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.core.codec.cose import KID_BYTES
from gateway.core.errors import ConfigError, FormatError
from gateway.core.evidence import handover

log = logging.getLogger("fleet.formats.registry")

RegistryEntry = dict[str, Any]      # as its file holds it
FILES_MAX = 100_000     # gateways of one fleet; a folder with more is something else


class Previous(NamedTuple):
    """A key that handed over: it may sign the rest of its own journal and nothing else."""

    kid: bytes
    public: bytes
    journal: bytes
    statement: bytes


class EnrolledCabinet(NamedTuple):
    """An enrolled gateway.

    kid: 8 bytes.  public: 32 raw Ed25519 bytes, of the key that signs now.  previous: the keys
    of boards that were replaced.  revoked: since when (RFC 3339), nothing more is taken from it.
    """

    id: str
    site: str
    name: str
    timezone: str
    kid: bytes
    public: bytes
    previous: tuple[Previous, ...] = ()
    revoked: str = ""


def registry_file(data: Path, cabinet: EnrolledCabinet) -> Path:
    """Return the file that holds a gateway's entry."""
    return data / "registry" / f"{cabinet.id}.json"


def key_id(public: bytes) -> bytes:
    """Return the key id of a public key: the first 8 bytes of its SHA-256."""
    return hashlib.sha256(public).digest()[:KID_BYTES]


def key_for(cabinet: EnrolledCabinet, kid: bytes, journal: bytes) -> bytes | None:
    """Return the public key with this id if it may sign in this journal, else None.

    A journal that was handed over stays with the old key, all others are the present key's.
    """
    closed = [entry for entry in cabinet.previous if entry.journal == journal]
    if closed:
        return next((entry.public for entry in closed if entry.kid == kid), None)
    return cabinet.public if kid == cabinet.kid else None


def verified(public: bytes, signed: bytes, signature: bytes) -> bool:
    """Return whether a key made this signature over these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


class Registry:
    """The enrolled gateways of a fleet's data folder."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "registry"
        self._cabinets: dict[str, EnrolledCabinet] = {}
        self._stamp: list[tuple[str, int]] | None = None
        self._times: set[tuple[str, int]] = set()
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again if a file came, went or changed; raises ConfigError."""
        files = sorted(self._folder.glob("*.json"))[:FILES_MAX]
        stamp = [(file.name, file.stat().st_mtime_ns) for file in files]
        if stamp != self._stamp:
            entries = [_cabinet(file) for file in files]
            self._cabinets = {entry.id: entry for entry in entries}
            self._stamp, self._times = stamp, set(stamp)

    def find(self, cabinet: str) -> EnrolledCabinet | None:
        """Return an enrolled gateway; a new one is found without a restart.

        An entry that became unreadable since is nobody's until it is fixed; the others stay.
        """
        held = self._cabinets.get(cabinet)
        if held is None or self._changed(held):
            try:
                self.refresh()
            except ConfigError as error:
                log.error("%s", error)
                return None
        return self._cabinets.get(cabinet)

    def refuses(self, cabinet: str) -> bool:
        """Return whether a cabinet is revoked."""
        found = self.find(cabinet)
        return found is not None and bool(found.revoked)

    def _changed(self, held: EnrolledCabinet) -> bool:
        """Whether an entry's file was replaced or withdrawn since it was read."""
        name = f"{held.id}.json"
        try:
            return (name, (self._folder / name).stat().st_mtime_ns) not in self._times
        except OSError:
            return True

    def sites(self) -> dict[str, list[EnrolledCabinet]]:
        """Return the gateways of each site, both in order of name."""
        self.refresh()
        sites: dict[str, list[EnrolledCabinet]] = {}
        for entry in sorted(self._cabinets.values()):
            sites.setdefault(entry.site, []).append(entry)
        return dict(sorted(sites.items()))


def _cabinet(file: Path) -> EnrolledCabinet:
    try:
        entry = json.loads(file.read_text(encoding="utf-8"))
        cabinet = EnrolledCabinet(entry["device"], entry["site"], entry.get("name", entry["site"]),
                                  entry.get("timezone", "UTC"), bytes.fromhex(entry["kid_hex"]),
                                  bytes.fromhex(entry["evidence_key_hex"]), _previous(entry),
                                  str(entry.get("revoked", "")))
        Ed25519PublicKey.from_public_bytes(cabinet.public)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: not a registry entry ({error!r}); enrol the site again: "
                          "python -m fleet enrol") from error
    return cabinet


def _previous(entry: RegistryEntry) -> tuple[Previous, ...]:
    """Return the keys that handed over, oldest first; raises ValueError if one statement is
    not signed by its key or does not name the key after it."""
    held = entry.get("handovers", [])
    publics = [bytes.fromhex(one["public_hex"]) for one in held]
    publics.append(bytes.fromhex(entry["evidence_key_hex"]))
    found = []
    for number, one in enumerate(held):
        public, statement = publics[number], bytes.fromhex(one["statement_hex"])
        try:
            message, content = handover.open_sealed(statement)
        except FormatError as error:
            raise ValueError(str(error)) from error
        if (not verified(public, message.signed, message.signature)
                or content.new_public != publics[number + 1]
                or content.cabinet != entry["device"]):
            raise ValueError(f"hand-over {number + 1} does not hold")
        found.append(Previous(key_id(public), public, content.old_journal, statement))
    return tuple(found)
