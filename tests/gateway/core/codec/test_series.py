"""Series, orders and absences by hand: which mode is chosen, what is refused; both interpreters."""

from gateway.core.codec.absence import apart, put_absences, read_absences
from gateway.core.codec.order import put_order, read_order
from gateway.core.codec.series import (
    CONSTANT,
    DELTA,
    DELTA2,
    VALUE,
    choose,
    put_residuals,
    put_varint,
    read_residuals,
    restore,
    signed,
    step_of,
    varint,
    zigzag,
)
from gateway.core.errors import FormatError
from gateway.core.reading import Absent


def residuals_bytes(numbers):
    out = bytearray()
    put_residuals(out, numbers)
    return bytes(out)


def test_varints_are_leb128():
    # Protocol Buffers encoding guide: 150 = 96 01; DWARF 5, 7.6: 12857 = b9 64
    for number, text in ((0, "00"), (127, "7f"), (128, "8001"), (150, "9601"), (12857, "b964"),
                         (1 << 69, "80808080808080808040")):
        out = bytearray()
        put_varint(out, number)
        assert bytes(out) == bytes.fromhex(text)
        assert varint(bytes(out), 0) == (number, len(out))


def test_varints_that_are_cut_padded_or_too_long_are_refused():
    for text in ("", "80", "8000", "808000", "80808080808080808080", "8080808080808080808001"):
        try:
            varint(bytes.fromhex(text), 0)
        except FormatError:
            continue
        raise AssertionError(text)


def test_zigzag_takes_turns_around_zero():
    assert [zigzag(n) for n in (0, -1, 1, -2, 2, 63, -64, 64)] == [0, 1, 2, 3, 4, 126, 127, 128]
    assert [signed(n) for n in (0, 1, 2, 3, 4, 126, 127, 128)] == [0, -1, 1, -2, 2, 63, -64, 64]


def test_residuals_at_the_edge_of_one_byte_keep_their_sign():
    for numbers, text in (((63, -64), "7e7f"), ((64, 0), "800100"), ((-65, 0), "810100"),
                          ((0, 64, -1), "00800101")):
        assert residuals_bytes(numbers) == bytes.fromhex(text)
        assert read_residuals(bytes.fromhex(text), 0, len(numbers))[0] == list(numbers)


def test_the_mode_with_the_smallest_residuals_is_chosen():
    for values, mode, base, residuals in (
            ((7, 7, 7), CONSTANT, 7, ()),
            ((5,), CONSTANT, 5, ()),
            # deltas 3, 3, 4, 4 have a sum of 14; deltas of them 3, 0, 1, 0 of 4
            ((0, 3, 6, 10, 14), DELTA2, 0, [3, 0, 1, 0]),
            # deltas 1, -1, 2: 4; around the middle, 11: 1, 0, 1, 1
            ((10, 11, 10, 12), VALUE, 11, [-1, 0, -1, 1]),
            # deltas 1, 1, -1: 3; around the middle, 11: -1, 0, 1, 0
            ((10, 11, 12, 11), VALUE, 11, [-1, 0, 1, 0]),
            # deltas 0, 9, 0, 0: 9; around the middle, 9: 18; deltas of deltas 0, 9, -9, 0: 18
            ((0, 0, 9, 9, 9), DELTA, 0, [0, 9, 0, 0]),
            # deltas 70, -50: 120; around the middle, 20: 70
            ((0, 70, 20), VALUE, 20, [-20, 50, 0])):
        found = choose(values, min(values), max(values))
        assert found[1:3] == (mode, base) and list(found[3]) == list(residuals), values
        assert found[0] == sum([abs(number) for number in residuals])


def test_a_step_divides_every_value_of_a_point():
    for columns, step in ((((1000, 1010), (500, 520)), 10), (((0, 0), (0,)), 1), (((), ()), 1),
                          (((0, 0, -75), (50,)), 25), (((7, 7),), 7), (((12, 18), (9,)), 3),
                          (((10, 20), (30, 41)), 1)):
        assert step_of(columns) == step, columns


def test_a_reader_takes_any_mode():
    for mode, base, numbers in ((VALUE, 100, [1, 2, 4]), (DELTA, 101, [1, 2]),
                                (DELTA2, 101, [1, 1])):
        data = residuals_bytes(numbers)
        assert restore(mode, base, data, 0, 3) == ([101, 102, 104], len(data))


def test_the_order_learns_who_follows_whom():
    out = bytearray()
    order = [0, 2, 1, 0, 2, 3, 1, 0]
    put_order(out, 3, order)
    # 0 came as expected; 2 did not; nor 1 after 2, which learns it; then 0, 2 as learnt, an
    # event (3); 1 and 0 as learnt
    assert bytes(out) == bytes.fromhex("0102 0001 0000 0103 02".replace(" ", ""))
    assert read_order(bytes(out), 0, 3, 8) == (order, 9)


def test_orders_that_no_writer_gives_are_refused():
    for text, why in (("00000001", "stream 0 was expected"), ("0003", "no such stream"),
                      ("03", "a run longer than the records"), ("01", "cut short"),
                      ("0002", "one record missing")):
        try:
            read_order(bytes.fromhex(text), 0, 2, 2)
        except FormatError:
            continue
        raise AssertionError(why)


def test_absences_of_neighbouring_points_are_told_once():
    gone = Absent(4)
    rows = [(1, gone, gone, 5), (2, 3, 4, 6), (3, gone, gone, Absent(7))]
    out = bytearray()
    columns, runs, ends = apart(rows, 4)
    put_absences(out, runs)
    assert ends == (0, 6)
    assert [list(column) for column in columns] == [[1, 2, 3], [3], [4], [5, 6]]
    assert bytes(out) == bytes.fromhex("02 01 01 02 000004 010004 00 00 01 020007".replace(" ", ""))
    found, at = read_absences(bytes(out), 0, 3, 4)
    assert at == len(out) and [one.count for one in found] == [0, 2, 2, 1]
    assert found[1].fill([3]) == [gone, 3, gone] and found[3].fill([5, 6]) == [5, 6, Absent(7)]


def test_absences_that_no_writer_gives_are_refused():
    for text, why in (
            ("02 00 00 01 000001 00 00 01 000001", "two groups with equal runs"),
            ("01 00 00 02 000001 000001", "two runs that are one"),
            ("01 00 00 02 000201 000002", "more scans than there are"),
            ("01 00 00 00", "a group without runs"), ("01 02 00 01 000001", "no such point"),
            ("01 00 00 01 000000", "no reason"), ("01 00 00 01 00008002", "reason 256"),
            ("03", "more groups than points")):
        try:
            read_absences(bytes.fromhex(text.replace(" ", "")), 0, 3, 2)
        except FormatError:
            continue
        raise AssertionError(why)
