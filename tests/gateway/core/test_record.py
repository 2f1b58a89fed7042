"""Records and event bodies; both interpreters."""

from gateway.core.codec.record import (
    BODY_BYTES_MAX,
    EVENT_NAMES,
    EventRecord,
    ScanRecord,
    encode_body,
    is_event,
)
from gateway.core.errors import Bug


def test_event_kinds_have_the_numbers_that_stand_in_signed_batches():
    assert sorted(EVENT_NAMES) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert EVENT_NAMES[1] == "boot" and EVENT_NAMES[2] == "gap" and EVENT_NAMES[8] == "coarsened"


def test_a_record_is_a_scan_or_an_event():
    assert is_event(EventRecord(1, 0, 9, ["update"]))
    assert not is_event(ScanRecord(1, 0, 0, (1, 2)))


def test_a_body_is_a_list_of_plain_values():
    assert encode_body(["power", "0.1.0", 1, 0]) == b"\x84\x65power\x650.1.0\x01\x00"
    for body in ({"why": 1}, "text", [b"x" * BODY_BYTES_MAX]):
        try:
            encode_body(body)
        except Bug:
            continue
        raise AssertionError(body)


def test_a_body_of_exactly_the_limit_is_taken():
    assert len(encode_body([b"x" * (BODY_BYTES_MAX - 4)])) == BODY_BYTES_MAX
