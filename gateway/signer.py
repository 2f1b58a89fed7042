"""The door to keys: load them from PEM files, sign batches, check receipts.

Private keys must be readable by their owner only (mode 0600 or stricter).  A key id (kid) is
the first 8 bytes of SHA-256 over the raw 32-byte Ed25519 public key.
"""

import binascii
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.core.errors import BadSignature, ConfigError

PEM_BYTES_MAX = 16_384      # an Ed25519 PEM has about 120 bytes; a bundle is not a key
# RFC 8410, 10.3 and 4: all that stands before the 32 bytes of a key in the usual files.
PRIVATE_HEAD = bytes.fromhex("302e020100300506032b657004220420")
PUBLIC_HEAD = bytes.fromhex("302a300506032b6570032100")
KEY_END = b"-----END PUBLIC KEY-----"


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


class EvidenceSigner:
    """The device's evidence key: `kid`, `sign`, nothing else leaves it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Hold a private key that was loaded or made elsewhere."""
        self.public_raw = key.public_key().public_bytes_raw()
        self.kid = kid_of(self.public_raw)
        self.sign: Callable[[bytes], bytes] = key.sign

    @classmethod
    def load(cls, path: Path) -> "EvidenceSigner":
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
    """The Ed25519 public keys that are trusted: the receipt key, and for a while the next one."""

    def __init__(self, *keys: Ed25519PublicKey) -> None:
        """Hold public keys, the one in use first."""
        self._keys: dict[bytes, Ed25519PublicKey] = {}
        self.trust(keys)

    @classmethod
    def load(cls, path: Path) -> "Verifier":
        """Return the verifier of a file of PEM public keys; raises ConfigError."""
        pem = _read_pem(path)
        blocks = [block + KEY_END for block in pem.split(KEY_END)[:-1]] or [pem]
        return cls(*(_public_key(block.strip(), path) for block in blocks))

    @property
    def kid(self) -> bytes:
        """The key id of the first key."""
        return next(iter(self._keys))

    def trust(self, keys: Iterable[Ed25519PublicKey]) -> None:
        """Trust these keys from now on, and no others."""
        self._keys = {kid_of(key.public_bytes_raw()): key for key in keys}

    def public_raw(self, kid: bytes) -> bytes:
        """Return the 32 bytes of a trusted key."""
        return self._keys[kid].public_bytes_raw()

    def check(self, kid: bytes, signed: bytes, signature: bytes) -> None:
        """Raise BadSignature unless a trusted key with this kid signed exactly these bytes."""
        key = self._keys.get(kid)
        if key is None:
            trusted = " and ".join(one.hex() for one in self._keys)
            raise BadSignature(f"signed by key {kid.hex()}, trusted is {trusted}")
        try:
            key.verify(signature, signed)
        except InvalidSignature as error:
            raise BadSignature(f"key {kid.hex()} did not sign these bytes") from error


def public_pem(raw: bytes) -> bytes:
    """Return the PEM of a raw 32-byte Ed25519 public key."""
    text = binascii.b2a_base64(PUBLIC_HEAD + raw)
    return b"-----BEGIN PUBLIC KEY-----\n" + text + KEY_END + b"\n"


def _public_key(pem: bytes, path: Path) -> Ed25519PublicKey:
    public = _plain_key(pem, b"PUBLIC KEY", PUBLIC_HEAD)
    if public is not None:
        return Ed25519PublicKey.from_public_bytes(public)
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is not a PEM public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} is {type(key).__name__}, not an Ed25519 public key")
    return key
