"""Hand-over: the old key of a cabinet names the new one, when a board is replaced.

A COSE_Sign1 made with the old evidence key over the payload below.  It closes the old
journal: from then on the new key signs, in a new journal, and both are of one cabinet.  Without
it a new journal is an unexplained reset.
"""


from gateway.core.codec.cbor import decode, encode
from gateway.core.codec.cose import KEY_BYTES, open_sign1, sign1
from gateway.core.errors import FormatError
from gateway.core.evidence.receipt import JOURNAL_ID_BYTES, check_bytes, check_int, check_text
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.core.codec.cose import Sign1
    from gateway.core.types import Sign

VERSION = 1
MARK = "handover"
STATEMENT_BYTES_MAX = 1024
WHY_CHARS_MAX = 200

# cabinet: text.  old_journal: 16 bytes, closed by this.  new_public: 32 raw Ed25519 bytes.
# new_journal: 16 bytes, or None while the new board has not made one.  utc_ms: when, as the
# signer knew it.  why: text for people.
Handover = NamedTuple("Handover", [
    ("cabinet", str), ("old_journal", bytes), ("new_public", bytes),
    ("new_journal", "bytes | None"),
    ("utc_ms", int), ("why", str)])


def encode_payload(statement: Handover) -> bytes:
    """Return the payload bytes that are signed: CBOR [1, "handover", cabinet, ...]."""
    return encode([VERSION, MARK] + list(statement))


def decode_payload(data: bytes) -> Handover:
    """Return the Handover that payload bytes hold; raises FormatError."""
    parts = decode(data, 1)
    if not isinstance(parts, list) or len(parts) != 8 or parts[1] != MARK:
        raise FormatError("handover: not a hand-over statement")
    if parts[0] != VERSION or parts[0] is True:
        raise FormatError("handover: not of version %d" % VERSION)
    statement = Handover(*parts[2:])
    check_text("handover: device", statement.cabinet)
    check_bytes("handover: old journal", statement.old_journal, JOURNAL_ID_BYTES)
    check_bytes("handover: new key", statement.new_public, KEY_BYTES)
    if statement.new_journal is not None:
        check_bytes("handover: new journal", statement.new_journal, JOURNAL_ID_BYTES)
    check_int("handover: time", statement.utc_ms)
    check_text("handover: why", statement.why, WHY_CHARS_MAX)
    return statement


def seal(statement: Handover, kid: bytes, sign: "Sign") -> bytes:
    """Return the signed statement; kid and sign are the old key's."""
    return sign1(kid, encode_payload(statement), sign)


def open_sealed(data: bytes) -> "tuple[Sign1, Handover]":
    """Return (Sign1, Handover), the signature NOT checked.  Raises FormatError."""
    if len(data) > STATEMENT_BYTES_MAX:
        raise FormatError("handover: %d bytes, at most %d" % (len(data), STATEMENT_BYTES_MAX))
    message = open_sign1(data)
    return message, decode_payload(message.payload)
