"""Hand-over statements: read back as written, and nothing else is one."""

from gateway.core.codec import cbor, cose
from gateway.core.errors import FormatError
from gateway.core.evidence import handover

PARTS = {"device": "shop-1", "old_journal": bytes(16), "new_public": b"\x05" * 32,
         "new_journal": None, "utc_ms": 1780272000000, "why": "board broke"}


def statement(**changes):
    parts = dict(PARTS)
    parts.update(changes)
    return handover.Handover(*[parts[name] for name in (
        "device", "old_journal", "new_public", "new_journal", "utc_ms", "why")])


def sign(data):
    return bytes(64)


def refused(data):
    try:
        handover.open_sealed(data)
    except FormatError:
        return True
    return False


def test_a_statement_is_read_back_as_it_was_written():
    for made in (statement(), statement(new_journal=b"\x09" * 16)):
        message, found = handover.open_sealed(handover.seal(made, b"\x01" * 8, sign))
        assert found == made
        assert message.kid == b"\x01" * 8


def test_the_payload_is_the_array_that_the_format_names():
    assert cbor.decode(handover.encode_payload(statement())) == [
        1, "handover", "shop-1", bytes(16), b"\x05" * 32, None, 1780272000000, "board broke"]


def test_what_is_no_statement_is_refused():
    for changes in ({"device": ""}, {"device": 7}, {"old_journal": bytes(15)},
                    {"new_public": bytes(31)}, {"new_journal": b""}, {"utc_ms": -1},
                    {"utc_ms": True}, {"why": "x" * 201}):
        assert refused(handover.seal(statement(**changes), b"\x01", sign)), changes
    whole = handover.encode_payload(statement())
    for payload in (whole[:-1], whole + b"\x00", cbor.encode([1, "handover"]),
                    cbor.encode([2] + cbor.decode(whole)[1:]), cbor.encode({}),
                    cbor.encode([1, "receipt"] + cbor.decode(whole)[2:])):
        assert refused(cose.sign1(b"\x01", payload, sign))
    assert refused(bytes(2000))
