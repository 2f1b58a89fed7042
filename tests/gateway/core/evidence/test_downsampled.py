"""Coarsened batches: their bytes, and which records stay; both interpreters."""

from gateway.core.codec import record
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.errors import Bug, FormatError
from gateway.core.evidence import batch, downsampled
from gateway.core.interval import CounterRules
from gateway.core.journal import downsample
from gateway.core.reading import NOT_KEPT, Absent, ClockState, Point, Stream

QUARTER_MS = 900000
CLOCK = ClockState(3, 0, 0, 20)         # ticks are UTC
METER, ROOM = 0, 1
SCHEMA = (Stream("meter", (Point(14, 0, ""), Point(43, 0, ""))),
          Stream("room", (Point(70, -1, ""),)))
FAST, SLOW = CounterRules(1 << 62, 10**9, 60000, 10000), CounterRules(1 << 62, 3600, 60000, 0)


def scan(seq, ticks_ms, power, energy):
    return ScanRecord(seq, ticks_ms, METER, (power, energy))


def content(records):
    return downsampled.Content(SCHEMA, records, [])


def kept(records, rule=downsampled.QUARTERS, rules=FAST):
    thin = downsample.thin(content(records), CLOCK, rule, lambda stream, position: rules)
    return [item.seq for item in thin]


def refused(work):
    try:
        work()
    except FormatError:
        return True
    return False


def a_quarter(first_seq=1, start_ms=0, energy=1000):
    """A scan each 100 s of a quarter hour: 9 of them, a count between any two."""
    return [scan(first_seq + i, start_ms + 100000 * i, 500 + i, energy + i) for i in range(9)]


def made(records, cells, rule=downsampled.QUARTERS):
    replaced = [downsampled.Replaced(4, 1, 9, b"a" * 32),
                downsampled.Replaced(5, 11, 20, b"b" * 32)]
    whole = downsampled.Content(SCHEMA, records, cells)
    parts = list(downsampled.make_parts(whole, replaced, rule))
    body = downsampled.make_body(parts, batch.CODEC_RAW, None)
    return downsampled.DownsampledBatch("cab-1", b"J" * 16, 5, 2, 1, 20, b"p" * 32, b"c" * 32,
                                        CLOCK,
                                        batch.CODEC_RAW, body, rule, replaced)


def cells():
    return [downsampled.Cell(0, METER, 800000, 9, 0, ((9, 4536, 500, 508), None)),
            downsampled.Cell(1, ROOM, 950000, 3, 1, ((2, -40, -21, -19),)),
            downsampled.Cell(1, METER, 950000, 2, 2, ((0, 0, 0, 0), None))]


def test_first_and_last_reading_of_a_counter_stay_in_each_quarter_hour():
    records = a_quarter() + a_quarter(10, QUARTER_MS, 1009)
    assert kept(records) == [1, 9, 10, 18]
    assert kept(records, downsampled.COUNTERS) == [1, 9, 10, 18]


def test_hours_and_ends_keep_less():
    records = a_quarter() + a_quarter(10, QUARTER_MS, 1009) + a_quarter(19, 4 * QUARTER_MS, 1018)
    assert kept(records, downsampled.HOURS) == [1, 18, 19, 27]
    assert kept(records, downsampled.ENDS) == [1, 27]


def test_both_sides_of_a_jump_and_of_a_fall_stay():
    records = a_quarter()
    records[4] = scan(5, 400000, 504, 9000)             # up by 8000 in 100 s, and down again
    assert kept(records, downsampled.ENDS, SLOW) == [1, 4, 5, 6, 9]
    assert kept(records, downsampled.ENDS, FAST) == [1, 5, 6, 9]     # a fall is never possible


def test_events_always_stay():
    records = a_quarter()
    records[3] = EventRecord(4, 300000, record.GAP, [-1, None, None, "why"])
    for rule in (downsampled.QUARTERS, downsampled.COUNTERS, downsampled.HOURS, downsampled.ENDS):
        assert 4 in kept(records, rule)


