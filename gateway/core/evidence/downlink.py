"""Downlink: what a fleet tells one cabinet, signed like a receipt and obeyed at most once.

Everything that a fleet changes in a cabinet comes this way: renewed certificates, later factor
sets and configuration.  Receipts do not: they change nothing but the cursor.
"""


from gateway.core.codec.cbor import decode, encode
from gateway.core.codec.cose import open_sign1, sign1
from gateway.core.errors import FormatError
from gateway.core.evidence.receipt import check_int, check_text
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.core.codec.cose import Sign1
    from gateway.core.types import Sign

VERSION = 1
MARK = "downlink"
DOWNLINK_BYTES_MAX = 65_536     # a factor set or a configuration has some 10 KiB
ACTION_CHARS_MAX = 20

RENEW = "renew"                 # body: DER of the cabinet's new certificate, for the same key
AUTHORITY = "authority"         # body: DER of the authority's new certificate, for its same key
RECEIPT_KEY = "receipt-key"     # body: the fleet's next receipt key, 32 bytes (docs/formats.md)

# Outcomes, as the event says them (record.DOWNLINK).
DONE = "done"
UNKNOWN = "unknown"             # an action that this software does not have
FAILED = "failed"               # refused by what it would have changed

# Why a message is refused: the first word of the alarm.
UNREADABLE = "unreadable"       # not a downlink message
FORGED = "forged"               # not signed by the fleet
FOREIGN = "foreign"             # for another cabinet
OLD = "old"                     # not above the last number: replayed, or out of order
EXPIRED = "expired"

# cabinet: the only one that may obey.  number: rises; one that is not above the last obeyed is
# refused.  issued_utc_ms: information.  expires_utc_ms: refused from then on.  action: one of
# those above.  body: bytes, as the action says.
Downlink = NamedTuple("Downlink", [
    ("cabinet", str), ("number", int), ("issued_utc_ms", int), ("expires_utc_ms", int),
    ("action", str), ("body", bytes)])


def encode_payload(downlink: Downlink) -> bytes:
    """Return the payload bytes that are signed: CBOR [1, "downlink", cabinet, ...]."""
    return encode([VERSION, MARK] + list(downlink))


def decode_payload(data: bytes) -> Downlink:
    """Return the Downlink that payload bytes hold; raises FormatError."""
    parts = decode(data, 1)
    if not isinstance(parts, list) or len(parts) != 8 or parts[1] != MARK:
        raise FormatError("downlink: not a downlink message")
    if parts[0] != VERSION or parts[0] is True:
        raise FormatError("downlink: not of version %d" % VERSION)
    downlink = Downlink(*parts[2:])
    check_text("downlink: cabinet", downlink.cabinet)
    check_int("downlink: number", downlink.number, 1)
    check_int("downlink: issued", downlink.issued_utc_ms)
    check_int("downlink: expires", downlink.expires_utc_ms)
    check_text("downlink: action", downlink.action, ACTION_CHARS_MAX)
    if not isinstance(downlink.body, bytes):
        raise FormatError("downlink: body must be bytes")
    return downlink


def seal(downlink: Downlink, kid: bytes, sign: "Sign") -> bytes:
    """Return the signed message; kid and sign are those of the fleet's receipt key."""
    return sign1(kid, encode_payload(downlink), sign)


def open_sealed(data: bytes) -> "tuple[Sign1, Downlink]":
    """Return (Sign1, Downlink), the signature NOT checked.  Raises FormatError."""
    if len(data) > DOWNLINK_BYTES_MAX:
        raise FormatError("downlink: %d bytes, at most %d" % (len(data), DOWNLINK_BYTES_MAX))
    message = open_sign1(data)
    return message, decode_payload(message.payload)


def refusal(downlink: Downlink, cabinet: str, floor: int, utc_ms: int) -> str:
    """Return why a cabinet does not obey a message whose signature holds, one of the words
    above first; empty if it does.

    floor: number of the last message obeyed, 0 for none.  utc_ms: it is at least so late.
    """
    if downlink.cabinet != cabinet:
        return "%s: it is for %s, this is %s" % (FOREIGN, downlink.cabinet, cabinet)
    if downlink.number <= floor:
        return "%s: its number %d is not above %d" % (OLD, downlink.number, floor)
    if downlink.expires_utc_ms <= utc_ms:
        return "%s: it expired at %d ms, it is %d ms" % (
            EXPIRED, downlink.expires_utc_ms, utc_ms)
    return ""
