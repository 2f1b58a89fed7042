"""Columns: bytes worked out by hand, round trips, digests equal on both interpreters."""

import hashlib

from gateway.core.codec.columns import decode, decode_schema, encode, encode_schema
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.errors import Bug, FormatError
from gateway.core.reading import Absent, Point, Stream

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
    " 10 0a 18"                 # modes: 2 constant (ticks), 1 delta, 3 constant
    " 00"                       # all steps are 1
    " d00f 14"                  # bases: first ticks 1000, then 10 more than the neighbour
    " f823 02"                  # voltage: 2300; neighbour + 1
    " c801 63"                  # energy: 100; neighbour - 50
    " 0a"                       # residual: voltage of a +5
    " 81 83 192ee0 09 81 6473746f70").replace(" ", ""))     # [[12000, 9, ["stop"]]]
SCHEMA_BYTES = bytes.fromhex((
    "82 81 82 83 01 20 60 83 18 2b 00 60 82 82 61 61 00 82 61 62 00").replace(" ", ""))

# Active and reactive power say 500 and 1001 VA (1001.4); the first meter says 0 and 2 more.
# Those and 230.0, 231.0 V say 2.17 and 4.34 A; it says 0.00 and 0.01 more.  The second one is
# idle: its voltage is that of the first and 0.1, 0.2 V more.  Both count energy in tens.
POWER_METER = (Point(1, -1, ""), Point(7, -2, ""), Point(11, 0, ""), Point(19, 0, ""),
               Point(15, 0, ""), Point(43, 0, ""))
PREDICTED = (Stream("a", POWER_METER), Stream("b", POWER_METER))
PREDICTED_BY_HAND = (
    ScanRecord(1, 0, 0, (2300, 217, 300, 400, 500, 1000)),
    ScanRecord(2, 5, 1, (2301, 0, 0, 0, 0, 500)),
    ScanRecord(3, 1000, 0, (2310, 435, 601, 801, 1003, 1010)),
    ScanRecord(4, 1005, 1, (2312, 0, 0, 0, 0, 520)),
)
PREDICTED_HEAD = "04 04 d00f 00 00 00"          # as expected; steps 1000, 1000; nothing absent
PREDICTED_MODES = "10 0a0e 0a08 0a08 0e08 12 0e08"     # ticks, V, W, var, VA, Wh, A
PREDICTED_REST = (
    " 01 040a"                  # steps: the fifth point in order of rank counts in tens
    " 00 0a f823 02"            # bases: ticks 0, 5; voltage 2300, predicted + 1
    " d804 d704 a006 9f06"      # active power 300, 0; reactive power 400, 0
    " 00 00 c801 63 00 00"      # apparent power predicted, 0; energy 100, 50; current, 0
    " 14 02 da04 a206"          # residuals: voltage 10; 1; active power 301; reactive power 401
    " 04 02 04 02"              # apparent power 2; energy 1, 2; current 1
    " 80")
PREDICTED_HEX = (PREDICTED_HEAD + PREDICTED_MODES + PREDICTED_REST).replace(" ", "")
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
                values = (Absent(1),) * len(schema[s].points)
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
                values = (Absent(1),) * len(schema[s].points)
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
    (1, 1, "4ae978549343817beabf05b7f57e0e1ad398ea91fd158694ac746f85e692f5fb"),
    (2, 7, "fbe23c1c2a8b50268fd5c8901cd6a86ea4e02352d08aa2b2ed9b8d3ee1d71739"),
    (40, 3, "ce94eae6b039b1713910e9bd5e7379333cb100f7143d12dee60161b90c081191"),
    (30, 91, "bf8d24cad8df87d7e1ad95afb001874e383d743d9f75c197bdbabebb1d29c989"),
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
                          (14, 0x00, "reason 0"), (16, 0x08, "neighbour of equal mode"),
                          (15, 0x14, "a prediction of ticks"), (16, 0x0e, "nothing before it"),
                          (18, 0x05, "more steps than points"), (18, 0x80, "many more")):
        data = bytearray(BY_HAND_BYTES)
        data[at] = byte
        assert refused(TWO_METERS, bytes(data)), why


def test_a_prediction_that_the_point_cannot_have_is_refused():
    for modes, why in (
            ("14 0a0e 0a08 0a08 0e08 12 0e08", "of ticks"),
            ("10 16 0a08 0a08 0e08 12 0e08", "of the first voltage, by none before"),
            ("10 0a 16 08 0a08 0e08 12 0e08", "of active power, which has no rule"),
            ("10 0a0e 0a08 0a08 0e08 1e 08", "of energy without its phases")):
        data = PREDICTED_HEAD + modes + PREDICTED_REST
        assert refused(PREDICTED, bytes.fromhex(data.replace(" ", ""))), why


