"""Numbers as runs: the same set as a plain one, and one pair for a thousand that follow."""

from gateway.core.journal.number_ranges import Runs


def test_runs_hold_what_a_plain_set_holds_whatever_comes_and_goes():
    runs, plain, dice = Runs(), set(), 7
    for _ in range(2000):
        dice = (dice * 1103515245 + 12345) % (1 << 31)      # the C standard's example of rand
        number = (dice >> 8) % 60
        if (dice >> 16) % 16 < 9:
            runs.add(number)
            plain.add(number)
        else:
            runs.drop(number)
            plain.discard(number)
        assert list(runs.numbers()) == sorted(plain)
        assert runs.has(number) == (number in plain)


def test_a_thousand_numbers_without_a_hole_are_one_range():
    runs = Runs()
    for number in list(range(500, 1000)) + list(range(499, -1, -1)):
        runs.add(number)
    assert isinstance(runs.numbers(), range) and list(runs.numbers()) == list(range(1000))
    runs.drop(0)
    runs.drop(999)
    assert isinstance(runs.numbers(), range) and list(runs.numbers()) == list(range(1, 999))
    runs.drop(500)
    assert list(runs.numbers()[498:500]) == [499, 501]
