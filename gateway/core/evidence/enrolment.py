"""Request and answer: how a cabinet joins a fleet without a private key leaving its machine.

A request is signed with the cabinet's own evidence key and carries a certificate request
(PKCS#10) that is signed with its own TLS key.  The answer is signed with the fleet's receipt key
and carries the certificate, the authority and what the cabinet needs to believe receipts.  A
first answer brings the key it is signed with: a person compares its fingerprint.
"""


from gateway.core.codec.cbor import decode, encode
from gateway.core.codec.cose import KEY_BYTES, open_sign1, sign1
from gateway.core.errors import FormatError
from gateway.core.evidence.batch import HASH_BYTES
from gateway.core.evidence.receipt import check_bytes, check_int, check_text
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from gateway.core.codec.cose import Sign1
    from gateway.core.types import Sign

VERSION = 1
REQUEST_MARK, ANSWER_MARK = "request", "answer"
REQUEST_BYTES_MAX = 4096
ANSWER_BYTES_MAX = 8192
DER_BYTES_MAX = 2048        # of one certificate or request with a P-256 key: about 500
REQUEST_PARTS, ANSWER_PARTS = 7, 8     # after version and mark
HOST_CHARS_MAX = 253        # RFC 1035 2.3.4
NAME_CHARS_MAX = 80

# cabinet, site: ids.  name: for people.  timezone: IANA.  csr: DER of PKCS#10, CN = cabinet.
# public: 32 raw Ed25519 bytes of the evidence key.  utc_ms: when, as the cabinet knew it.
Request = NamedTuple("Request", [
    ("cabinet", str), ("site", str), ("name", str), ("timezone", str), ("csr", bytes),
    ("public", bytes), ("utc_ms", int)])

# request_hash: SHA-256 of the request's bytes.  certificate, authority: DER.  receipt_public: 32
# raw Ed25519 bytes of the fleet's receipt key, which signs this.  host, port: of the broker.
Answer = NamedTuple("Answer", [
    ("cabinet", str), ("request_hash", bytes), ("certificate", bytes), ("authority", bytes),
    ("receipt_public", bytes), ("host", str), ("port", int), ("utc_ms", int)])


def encode_request(request: Request) -> bytes:
    """Return the payload bytes that are signed: CBOR [1, "request", cabinet, ...]."""
    return encode([VERSION, REQUEST_MARK] + list(request))


def decode_request(data: bytes) -> Request:
    """Return the Request that payload bytes hold; raises FormatError."""
    request = Request(*_parts(data, REQUEST_MARK, REQUEST_PARTS))
    check_text("request: cabinet", request.cabinet)
    check_text("request: site", request.site)
    check_text("request: name", request.name, NAME_CHARS_MAX)
    check_text("request: time zone", request.timezone, NAME_CHARS_MAX)
    _check_der("request: certificate request", request.csr)
    check_bytes("request: evidence key", request.public, KEY_BYTES)
    check_int("request: time", request.utc_ms)
    return request


def encode_answer(answer: Answer) -> bytes:
    """Return the payload bytes that are signed: CBOR [1, "answer", cabinet, ...]."""
    return encode([VERSION, ANSWER_MARK] + list(answer))


def decode_answer(data: bytes) -> Answer:
    """Return the Answer that payload bytes hold; raises FormatError."""
    answer = Answer(*_parts(data, ANSWER_MARK, ANSWER_PARTS))
    check_text("answer: cabinet", answer.cabinet)
    check_bytes("answer: hash of the request", answer.request_hash, HASH_BYTES)
    _check_der("answer: certificate", answer.certificate)
    _check_der("answer: authority", answer.authority)
    check_bytes("answer: receipt key", answer.receipt_public, KEY_BYTES)
    check_text("answer: host", answer.host, HOST_CHARS_MAX)
    check_int("answer: port", answer.port, 1, 65535)
    check_int("answer: time", answer.utc_ms)
    return answer


def seal_request(request: Request, kid: bytes, sign: "Sign") -> bytes:
    """Return the signed request; kid and sign are those of the key in it."""
    return sign1(kid, encode_request(request), sign)


def open_request(data: bytes) -> "tuple[Sign1, Request]":
    """Return (Sign1, Request), the signature NOT checked.  Raises FormatError."""
    message = _open("request", data, REQUEST_BYTES_MAX)
    return message, decode_request(message.payload)


def seal_answer(answer: Answer, kid: bytes, sign: "Sign") -> bytes:
    """Return the signed answer; kid and sign are those of the fleet's receipt key."""
    return sign1(kid, encode_answer(answer), sign)


def open_answer(data: bytes) -> "tuple[Sign1, Answer]":
    """Return (Sign1, Answer), the signature NOT checked.  Raises FormatError."""
    message = _open("answer", data, ANSWER_BYTES_MAX)
    return message, decode_answer(message.payload)


def _open(name: str, data: bytes, limit: int) -> "Sign1":
    if len(data) > limit:
        raise FormatError("%s: %d bytes, at most %d" % (name, len(data), limit))
    return open_sign1(data)


def _parts(data: bytes, mark: str, count: int) -> "list[Any]":
    """Return the parts after version and mark; raises FormatError."""
    parts = decode(data, 1)
    if not isinstance(parts, list) or len(parts) != count + 2 or parts[1] != mark:
        raise FormatError("%s: not such a message" % mark)
    if parts[0] != VERSION or parts[0] is True:
        raise FormatError("%s: not of version %d" % (mark, VERSION))
    return parts[2:]


def _check_der(name: str, value: object) -> None:
    if not isinstance(value, bytes) or not 0 < len(value) <= DER_BYTES_MAX:
        raise FormatError("%s must be 1..%d bytes" % (name, DER_BYTES_MAX))
