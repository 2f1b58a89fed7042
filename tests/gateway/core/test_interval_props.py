"""Properties of the quarter hours for any readings and any monotone truth (CPython only)."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core import counter
from gateway.core.interval import MISSING, QUARTER_MS, CounterRules, CounterTrack, parts, rebuild
from tests.support.resample import resample

MODULUS = 1 << 32
RULES = CounterRules(MODULUS, 10**9, 30000, 0)
HOURS_MS = 3 * 4 * QUARTER_MS

times = st.lists(st.integers(0, HOURS_MS), min_size=2, max_size=40, unique=True).map(sorted)


@st.composite
def streams(draw):
    """Readings of a counter that never stops nor breaks, possibly rolling over."""
    stamps = draw(times)
    value, readings = draw(st.integers(0, MODULUS - 1)), []
    for before, now in zip([stamps[0], *stamps], stamps, strict=False):
        most = counter.limit_counts(RULES.rate_per_hour, now - before)
        value += draw(st.integers(0, min(most, 10**6)))
        readings.append((now, value % MODULUS))
    return readings


def feed(readings):
    """Return the deltas of a whole stream."""
    track = CounterTrack(RULES)
    return [delta for reading in readings for delta in track.add(*reading)]


@settings(max_examples=150, deadline=None)
@given(streams(), st.data())
def test_splitting_the_stream_anywhere_and_shuffling_the_parts_changes_nothing(readings, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(readings)), max_size=4)))
    pieces = [readings[a:b] for a, b in zip([0, *cuts], [*cuts, len(readings)], strict=True)]
    found = [part for piece in pieces for part in parts(piece, RULES)]
    assert rebuild(data.draw(st.permutations(found)), RULES) == feed(readings)


@settings(max_examples=150, deadline=None)
@given(streams())
def test_deltas_telescope_to_the_difference_of_the_outer_boundaries(readings):
    unwrapped, total, last = [], 0, readings[0][1]
    for at, value in readings:
        total += (value - last) % MODULUS
        last = value
        unwrapped.append((at, total))
    closed = [d for d in feed(readings) if d.quality != MISSING]
    if not closed:
        return
    ends = [closed[0].start_ms, closed[-1].start_ms + QUARTER_MS]
    low, high = resample(unwrapped, ends)
    assert sum(d.delta_milli for d in closed) == high - low
    assert [d.start_ms for d in closed] == list(range(ends[0], ends[1], QUARTER_MS))


@settings(max_examples=200, deadline=None)
@given(streams(), st.data())
def test_the_bound_holds_whatever_the_counter_did_between_its_readings(readings, data):
    """The truth at a boundary is any value between the readings around it."""
    unwrapped, total, last = [], 0, readings[0][1]
    for at, value in readings:
        total += (value - last) % MODULUS
        last = value
        unwrapped.append((at, total))
    truth = {}
    for at in range(0, HOURS_MS + 1, QUARTER_MS):
        older = [v for t, v in unwrapped if t <= at]
        newer = [v for t, v in unwrapped if t >= at]
        if older and newer:
            share = Fraction(data.draw(st.integers(0, 100)), 100)
            truth[at] = 1000 * (older[-1] + share * (newer[0] - older[-1]))
    for delta in feed(readings):
        if delta.quality == MISSING:
            continue
        true = truth[delta.start_ms + QUARTER_MS] - truth[delta.start_ms]
        assert abs(delta.delta_milli - true) <= delta.bound_milli


@settings(max_examples=150, deadline=None)
@given(times, st.data())
def test_whatever_is_read_no_quarter_hour_is_claimed_twice_or_below_zero(stamps, data):
    wild = [(t, data.draw(st.integers(0, MODULUS - 1))) for t in stamps]
    closed = feed(wild)
    starts = [d.start_ms for d in closed]
    assert starts == sorted(set(starts))
    assert all(d.delta_milli is None or d.delta_milli >= 0 for d in closed)
