"""The programs of docs/ read columns from the document's words as the product wrote them."""

import pytest
from hypothesis import given, settings

from gateway.core.codec import columns
from gateway.core.codec.record import EventRecord
from gateway.core.codec.schema import encode_schema
from gateway.core.reading import Absent
from tests.bench import load
from tests.gateway.core.codec.test_columns_props import journals, meters
from tests.support import evidence_world as forge

checker = forge.verifier()


@pytest.fixture(scope="module")
def recount():
    """docs/recount_energy.py."""
    return forge.verifier("recount_energy")


def rows(recount, found):
    """Return {stream: [(ticks, values with None where absent)]} as the programs read it."""
    series = recount.Series(found)
    streams = {s for s, p in found.series if p is None}
    return {s: list(zip(series.values(s, None), zip(*(
        spread(found.scans[s], series.values(s, p), series.runs(s, p))
        for p in range(len(found.schema[s][1]))), strict=True), strict=True)) for s in streams}


def spread(count, values, runs):
    """Return `count` values, None where a run says so."""
    gone = {i for first, end, _ in runs for i in range(first, end)}
    left = iter(values)
    return [None if i in gone else next(left) for i in range(count)]


def written(records):
    """Return the same of records, and their events."""
    found, events = {}, []
    for one in records:
        if isinstance(one, EventRecord):
            events.append([one.ticks_ms, one.kind, one.body])
        else:
            values = tuple(None if isinstance(v, Absent) else v for v in one.values)
            found.setdefault(one.stream, []).append((one.ticks_ms, values))
    return found, events


def agree(recount, schema, records):
    """Return whether the programs read from the product's bytes what was written."""
    found = checker.Columns(encode_schema(schema), columns.encode(schema, records))
    return (rows(recount, found), found.events) == written(records)


@given(journal=journals())
@settings(max_examples=150, deadline=None)
def test_whatever_is_absent_or_out_of_order_is_read_as_it_was_written(journal, recount):
    schema, _, records = journal
    assert agree(recount, schema, records)


@given(meter=meters())
@settings(max_examples=150, deadline=None)
def test_what_is_told_against_a_prediction_is_read_as_it_was_written(meter, recount):
    assert agree(recount, *meter)


def test_every_value_of_a_loaded_batch_is_read_as_it_was_written(recount):
    schema = load.schema_of("fine")
    records = next(load.day("shop-monday", "fine", load.Plan(10, 30, 1)))
    records.append(EventRecord(len(records) + 1, 90_000_000, 9, ["test"]))
    assert agree(recount, schema, records)
    modes = checker.Columns(encode_schema(schema), columns.encode(schema, records)).modes
    assert sum(mode >> 2 != 0 for mode in modes) > 20 * 5       # predictions were used
