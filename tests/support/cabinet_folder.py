"""A cabinet folder for tests: the example cabinet.toml with real keys beside it.

    cabinet = load(make_folder(tmp_path), FakeCatalogue())
"""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from gateway.config.checks import ProfileFacts
from gateway.core.reading import Point

EXAMPLE = Path(__file__).parent.parent / "gateway" / "data" / "cabinet.toml"


def private_pem(key):
    """Return an unencrypted PKCS 8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key):
    """Return the PEM of a private key's public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def certificate_pem(key):
    """Return a certificate that a key made for itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cab-0001")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(1).not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=3650)).sign(key, None))
    return made.public_bytes(Encoding.PEM)


def make_folder(folder, text=None):
    """Write cabinet.toml (the example unless text is given) and its keys; return its path."""
    keys = folder / "keys"
    keys.mkdir()
    evidence, receipt = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
    (keys / "evidence.pem").write_bytes(private_pem(evidence))
    (keys / "tls.key").write_bytes(private_pem(evidence))
    for name in ("evidence.pem", "tls.key"):
        (keys / name).chmod(0o600)
    (keys / "receipt.pub.pem").write_bytes(public_pem(receipt))
    for name in ("ca.pem", "tls.pem"):
        (keys / name).write_bytes(certificate_pem(evidence))
    path = folder / "cabinet.toml"
    path.write_text(EXAMPLE.read_text() if text is None else text)
    return path


class FakeDriver:
    """A driver with energy import and power, as far as the configuration sees it."""

    points = (Point(43, 0, ""), Point(14, 0, ""))


class FakeCatalogue:
    """The profiles of the example, without the drivers room."""

    FACTS = {
        "eastron-sdm630-v2": ProfileFacts(
            "meter", ("modbus-rtu", "modbus-tcp"), (2400, 4800, 9600, 19200)),
        "eastron-sdm120": ProfileFacts("meter", ("modbus-rtu",), (1200, 2400, 4800, 9600)),
        "sunspec-generic": ProfileFacts("pv", ("modbus-tcp", "modbus-rtu"), ()),
        "pylontech-rs485": ProfileFacts("bms", ("pylontech",), (9600, 115200)),
        "xy-md02": ProfileFacts("climate", ("modbus-rtu",), (9600,)),
        "compute-prometheus": ProfileFacts("node", ("prometheus",), ()),
    }

    def stems(self):
        """Return the profile names."""
        return sorted(self.FACTS)

    def facts(self, stem):
        """Return the facts of one."""
        return self.FACTS[stem]

    def driver(self, device, bus):
        """Return a driver; the fake ones are all alike."""
        return FakeDriver()
