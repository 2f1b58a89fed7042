"""Quarter hours by columns are those of one reading after the other, whatever a batch holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.rollup import reduce
from gateway.core import interval
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.reading import CLOCK_SIMULATED, Absent, ClockState, Point, Stream
from gateway.ledger import counter_limits
from tests.fleet.maker import DESCRIPTOR

IMPORT, VOLTAGE = 43, 1
STREAM = Stream("grid", (Point(IMPORT, 0, ""), Point(VOLTAGE, -1, "")))
CLOCK = ClockState(CLOCK_SIMULATED, 0, 900_000 * 7, 0)
ABSENT = st.integers(1, 7).map(Absent)


@st.composite
def batches(draw):
    """Return records of one meter over up to an hour: mostly in order and calm, with resets,
    jumps, absences, equal and falling times, and numbers that cannot be kept."""
    ticks, count, records = draw(st.integers(0, 900_000)), draw(st.integers(0, 10**6)), []
    steps = st.sampled_from((10_000, 10_000, 10_000, 0, -10_000, 400_000, 900_000))
    counts = st.sampled_from((0, 1, 3, 40, -5, 10**9, reduce.COUNTER_MAX))
    volts = st.integers(-40, 2400) | ABSENT | st.just(reduce.GAUGE_MAX + 1)
    steady, calm = draw(st.booleans()), draw(st.booleans())
    for seq in range(1, draw(st.integers(1, 12)) + 1):
        ticks = max(ticks + (10_000 if steady else draw(steps)), 0)
        count = max(count + (draw(st.integers(0, 40)) if calm else draw(counts)), 0)
        energy = count if steady else draw(st.just(count) | ABSENT)
        records.append(ScanRecord(seq, ticks, 0, (energy, draw(volts))))
    return records


def by_the_book(records):
    """Return (counter's Parts, gauge's quarters, scans) taken one reading at a time."""
    readings, gauges, scans = [], {}, {}
    for record in records:
        at = CLOCK.anchor_utc_ms + record.ticks_ms
        energy, volt = record.values
        counts = scans.setdefault((0, interval.quarter(at)), [0, 0])
        counts[0] += 1
        counts[1] += isinstance(energy, Absent) and isinstance(volt, Absent)
        if not isinstance(energy, Absent) and energy <= reduce.COUNTER_MAX:
            readings.append((at, energy))
        if not isinstance(volt, Absent) and volt <= reduce.GAUGE_MAX:
            held = gauges.setdefault(interval.quarter(at), [0, 0, volt, volt, at, volt])
            held[:4] = held[0] + 1, held[1] + volt, min(held[2], volt), max(held[3], volt)
            if at >= held[4]:
                held[4:] = at, volt
    rules = counter_limits.rules(DESCRIPTOR, STREAM, 0)
    return (interval.parts(readings, rules),
            {quarter: tuple(held) for quarter, held in gauges.items()},
            {key: tuple(counts) for key, counts in scans.items()})


@given(batches())
def test_columns_and_single_readings_give_the_same_quarter_hours(records):
    found = reduce.reduce_records((STREAM,), records, CLOCK, DESCRIPTOR)
    parts, gauges, scans = by_the_book(records)
    assert found.counters.get((0, 0), []) == parts
    assert found.gauges.get((0, 1), {}) == gauges
    assert found.scans == scans


MOST = 17_000 * 20_000 * 105 // 360_000_000 + 1     # Wh at 17 kW in the 10 s of a poll, twice


@pytest.mark.parametrize(("step", "broken"), [(0, 0), (MOST, 0), (MOST + 1, 1), (-1, 1)])
def test_one_impossible_step_among_calm_ones_breaks_the_quarter_hour(step, broken):
    readings = (0, 9), (10_000, 10), (20_000, 10 + step), (600_000, 11 + step)
    records = [ScanRecord(seq, ticks_ms, 0, (count, 2300))
               for seq, (ticks_ms, count) in enumerate(readings, 1)]
    found = reduce.reduce_records((STREAM,), records, CLOCK, DESCRIPTOR)
    assert [part.broken for part in found.counters[0, 0]] == [broken]


def test_an_event_keeps_its_body_and_gets_the_time_of_its_tick():
    found = reduce.reduce_records((STREAM,), [EventRecord(5, 1234, 9, ["end"])], CLOCK, DESCRIPTOR)
    assert found.events == [(5, 9, CLOCK.anchor_utc_ms + 1234, ["end"])]
    assert (found.counters, found.gauges, found.scans) == ({}, {}, {})
