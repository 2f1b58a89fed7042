"""What a message of the downlink can change: the cabinet's certificate, the authority, the key.

Each action checks what it was given against what the cabinet has already, and may be repeated: a
power cut may come between the action and the number that is kept of it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.config.values import UplinkSettings
from gateway.core.codec.cose import KEY_BYTES
from gateway.core.errors import ConfigError
from gateway.core.evidence import downlink as messages
from gateway.signer import Verifier, public_pem
from gateway.storage.store import replace_synced


class Order(NamedTuple):
    """What an action is given: the body of the message, real UTC, the key that signed it."""

    body: bytes
    now: datetime
    kid: bytes


# Carries out an order and returns what to say; raises ConfigError, OSError or ValueError.
Action = Callable[[Order], str]


def actions(cabinet: str, settings: UplinkSettings, verifier: Verifier) -> Mapping[str, Action]:
    """Return what this software can carry out, by name.

    cabinet: the name that certificates must have.  verifier: trusts another key afterwards.
    """
    # X.509 takes a megabyte or two of memory: imported when, once in years, a message comes.
    def renew(order: Order) -> str:
        """Put a renewed certificate in the place of the old one; the next connection uses it."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        from gateway.config.certificate import usable
        authority = x509.load_pem_x509_certificate(settings.ca.read_bytes())
        made = usable(order.body, authority, settings.key.read_bytes(), cabinet, order.now)
        replace_synced(settings.certificate, made.public_bytes(Encoding.PEM))
        return f"certificate until {made.not_valid_after_utc:%Y-%m-%d}"

    def authority(order: Order) -> str:
        """Put the authority's renewed certificate in place: of the same key and name."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        from gateway.config.certificate import renewed_authority
        present = x509.load_pem_x509_certificate(settings.ca.read_bytes())
        made = renewed_authority(order.body, present, order.now)
        replace_synced(settings.ca, made.public_bytes(Encoding.PEM))
        return f"authority until {made.not_valid_after_utc:%Y-%m-%d}"

    def receipt_key(order: Order) -> str:
        """Trust the key that signed the message and the one in it, and no other.

        Signed by the present key it brings the next one; signed by the next, it ends the old.
        """
        if len(order.body) != KEY_BYTES:
            raise ConfigError(f"a receipt key has {KEY_BYTES} bytes, not {len(order.body)}")
        raw = list(dict.fromkeys((verifier.public_raw(order.kid), order.body)))
        keys = [Ed25519PublicKey.from_public_bytes(one) for one in raw]
        replace_synced(settings.receipt_key, b"".join(public_pem(one) for one in raw))
        verifier.trust(keys)
        return f"{len(keys)} receipt key{'s' if len(keys) > 1 else ''} trusted"

    return {messages.RENEW: renew, messages.AUTHORITY: authority,
            messages.RECEIPT_KEY: receipt_key}
