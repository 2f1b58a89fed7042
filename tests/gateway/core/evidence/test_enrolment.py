"""Requests and answers: read back as written, and nothing else is one."""

from gateway.core.codec import cbor, cose
from gateway.core.errors import FormatError
from gateway.core.evidence import enrolment

REQUEST = ("shop-1", "shop", "Shop", "Europe/Berlin", b"\x30csr", b"\x05" * 32, 1780272000000)
ANSWER = ("shop-1", bytes(32), b"\x30leaf", b"\x30ca", b"\x06" * 32, "energy.example", 8883,
          1780272000000)


def sign(data):
    return bytes(64)


def refused(read, data):
    try:
        read(data)
    except FormatError:
        return True
    return False


def sealed(mark, parts, version=1):
    return cose.sign1(b"k" * 8, cbor.encode([version, mark] + list(parts)), sign)


def test_a_request_is_read_back_as_it_was_written():
    made = enrolment.Request(*REQUEST)
    message, read = enrolment.open_request(enrolment.seal_request(made, b"k" * 8, sign))
    assert read == made
    assert message.kid == b"k" * 8


def test_an_answer_is_read_back_as_it_was_written():
    made = enrolment.Answer(*ANSWER)
    message, read = enrolment.open_answer(enrolment.seal_answer(made, b"k" * 8, sign))
    assert read == made
    assert message.kid == b"k" * 8


def test_a_request_is_no_answer_and_other_versions_are_refused():
    assert not refused(enrolment.open_request, sealed("request", REQUEST))
    assert not refused(enrolment.open_answer, sealed("answer", ANSWER))
    assert refused(enrolment.open_answer, sealed("request", REQUEST))
    assert refused(enrolment.open_request, sealed("answer", ANSWER))
    assert refused(enrolment.open_request, sealed("answer", REQUEST))
    for version in (0, 2, True):
        assert refused(enrolment.open_request, sealed("request", REQUEST, version))


BAD_TEXT = ("", "x" * 254, 5, None, b"x")
BAD_DER = (b"", bytes(2049), "der", None)
BAD_32 = (b"", bytes(31), bytes(33), "x" * 32, None)
BAD_TIME = (-1, 1 << 60, True, "5", None)
BAD_REQUEST = (BAD_TEXT, BAD_TEXT, BAD_TEXT, BAD_TEXT, BAD_DER, BAD_32, BAD_TIME)
BAD_ANSWER = (BAD_TEXT, BAD_32, BAD_DER, BAD_DER, BAD_32, BAD_TEXT,
              (0, -1, 65536, True, "8883", None), BAD_TIME)


def test_each_part_has_its_type_and_its_bounds():
    for read, mark, good, bad in ((enrolment.open_request, "request", REQUEST, BAD_REQUEST),
                                  (enrolment.open_answer, "answer", ANSWER, BAD_ANSWER)):
        assert len(good) == len(bad)
        for position, values in enumerate(bad):
            for value in values:
                parts = list(good)
                parts[position] = value
                assert refused(read, sealed(mark, parts)), (mark, position, value)


def test_a_part_too_few_or_too_many_is_refused():
    assert refused(enrolment.open_request, sealed("request", REQUEST[:-1]))
    assert refused(enrolment.open_request, sealed("request", REQUEST + (1,)))
    assert refused(enrolment.open_answer, sealed("answer", ANSWER[:-1]))


def test_larger_bytes_than_either_can_have_are_refused_unread():
    assert refused(enrolment.open_request, bytes(enrolment.REQUEST_BYTES_MAX + 1))
    assert refused(enrolment.open_answer, bytes(enrolment.ANSWER_BYTES_MAX + 1))
    long = list(REQUEST)
    long[4] = bytes(enrolment.DER_BYTES_MAX + 1)
    assert refused(enrolment.open_request, sealed("request", long))
