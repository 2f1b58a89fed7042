"""Door keeper for amqtt: no connection without a certificate of the site's authority.

amqtt verifies a client certificate when one is sent, but lets clients in without.  This
plugin refuses those, and makes the certificate's common name the user name, whatever the
client claims: the topic rules then hold for it as they do with mosquitto.
"""

import ssl
from typing import Any

from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


def common_name(certificate: dict[str, Any] | None) -> str | None:
    """Return the only common name of a verified peer certificate, else None.

    certificate: what ssl.SSLObject.getpeercert() gives; empty when none was verified.
    """
    names = [value for part in (certificate or {}).get("subject", ())
             for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 else None


class CertificateNamePlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt is untyped
    """Authenticate a session by its client certificate alone."""

    async def authenticate(self, *, session: Session) -> bool | None:
        """Return True and name the session after its certificate, or False."""
        channel: ssl.SSLObject | None = session.ssl_object
        name = common_name(channel.getpeercert() if channel else None)
        if name is None:
            return False
        session.username = name
        session.is_anonymous = False
        return True
