"""What the authority's commands do; arguments.py of this folder has their words."""

import argparse
import datetime
import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet import clock, settings
from fleet.authority import certificates, downlink, listing, own, revocation, rotation, setup
from fleet.authority import enrol as enrolments
from fleet.store import backup
from gateway.aio import cli
from gateway.core.errors import ConfigError
from gateway.core.evidence import enrolment
from gateway.core.evidence.handover import STATEMENT_BYTES_MAX


def init(arguments: argparse.Namespace) -> int:
    """Make the fleet's folder."""
    position = setup.BrokerAddress(arguments.host, arguments.port, arguments.bind)
    files = setup.create(arguments.data, position, _moment(arguments), arguments.factors)
    key_text = fingerprint(arguments.data)
    cli.show(arguments, {"files": [str(path) for path in files], "fleet_key": key_text}, [
        f"made {len(files)} files of a fleet in {arguments.data}; its receipt key is {key_text}",
        f"next: start the broker: cd {arguments.data / 'broker'} && mosquitto -c mosquitto.conf",
        f"then: python -m fleet serve --data {arguments.data}, and for each cabinet python -m "
        f"fleet enrol CABINET.request --data {arguments.data}"])
    return cli.FINE


def enrol(arguments: argparse.Namespace) -> int:
    """Register a cabinet and write the answer to its request."""
    statement = arguments.handover and _small(arguments.handover, STATEMENT_BYTES_MAX)
    sealed = _small(arguments.request, enrolment.REQUEST_BYTES_MAX)
    done = enrolments.enrol(arguments.data, sealed, _moment(arguments), statement)
    out = arguments.out or arguments.request.with_suffix(".answer")
    out.write_bytes(done.answer)
    key_text, own = _groups(done.request.public), fingerprint(arguments.data)
    cli.show(arguments, {"entry": str(done.entry), "answer": str(out), "fingerprint": key_text,
                         "cabinet": done.request.cabinet, "fleet_key": own}, [
        f"{done.request.cabinet} is enrolled: {done.entry}",
        f"its evidence key is {key_text}: compare it with what the cabinet printed",
        f"{out}: the answer; next, in the cabinet: python -m provisioning install {out.name} "
        f"--site SITE",
        f"the fleet's receipt key is {own}"])
    return cli.FINE


def cabinets(arguments: argparse.Namespace) -> int:
    """List the cabinets."""
    found = listing.members(arguments.data)
    cli.show(arguments, {"cabinets": [one._asdict() | {
        "valid_until": one.valid_until and one.valid_until.isoformat()} for one in found]},
             [listing.line(one) for one in found] or ["no cabinet is enrolled yet"])
    return cli.FINE


def renew(arguments: argparse.Namespace) -> int:
    """Renew a certificate of the fleet's own, or leave one in a cabinet's downlink."""
    key = settings.receipt_key(settings.load(arguments.data).receipt_key)
    if arguments.cabinet in own.FILES:
        return _renew_own(arguments, key)
    number = downlink.renew(arguments.data, key, arguments.cabinet, _moment(arguments))
    cli.show(arguments, {"cabinet": arguments.cabinet, "number": number}, [
        f"{arguments.cabinet}: a new certificate waits in the downlink, number {number}; "
        "`fleet serve` sends it, and an event of the cabinet says what became of it"])
    return cli.FINE


def _renew_own(arguments: argparse.Namespace, key: Ed25519PrivateKey) -> int:
    name, now = arguments.cabinet, _moment(arguments)
    made = own.renew(arguments.data, name, now)
    sent: list[str] = []
    if name == own.AUTHORITY:
        revocation.write_list(arguments.data, now)
        sent = [one.cabinet for one in listing.members(arguments.data) if not one.revoked]
        for cabinet in sent:
            downlink.post(arguments.data, key, downlink.Message(
                cabinet, own.AUTHORITY, certificates.der(made)), now)
    cli.show(arguments, {"name": name, "valid_until": made.not_valid_after_utc.isoformat(),
                         "sent_to": sent}, [
        f"{arguments.data / own.FILES[name]}: valid until {made.not_valid_after_utc:%Y-%m-%d}",
        f"next: {own.NEXT[name]}"])
    return cli.FINE


def rotate(arguments: argparse.Namespace) -> int:
    """Begin or finish a change of the fleet's receipt key."""
    now = _moment(arguments)
    if arguments.finish:
        with backup.lock(arguments.data):
            found = rotation.finish(arguments.data, now, arguments.anyway)
        lines = ["the next key is the fleet's now; start `fleet serve`, and tell auditors"]
    else:
        found = rotation.begin(arguments.data, now)
        lines = [f"trust the next key: {', '.join(found.informed) or 'no cabinet yet'}",
                 f"have not said so: {', '.join(found.silent) or 'none'}",
                 "next: " + ("wait, and run this again" if found.silent else
                             "stop `fleet serve` and run this again with --finish")]
    key_text = _groups(found.public)
    cli.show(arguments, {"fleet_key": key_text, "told": found.informed, "silent": found.silent},
             [*lines, f"its fingerprint is {key_text}"])
    return cli.FINE


def revoke(arguments: argparse.Namespace) -> int:
    """Shut a cabinet out."""
    signed = revocation.revoke(arguments.data, arguments.cabinet, _moment(arguments))
    cli.show(arguments, {"cabinet": arguments.cabinet, "list_signed": signed}, [
        f"{arguments.cabinet} is revoked: the fleet takes nothing from it any more",
        f"next: restart the broker, it reads {arguments.data / setup.REVOKED} then" if signed else
        "the broker still lets it in: the authority's key is not here; next: bring it back and "
        "run this again"])
    return cli.FINE if signed else cli.PERSON


def fingerprint(data: Path) -> str:
    """Return what people compare of the fleet's receipt key."""
    path = data / "keys/receipt.pub"
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return _groups(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


def _groups(raw: bytes) -> str:
    digest = hashlib.sha256(raw).hexdigest()
    return " ".join(digest[at:at + 4] for at in range(0, 64, 4))


def _small(path: Path, limit: int) -> bytes:
    """Return a file's bytes, but no more than it can have, and one to tell."""
    with path.open("rb") as file:
        return file.read(limit + 1)


def _moment(arguments: argparse.Namespace) -> datetime.datetime:
    given: datetime.datetime | None = arguments.now
    return given or clock.now()


RUN = {"init": init, "enrol": enrol, "cabinets": cabinets, "renew": renew, "revoke": revoke,
       "rotate": rotate}
