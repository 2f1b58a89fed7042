"""The authority at work: its key, the certificates it issued, new ones.

authority/issued/CABINET/SERIAL.crt is every certificate that a cabinet was ever given: what is
renewed and what `revoke` withdraws.
"""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fleet.authority import certificates
from fleet.authority.setup import CA, CA_KEY
from gateway.aio.private_files import private_folder, replace
from gateway.core.errors import ConfigError


def load(data: Path) -> certificates.Authority:
    """Return the authority of a fleet; raises ConfigError if its key is not there."""
    path = data / CA_KEY
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: others can read this private key; next: chmod 600 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((data / CA).read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: {error.strerror}; next: python -m fleet init --data {data}, or "
            "bring the authority's key back if you keep it offline") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a key with its certificate ({error})") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or (
            key.public_key() != certificate.public_key()):
        raise ConfigError(f"{path}: not the key of {data / CA}")
    return certificates.Authority(key, certificate)


def load_certificate(data: Path) -> x509.Certificate:
    """Return the authority's certificate."""
    return x509.load_pem_x509_certificate((data / CA).read_bytes())


def is_here(data: Path) -> bool:
    """Return whether the authority's key is on this machine now."""
    return (data / CA_KEY).is_file()


def folder_of(data: Path, cabinet: str) -> Path:
    """Return the folder of the certificates that a cabinet was given."""
    return data / "authority/issued" / cabinet


def issued(data: Path, cabinet: str) -> list[x509.Certificate]:
    """Return every certificate that a cabinet was given, oldest first."""
    files = folder_of(data, cabinet).glob("*.crt")
    return sorted((x509.load_pem_x509_certificate(file.read_bytes()) for file in files),
                  key=lambda one: (one.not_valid_before_utc, one.not_valid_after_utc))


def key_of(certificate: x509.Certificate) -> certificates.PublicKey:
    """Return the public key of a certificate that was issued here."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigError(f"certificate {certificate.serial_number:x}: not a P-256 key")
    return key


def new(data: Path, cabinet: str, public: certificates.PublicKey,
        now: datetime.datetime) -> x509.Certificate:
    """Return a new certificate of a cabinet for its key, kept on disk."""
    certificate = certificates.client(load(data), cabinet, public, now)
    keep(data, cabinet, certificate)
    return certificate


def keep(data: Path, cabinet: str, certificate: x509.Certificate) -> None:
    """Keep a certificate among those that a cabinet was given."""
    folder = folder_of(data, cabinet)
    private_folder(folder)
    replace(folder / f"{certificate.serial_number:040x}.crt", certificates.pem(certificate))


def certificate_for(data: Path, cabinet: str, public: certificates.PublicKey,
                    now: datetime.datetime) -> x509.Certificate:
    """Return the certificate of a cabinet for this key: the one it has, or a new one when
    there is none or two thirds of its life are over."""
    for one in reversed(issued(data, cabinet)):
        if one.public_key() == public and not certificates.renewal_due(one, now):
            return one
    return new(data, cabinet, public, now)
