"""Install a fleet's answer: certificate, authority, receipt key, and where the broker is.

The first answer brings the key that signed it, so a person compares its fingerprint with the one
that `fleet enrol` printed, or gives it with --fleet-key.  From then on only that fleet is believed.
"""

import datetime
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.aio.private_files import private_folder, replace
from gateway.config import load as config
from gateway.config.certificate import check_authority, parsed, usable
from gateway.core.errors import ConfigError, FormatError
from gateway.core.evidence import enrolment
from provisioning import create, identity
from provisioning.site import HOST_LINES, TLS_KEY

RECEIPT_PUB = "fleet/receipt.pub"


class Installed(NamedTuple):
    """What an installation did: the files written, the fleet's fingerprint, until when the
    certificate is valid, and what the gateway's check still says."""

    files: list[Path]
    fingerprint: str
    valid_until: datetime.datetime
    mistakes: list[str]


def install(folder: Path, sealed: bytes, now: datetime.datetime,
            fleet_key: str | None = None) -> Installed:
    """Write what an answer brings into a cabinet's folder.

    fleet_key: fingerprint of the fleet's receipt key, as somebody read it aloud.  Raises
    FormatError or ConfigError, and then nothing was changed.
    """
    answer = _opened(sealed)
    cabinet = create.cabinet_of(folder)["site"]["cabinet"]
    if answer.cabinet != cabinet:
        raise ConfigError(f"the answer is for {answer.cabinet}, {folder} is {cabinet}")
    _check_request(folder / f"{cabinet}.request", answer)
    _check_fleet(folder / RECEIPT_PUB, answer, fleet_key)
    authority = parsed(answer.authority)
    check_authority(authority, now)
    key = folder / TLS_KEY
    create.private_key(key)
    certificate = usable(answer.certificate, authority, key.read_bytes(), cabinet, now)
    files = _write(folder, answer, authority, certificate)
    mistakes = [text for _, text in config.check(folder / "cabinet.toml")]
    return Installed(files, identity.fingerprint(answer.receipt_public),
                     certificate.not_valid_after_utc, mistakes)


def _opened(sealed: bytes) -> enrolment.Answer:
    message, answer = enrolment.open_answer(sealed)
    try:
        if message.kid != identity.key_id(answer.receipt_public):
            raise FormatError("answer: signed by another key than the one in it")
        Ed25519PublicKey.from_public_bytes(answer.receipt_public).verify(
            message.signature, message.signed)
    except InvalidSignature as error:
        raise FormatError("answer: the fleet's key did not sign it") from error
    return answer


def _check_request(path: Path, answer: enrolment.Answer) -> None:
    if path.exists() and hashlib.sha256(path.read_bytes()).digest() != answer.request_hash:
        raise ConfigError(f"the answer is not to {path}; next: python -m fleet enrol {path}")


def _check_fleet(known: Path, answer: enrolment.Answer, fleet_key: str | None) -> None:
    """Raise ConfigError if another fleet answered than the one that is expected or known."""
    listing = identity.fingerprint(answer.receipt_public)
    if fleet_key is not None and re.sub(r"[\s:]", "", fleet_key.lower()) != listing.replace(" ",
                                                                                            ""):
        raise ConfigError(
            f"the answer is signed by another fleet: {listing}; next: ask who made it")
    if known.exists() and known.read_bytes() != identity.public_pem(answer.receipt_public):
        raise ConfigError(f"{known}: this cabinet belongs to another fleet than the one that "
                          f"answered ({listing}); next: move the file away if it has moved for "
                          "good")


def _write(folder: Path, answer: enrolment.Answer, authority: x509.Certificate,
           certificate: x509.Certificate) -> list[Path]:
    pem = serialization.Encoding.PEM
    files = {"ca/ca.crt": authority.public_bytes(pem),
             RECEIPT_PUB: identity.public_pem(answer.receipt_public),
             "keys/tls.crt": certificate.public_bytes(pem)}
    toml = folder / "cabinet.toml"
    text = toml.read_text(encoding="utf-8")
    if HOST_LINES in text:
        files["cabinet.toml"] = text.replace(
            HOST_LINES, f'host = "{answer.host}"\nport = {answer.port}\n', 1).encode()
    for name, content in files.items():
        if not (folder / name).parent.exists():
            private_folder((folder / name).parent)
        replace(folder / name, content)
    return [folder / name for name in files]