def test_a_source_that_is_absent_alone_predicts_nothing():
    holed = PREDICTED_BY_HAND[:2] + (
        ScanRecord(3, 1000, 0, (2310, 435, Absent(1), 801, 1003, 1010)),) + PREDICTED_BY_HAND[3:]
    data = encode(PREDICTED, holed)
    assert decode(PREDICTED, 1, data) == list(holed)
    # energy delta, apparent power delta and unpredicted, current as before
    assert bytes.fromhex("0a08120e08") in data and bytes.fromhex("0e08120e08") not in data


def test_a_meter_that_is_absent_as_a_whole_keeps_its_predictions():
    rows = [(2300, 0, 300 + 3 * i, 400, 0, 7) for i in range(9)]
    rows = [row[:4] + (root(row[2], row[3]),) + row[5:] for row in rows]
    rows[4] = (Absent(1),) * 6
    records = [ScanRecord(1 + i, 1000 * i, 0, row) for i, row in enumerate(rows)]
    data = encode(PREDICTED, records)
    assert decode(PREDICTED, 1, data) == records
    # modes: ticks, voltage 2 x 0; active power 3; reactive power 0; apparent power 4 and base 0
    assert bytes.fromhex("100b080c") in data


def root(a, b):
    """Return sqrt(a*a + b*b) to the nearest whole number, by trying."""
    return min(range(a + b + 1), key=lambda number: abs(number * number - a * a - b * b))


def test_steps_that_no_writer_gives_are_refused():
    for steps, why in (("01 04 00", "0"), ("01 04 01", "1"), ("01 06 0a", "no such point"),
                       ("01 04 8080808080808080 8002", "more than 2^64 - 1"), ("07", "too many"),
                       ("02 04 0a 01 0a", "the second one outside")):
        text = (PREDICTED_HEAD + PREDICTED_MODES + PREDICTED_REST).replace("01 040a", steps)
        assert refused(PREDICTED, bytes.fromhex(text.replace(" ", ""))), why


def test_a_step_beyond_63_bits_comes_back():
    """A register of 64 bits that reads all ones, or near, scan after scan."""
    schema = (Stream("a", (Point(43, 0, ""),)), Stream("b", (Point(43, 0, ""),)))
    for most in (2 ** 64 - 1, 2 ** 63 + 1, 2 ** 63, -(2 ** 63)):
        records = [ScanRecord(1 + i, 1000 * i, i % 2, (0 if i == 5 else most,)) for i in range(8)]
        assert list(decode(schema, 1, encode(schema, records))) == records, most


def test_more_records_than_the_limit_are_refused_before_memory_is_taken():
    assert refused(TWO_METERS, bytes.fromhex("81800800"))       # 131,073 records


def test_schemas_that_are_not_well_formed_are_refused():
    from gateway.core.codec.cbor import encode as cbor
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
    # count, order, step, absences, modes, steps, bases, residuals, events
    for text, why in (
            ("01 01 00 00 08 08 00 00 00 80", "two runs of one mode"),
            ("01 01 00 01 00 00 01 000001 08 09 00 00 80", "a mode for no values"),
            ("01 01 00 00 10 00 00 ffffffffffffffffff07 80", "a value beyond 64 bits"),
            ("01 01 00 00 10 01 00 8080808080808080 8001 00 04 80", "a step too many times"),
            ("01 01 00 00 10 00 01 00 80", "ticks below zero"),
            ("01 00 01 00 81 83 00 00 80", "event kind 0"),
            ("01 00 01 00 81 83 00 19 0100 80", "event kind 256"),
            ("01 00 01 00 81 83 00 01 a0", "a body that is no list"),
            ("01 00 01 00 81 83 00 01 81 59 1ffd" + "00" * 8189, "a body of 8,193 bytes"),
            ("01 00 01 00 80", "an event that is missing")):
        assert refused(one, bytes.fromhex(text.replace(" ", ""))), why
    assert not refused(one, bytes.fromhex("01010000 1000 0000 80".replace(" ", "")))
    assert not refused(one, bytes.fromhex("01000100 81830001 80".replace(" ", "")))


def test_a_prediction_from_a_source_that_is_absent_elsewhere_is_refused():
    good = PREDICTED_HEAD + PREDICTED_MODES + PREDICTED_REST
    # a's active power (place 2) absent in its second scan: constant, and the prediction stays
    bad = good.replace("d00f 00 00 00", "d00f 00 01 020001 010001 00")
    bad = bad.replace("10 0a0e 0a08 0a08", "10 0a0e 10 0a08").replace(" da04", "")
    assert bad != good and refused(PREDICTED, bytes.fromhex(bad.replace(" ", "")))
    plain = bad.replace("0e08 12 0e08", "0a08 12 0e08")     # unpredicted it would be read
    assert not refused(PREDICTED, bytes.fromhex(plain.replace(" ", "")))
