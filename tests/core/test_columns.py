"""Columns: bytes worked out by hand, round trips, digests equal on both interpreters."""

import hashlib

from gateway.core.columns import decode, decode_schema, encode, encode_schema
from gateway.core.errors import Bug, FormatError
from gateway.core.reading import Absent, Point, Stream, all_absent
from gateway.core.record import EventRecord, ScanRecord

METER = (Point(1, -1, ""), Point(43, 0, ""))
TWO_METERS = (Stream("a", METER), Stream("b", METER))

BY_HAND = (
    ScanRecord(1, 1000, 0, (2300, 100)),
    ScanRecord(2, 1010, 1, (2301, 50)),
    ScanRecord(3, 11000, 0, (2305, 100)),
    ScanRecord(4, 11012, 1, (Absent(1), Absent(1))),
    EventRecord(5, 12000, 9, ["stop"]),
)
BY_HAND_BYTES = bytes.fromhex((
    "05"                        # five records
    " 04 02"                    # four scans in the expected order, then an event (symbol 2)
    " a09c01 04"                # usual steps: 10000, then 2 more
    " 00"                       # a: nothing absent
    " 01 00 01 01 01 00 01"     # b: points 0..1, one run: after 1 scan, 1 scan, no reply
    " 40 22 60"                 # modes: 2 constant (ticks), 1 delta, 3 constant
    " d00f 14"                  # ticks: first 1000, then 10 more than the neighbour
    " f823 0a 02"               # voltage: 2300, +5; neighbour + 1
    " c801 63"                  # energy: 100; neighbour - 50
    " 81 83 192ee0 09 81 6473746f70").replace(" ", ""))     # [[12000, 9, ["stop"]]]
SCHEMA_BYTES = bytes.fromhex((
    "82 81 82 83 01 20 60 83 18 2b 00 60 82 82 61 61 00 82 61 62 00").replace(" ", ""))

# Voltage x current says 230, 460, 462 VA; the meter says 1, 0, 1 more.
PREDICTED = (Stream("a", (Point(1, -1, ""), Point(7, -2, ""), Point(15, 0, ""))),)
PREDICTED_BY_HAND = (
    ScanRecord(1, 0, 0, (2300, 100, 231)),
    ScanRecord(2, 1000, 0, (2300, 200, 460)),
    ScanRecord(3, 2000, 0, (2310, 200, 463)),
)
PREDICTED_HEX = (
    "03 03 d00f 00"             # three records, all as expected; step 1000; nothing absent
    " 20 42 2a"                 # modes: 1 constant, 2 delta, 1 delta with prediction 2
    " 00 f823 00 14"            # ticks 0; voltage 2300, +0, +10
    " c801 c801 00"             # current 100, +100, +0
    " 02 01 02"                 # apparent power: 1 more than predicted, then -1, +1
    " 80").replace(" ", "")
PREDICTED_BYTES = bytes.fromhex(PREDICTED_HEX)


def test_records_encode_to_the_bytes_worked_out_by_hand():
    assert encode(TWO_METERS, BY_HAND) == BY_HAND_BYTES
    assert encode(PREDICTED, PREDICTED_BY_HAND) == PREDICTED_BYTES


def test_the_bytes_worked_out_by_hand_decode_to_the_records():
    assert tuple(decode(TWO_METERS, 1, BY_HAND_BYTES)) == BY_HAND
    assert tuple(decode(PREDICTED, 1, PREDICTED_BYTES)) == PREDICTED_BY_HAND


def test_a_schema_names_equal_points_once():
    assert encode_schema(TWO_METERS) == SCHEMA_BYTES
    assert decode_schema(SCHEMA_BYTES) == TWO_METERS


def lcg(seed):
    """Return a function from n to a number below n; equal on every machine."""
    state = [seed]

    def below(n):
        state[0] = (state[0] * 1103515245 + 12345) & 0x7FFFFFFF
        return (state[0] >> 8) % n
    return below


def mixed_cabinet():
    meter = tuple([Point(i, 0, "") for i in (1, 7, 11, 29, 43)])
    node = (Point(120, -3, ""), Point(120, -3, "pos"), Point(123, 0, "pos"))
    return (Stream("m-1", meter), Stream("node", node), Stream("m-2", meter),
            Stream("bms", (Point(96, -1, ""), Point(110, 0, ""))))


