"""Enrolment: a cabinet's request in, a registry entry and an answer out.

A request is believed as far as it is signed: the evidence key signed all of it, the TLS key
signed its certificate request.  That the cabinet is the one it says is for the person who runs
the command: she compares the fingerprint that both sides print.
"""

import datetime
import hashlib
import json
import re
import zoneinfo
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fleet import settings
from fleet.authority import certificates, issue
from fleet.formats.registry import RegistryEntry, key_id, verified
from gateway.aio.private_files import private_folder, replace
from gateway.core.errors import ConfigError, FormatError
from gateway.core.evidence import enrolment, handover

NAME = re.compile(r"[a-z0-9-]{3,40}")
RESERVED = (certificates.FLEET, certificates.BROKER, "authority")


class Enrolled(NamedTuple):
    """What an enrolment gives: the registry entry's file, the answer's bytes, the request."""

    entry: Path
    answer: bytes
    request: enrolment.Request


def enrol(data: Path, sealed: bytes, now: datetime.datetime,
          statement: bytes | None = None) -> Enrolled:
    """Register the cabinet of a request and return the answer to it.

    Doing it twice changes nothing and gives the same certificate.  statement: a hand-over by
    the key before, if the cabinet is known with another one.  Raises FormatError or ConfigError,
    and then nothing was changed.
    """
    request, public = opened(sealed)
    configured = settings.load(data)
    path = data / "registry" / f"{request.cabinet}.json"
    before = _known(path)
    handovers = _handovers(before, request, statement)
    certificate = issue.certificate_for(data, request.cabinet, public, now)
    private_folder(path.parent)
    entry = _entry(request, certificate, now)
    entry["enrolled"] = before.get("enrolled", entry["enrolled"])
    if handovers:
        entry["handovers"] = handovers
    if entry != before:
        replace(path, json.dumps(entry, indent=2, ensure_ascii=False).encode() + b"\n")
    key = settings.receipt_key(configured.receipt_key)
    receipt_public = key.public_key().public_bytes_raw()
    answer = enrolment.Answer(
        request.cabinet, hashlib.sha256(sealed).digest(), certificates.der(certificate),
        certificates.der(x509.load_pem_x509_certificate(configured.ca.read_bytes())),
        receipt_public, configured.cabinet_host, configured.cabinet_port,
        int(now.timestamp() * 1000))
    return Enrolled(path, enrolment.seal_answer(answer, key_id(receipt_public), key.sign),
                    request)


def opened(sealed: bytes) -> tuple[enrolment.Request, ec.EllipticCurvePublicKey]:
    """Return a request whose signatures hold, and its TLS key; raises FormatError."""
    message, request = enrolment.open_request(sealed)
    if message.kid != key_id(request.public) or not verified(
            request.public, message.signed, message.signature):
        raise FormatError("request: the evidence key in it did not sign it")
    if not NAME.fullmatch(request.cabinet) or request.cabinet in RESERVED:
        raise FormatError(f"request: the name {request.cabinet[:40]!r} is not allowed: 3 to 40 "
                          f"characters out of a-z, 0-9 and '-', not {' or '.join(RESERVED)}")
    if not NAME.fullmatch(request.site):
        raise FormatError(f"request: the site {request.site[:40]!r} is not allowed: 3 to 40 "
                          "characters out of a-z, 0-9 and '-'")
    _check_zone(request.timezone)
    return request, _tls_key(request)


def _check_zone(name: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise FormatError(f"request: {name[:40]!r} is not a time zone") from error


def _tls_key(request: enrolment.Request) -> ec.EllipticCurvePublicKey:
    try:
        csr = x509.load_der_x509_csr(request.csr)
        held = csr.is_signature_valid
        public = csr.public_key()
    except Exception as error:      # cryptography raises many kinds for what is not X.509
        raise FormatError("request: its certificate request is not PKCS#10") from error
    if not held:
        raise FormatError("request: the TLS key did not sign the certificate request")
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise FormatError("request: the TLS key must be P-256")
    if certificates.common_name(csr.subject) != request.cabinet:
        raise FormatError("request: the certificate request names another cabinet")
    return public


def _known(path: Path) -> RegistryEntry:
    """Return the registry entry of a cabinet, empty if there is none."""
    if not path.exists():
        return {}
    try:
        entry: RegistryEntry = json.loads(path.read_text(encoding="utf-8"))
        entry["evidence_key_hex"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a registry entry ({error!r}); next: restore it from a "
                          "backup, or move it away and enrol the cabinet again") from error
    return entry


def _handovers(before: RegistryEntry, request: enrolment.Request,
               statement: bytes | None) -> list[dict[str, str]]:
    """Return the entry's hand-overs; raises ConfigError if the name belongs to another key."""
    held: list[dict[str, str]] = list(before.get("handovers", []))
    if before.get("revoked"):
        raise ConfigError(f"{request.cabinet} was revoked at {before['revoked']}; next: enrol it "
                          "under another name, or move its registry entry away if it is safe")
    if not before or before["evidence_key_hex"] == request.public.hex():
        return held
    if statement is None:
        raise ConfigError(
            f"{request.cabinet} is enrolled with another evidence key (id {before['kid_hex']}, "
            f"this one has {key_id(request.public).hex()}). A second board may not take its name; "
            "next: give the cabinet another name, add --handover FILE if the old key signed for "
            "this one, or withdraw the old entry by moving its registry file away")
    old = bytes.fromhex(before["evidence_key_hex"])
    message, content = handover.open_sealed(statement)
    if not verified(old, message.signed, message.signature):
        raise ConfigError(f"the hand-over is not signed by the key enrolled as {request.cabinet} "
                          f"(id {before['kid_hex']}); only that one can hand over")
    if content.cabinet != request.cabinet or content.new_public != request.public:
        raise ConfigError(f"the hand-over is for {content.cabinet} and another key; next: sign one "
                          "for this request")
    return [*held, {"public_hex": old.hex(), "statement_hex": statement.hex()}]


def _entry(request: enrolment.Request, certificate: x509.Certificate,
           now: datetime.datetime) -> RegistryEntry:
    return {
        "device": request.cabinet, "site": request.site, "name": request.name,
        "timezone": request.timezone, "evidence_key_hex": request.public.hex(),
        "kid_hex": key_id(request.public).hex(),
        "tls_sha256": hashlib.sha256(certificates.der(certificate)).hexdigest(),
        "enrolled": now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
