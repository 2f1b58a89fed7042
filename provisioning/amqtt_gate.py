"""Plug-ins for amqtt: no connection without a certificate of the fleet's authority, own topics.

amqtt verifies a client certificate when one is sent, but lets clients in without.  The gate
refuses those, those that are revoked, and those whose client id is not the certificate's name; it
makes that name the user name, whatever the client claims.  The topics plug-in then holds the same
rules as mosquitto's access list: fleet/authority/broker_files.py.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session
from cryptography import x509

FLEET = "fleet"
WRITES, READS = ("up", "live"), ("receipt", "down")     # of a cabinet; the fleet's are the reverse
ROOT = ("wp", "1")

Peer = dict[str, Any]         # what ssl.SSLObject.getpeercert() gives


def common_name(certificate: Peer | None) -> str | None:
    """Return the only common name of a verified peer certificate, else None.

    certificate: what ssl.SSLObject.getpeercert() gives; empty when none was verified.
    """
    names = [value for part in (certificate or {}).get("subject", ())
             for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 else None


def may(name: str | None, topic: str | None, writes: bool) -> bool:
    """Return whether a certificate's name may write, or else read, a topic (or a filter)."""
    parts = (topic or "").split("/")
    if name is None or len(parts) != 4 or tuple(parts[:2]) != ROOT:
        return False
    if name == FLEET:
        return parts[3] in (READS if writes else WRITES)
    return parts[2] == name and parts[3] in (WRITES if writes else READS)


class Revoked:
    """The list of revoked certificates: a file that is read again when it was replaced."""

    def __init__(self, path: Path) -> None:
        """path: PEM of the list."""
        self._path, self._stamp = path, 0
        self._serials: frozenset[int] = frozenset()

    def holds(self, certificate: Peer) -> bool:
        """Return whether a certificate is revoked; raises OSError or ValueError if the list
        cannot be read."""
        stamp = self._path.stat().st_mtime_ns
        if stamp != self._stamp:
            content = x509.load_pem_x509_crl(self._path.read_bytes())
            self._serials = frozenset(one.serial_number for one in content)
            self._stamp = stamp
        return int(certificate["serialNumber"], 16) in self._serials


class CertificateNamePlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt is untyped
    """Authenticate a session by its client certificate alone."""

    def __init__(self, context: BaseContext) -> None:
        """context: the broker's."""
        super().__init__(context)
        revoked = getattr(context.config, "revoked", "")
        self._revoked = Revoked(Path(revoked)) if revoked else None

    async def authenticate(self, *, session: Session) -> bool | None:
        """Return True and name the session after its certificate, or False."""
        channel: ssl.SSLObject | None = session.ssl_object
        certificate = channel.getpeercert() if channel else None
        name = common_name(certificate)
        if name is None or certificate is None or session.client_id != name:
            return False
        if self._revoked is not None and self._revoked.holds(certificate):
            return False
        session.username = name
        session.is_anonymous = False
        return True

    @dataclass
    class Config:
        """revoked: PEM file of the list of revoked certificates; empty: none is looked at."""

        revoked: str = ""


class OwnTopicsPlugin(BaseTopicPlugin):  # type: ignore[misc]  # amqtt is untyped
    """Let each reach its own topics only."""

    async def topic_filtering(self, *, session: Session | None = None, topic: str | None = None,
                              action: Action | None = None) -> bool | None:
        """Return whether a session may publish to a topic, subscribe to it or receive from it."""
        return may(session.username if session else None, topic, action == Action.PUBLISH)
