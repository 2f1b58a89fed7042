"""Receipts: the fleet's signed word "stored up to here", the only data that comes back.

A receipt moves the gateway's cursor; nothing else does.  It is a COSE_Sign1 made with the
fleet's receipt key over the payload below.
"""


from gateway.core.codec.cbor import decode, encode
from gateway.core.codec.cose import open_sign1, sign1
from gateway.core.codec.record import SEQ_MAX
from gateway.core.errors import FormatError
from gateway.core.evidence.chain import CHAIN_HASH_BYTES
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.core.codec.cose import Sign1
    from gateway.core.types import Sign

VERSION = 1
RECEIPT_BYTES_MAX = 1024    # a receipt has about 200; anything larger is not one
JOURNAL_ID_BYTES = 16
DEVICE_CHARS_MAX = 40

# cabinet: text.  journal_id: 16 bytes.  epoch: counts restorations of the fleet's store.
# low_water: highest sequence up to which every record is stored (0 = none).  chain: chain hash of
# the batch that ends there (or the chain's start).  issued_utc_ms: information only.
Receipt = NamedTuple("Receipt", [
    ("cabinet", str), ("journal_id", bytes), ("epoch", int), ("low_water", int), ("chain", bytes),
    ("issued_utc_ms", int)])


def encode_payload(receipt: Receipt) -> bytes:
    """Return the payload bytes that are signed: CBOR [1, cabinet, journal_id, ...]."""
    return encode([VERSION, receipt.cabinet, receipt.journal_id, receipt.epoch,
                   receipt.low_water, receipt.chain, receipt.issued_utc_ms])


def decode_payload(data: bytes) -> Receipt:
    """Return the Receipt that payload bytes hold; raises FormatError."""
    if len(data) > RECEIPT_BYTES_MAX:
        raise FormatError("receipt: %d bytes, at most %d" % (len(data), RECEIPT_BYTES_MAX))
    parts = decode(data, 1)
    if not isinstance(parts, list) or not parts or parts[0] != VERSION or parts[0] is True:
        raise FormatError("receipt: not a receipt of version %d" % VERSION)
    if len(parts) != 7:
        raise FormatError("receipt: 7 parts expected, not %d" % len(parts))
    receipt = Receipt(*parts[1:])
    check_text("receipt: device", receipt.cabinet)
    check_bytes("receipt: journal id", receipt.journal_id, JOURNAL_ID_BYTES)
    check_bytes("receipt: chain", receipt.chain, CHAIN_HASH_BYTES)
    for name, value in (("epoch", receipt.epoch), ("low water", receipt.low_water),
                        ("issued", receipt.issued_utc_ms)):
        check_int("receipt: " + name, value)
    return receipt


def seal(receipt: Receipt, kid: bytes, sign: "Sign") -> bytes:
    """Return the signed receipt; sign: callable from bytes to a 64-byte signature."""
    return sign1(kid, encode_payload(receipt), sign)


def open_sealed(data: bytes) -> "tuple[Sign1, Receipt]":
    """Return (Sign1, Receipt) of a signed receipt, its signature NOT checked.

    Raises FormatError; the caller verifies `Sign1.signed` before it believes anything.
    """
    if len(data) > RECEIPT_BYTES_MAX:
        raise FormatError("receipt: %d bytes, at most %d" % (len(data), RECEIPT_BYTES_MAX))
    message = open_sign1(data)
    return message, decode_payload(message.payload)


def check_int(name: str, value: object, low: int = 0, high: int = SEQ_MAX) -> None:
    """Raise FormatError unless value is a whole number low .. high (no bool)."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FormatError("%s must be a whole number %d..%d" % (name, low, high))


def check_bytes(name: str, value: object, length: int) -> None:
    """Raise FormatError unless value is bytes of exactly this length."""
    if not isinstance(value, bytes) or len(value) != length:
        raise FormatError("%s must be %d bytes" % (name, length))


def check_text(name: str, value: object, chars_max: int = DEVICE_CHARS_MAX) -> None:
    """Raise FormatError unless value is text of 1 .. chars_max characters."""
    if not isinstance(value, str) or not 0 < len(value) <= chars_max:
        raise FormatError("%s must be text of 1..%d characters" % (name, chars_max))
