"""A new receipt key for a fleet whose cabinets trust the old one.

First the next key is made and every cabinet is told it, with the old key's signature: from then
on it trusts both.  When all have said so the next key becomes the fleet's, and a message with its
signature ends the trust in the old one.  The old private key is gone then; its public half is
kept, for receipts that cabinets still hold.
"""

import datetime
import os
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet import settings
from fleet.authority import certificates
from fleet.authority.downlink import Message, post, settled, waiting
from fleet.formats.registry import Registry, key_id
from gateway.aio.private_files import replace, write_new
from gateway.core.errors import ConfigError
from gateway.core.evidence import downlink

NEXT, PUBLIC = ".next.key", ".pub"         # beside the receipt key, in place of its ".key"
ANNOUNCED_DAYS = 730        # a cabinet that was away for so long still learns of the next key


class Rotation(NamedTuple):
    """How far a change of the key is; public: of the next key, 32 bytes.  informed, silent: names
    of cabinets that trust it already, and of those that have not said so."""

    public: bytes
    informed: list[str]
    silent: list[str]


def begin(data: Path, now: datetime.datetime) -> Rotation:
    """Make the next key if there is none, tell every cabinet that was not informed, and return how
    far it is: doing it again changes nothing else."""
    path = settings.load(data).receipt_key
    present, successor = settings.receipt_key(path), path.with_suffix(NEXT)
    if not successor.exists():
        write_new(successor, certificates.private_pem(Ed25519PrivateKey.generate()), 0o600)
    public = settings.receipt_key(successor).public_key().public_bytes_raw()
    for cabinet in _cabinets(data):
        _tell(data, present, Message(cabinet, downlink.RECEIPT_KEY, public), now)
    return state(data, public)


def finish(data: Path, now: datetime.datetime, anyway: bool = False) -> Rotation:
    """Make the next key the fleet's and tell the cabinets that the old one has ended.

    Only while `fleet serve` does not run.  Raises ConfigError if no change is under way, or if a
    cabinet has not said that it trusts the next key, unless `anyway`.
    """
    path = settings.load(data).receipt_key
    present = settings.receipt_key(path)
    if path.with_suffix(NEXT).exists():
        successor = settings.receipt_key(path.with_suffix(NEXT))
        found = state(data, successor.public_key().public_bytes_raw())
        if found.silent and not anyway:
            raise ConfigError(
                f"{', '.join(found.silent)}: not said yet to trust the next key; next: wait until "
                "they are online, or add --anyway and renew them by file if they stay away")
        _replace_key(path, present, successor)
        present = successor
    elif not former(path):
        raise ConfigError(f"{path.with_suffix(NEXT)} does not exist: no change is under way; "
                          f"next: wattproof-fleet rotate --data {data}")
    public = present.public_key().public_bytes_raw()
    for cabinet in _cabinets(data):                 # also what a power cut left out
        _tell(data, present, Message(cabinet, downlink.RECEIPT_KEY, public), now)
    return state(data, public)


def former(path: Path) -> list[bytes]:
    """Return the public receipt keys that were in use before the one in `path`, 32 bytes each."""
    return [bytes.fromhex(file.read_text(encoding="ascii").strip())
            for file in sorted(path.parent.glob(f"{path.stem}-*.former"))]


def state(data: Path, public: bytes) -> Rotation:
    """Return which cabinets have said that they trust a key."""
    names = _cabinets(data)
    informed = [name for name in names if any(
        file.suffix == f".{downlink.DONE}" and _brings(file, public)
        for _, file in settled(data, name))]
    return Rotation(public, informed, [name for name in names if name not in informed])


def _cabinets(data: Path) -> list[str]:
    return [one.id for cabinets in Registry(data).sites().values() for one in cabinets
            if not one.revoked]


def _tell(data: Path, key: Ed25519PrivateKey, message: Message, now: datetime.datetime) -> None:
    """Post a message unless the same one, signed by the same key, waits or is done."""
    kid = key_id(key.public_key().public_bytes_raw())
    files = [file for _, file in waiting(data, message.cabinet)]
    files += [file for _, file in settled(data, message.cabinet)
              if file.suffix == f".{downlink.DONE}"]
    if not any(_brings(file, message.body, kid) for file in files):
        post(data, key, message, now, ANNOUNCED_DAYS)


def _brings(file: Path, public: bytes, kid: bytes | None = None) -> bool:
    """Return whether a message brings a receipt key; kid: id of the key that signed it."""
    sign1, content = downlink.open_sealed(file.read_bytes())
    return (content.action == downlink.RECEIPT_KEY and content.body == public
            and kid in (None, sign1.kid))


def _replace_key(path: Path, present: Ed25519PrivateKey, successor: Ed25519PrivateKey) -> None:
    """Put the next key in the place of the present one, whose public half stays."""
    old = present.public_key().public_bytes_raw()
    replace(path.with_name(f"{path.stem}-{key_id(old).hex()}.former"), old.hex().encode() + b"\n")
    replace(path.with_suffix(PUBLIC), certificates.public_pem(successor.public_key()))
    os.replace(path.with_suffix(NEXT), path)
