"""The certificates of the fleet itself: its client's, its broker's and the authority's.

Each is renewed for the key that it has, so nothing else changes.  `fleet renew` does it at once;
`fleet serve` does it for client and broker after two thirds of their life.
"""

import datetime
import logging
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fleet.authority import certificates, issue
from fleet.authority.setup import CA, CA_COPIES
from gateway.aio.private_files import replace
from gateway.core.errors import ConfigError

LOG = logging.getLogger("fleet.authority")
AUTHORITY = "authority"
FILES = {certificates.FLEET: "keys/client.crt", certificates.BROKER: "broker/broker.crt",
         AUTHORITY: CA}
NEXT = {certificates.FLEET: "nothing: the next connection uses it",
        certificates.BROKER: "restart the broker, it reads its certificate then",
        AUTHORITY: "restart the broker; cabinets get it over the downlink, or by file"}


def due(data: Path, now: datetime.datetime) -> list[str]:
    """Return the names of the fleet's own certificates of which two thirds of life are over."""
    return [name for name in FILES if (data / FILES[name]).is_file()
            and certificates.renewal_due(_present(data, name), now)]


def renew(data: Path, name: str, now: datetime.datetime) -> x509.Certificate:
    """Put a new certificate in the place of one of the fleet's own and return it.

    Raises ConfigError if the authority's key is not here.
    """
    present, issuer = _present(data, name), issue.load(data)
    if name == AUTHORITY:
        made = certificates.renewed(issuer, now).certificate
        for file in (*CA_COPIES, CA):           # the authority's own last: it says that all have it
            replace(data / file, certificates.pem(made))
        return made
    key = present.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigError(f"{data / FILES[name]}: not a certificate of a P-256 key")
    made = (certificates.client(issuer, name, key, now) if name == certificates.FLEET
            else certificates.server(issuer, certificates.hosts_of(present), key, now))
    replace(data / FILES[name], certificates.pem(made))
    return made


def renew_or_say(data: Path, name: str, now: datetime.datetime) -> None:
    """Renew what a running fleet may renew by itself; log what a person has to do."""
    if name == AUTHORITY or not issue.is_here(data):
        LOG.warning("%s: two thirds of its life are over; next: wattproof-fleet renew %s --data %s",
                    data / FILES[name], name, data)
        return
    made = renew(data, name, now)
    LOG.warning("%s: renewed until %s; next: %s", data / FILES[name],
                f"{made.not_valid_after_utc:%Y-%m-%d}", NEXT[name])


def _present(data: Path, name: str) -> x509.Certificate:
    path = data / FILES[name]
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}; next: restore it from a backup") from error
