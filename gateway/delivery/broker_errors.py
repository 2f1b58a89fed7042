"""Errors of the broker and of TLS, translated into what the uplink does about them."""

import ssl
from collections.abc import Iterable

from gateway.core.errors import ConfigError, Offline, Rejected, UplinkError
from gateway.delivery.mqtt import MqttConnectError, ReasonCode, aiomqtt
from gateway.tls import VERIFY_FAILED

REFUSED_CODES = (2, 4, 5, 132, 133, 134, 135, 138, 140)  # MQTT 3.1.1 3.2.2.3, MQTT 5 3.2.2.2
SUBSCRIPTION_REFUSED = 128                      # MQTT 3.1.1 3.9.3


def translate(error: BaseException, alert: str = "") -> UplinkError:
    """Return a foreign error as Offline (wait) or Rejected (a person must look).

    alert: what the broker's TLS said at the end of this connection.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, UplinkError):
        return error
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError) or VERIFY_FAILED in str(error):
        return Rejected(f"the broker's certificate is not trusted ({cause}); next: "
                        "check [uplink] ca and host, and this machine's clock")
    said = alert or str(cause)                              # aiomqtt keeps only the text
    if "ALERT" in said and "SSL" in said:
        return Rejected(f"the broker refused our certificate ({said}); next: check that "
                        "it is signed by the broker's CA, not expired and not revoked")
    if isinstance(error, MqttConnectError) and _code(error.rc) in REFUSED_CODES:
        return Rejected(f"the broker refused the connection ({error}); next: check that the "
                        "certificate's name is the cabinet and that it may use its topics")
    return Offline(f"{cause}" or type(cause).__name__)


def check_granted(granted: Iterable[ReasonCode | int | None], topic: str) -> None:
    """Raise Rejected if the broker did not grant a subscription."""
    if any(_code(code) >= SUBSCRIPTION_REFUSED for code in granted):
        raise Rejected(f"the broker does not let us listen to {topic}; next: check its access "
                       "list and that the certificate's name is the cabinet")


def _code(code: ReasonCode | int | None) -> int:
    number: int = code.value if isinstance(code, ReasonCode) else code or 0
    return number


FOREIGN = (aiomqtt.MqttError, OSError, ConfigError, UplinkError)
