"""COSE_Sign1: a payload with the signature of a device or of the fleet.

RFC 9052 section 4.2 and 4.4, algorithm Ed25519 (-19, RFC 9864: fully specified).  One
shape only, so that one signed content has one byte string:

    18([ h'{1: -19, 4: kid}', {}, payload, signature(64) ])

No signature is made or checked here: the signer is passed in, the verifier takes
`Sign1.signed`.  That keeps the file portable and the keys behind their own door.
"""


from gateway.core.codec.cbor import Tag, decode, encode
from gateway.core.errors import Bug, FormatError
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.core.types import Sign

ALG_ED25519 = -19
TAG_SIGN1 = 18
HEADER_ALG, HEADER_KID = 1, 4
KID_BYTES = 8                # of our key ids: the first bytes of SHA-256 of the raw public key
KID_BYTES_MAX = 32
KEY_BYTES = 32              # a raw Ed25519 public key, RFC 8032 5.1.5
SIGNATURE_BYTES = 64        # RFC 8032 5.1.6

# An opened message.  kid, protected, payload, signature: bytes.  signed: the bytes that the
# signature covers; nothing of the message may be believed before it has been verified.
Sign1 = NamedTuple("Sign1", [
    ("kid", bytes), ("protected", bytes), ("payload", bytes), ("signature", bytes),
    ("signed", bytes)])


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Return the Sig_structure bytes for an encoded protected header and a payload."""
    return encode(["Signature1", protected, b"", payload])


def protected_header(kid: bytes) -> bytes:
    """Return the encoded protected header for a key id of 1..32 bytes."""
    if not 0 < len(kid) <= KID_BYTES_MAX:
        raise Bug("cose: a kid has 1..%d bytes, not %d" % (KID_BYTES_MAX, len(kid)))
    return encode({HEADER_ALG: ALG_ED25519, HEADER_KID: kid})


def sign1(kid: bytes, payload: bytes, sign: "Sign") -> bytes:
    """Return the tagged COSE_Sign1 of payload bytes.

    sign: callable from the bytes to be signed to the 64 bytes of the signature.
    """
    protected = protected_header(kid)
    signature = sign(to_be_signed(protected, payload))
    if len(signature) != SIGNATURE_BYTES:
        raise Bug("cose: the signer returned %d bytes" % len(signature))
    return encode(Tag(TAG_SIGN1, [protected, {}, payload, signature]))


def open_sign1(data: bytes) -> Sign1:
    """Return the Sign1 that bytes hold, its signature NOT checked.

    Raises FormatError unless the bytes have exactly the shape that sign1 writes.
    """
    tag = decode(data, 3)
    if not isinstance(tag, Tag) or tag.number != TAG_SIGN1:
        raise FormatError("cose: not a COSE_Sign1 (tag 18)")
    parts = tag.value
    if not isinstance(parts, list) or len(parts) != 4:
        raise FormatError("cose: a COSE_Sign1 has four parts")
    protected, unprotected, payload, signature = parts
    if unprotected != {} or not isinstance(unprotected, dict):
        raise FormatError("cose: the unprotected header must be an empty map")
    if not isinstance(payload, bytes):
        raise FormatError("cose: the payload must be attached bytes")
    if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise FormatError("cose: an Ed25519 signature has 64 bytes")
    return Sign1(_kid(protected), protected, payload, signature,
                 to_be_signed(protected, payload))


def _kid(protected: object) -> bytes:
    if not isinstance(protected, bytes):
        raise FormatError("cose: the protected header must be bytes")
    header = decode(protected, 1)
    if not isinstance(header, dict) or len(header) != 2:
        raise FormatError("cose: the protected header must be {1: -19, 4: kid}")
    kid = header.get(HEADER_KID)
    if header.get(HEADER_ALG) != ALG_ED25519:
        raise FormatError("cose: the algorithm must be Ed25519 (-19)")
    if not isinstance(kid, bytes) or not 0 < len(kid) <= KID_BYTES_MAX:
        raise FormatError("cose: the kid must be 1..%d bytes" % KID_BYTES_MAX)
    return kid
