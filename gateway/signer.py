"""The door to keys: load them from PEM files, sign batches, check receipts.

Private keys must be readable by their owner only (mode 0600 or stricter).  A key id (kid) is
the first 8 bytes of SHA-256 over the raw 32-byte Ed25519 public key.
"""

import binascii
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.core.errors import BadSignature, ConfigError

PEM_BYTES_MAX = 16_384      # an Ed25519 PEM has about 120 bytes; a bundle is not a key
# RFC 8410, 10.3 and 4: all that stands before the 32 bytes of a key in the usual files.
PRIVATE_HEAD = bytes.fromhex("302e020100300506032b657004220420")
PUBLIC_HEAD = bytes.fromhex("302a300506032b6570032100")


def kid_of(public_raw: bytes) -> bytes:
    """Return the 8-byte key id of a raw 32-byte Ed25519 public key."""
    return hashlib.sha256(public_raw).digest()[:8]


def permission_fault(path: Path) -> str | None:
    """Return what is wrong with a private file's presence or mode, or None."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if mode & 0o077:
        return f"{path} has mode {mode:04o}, others can read it; next: chmod 600 {path}"
    return None


def _read_pem(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > PEM_BYTES_MAX:
        raise ConfigError(f"{path} has {len(data)} bytes; a PEM key has under {PEM_BYTES_MAX}")
    return data


def _plain_key(pem: bytes, label: bytes, head: bytes) -> bytes | None:
    """Return the 32 bytes of an Ed25519 PEM in its usual form, None for anything else.

    What is not plain is for cryptography's readers to judge; they bring every format of keys
    with them, a megabyte that a gateway with a usual key file does not need.
    """
    lines = pem.splitlines()
    if len(lines) != 3 or (lines[0], lines[2]) != (
            b"-----BEGIN %s-----" % label, b"-----END %s-----" % label):
        return None
    try:
        der = binascii.a2b_base64(lines[1], strict_mode=True)
    except binascii.Error:
        return None
    return der[len(head):] if der.startswith(head) and len(der) == len(head) + 32 else None


class Signer:
    """The device's evidence key: `kid`, `sign`, nothing else leaves it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Hold a private key that was loaded or made elsewhere."""
        self.public_raw = key.public_key().public_bytes_raw()
        self.kid = kid_of(self.public_raw)
        self.sign: Callable[[bytes], bytes] = key.sign

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Return the signer of a PEM file; raises ConfigError with the next step."""
        fault = permission_fault(path)
        if fault:
            raise ConfigError(f"evidence key: {fault}")
        pem = _read_pem(path)
        secret = _plain_key(pem, b"PRIVATE KEY", PRIVATE_HEAD)
        if secret is not None:
            return cls(Ed25519PrivateKey.from_private_bytes(secret))
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigError(f"evidence key {path} is not an unencrypted PEM key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(f"evidence key {path} is {type(key).__name__}, not Ed25519")
        return cls(key)


class Verifier:
    """One trusted Ed25519 public key, e.g. the fleet's receipt key."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        """Hold a public key."""
        self.kid = kid_of(key.public_bytes_raw())
        self._key = key

    @classmethod
    def load(cls, path: Path) -> "Verifier":
        """Return the verifier of a PEM public key file; raises ConfigError."""
        pem = _read_pem(path)
        public = _plain_key(pem, b"PUBLIC KEY", PUBLIC_HEAD)
        if public is not None:
            return cls(Ed25519PublicKey.from_public_bytes(public))
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ConfigError(f"{path} is not a PEM public key") from error
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError(f"{path} is {type(key).__name__}, not an Ed25519 public key")
        return cls(key)

    def check(self, kid: bytes, signed: bytes, signature: bytes) -> None:
        """Raise BadSignature unless this key with this kid signed exactly these bytes."""
        if kid != self.kid:
            raise BadSignature(f"signed by key {kid.hex()}, trusted is {self.kid.hex()}")
        try:
            self._key.verify(signature, signed)
        except InvalidSignature as error:
            raise BadSignature(f"key {kid.hex()} did not sign these bytes") from error
