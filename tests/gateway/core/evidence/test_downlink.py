"""Downlink messages: read back as written, and obeyed by one cabinet, once, in time."""

from gateway.core.codec import cbor, cose
from gateway.core.errors import FormatError
from gateway.core.evidence import downlink

PARTS = ("shop-1", 7, 1780272000000, 1780272900000, downlink.RENEW, b"der")


def sign(data):
    return bytes(64)


def sealed(parts, version=1, mark="downlink"):
    return cose.sign1(b"k" * 8, cbor.encode([version, mark] + list(parts)), sign)


def refused(data):
    try:
        downlink.open_sealed(data)
    except FormatError:
        return True
    return False


def test_a_message_is_read_back_as_it_was_written():
    made = downlink.Downlink(*PARTS)
    message, read = downlink.open_sealed(downlink.seal(made, b"k" * 8, sign))
    assert read == made
    assert message.kid == b"k" * 8


def test_other_marks_versions_and_counts_are_refused():
    assert not refused(sealed(PARTS))
    for version in (0, 2, True):
        assert refused(sealed(PARTS, version))
    assert refused(sealed(PARTS, 1, "handover"))
    assert refused(sealed(PARTS[:-1])) and refused(sealed(PARTS + (1,)))


def test_each_part_has_its_type_and_its_bounds():
    for position, values in enumerate((
            ("", "x" * 41, 1), (0, -1, True, "7", 1 << 60), (-1, True, None), (-1, True, None),
            ("", "x" * 21, b"renew"), ("der", None, 5))):
        for value in values:
            parts = list(PARTS)
            parts[position] = value
            assert refused(sealed(parts)), (position, value)


def test_larger_bytes_than_a_message_can_have_are_refused_unread():
    assert refused(bytes(downlink.DOWNLINK_BYTES_MAX + 1))
    assert not refused(sealed(PARTS[:-1] + (bytes(60000),)))


def test_it_is_obeyed_by_one_cabinet_once_and_before_it_expires():
    made = downlink.Downlink(*PARTS)
    assert downlink.refusal(made, "shop-1", 6, 1780272000000) == ""
    assert "it is for shop-1" in downlink.refusal(made, "shop-2", 6, 1780272000000)
    assert "not above 7" in downlink.refusal(made, "shop-1", 7, 1780272000000)
    assert "not above 8" in downlink.refusal(made, "shop-1", 8, 1780272000000)
    assert downlink.refusal(made, "shop-1", 6, 1780272899999) == ""
    assert "it expired" in downlink.refusal(made, "shop-1", 6, 1780272900000)
