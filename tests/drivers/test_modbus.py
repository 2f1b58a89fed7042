"""Modbus transactions: which bytes are the answer, and which never are."""

from drivers.modbus import RtuRead, TcpRead, TcpReads
from gateway.core.codec.crc import crc16_modbus
from gateway.core.errors import BadFrame, Bug, Refused


def rtu(unit, function, body):
    """Return an RTU frame; the CRC is checked against documents in the first test."""
    frame = bytes([unit, function]) + body
    return frame + crc16_modbus(frame).to_bytes(2, "little")


def tcp(tid, unit, pdu, protocol=0):
    """Return a Modbus TCP frame."""
    return (tid.to_bytes(2, "big") + protocol.to_bytes(2, "big")
            + (len(pdu) + 1).to_bytes(2, "big") + bytes([unit]) + pdu)


def error_of(question, data, kind):
    """Return the error that feeding data raises; fail if it is not of that kind."""
    try:
        question.feed(data)
    except kind as error:
        return error
    raise AssertionError("accepted or kept waiting: %r" % data)


def test_the_frames_of_the_xy_md02_page_are_asked_and_answered():
    question = RtuRead(1, 4, 1, 2)
    assert question.request == b"\x01\x04\x00\x01\x00\x02\x20\x0b"
    assert question.feed(b"\x01\x04\x04\x01\x31\x02\x22\x2a\xce")
    assert question.registers == b"\x01\x31\x02\x22"
    assert question.result == question.registers


def test_an_answer_in_single_bytes_is_the_same_answer():
    answer = rtu(1, 4, b"\x04\x01\x31\x02\x22")
    question = RtuRead(1, 4, 1, 2)
    assert [question.feed(answer[i:i + 1]) for i in range(len(answer))] == (
        [False] * (len(answer) - 1) + [True])


def test_a_late_answer_of_another_length_is_never_the_answer():
    for asked, late in ((4, 2), (1, 2), (2, 4), (76, 78), (78, 76)):
        question = RtuRead(1, 4, 200, asked)
        error_of(question, rtu(1, 4, bytes([2 * late]) + b"\x11" * 2 * late), BadFrame)
        assert question.result is None


def test_answers_of_another_unit_or_function_are_refused_at_once():
    good = b"\x04\x01\x31\x02\x22"
    error_of(RtuRead(1, 4, 1, 2), rtu(2, 4, good), BadFrame)
    error_of(RtuRead(1, 4, 1, 2), rtu(1, 3, good), BadFrame)


def test_the_right_length_with_a_wrong_byte_count_is_refused():
    error_of(RtuRead(1, 4, 1, 2), rtu(1, 4, b"\x03\x01\x31\x02\x22"), BadFrame)
    error_of(RtuRead(1, 4, 1, 2), rtu(1, 4, b"\x05\x01\x31\x02\x22"), BadFrame)


def test_a_flipped_bit_anywhere_is_never_accepted():
    answer = rtu(1, 4, b"\x04\x01\x31\x02\x22")
    for bit in range(8 * len(answer)):
        damaged = bytearray(answer)
        damaged[bit // 8] ^= 1 << bit % 8
        question = RtuRead(1, 4, 1, 2)
        try:
            assert not question.feed(bytes(damaged)), bit
        except BadFrame:
            pass
        assert question.result is None


def test_a_frame_cut_anywhere_is_not_an_answer():
    answer = rtu(1, 4, b"\x04\x01\x31\x02\x22")
    for size in range(len(answer)):
        question = RtuRead(1, 4, 1, 2)
        assert not question.feed(answer[:size])
        assert question.has_response == (size > 0)


def test_up_to_eight_stray_bytes_are_forgiven_and_more_are_not():
    answer = rtu(1, 4, b"\x04\x01\x31\x02\x22")
    for before, behind in ((b"\x00", b""), (b"\xff" * 8, b""), (b"", b"\x00" * 8)):
        assert RtuRead(1, 4, 1, 2).feed(before + answer + behind)
    error_of(RtuRead(1, 4, 1, 2), b"\xff" * 9 + answer, BadFrame)
    error_of(RtuRead(1, 4, 1, 2), answer + answer, BadFrame)


def test_exceptions_name_their_code():
    for code in (1, 2, 3, 4, 5, 6, 8, 10, 11, 0x45):
        assert error_of(RtuRead(1, 4, 1, 2), rtu(1, 0x84, bytes([code])), Refused).exception == code
        answer = tcp(7, 1, bytes([0x84, code]))
        assert error_of(TcpRead(1, 4, 1, 2, 7), answer, Refused).exception == code
    error_of(RtuRead(1, 4, 1, 2), rtu(1, 0x83, b"\x02"), BadFrame)
    error_of(RtuRead(1, 4, 1, 2), rtu(2, 0x84, b"\x02"), BadFrame)


def test_tcp_asks_with_a_header_and_takes_its_answer():
    question = TcpRead(17, 3, 0x6B, 3, 0x1501)
    assert question.request == b"\x15\x01\x00\x00\x00\x06\x11\x03\x00\x6b\x00\x03"
    assert question.feed(tcp(0x1501, 17, b"\x03\x06\xae\x41\x56\x52\x43\x40"))
    assert question.registers == b"\xae\x41\x56\x52\x43\x40"


def test_tcp_drops_other_transaction_ids_and_zero_and_takes_its_own():
    pdu = b"\x03\x04\x00\x01\x00\x02"
    question = TcpRead(1, 3, 0, 2, 9)
    assert not question.feed(tcp(8, 1, b"\x03\x04\x00\x07\x00\x07"))
    assert not question.feed(tcp(0, 1, pdu))
    assert question.result is None
    assert question.feed(tcp(9, 1, pdu) + b"\x00\x0a")
    assert question.rest == b"\x00\x0a"


def test_tcp_refuses_a_wrong_protocol_length_unit_or_byte_count():
    good = b"\x03\x04\x00\x01\x00\x02"
    error_of(TcpRead(1, 3, 0, 2, 9), tcp(9, 1, good, 1), BadFrame)
    error_of(TcpRead(1, 3, 0, 2, 9), b"\x00\x09\x00\x00\x00\x00\x01", BadFrame)
    error_of(TcpRead(1, 3, 0, 2, 9), b"\x00\x09\x00\x00\x01\x00\x01", BadFrame)
    error_of(TcpRead(1, 3, 0, 2, 9), tcp(9, 2, good), BadFrame)
    error_of(TcpRead(1, 3, 0, 4, 9), tcp(9, 1, b"\x03\x02\x00\x01"), BadFrame)


def test_transaction_ids_go_round_without_zero():
    reads, seen = TcpReads(), 0
    for turn in range(65537):
        tid = reads.read(1, 3, 0, 1).tid
        assert tid == turn % 65535 + 1
        seen += 1
    assert seen == 65537


def test_questions_that_cannot_be_asked_are_bugs():
    for unit, function, address, count in ((0, 3, 0, 1), (248, 3, 0, 1), (1, 6, 0, 1),
                                           (1, 3, 0, 0), (1, 3, 0, 126), (1, 3, 65535, 2)):
        try:
            RtuRead(unit, function, address, count)
        except Bug:
            continue
        raise AssertionError((unit, function, address, count))
