"""CPython's own ways through the core's loops give the bytes and numbers of the core's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.codec import columns, predict, series
from gateway.core.codec.record import ScanRecord
from gateway.core.reading import Point, Stream
from gateway.storage import cpython_fast_paths

NEAR = st.integers(-70, 70)
FAR = st.integers(-1100, 1100) | st.integers(-(2 ** 68), 2 ** 68)


def leave():
    series.install(None)
    predict.install(None)


@pytest.fixture(autouse=True)
def _core_alone():
    leave()
    yield
    leave()


def coded(numbers):
    out = bytearray()
    series.put_residuals(out, numbers)
    return bytes(out)


@given(st.lists(NEAR, min_size=1) | st.lists(NEAR | FAR, min_size=1))
def test_residuals_have_the_bytes_of_the_core(numbers):
    leave()
    expected = coded(numbers)
    assert cpython_fast_paths.residuals(numbers) == expected
    cpython_fast_paths.install()
    assert coded(numbers) == expected
    assert series.read_residuals(expected, 0, len(numbers)) == (numbers, len(expected))


def test_each_number_whose_bytes_are_kept_and_the_next_ones_have_those_of_the_core():
    for number in range(-1030, 1030):
        leave()
        expected = coded([number])
        cpython_fast_paths.install()
        assert coded([number]) == expected, number


def test_no_residuals_are_no_bytes():
    cpython_fast_paths.install()
    assert coded([]) == b""


@given(st.lists(st.tuples(*[st.integers(-(2 ** 64), 2 ** 64)] * 2), min_size=1, max_size=20))
def test_roots_are_those_of_the_core(pairs):
    both = tuple(zip(*pairs, strict=True))
    assert cpython_fast_paths.roots(both) == predict.roots(both)


def test_a_batch_has_the_same_bytes_either_way():
    # volts, watts, vars and what a meter makes of them: roots, small and large residuals
    points = tuple(Point(number, -1, "") for number in (1, 11, 19, 15, 43))
    schema = (Stream("a", points), Stream("b", points))
    records = [
        ScanRecord(1 + i, 1000 * i + i % 3, i % 2, (
            2300 + i % 7, 5000 - 37 * i, 900 + 31 * (i % 5), round(
                ((5000 - 37 * i) ** 2 + (900 + 31 * (i % 5)) ** 2) ** 0.5) + i % 2, 10 ** 9 + i))
        for i in range(80)]
    expected = [columns.encode(schema, records, plain) for plain in (False, True)]
    cpython_fast_paths.install()
    assert [columns.encode(schema, records, plain) for plain in (False, True)] == expected
    assert [columns.decode(schema, 1, data) for data in expected] == [records, records]
