"""Keys of one cabinet, made where they will live, and the request for its certificate.

Two kinds of key, each with one use: Ed25519 signs evidence, P-256 ECDSA speaks TLS, because
boards' TLS stacks know that curve.  No private key is ever sent: a certificate request carries
the public half, and the fleet's authority answers it.
"""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from gateway.core.codec.cose import KID_BYTES

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def new_tls_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_signing_key() -> ed25519.Ed25519PrivateKey:
    """Return a fresh Ed25519 key."""
    return ed25519.Ed25519PrivateKey.generate()


def private_pem(key: PrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS#8 PEM: the file's mode 0600 protects it."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def public_pem(raw: bytes) -> bytes:
    """Return a raw Ed25519 public key as PEM; raises ValueError."""
    return ed25519.Ed25519PublicKey.from_public_bytes(raw).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def raw_public(key: ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey) -> bytes:
    """Return the 32 raw bytes of an Ed25519 public key."""
    public = key.public_key() if isinstance(key, ed25519.Ed25519PrivateKey) else key
    return public.public_bytes_raw()


def key_id(raw: bytes) -> bytes:
    """Return the 8-byte id under which batches name a raw Ed25519 public key."""
    return hashlib.sha256(raw).digest()[:KID_BYTES]


def fingerprint(raw: bytes) -> str:
    """Return what people compare of a public key: SHA-256 in hex, in groups of four."""
    digest = hashlib.sha256(raw).hexdigest()
    return " ".join(digest[at:at + 4] for at in range(0, 64, 4))


def certificate_request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return a PKCS#10 request as DER: `name` as the only common name, signed with the key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (x509.CertificateSigningRequestBuilder().subject_name(subject)
            .sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
