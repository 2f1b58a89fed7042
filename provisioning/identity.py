"""Keys and certificates of one site.

Three kinds of key, each with one use: Ed25519 signs evidence (batches) and receipts, P-256
ECDSA speaks TLS, because boards' TLS stacks know that curve.  The local authority signs only
the names of this site.  Nothing here reads a clock: validity starts from the `now` given.
"""

import datetime
import hashlib
import ipaddress
from collections import namedtuple
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Validity in days.  A site may be offline for two years and has no renewal over the air yet,
# so a leaf lives five years; the authority outlives every leaf it may still sign.
AUTHORITY_DAYS, LEAF_DAYS = 7300, 1825
# A gateway whose clock is a little slow must not refuse a certificate made just now.
GRACE = datetime.timedelta(days=1)
KID_BYTES = 8           # key id in a batch: first bytes of SHA-256 of the raw public key

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
# A key with the certificate that names it.
Identity = namedtuple("Identity", ("key", "certificate"))


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


def public_pem(key: PrivateKey) -> bytes:
    """Return the public half of a key as PEM."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def raw_public(key: ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey) -> bytes:
    """Return the 32 raw bytes of an Ed25519 public key."""
    public = key.public_key() if isinstance(key, ed25519.Ed25519PrivateKey) else key
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def key_id(raw: bytes) -> bytes:
    """Return the 8-byte id under which batches name a raw Ed25519 public key."""
    return hashlib.sha256(raw).digest()[:KID_BYTES]


def authority(name: str, now: datetime.datetime) -> Identity:
    """Return a new self-signed authority that may sign leaves only (path length 0)."""
    key = new_tls_key()
    subject = _named(name)
    certificate = (_draft(subject, subject, key, now, AUTHORITY_DAYS)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                   .add_extension(_usage(signs_certificates=True), critical=True)
                   .sign(key, hashes.SHA256()))
    return Identity(key, certificate)


def client(issuer: Identity, name: str, now: datetime.datetime) -> Identity:
    """Return a key and a certificate for a client; the broker takes `name` as its user."""
    key = new_tls_key()
    draft = _leaf(issuer, name, key, now).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return Identity(key, draft.sign(issuer.key, hashes.SHA256()))


def server(issuer: Identity, hosts: Iterable[str], now: datetime.datetime) -> Identity:
    """Return a key and a certificate for the broker, valid for these names and addresses."""
    key = new_tls_key()
    names = [_alternative(host) for host in dict.fromkeys(hosts)]
    draft = (_leaf(issuer, "broker", key, now)
             .add_extension(x509.SubjectAlternativeName(names), critical=False)
             .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
                            critical=False))
    return Identity(key, draft.sign(issuer.key, hashes.SHA256()))


def _leaf(issuer: Identity, name: str, key: ec.EllipticCurvePrivateKey,
          now: datetime.datetime) -> x509.CertificateBuilder:
    return (_draft(_named(name), issuer.certificate.subject, key, now, LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                issuer.key.public_key()), critical=False))


def _draft(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey,
           now: datetime.datetime, days: int) -> x509.CertificateBuilder:
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - GRACE)
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
                           critical=False))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        encipher_only=False, decipher_only=False)