def three_phase_day(rounds, seed):
    """Return records of two meters whose totals follow from their phases, one often dead."""
    below = lcg(seed)
    points = [Point(m, e, "") for m, e in (
        (14, 0), (1, -1), (2, -1), (3, -1), (7, -2), (8, -2), (9, -2), (11, 0), (12, 0), (13, 0),
        (15, 0), (16, 0), (17, 0), (18, 0), (19, 0), (22, 0), (23, -2), (26, -2), (10, -2))]
    schema = (Stream("m-1", tuple(points)), Stream("m-2", tuple(points)))
    records = []
    for k in range(rounds):
        for s in range(2):
            volts = [2300 + below(30) for _ in range(3)]
            amps = [100 + below(700) for _ in range(3)]
            apparent = [(v * a + 500) // 1000 + below(2) for v, a in zip(volts, amps)]
            watts = [a * 9 // 10 * (1 - 2 * s) for a in apparent]
            left = apparent[0] * 436 // 1000 * (1 - 2 * s)
            values = tuple([sum(watts)] + volts + amps + watts + apparent + [
                sum(apparent), left, 3 * left, 90 - 180 * s, 90 - 180 * s, sum(amps)])
            if s == 1 and below(3) == 0:
                values = all_absent(schema[s], 1)
            records.append(ScanRecord(100 + len(records), 10000 * k + below(3), s, values))
    return schema, records


def mixed_day(rounds, seed):
    """Return records of a cabinet with every trouble: absences, lost turns, events."""
    below, schema, records, seq = lcg(seed), mixed_cabinet(), [], 100
    state = [[below(100000) for _ in stream.points] for stream in schema]
    for k in range(rounds):
        for s in range(len(schema)):
            for p in range(len(state[s])):
                state[s][p] += (below(3) - 1) * (1, 40, 9000, 0, 7)[p]
            values = tuple(state[s])
            if s == 2 and 5 <= k < 11:
                values = all_absent(schema[s], 1)
            elif below(9) == 0:
                values = (Absent(4),) + values[1:]
            if below(12) == 0:
                continue
            records.append(ScanRecord(seq, k * 10000 + s * 37 + below(4), s, values))
            seq += 1
        if below(6) == 0:
            records.append(EventRecord(seq, k * 10000, 11, [s, "lost", None, -5, b"\x00"]))
            seq += 1
    return schema, records


# SHA-256 of encode(): pinned when the format was settled; a change of these is a change of
# the format and needs a new version.  Both interpreters must give them.
DIGESTS = (
    (1, 1, "ccebfabe940ff3022c4c8e7f9718251198928e10a1b0236b5133d26c7db06e83"),
    (2, 7, "740328b0ddc8eedf560fdb18c0d3bcde77341ecf993259ac7421afdc50c6a9f0"),
    (40, 3, "e358015d8f0ae8c2c3bc00dc43872b36c4a3ff7203d86178ad4a02a4fda57a25"),
    (30, 91, "d63b29ee9e0f22b590f575173e5e62f932e4e3c8ab5185955d46fbcfa9fb52a7"),
)


def test_cabinets_give_the_pinned_digests_and_come_back_equal():
    for rounds, seed, digest in DIGESTS:
        make = three_phase_day if seed > 90 else mixed_day
        schema, records = make(rounds, seed)
        data = encode(schema, records)
        assert decode(schema, 100, data) == records
        assert hashlib.sha256(data).digest() == bytes.fromhex(digest), (rounds, seed)


def test_numbers_at_the_edges_come_back_equal():
    edges = (-(1 << 63), (1 << 64) - 1, 0, -1, 63, 64, -64, -65, 8191, 8192, -8192, -8193,
             (1 << 63) - 1, -(1 << 63), (1 << 64) - 1, (1 << 64) - 1)
    schema = (Stream("x", (Point(1, 0, ""),)),)
    for count in range(1, len(edges) + 1):
        records = [ScanRecord(9 + i, (1 << 53) - i % 2, 0, (edges[i],)) for i in range(count)]
        assert decode(schema, 9, encode(schema, records)) == records


def test_nothing_and_events_alone_come_back_equal():
    for schema in ((), TWO_METERS):
        for records in ([], [EventRecord(1, 0, 1, ["power", "0.1.0", 0, 0])]):
            assert decode(schema, 1, encode(schema, records)) == records


def test_absent_for_the_whole_batch_costs_no_series_bytes():
    records = [ScanRecord(1 + i, i * 10000, 0, (Absent(1), Absent(6))) for i in range(90)]
    data = encode(TWO_METERS, records)
    assert decode(TWO_METERS, 1, data) == records
    assert len(data) < 32


def test_reasons_that_change_from_scan_to_scan_come_back_equal():
    values = (1, Absent(1), Absent(2), Absent(2), 5, Absent(7), 6, 7)
    schema = (Stream("x", (Point(1, 0, ""), Point(2, 0, ""))),)
    records = [ScanRecord(1 + i, i, 0, (v, values[-1 - i])) for i, v in enumerate(values)]
    assert decode(schema, 1, encode(schema, records)) == records


def test_records_that_do_not_fit_are_a_bug_of_the_caller():
    good = ScanRecord(1, 0, 0, (1, 2))
    for bad in ((good, good), (ScanRecord(1, 0, 0, (1,)),), (ScanRecord(1, 0, 2, (1, 2)),),
                (ScanRecord(1, -1, 0, (1, 2)),), (ScanRecord(1, 0, 0, (1 << 64, 2)),),
                (ScanRecord(1, 0, 0, (Absent(0), 2)),), (ScanRecord(1, 0, 0, (Absent(256), 2)),),
                (EventRecord(1, 0, 9, [b"x" * 9000]),)):
        try:
            encode(TWO_METERS, bad)
        except Bug:
            continue
        raise AssertionError(bad)


def refused(schema, data):
    try:
        decode(schema, 1, data)
    except FormatError:
        return True
    return False


def test_every_cut_of_the_bytes_is_refused():
    for end in range(len(BY_HAND_BYTES)):
        assert refused(TWO_METERS, BY_HAND_BYTES[:end]), end
    assert refused(TWO_METERS, BY_HAND_BYTES + b"\x00")


def test_each_field_of_the_wrong_kind_is_refused():
    # (offset in BY_HAND_BYTES, replacement, why)
    for at, byte, why in ((1, 0x06, "run longer than the batch"), (2, 0x03, "no such stream"),
                          (2, 0x00, "a symbol that was expected"), (8, 0x03, "too many groups"),
                          (9, 0x02, "point outside"), (10, 0x02, "points outside"),
                          (11, 0x03, "more runs than scans"), (12, 0x02, "scan outside"),
                          (14, 0x00, "reason 0"), (15, 0x60, "neighbour of equal mode"),
                          (16, 0x26, "prediction that is not known"), (17, 0x80, "padded")):
        data = bytearray(BY_HAND_BYTES)
        data[at] = byte
        assert refused(TWO_METERS, bytes(data)), why


def test_a_prediction_that_the_point_cannot_have_is_refused():
    for mode in ("26", "2e", "32", "36", "3e"):         # 1, 3, 4, 5, 7 instead of 2
        assert refused(PREDICTED, bytes.fromhex(PREDICTED_HEX.replace("2a", mode))), mode
    absent = encode(PREDICTED, PREDICTED_BY_HAND[:1] + (
        ScanRecord(2, 1000, 0, (Absent(1), 200, 460)),) + PREDICTED_BY_HAND[2:])
    assert b"\x2a" not in absent            # not used when a source is absent alone


def test_a_meter_that_is_absent_as_a_whole_keeps_its_predictions():
    rows = [(2300, 100 + 3 * i, (2300 * (100 + 3 * i) + 500) // 1000) for i in range(9)]
    rows[4] = (Absent(1),) * 3
    records = [ScanRecord(1 + i, 1000 * i, 0, row) for i, row in enumerate(rows)]
    data = encode(PREDICTED, records)
    assert decode(PREDICTED, 1, data) == records
    # ticks, voltage: constant; current: delta of delta; apparent: constant 0 beyond prediction 2
    assert bytes.fromhex("402328") in data and data[-2:] == bytes.fromhex("0080")


def test_more_records_than_the_limit_are_refused_before_memory_is_taken():
    assert refused(TWO_METERS, bytes.fromhex("81800800"))       # 131,073 records


def test_schemas_that_are_not_well_formed_are_refused():
    from gateway.core.cbor import encode as cbor
    point = [1, 0, ""]
    for bad in (None, [], [[], []] + [0], [[[point]], []], [[], [["a", 0]]], [[[]], [["a", 0]]],
                [[[point]], [["", 0]]], [[[point]], [["a", 1]]], [[[point]], [[7, 0]]],
                [[[point], [point]], [["a", 1], ["b", 0]]], [[[[0, 0, ""]]], [["a", 0]]],
                [[[[1, 10, ""]]], [["a", 0]]], [[[[1, 0, None]]], [["a", 0]]],
                [[[[1, 0, "x" * 65]]], [["a", 0]]], [[[[True, 0, ""]]], [["a", 0]]]):
        try:
            decode_schema(cbor(bad))
        except FormatError:
            continue
        raise AssertionError(bad)


def test_columns_that_no_writer_gives_are_refused():
    one = (Stream("x", (Point(1, 0, ""),)),)
    # count, order, step, absences, modes, series, events
    for text, why in (
            ("01 01 00 00 20 20 00 00 80", "two runs of one mode"),
            ("01 01 00 01 00 00 01 000001 20 21 00 80", "a mode for no values"),
            ("01 01 00 00 40 00 ffffffffffffffffff07 80", "a value beyond 64 bits"),
            ("01 01 00 00 40 01 00 80", "ticks below zero"),
            ("01 00 01 81 83 00 00 80", "event kind 0"),
            ("01 00 01 81 83 00 19 0100 80", "event kind 256"),
            ("01 00 01 81 83 00 01 a0", "a body that is no list"),
            ("01 00 01 81 83 00 01 81 59 1ffd" + "00" * 8189, "a body of 8,193 bytes"),
            ("01 00 01 80", "an event that is missing")):
        assert refused(one, bytes.fromhex(text.replace(" ", ""))), why
    assert not refused(one, bytes.fromhex("010100004000 0080".replace(" ", "")))
    assert not refused(one, bytes.fromhex("010001818300 0180".replace(" ", "")))


def test_a_prediction_from_a_source_that_is_absent_elsewhere_is_refused():
    good = encode(PREDICTED, PREDICTED_BY_HAND)
    # voltage absent in the second scan: its series loses a number, the prediction stays
    bad = good.replace(bytes.fromhex("d00f00"), bytes.fromhex("d00f01000001010001"))
    bad = bad.replace(bytes.fromhex("f8230014"), bytes.fromhex("f82314"))
    assert bad != good and refused(PREDICTED, bad)
