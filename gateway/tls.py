"""The door to TLS: the context of mutual TLS, before and after the time is known.

A gateway whose wall clock says 1970 or 2099 cannot judge "not valid yet"; it can judge "expired
before the last time I knew".  So without a clock OpenSSL leaves the dates to us, and we compare
the ends of validity with that floor; names, signatures and the site's own authority are checked
as ever.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from gateway.core.errors import ConfigError

CIPHERS_12 = "ECDHE+AESGCM:ECDHE+CHACHA20"      # of TLS 1.2: authenticated ones only
NO_CHECK_TIME = 0x200000                        # OpenSSL: X509_V_FLAG_NO_CHECK_TIME
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
VERIFY_FAILED = "CERTIFICATE_VERIFY_FAILED"


class TlsFiles(Protocol):
    """The PEM files of one end: the authority it trusts, its certificate and its key."""

    @property
    def ca(self) -> Path:
        """The authority's certificate."""

    @property
    def certificate(self) -> Path:
        """This end's certificate."""

    @property
    def key(self) -> Path:
        """This end's private key."""


class _Socket(ssl.SSLSocket):
    """A socket that judges the broker's dates right after the handshake, and keeps its alert.

    With TLS 1.3 a client that is refused learns so from its first read; paho logs that, and
    reports a lost connection only.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as error:
            if isinstance(self.context, TlsContext) and "ALERT" in str(error):
                self.context.alert = str(error)
            raise

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        if isinstance(self.context, TlsContext):
            self.context.judge(self.getpeercert() or {})


class TlsContext(ssl.SSLContext):
    """A TLS context; floor_ms: UTC it is at least, or None: the wall clock is good.  alert: what
    the other end said when it ended a connection, empty if nothing."""

    floor_ms: int | None = None
    alert: str = ""
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


def tls_context(files: TlsFiles, floor_ms: int | None = None) -> TlsContext:
    """Return the context of mutual TLS 1.2 or newer; raises ConfigError naming the files.

    floor_ms: see TlsContext.
    """
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)      # checks certificate and name
    try:
        context.load_verify_locations(cafile=str(files.ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS_12)
        context.load_cert_chain(str(files.certificate), str(files.key))
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"uplink: {files.ca}, {files.certificate} and {files.key} are "
                          f"not a CA, a certificate and its key ({error}); next: python -m "
                          "provisioning install, or copy them again") from error
    context.floor_ms = floor_ms
    if floor_ms is not None:
        context.verify_flags |= NO_CHECK_TIME
    return context