def test_the_last_value_of_a_gauge_stays_even_if_the_counter_ends_later():
    records = a_quarter()
    records[8] = scan(9, 800000, Absent(1), 1008)
    assert kept(records) == [1, 8, 9]
    assert kept(records, downsampled.COUNTERS) == [1, 9]


def test_gauges_of_what_is_counters_only_are_absent_with_their_own_reason():
    thin = downsample.thin(
        content(a_quarter()), CLOCK, downsampled.COUNTERS, lambda stream, position: FAST)
    assert [item.values for item in thin] == [(Absent(NOT_KEPT), 1000), (Absent(NOT_KEPT), 1008)]


def test_a_cell_tells_scans_absences_and_gauges():
    records = a_quarter() + [scan(10, QUARTER_MS, Absent(1), Absent(1))]
    first, second = downsample.cells_of(content(records), CLOCK, 7)
    assert first == downsampled.Cell(7, METER, 800000, 9, 0, ((9, 4536, 500, 508), None))
    assert second == downsampled.Cell(7, METER, QUARTER_MS, 1, 1, ((0, 0, 0, 0), None))


def test_a_coarsened_batch_comes_back_as_it_was_made():
    records = [a_quarter()[0], EventRecord(9, 5, record.STOP, ["why"]), scan(20, 7, 1, 2)]
    one = made(records, cells())
    back = downsampled.decode_payload(downsampled.encode_payload(one))
    assert back == one
    opened = downsampled.open_body(back, None)
    assert opened == downsampled.Content(SCHEMA, records, cells())


def test_without_gauges_the_cells_still_count_scans():
    bare = downsample.without_gauges(cells())
    opened = downsampled.open_body(made([], bare, downsampled.COUNTERS), None)
    assert opened.cells == bare and opened.records == []


def test_the_payload_begins_with_bytes_that_no_whole_batch_has():
    assert downsampled.is_downsampled(downsampled.encode_payload(made([], cells())))
    assert not downsampled.is_downsampled(b"\x8c\x01")


def test_every_cut_and_every_extra_byte_of_a_payload_is_refused():
    payload = downsampled.encode_payload(made([scan(1, 0, 1, 2)], cells()))
    for end in range(0, len(payload), 7):
        assert refused(lambda: downsampled.decode_payload(payload[:end]))
    assert refused(lambda: downsampled.decode_payload(payload + b"\x00"))


def test_a_record_outside_of_what_is_replaced_is_refused():
    for seq in (10, 21):                                # between the two batches, behind them
        one = made([scan(seq, 0, 1, 2)], cells())
        assert refused(lambda: downsampled.open_body(one, None))


def test_sums_that_their_extremes_rule_out_are_refused():
    for gauge in ((9, 4536, 505, 508), (9, 4536, 500, 503), (9, 4536, 508, 500)):
        one = made([], [downsampled.Cell(0, METER, 800000, 9, 0, (gauge, None))])
        assert refused(lambda: downsampled.open_body(one, None))


def test_cells_of_no_replaced_batch_or_without_scans_are_refused():
    for position, scans, absent in ((2, 1, 0), (0, 0, 0), (0, 1, 2)):
        one = made([], [downsampled.Cell(position, ROOM, 0, scans, absent, ((1, 5, 5, 5),))])
        assert refused(lambda: downsampled.open_body(one, None))


def test_replaced_batches_follow_each_other():
    good = made([], cells())
    for rows in ([(4, 1, 9), (6, 11, 20)], [(4, 1, 9), (5, 9, 20)], [(4, 9, 1)], []):
        replaced = [downsampled.Replaced(row[0], row[1], row[2], b"a" * 32) for row in rows]
        payload = downsampled.encode_payload(downsampled.DownsampledBatch(
            good.cabinet, good.journal_id, 5, 2, 1, 20, good.prev, good.config_hash, CLOCK, 0,
            good.body, downsampled.QUARTERS, replaced))
        assert refused(lambda: downsampled.decode_payload(payload))


def test_what_would_not_fit_into_a_message_is_a_bug_of_the_caller():
    found = False
    try:
        downsampled.seal(bytes(batch.SEALED_MAX), b"kid-0001", lambda data: bytes(64))
    except Bug:
        found = True
    assert found
