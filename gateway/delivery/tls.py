"""Mutual TLS towards the broker, before and after the time is known.

In this file: the context, how a certificate is judged without a clock, and foreign errors
translated.  A gateway whose wall clock says 1970 or 2099 cannot judge "not valid yet"; it
can judge "expired before the last time I knew".  So without a clock OpenSSL leaves the dates
to us, and we compare the ends of validity with that floor; names, signatures and the site's
own authority are checked as ever.
"""

import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from gateway.config.values import UplinkSettings
from gateway.core.errors import ConfigError, Offline, Rejected, UplinkError
from gateway.delivery.mqtt import MqttConnectError, ReasonCode, aiomqtt

CIPHERS_12 = "ECDHE+AESGCM:ECDHE+CHACHA20"      # of TLS 1.2: authenticated ones only
NO_CHECK_TIME = 0x200000                        # OpenSSL: X509_V_FLAG_NO_CHECK_TIME
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
VERIFY_FAILED = "CERTIFICATE_VERIFY_FAILED"
REFUSED_CODES = (2, 4, 5, 132, 133, 134, 135, 138, 140)  # MQTT 3.1.1 3.2.2.3, MQTT 5 3.2.2.2
SUBSCRIPTION_REFUSED = 128                      # MQTT 3.1.1 3.9.3


class _Socket(ssl.SSLSocket):
    """A socket that judges the broker's dates right after the handshake."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        if isinstance(self.context, Context):
            self.context.judge(self.getpeercert() or {})


class Context(ssl.SSLContext):
    """A TLS context; floor_ms: UTC it is at least, or None: the wall clock is good."""

    floor_ms: int | None = None
    sslsocket_class = _Socket

    def judge(self, certificate: Any) -> None:
        """Raise SSLCertVerificationError if a certificate, or the authority, had expired
        before the floor; what is not valid yet cannot be told without a clock."""
        if self.floor_ms is None:
            return
        for one in (certificate, *self.get_ca_certs()):
            end = one.get("notAfter")
            if end is None or date_ms(end) < self.floor_ms:
                raise ssl.SSLCertVerificationError(
                    f"{VERIFY_FAILED}: certificate expired {end}, before the last known time")


def date_ms(text: str) -> int:
    """Return a certificate's date, as OpenSSL prints it ("Jan  5 09:34:43 2028 GMT"), as UTC ms.

    ssl.cert_time_to_seconds says the same, but loads a quarter of a MiB to do so.
    """
    month, day, time, year, _ = text.split()
    hour, minute, second = map(int, time.split(":"))
    date = datetime(int(year), MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC)
    return int(date.timestamp()) * 1000


def tls_context(settings: UplinkSettings, floor_ms: int | None = None) -> Context:
    """Return the context of mutual TLS 1.2 or newer; raises ConfigError naming the files.

    floor_ms: see Context.
    """
    context = Context(ssl.PROTOCOL_TLS_CLIENT)      # checks certificate and name
    try:
        context.load_verify_locations(cafile=str(settings.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS_12)
        context.load_cert_chain(str(settings.certificate), str(settings.key))
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"uplink: {settings.ca}, {settings.certificate} and {settings.key} are "
                          f"not a CA, a certificate and its key ({error}); next: python -m "
                          "provisioning init, or copy them again") from error
    context.floor_ms = floor_ms
    if floor_ms is not None:
        context.verify_flags |= NO_CHECK_TIME
    return context


def translate(error: BaseException) -> UplinkError:
    """Return a foreign error as Offline (wait) or Rejected (a person must look)."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, UplinkError):
        return error
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError) or VERIFY_FAILED in str(error):
        return Rejected(f"the broker's certificate is not trusted ({cause}); next: "
                        "check [uplink] ca and host, and this machine's clock")
    if "ALERT" in str(cause) and "SSL" in str(cause):       # aiomqtt keeps only the text
        return Rejected(f"the broker refused our certificate ({cause}); next: check that "
                        "it is signed by the broker's CA and not expired")
    if isinstance(error, MqttConnectError) and _code(error.rc) in REFUSED_CODES:
        return Rejected(f"the broker refused the connection ({error}); next: check that the "
                        "certificate's name is the cabinet and that it may use its topics")
    return Offline(f"{cause}" or type(cause).__name__)


def check_granted(granted: Iterable[Any], topic: str) -> None:
    """Raise Rejected if the broker did not grant a subscription."""
    if any(_code(code) >= SUBSCRIPTION_REFUSED for code in granted):
        raise Rejected(f"the broker does not let us listen to {topic}; next: check its access "
                       "list and that the certificate's name is the cabinet")


def _code(code: Any) -> int:
    return code.value if isinstance(code, ReasonCode) else int(code or 0)


FOREIGN = (aiomqtt.MqttError, OSError, ConfigError, UplinkError)
