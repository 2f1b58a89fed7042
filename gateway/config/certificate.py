"""Whether a certificate is one that this cabinet can use: its own key, name and authority.

For answers and messages of the downlink; a start lets OpenSSL judge.
"""

import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.core.errors import ConfigError


def usable(certificate_der: bytes, authority: x509.Certificate, key_pem: bytes, cabinet: str,
           now: datetime.datetime) -> x509.Certificate:
    """Return the certificate if this cabinet can use it; raises ConfigError that says why not.

    key_pem: the cabinet's own TLS key.  now: it is at least so late.
    """
    certificate = parsed(certificate_der)
    key = serialization.load_pem_private_key(key_pem, None)
    if certificate.public_key() != key.public_key():
        raise ConfigError("the certificate is for another key than this cabinet's")
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [one.value for one in names] != [cabinet]:
        raise ConfigError(f"the certificate does not name {cabinet}")
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ConfigError("the certificate is not signed by the fleet's authority") from error
    if now >= certificate.not_valid_after_utc:
        raise ConfigError(f"the certificate expired at {certificate.not_valid_after_utc}")
    _check_purpose(certificate)
    return certificate


def names_in(pem: bytes) -> list[str] | None:
    """Return the common names in a certificate, None if it cannot be read."""
    try:
        subject = x509.load_pem_x509_certificate(pem).subject
    except ValueError:
        return None
    return [str(one.value) for one in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def parsed(der: bytes) -> x509.Certificate:
    """Return the certificate of DER bytes; raises ConfigError."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise ConfigError("the certificate is not X.509") from error


def check_authority(authority: x509.Certificate, now: datetime.datetime) -> None:
    """Raise ConfigError unless a certificate may sign leaves, and nothing but leaves."""
    try:
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise ConfigError("the authority does not say what it may sign") from error
    if not basic.ca or basic.path_length != 0 or not usage.key_cert_sign:
        raise ConfigError("the authority must be one that signs leaves only (path length 0)")
    if now >= authority.not_valid_after_utc:
        raise ConfigError(f"the authority expired at {authority.not_valid_after_utc}")


def renewed_authority(certificate_der: bytes, present: x509.Certificate,
                      now: datetime.datetime) -> x509.Certificate:
    """Return an authority's certificate if it is the present one's successor, of the same key and
    name; raises ConfigError that says why not."""
    certificate = parsed(certificate_der)
    check_authority(certificate, now)
    if (certificate.public_key() != present.public_key()
            or certificate.subject != present.subject):
        raise ConfigError("the certificate is of another authority than this cabinet's")
    try:
        certificate.verify_directly_issued_by(present)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ConfigError("the certificate is not signed by the fleet's authority") from error
    if certificate.not_valid_after_utc < present.not_valid_after_utc:
        raise ConfigError("the certificate ends before the present one")
    return certificate


def _check_purpose(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise ConfigError("the certificate does not say what it is for") from error
    if list(usage) != [ExtendedKeyUsageOID.CLIENT_AUTH]:
        raise ConfigError("the certificate is not for a client")
