"""Sheets: commits kept as columns give the batch of their records, wherever they were cut."""

from gateway.core.codec.column_block import block_of, joined, numbers, packed
from gateway.core.codec.columns import decode, encode
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.errors import Bug
from gateway.core.reading import Absent, Point, Stream

METER = (Point(1, -1, ""), Point(43, 0, ""), Point(11, 0, ""))
SCHEMA = (Stream("a", METER), Stream("b", METER), Stream("c", (Point(29, -2, ""),)))
GONE, REFUSED = Absent(1), Absent(3)

# What each scan of stream a has in its three points; "." a number, "1" and "3" a reason.
PATTERNS = ("...", "1..", "1..", "1.3", "..3", "...", "111", "111", "3.1", "...")


def records():
    """Return thirty records: three streams, events in between, numbers absent now and then."""
    made = []
    for i, pattern in enumerate(PATTERNS):
        values = tuple([{"1": GONE, "3": REFUSED}.get(one, 2300 + 7 * i * k - i)
                        for k, one in enumerate(pattern)])
        made.append((ScanRecord, 1000 * i, 0, values))
        if i % 4 == 1:
            made.append((EventRecord, 1000 * i + 1, 9, ["stop %d" % i]))
        made.append((ScanRecord, 1000 * i + 2, 1, (2300, 50 + i // 3, -(1 << 62))))
        if i > 6:
            made.append((ScanRecord, 1000 * i + 3, 2, (5000 + i,)))
    return [kind(5 + i, *rest) for i, (kind, *rest) in enumerate(made)]


def test_commits_cut_anywhere_give_the_batch_of_all_their_records():
    whole = records()
    expected = encode(SCHEMA, whole)
    assert decode(SCHEMA, 5, expected) == whole
    for first in range(1, len(whole) - 1):
        for second in range(first + 1, len(whole)):
            parts = (whole[:first], whole[first:second], whole[second:])
            kept = [packed(block_of(SCHEMA, part)) for part in parts]
            assert encode(SCHEMA, joined(kept)) == expected, (first, second)


def test_every_record_a_commit_of_its_own():
    whole = records()
    kept = [packed(block_of(SCHEMA, [one])) for one in whole]
    assert encode(SCHEMA, joined(kept)) == encode(SCHEMA, whole)


def test_a_packed_stream_takes_eight_bytes_for_each_number_that_is_there():
    whole = [ScanRecord(1, 0, 2, (-(1 << 63),)), ScanRecord(2, 1, 2, (GONE,)),
             ScanRecord(3, 2, 2, ((1 << 63) - 1,)), ScanRecord(4, 3, 2, (0,))]
    kept = packed(block_of(SCHEMA, whole))
    assert isinstance(kept.columns[2], bytes) and len(kept.columns[2]) == 24
    assert kept.columns[:2] == [None, None] and list(kept.runs[2]) == [((1, 1, 1),)]
    column = joined([kept]).columns[2][0]
    assert isinstance(column, bytes) and list(numbers(column)) == [-(1 << 63), (1 << 63) - 1, 0]
    assert numbers([1, 2]) == [1, 2]


def test_numbers_that_do_not_fit_are_not_packed_and_join_with_those_that_do():
    wide, small = [ScanRecord(1, 0, 2, (1 << 63,))], [ScanRecord(2, 1, 2, (7,))]
    assert packed(block_of(SCHEMA, wide)) is None
    both = joined([block_of(SCHEMA, wide), packed(block_of(SCHEMA, small))])
    assert encode(SCHEMA, both) == encode(SCHEMA, wide + small)


def test_what_was_read_again_joins_with_what_was_kept_packed():
    whole = records()
    both = joined([block_of(SCHEMA, whole[:9]), packed(block_of(SCHEMA, whole[9:]))])
    assert encode(SCHEMA, both) == encode(SCHEMA, whole)
    assert isinstance(both.columns[0][0], bytes)


def test_numbers_no_record_can_hold_are_a_bug_with_and_without_absences():
    for values in ((1 << 64, 0, 0), (-(1 << 63) - 1, GONE, 0), (GONE, GONE, 1 << 64)):
        try:
            block_of(SCHEMA, [ScanRecord(1, 0, 0, values)])
        except Bug:
            continue
        raise AssertionError(values)
