"""Columns under hypothesis and under damage: equal back, deterministic, bounded."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.codec import columns
from gateway.core.codec.predict import ANGLE, ROOT, predict
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.codec.schema import decode_schema, encode_schema
from gateway.core.errors import FormatError
from gateway.core.reading import Absent, Point, Stream
from tests.support.columns_from_docs import decode as decode_by_the_docs

VALUES = st.one_of(
    st.integers(-70, 70), st.integers(-70, 70), st.integers(-(2 ** 63), 2 ** 64 - 1),
    st.builds(Absent, st.integers(1, 255)))
STUCK = st.sampled_from((0, -(2 ** 63), 2 ** 63 + 1, 2 ** 64 - 1)).map(     # registers that hang
    lambda stuck: st.sampled_from((0, stuck, stuck)))
NAMES = st.text(min_size=1, max_size=12)
POINTS = st.lists(st.builds(Point, st.integers(1, 126), st.integers(-9, 9), st.text(max_size=5)),
                  min_size=1, max_size=4).map(tuple)
SCHEMAS = st.lists(st.builds(Stream, NAMES, POINTS), min_size=0, max_size=5).map(tuple)
BODIES = st.lists(st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=4)), max_size=3)


@st.composite
def journals(draw):
    """Return (schema, first seq, records)."""
    schema = draw(SCHEMAS)
    first = draw(st.integers(0, 2 ** 40))
    numbers = draw(st.one_of(st.just(VALUES), STUCK))
    records = []
    for i in range(draw(st.integers(0, 25))):
        ticks = draw(st.one_of(st.integers(0, 2 ** 53), st.just(i * 1000)))
        if not schema or draw(st.integers(0, 9)) == 0:
            records.append(EventRecord(first + i, ticks, draw(st.integers(1, 255)),
                                       draw(BODIES)))
        else:
            s = draw(st.integers(0, len(schema) - 1))
            values = tuple(draw(numbers) for _ in schema[s].points)
            records.append(ScanRecord(first + i, ticks, s, values))
    return schema, first, records


@given(journals())
@settings(max_examples=300, deadline=None)
def test_every_journal_comes_back_equal_and_encodes_equally_twice(journal):
    schema, first, records = journal
    data = columns.encode(schema, records)
    back = columns.decode(schema, first, data)
    assert back == records
    assert [type(r) for r in back] == [type(r) for r in records]
    assert all(isinstance(v, (int, Absent)) for r in back if isinstance(r, ScanRecord)
               for v in r.values)
    assert columns.encode(schema, back) == data
    assert decode_by_the_docs(schema, first, data) == records
    plain = columns.encode(schema, records, plain=True)
    assert columns.decode(schema, first, plain) == records
    assert decode_by_the_docs(schema, first, plain) == records


ELECTRIC = (1, 2, 3, *range(7, 30), 40, 41, 42, 43, 44, 47, 48, 49, 50, 51, 52, 53, 54)
NUMBERS = st.one_of(st.integers(-300, 300), st.integers(0, 2 ** 64 - 1),
                    st.integers(0, 60).map(lambda n: 10 * n))


@st.composite
def meters(draw):
    """Return (schema, records) of two equal meters whose points may predict each other."""
    chosen = draw(st.lists(st.sampled_from(ELECTRIC), min_size=3, max_size=14))
    points = tuple(Point(m, draw(st.sampled_from((0, 0, 0, -1, -2))), "") for m in chosen)
    step = draw(st.sampled_from((1, 1, 10, 25)))
    schema = (Stream("a", points), Stream("b", points))
    records = []
    for i in range(draw(st.integers(1, 12))):
        values = tuple(min(draw(NUMBERS) * step, 2 ** 64 - 1) for _ in points)
        if draw(st.integers(0, 5)) == 0:
            values = (Absent(1),) * len(points)
        records.append(ScanRecord(1 + i, 1000 * i, i % 2, values))
    return schema, records


@given(meters())
@settings(max_examples=300, deadline=None)
def test_meters_whose_points_predict_each_other_come_back_equal(meter):
    schema, records = meter
    data = columns.encode(schema, records)
    assert columns.decode(schema, 1, data) == records
    assert decode_by_the_docs(schema, 1, data) == records


@given(st.lists(st.tuples(st.integers(-(2 ** 64), 2 ** 64), st.integers(-(2 ** 64), 2 ** 64)),
                min_size=1, max_size=20))
def test_roots_are_exact_and_rounded(pairs):
    points, target = (Point(11, 0, ""), Point(19, 0, "")), Point(15, 0, "")
    expected = [(math.isqrt(4 * (a * a + b * b)) + 1) // 2 for a, b in pairs]
    assert predict(ROOT, points, target, list(zip(*pairs))) == expected


@given(st.integers(-10 ** 6, 10 ** 6), st.integers(-10 ** 6, 10 ** 6))
def test_angles_are_within_six_tenths_of_a_degree_of_the_true_ones(watt, var):
    points, target = (Point(14, 0, ""), Point(22, 0, "")), Point(28, -1, "")
    found = predict(ANGLE, points, target, ((watt,), (var,)))[0]
    true = 10 * math.degrees(math.atan2(var, abs(watt)))
    assert abs(found - true) < 7, (found, true)         # tenths, one of them by rounding down


@given(SCHEMAS)
def test_every_schema_comes_back_equal(schema):
    assert decode_schema(encode_schema(schema)) == schema


@given(journals(), st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_columns_raise_nothing_but_format_error(journal, data):
    schema, first, records = journal
    raw = bytearray(columns.encode(schema, records))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = columns.decode(schema, first, bytes(raw))
    except FormatError:
        return
    # What still decodes is a journal: it can be encoded again and means the same.
    assert columns.decode(schema, first, columns.encode(schema, back)) == back


@given(SCHEMAS, st.binary(max_size=80))
@settings(max_examples=500, deadline=None)
def test_arbitrary_bytes_raise_nothing_but_format_error(schema, data):
    for reader in (lambda: columns.decode(schema, 1, data), lambda: decode_schema(data)):
        try:
            value = reader()
        except FormatError:
            continue
        assert isinstance(value, (list, tuple))


def test_the_schema_limits_hold():
    point = [1, 0, ""]
    from gateway.core.codec.cbor import encode
    for bad in ([[[point] * 1025], [["a", 0]]], [[[point]], [["a", 0]] * 257]):
        with pytest.raises(FormatError):
            decode_schema(encode(bad))


def test_more_values_than_the_limit_are_refused_before_they_are_made():
    wide = (Stream("x", tuple(Point(1, 0, str(i)) for i in range(1024))),)
    # 65,537 scans of 1,024 points, all as expected: 6 bytes that ask for 67 million values
    with pytest.raises(FormatError, match="67109888 values"):
        columns.decode(wide, 1, bytes.fromhex("8180048180040000"))


def test_random_damage_of_a_real_batch_is_bounded_and_only_format_error():
    rng = random.Random(20261123)
    points = tuple(Point(i + 1, 0, "") for i in range(20))
    schema = tuple(Stream(f"m{i}", points) for i in range(4))
    state = [[rng.randrange(9000) for _ in points] for _ in schema]
    records = []
    for k in range(40):
        for s, row in enumerate(state):
            for p in range(len(row)):
                row[p] += rng.choice((0, 0, 1, -1, 300))
            values = tuple(row) if rng.random() > .1 else (Absent(1),) * len(row)
            records.append(ScanRecord(len(records) + 1, 10000 * k + s, s, values))
    good, refused = columns.encode(schema, records), 0
    for _ in range(400):
        raw = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            raw[rng.randrange(min(len(raw), 200) if rng.random() < .7 else len(raw))] = \
                rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        try:
            columns.decode(schema, 1, bytes(raw))
        except FormatError:
            refused += 1
    assert refused > 100
