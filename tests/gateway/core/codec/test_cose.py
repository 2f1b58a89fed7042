"""COSE_Sign1 bytes against files made by other software; both interpreters."""

from gateway.core.codec.cbor import Tag, decode, encode
from gateway.core.codec.cose import open_sign1, protected_header, sign1, to_be_signed
from gateway.core.errors import Bug, FormatError


def golden():
    """Return {name: bytes} of tests/golden/core/envelopes.txt."""
    path = "/".join(__file__.replace("\\", "/").split("/")[:-4]) or "tests"
    found = {}
    with open(path + "/golden/core/envelopes.txt") as lines:
        for line in lines:
            if not line.startswith("#"):
                name, text = line.split()
                found[name] = bytes.fromhex(text)
    return found


class Signer:
    """Gives a fixed signature and remembers what it was asked to sign."""

    def __init__(self, signature):
        self.signature = signature
        self.asked = []

    def __call__(self, data):
        self.asked.append(data)
        return self.signature


def test_signing_gives_the_bytes_other_software_made():
    known = golden()
    for name, payload in (("sign1_empty", b""), ("sign1_hello", b"wattproof")):
        signer = Signer(known[name][-64:])
        assert sign1(known["kid"], payload, signer) == known[name]
        assert signer.asked == [to_be_signed(known["protected"], payload)]


def test_the_protected_header_is_the_known_one():
    known = golden()
    assert protected_header(known["kid"]) == known["protected"]


def test_opening_gives_back_the_parts_and_the_bytes_to_verify():
    known = golden()
    message = open_sign1(known["sign1_hello"])
    assert message.kid == known["kid"]
    assert message.payload == b"wattproof"
    assert message.signature == known["sign1_hello"][-64:]
    # RFC 9052 4.4: array(4), "Signature1", protected, empty aad, payload
    assert message.signed == (b"\x84\x6aSignature1" + b"\x4d" + known["protected"]
                              + b"\x40" + b"\x49wattproof")


def variants(good):
    protected, unprotected, payload, signature = decode(good).value
    header = decode(protected)
    yield encode(Tag(17, [protected, unprotected, payload, signature]))
    yield encode([protected, unprotected, payload, signature])
    yield encode(Tag(18, [protected, unprotected, payload]))
    yield encode(Tag(18, [protected, {4: b"x"}, payload, signature]))
    yield encode(Tag(18, [protected, [], payload, signature]))
    yield encode(Tag(18, [protected, unprotected, None, signature]))
    yield encode(Tag(18, [protected, unprotected, "text", signature]))
    yield encode(Tag(18, [protected, unprotected, payload, signature[:63]]))
    yield encode(Tag(18, [header, unprotected, payload, signature]))
    for bad in ({1: -8, 4: b"k"}, {1: -19}, {4: b"k"}, {1: -19, 4: b""}, {1: -19, 4: "k"},
                {1: -19, 4: b"k" * 33}, {1: -19, 4: b"k", 5: 0}, {1: -19, 5: b"k"}, [], {}):
        yield encode(Tag(18, [encode(bad), unprotected, payload, signature]))
    yield good + b"\x00"
    yield good[:-1]
    yield b""


def test_every_other_shape_is_refused():
    count = 0
    for data in variants(golden()["sign1_hello"]):
        count += 1
        try:
            open_sign1(data)
        except FormatError:
            continue
        raise AssertionError(data)
    assert count == 22


def test_a_signer_that_returns_no_signature_is_a_bug():
    for kid, signature in ((b"k", b"short"), (b"", bytes(64)), (b"k" * 33, bytes(64))):
        try:
            sign1(kid, b"", Signer(signature))
        except Bug:
            continue
        raise AssertionError(kid)
