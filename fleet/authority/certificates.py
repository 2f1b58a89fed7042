"""Certificates of one fleet: the authority, cabinets, the fleet's own client and its broker.

The authority signs leaves only, for public keys whose private halves it never sees: a cabinet's
comes in a certificate request.  P-256, because boards' TLS stacks know that curve.  Nothing here
reads a clock: validity starts from the `now` given.
"""

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Validity in days.  A site may be offline for a year and a half: a leaf is renewed after two
# thirds of five years, and twenty months are left then.
AUTHORITY_DAYS, LEAF_DAYS = 7300, 1825
# A gateway whose clock is a little slow must not refuse a certificate made just now.
GRACE = datetime.timedelta(days=1)
FLEET, BROKER = "fleet", "broker"       # names of the fleet's own certificates

FleetPrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey


class Authority(NamedTuple):
    """The authority's key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: FleetPrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS#8 PEM: the file's mode 0600 protects it."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def public_pem(key: ed25519.Ed25519PublicKey) -> bytes:
    """Return a public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM,
                            serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def authority(name: str, now: datetime.datetime) -> Authority:
    """Return a new self-signed authority that may sign leaves only (path length 0)."""
    return _self_signed(new_key(), name, now)


def renewed(present: Authority, now: datetime.datetime) -> Authority:
    """Return an authority with the same key and name and a new life: what the old certificate
    signed holds under the new one, and the other way round."""
    return _self_signed(present.key, common_name(present.certificate.subject), now)


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str,
                 now: datetime.datetime) -> Authority:
    subject = _named(name)
    ends = now + datetime.timedelta(days=AUTHORITY_DAYS)
    certificate = (_draft(subject, subject, key.public_key(), now)
                   .not_valid_after(ends)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                   .add_extension(_usage(signs_certificates=True), critical=True)
                   .sign(key, hashes.SHA256()))
    return Authority(key, certificate)


def client(issuer: Authority, name: str, public: PublicKey,
           now: datetime.datetime) -> x509.Certificate:
    """Return a client's certificate; the broker takes `name` as its user and client id."""
    return _leaf(issuer, name, public, now).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False,
    ).sign(issuer.key, hashes.SHA256())


def server(issuer: Authority, hosts: Iterable[str], public: PublicKey,
           now: datetime.datetime) -> x509.Certificate:
    """Return the broker's certificate, valid for these names and addresses."""
    names = [_alternative(host) for host in dict.fromkeys(hosts)]
    return (_leaf(issuer, BROKER, public, now)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
                           critical=False).sign(issuer.key, hashes.SHA256()))


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a server's certificate is valid for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(one.value) for one in names]


def revocations(issuer: Authority, serials: Sequence[int],
                now: datetime.datetime) -> x509.CertificateRevocationList:
    """Return the list of revoked certificates.

    It stays valid as long as the authority: brokers refuse everybody when it has expired.
    """
    made = (x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject).last_update(now - GRACE)
            .next_update(issuer.certificate.not_valid_after_utc))
    for serial in sorted(set(serials)):
        made = made.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial)
            .revocation_date(now).build())
    return made.sign(issuer.key, hashes.SHA256())


def renewal_due(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    """Return whether two thirds of a certificate's life are over."""
    return now >= renewal_at(certificate)


def renewal_at(certificate: x509.Certificate) -> datetime.datetime:
    """Return the moment at which two thirds of a certificate's life are over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * 2 / 3


def common_name(subject: x509.Name) -> str:
    """Return the only common name of a subject, empty when there is none or another."""
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 and len(subject) == 1 else ""


def _leaf(issuer: Authority, name: str, public: PublicKey,
          now: datetime.datetime) -> x509.CertificateBuilder:
    """Return the draft of a leaf; it never outlives its authority."""
    ends = min(now + datetime.timedelta(days=LEAF_DAYS), issuer.certificate.not_valid_after_utc)
    return (_draft(_named(name), issuer.certificate.subject, public, now)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                issuer.key.public_key()), critical=False))


def _draft(subject: x509.Name, issuer: x509.Name, public: PublicKey,
           now: datetime.datetime) -> x509.CertificateBuilder:
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
            .public_key(public).serial_number(x509.random_serial_number())
            .not_valid_before(now - GRACE)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False))


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
