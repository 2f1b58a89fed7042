"""Several questions under way on one TCP connection: no answer ever finds the wrong question."""

from drivers.modbus import TcpReads
from gateway.core.errors import BadFrame, Bug
from tests.support.paper_meter import frame


def good(read):
    """Return the answer to a read: each register holds its address."""
    cells = registers(read)
    return frame(read.tid, bytes([read.function, len(cells)]) + cells, read.unit)


def registers(read):
    """Return the register bytes of the answer."""
    return b"".join([(read.address + i).to_bytes(2, "big") for i in range(read.count)])


SPANS = ((100, 2), (200, 3), (300, 2))


def burst(spans=SPANS):
    """Return a fresh burst of input register reads of unit 1."""
    wire = TcpReads(4)
    return wire.burst([wire.read(1, 4, address, count) for address, count in spans])


def orders(things):
    """Return every order of some things."""
    if len(things) < 2:
        return [list(things)]
    return [[one] + rest for i, one in enumerate(things)
            for rest in orders(things[:i] + things[i + 1:])]


def test_a_burst_is_all_questions_in_one_piece():
    made = burst()
    assert made.request == b"".join([read.request for read in made.reads])
    assert [read.tid for read in made.reads] == [1, 2, 3]
    assert not made.has_response and made.gap_ms == 0


def test_answers_in_any_order_cut_anywhere_find_their_questions():
    for order in orders([0, 1, 2]):
        made = burst()
        data = b"".join([good(made.reads[i]) for i in order])
        for cut in range(len(data) + 1):
            made = burst()
            early = made.feed(data[:cut])
            assert early == (cut == len(data))
            assert early or made.feed(data[cut:])
            assert made.result == tuple([registers(read) for read in made.reads])


def test_bytes_behind_the_last_answer_are_kept_for_the_next_question():
    made = burst()
    assert made.feed(b"".join([good(read) for read in made.reads]) + b"\x00\x09")
    assert made.rest == b"\x00\x09"


def test_answers_to_the_asking_before_are_for_nobody_though_they_come_whole_and_in_turn():
    wire = TcpReads(4)
    made = wire.burst([wire.read(1, 4, address, count) for address, count in SPANS])
    late = [good(read) for read in made.reads]
    assert made.feed(b"".join(late))
    wire.burst_again(made)
    assert [read.tid for read in made.reads] == [4, 5, 6]
    for data in (b"".join(late), late[0] * 3):
        assert not made.feed(data) and made.result is None
        assert [read.result for read in made.reads] == [None, None, None]
    assert made.feed(b"".join([good(read) for read in made.reads]))
    assert made.result == tuple([registers(read) for read in made.reads])


def test_an_answer_that_is_missing_leaves_its_question_without_a_value():
    for missing in range(3):
        made = burst()
        data = [good(read) for i, read in enumerate(made.reads) if i != missing]
        assert not made.feed(b"".join(data))
        assert made.has_response and made.result is None
        assert [read.result is None for read in made.reads] == [i == missing for i in range(3)]


def test_no_sequence_of_wrong_answers_gives_a_value_that_was_not_asked_for():
    kinds = {
        "first": lambda reads: good(reads[0]),
        "third": lambda reads: good(reads[2]),
        "the first's id on the third's registers": lambda reads: frame(
            reads[0].tid, b"\x04\x04" + registers(reads[2]), 9),
        "the first's id on the second's registers": lambda reads: frame(
            reads[0].tid, b"\x04\x06" + registers(reads[1])),
        "a late id": lambda reads: frame(77, b"\x04\x04" + b"\xee" * 4),
        "id zero": lambda reads: frame(0, b"\x04\x04" + b"\xee" * 4),
        "first refused": lambda reads: frame(reads[0].tid, b"\x84\x02"),
        "another function": lambda reads: frame(reads[1].tid, b"\x03\x06" + b"\xee" * 6),
    }
    names = sorted(kinds)
    for sequence in [(a, b, c) for a in names for b in names for c in names]:
        made = burst()
        try:
            for name in sequence:
                made.feed(kinds[name](made.reads))
        except BadFrame:
            pass
        for read in made.reads:
            assert read.result in (None, registers(read)), sequence


def test_a_second_answer_to_one_question_changes_nothing():
    made = burst()
    again = good(made.reads[0])
    assert not made.feed(good(made.reads[0]) + again + good(made.reads[1]))
    assert made.feed(good(made.reads[2]))
    assert made.result[0] == registers(made.reads[0])


def test_a_second_answer_that_says_something_else_ends_the_burst():
    made = burst()
    other = frame(made.reads[0].tid, b"\x04\x04" + b"\xee" * 4)
    for data in (good(made.reads[0]) + other, other + good(made.reads[0])):
        made.again()
        raises_bad_frame(made, data + good(made.reads[1]))


def test_an_answer_inside_another_one_ends_the_burst():
    made = burst(((100, 20), (200, 2), (300, 2)))
    first, second, third = [good(read) for read in made.reads]
    cut = first[:-len(second)]          # what is missing is exactly the next answer, sent twice
    raises_bad_frame(made, cut + second + second + third)
    made = burst(((100, 2), (200, 2), (300, 20)))
    first, second, third = [good(read) for read in made.reads]
    raises_bad_frame(made, first + second + third[:-len(second)] + second)


def raises_bad_frame(made, data):
    try:
        made.feed(data)
    except BadFrame:
        return
    raise AssertionError("accepted")


def test_a_refused_question_does_not_cost_the_others():
    made = burst()
    refusal = frame(made.reads[1].tid, b"\x84\x02")
    assert made.feed(good(made.reads[2]) + refusal + good(made.reads[0]))
    assert made.result == (registers(made.reads[0]), None, registers(made.reads[2]))


def test_an_answer_of_the_wrong_unit_function_or_length_ends_the_burst():
    for wrong in (lambda read: frame(read.tid, b"\x04\x04" + registers(read), 2),
                  lambda read: frame(read.tid, b"\x03\x04" + registers(read)),
                  lambda read: frame(read.tid, b"\x04\x02" + registers(read)[:2]),
                  lambda read: b"\x00\x01\x00\x09\x00\x06\x01\x04"):
        made = burst()
        try:
            made.feed(wrong(made.reads[0]))
        except BadFrame:
            assert made.reads[0].result is None
            continue
        raise AssertionError("accepted")


def test_a_question_asked_again_has_a_new_id_and_forgets_its_answer():
    wire = TcpReads()
    read = wire.read(1, 4, 100, 2)
    old = good(read)
    assert read.feed(old) and read.result == registers(read)
    wire.again(read)
    assert read.tid == 2 and read.result is None and read.request[:2] == b"\x00\x02"
    assert not read.feed(old)
    assert read.feed(good(read)) and read.result == registers(read)


def test_a_burst_fed_after_its_end_is_a_bug():
    made = burst()
    made.feed(b"".join([good(read) for read in made.reads]))
    try:
        made.feed(b"\x00")
    except Bug:
        return
    raise AssertionError("fed")


def test_a_read_asked_anew_keeps_nothing_of_a_cut_answer():
    read = TcpReads().read(1, 4, 100, 2)
    assert read.feed(good(read)[:9]) is False
    read.number(2)
    assert read.rest == b"" and read.feed(good(read)) is True
    assert read.result == registers(read)
