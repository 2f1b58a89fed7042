"""Columns on whole days of cabinets: three decoders, one of them the auditor's, read the same.

The days are the bench's (tests/bench/load.py): named seeds, both resolutions, three cadences.
Simulated journals are read twice by tests/support/sim_truth.py.
"""

import pytest

from gateway.core.codec import columns
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.reading import Absent
from tests.bench.load import SEEDS, Plan, day, schema_of
from tests.support.columns_from_docs import decode as decode_by_the_docs
from tests.support.evidence_world import verifier

CADENCES = {"1 s": (1, 60), "10 s": (10, 90), "60 s": (60, 15)}


@pytest.fixture(scope="module")
def auditor():
    """Return docs/evidence_format.py and docs/recount_energy.py as modules."""
    return [verifier(name) for name in ("evidence_format", "recount_energy")]


def troubled(records):
    """Return records with a dead meter, a point that comes and goes, and an event."""
    found = []
    for record in records:
        values = record.values
        if record.stream == 7 and len(found) % 3 == 0:
            values = (Absent(1),) * len(values)
        elif record.stream == 3 and len(found) % 5 == 0:
            values = (*values[:6], Absent(5), *values[7:])
        found.append(ScanRecord(record.seq, record.ticks_ms, record.stream, values))
    return [*found, EventRecord(found[-1].seq + 1, found[-1].ticks_ms, 9, ["stop"])]


def read_three_times(schema, records, auditor):
    """Hold encode, our decoder, the one by the book and the verifier's to one another."""
    data = columns.encode(schema, records)
    assert columns.decode(schema, records[0].seq, data) == records
    assert decode_by_the_docs(schema, records[0].seq, data) == records
    counted = auditor[0].Columns(columns.encode_schema(schema), data)
    found = auditor[1].Series(counted)
    for s in range(len(schema)):
        scans = [one for one in records if isinstance(one, ScanRecord) and one.stream == s]
        assert found.values(s, None) == [one.ticks_ms for one in scans]
        for p in range(len(schema[s].points)):
            there = [one.values[p] for one in scans if not isinstance(one.values[p], Absent)]
            assert found.values(s, p) == there, (s, p)


@pytest.mark.parametrize("resolution", ["coarse", "fine"])
@pytest.mark.parametrize("seed", SEEDS)
def test_three_decoders_read_the_same_from_an_hour_of_a_day(seed, resolution, auditor):
    schema = schema_of(resolution)
    for interval_s, scans in CADENCES.values():
        for records in day(seed, resolution, Plan(interval_s, scans // 3, 1)):
            read_three_times(schema, records, auditor)
            read_three_times(schema, troubled(records), auditor)


@pytest.mark.proof
@pytest.mark.parametrize("cadence", CADENCES)
@pytest.mark.parametrize("resolution", ["coarse", "fine"])
def test_three_decoders_read_the_same_from_many_days(resolution, cadence, auditor):
    schema, (interval_s, scans) = schema_of(resolution), CADENCES[cadence]
    for number in range(2):
        for records in day(f"day-{number}", resolution, Plan(interval_s, scans, 2)):
            read_three_times(schema, records, auditor)
            read_three_times(schema, troubled(records), auditor)
