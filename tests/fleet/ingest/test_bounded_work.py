"""What the right key signs is not believed for that: sizes and bodies are checked before work."""

import json
import tracemalloc
from itertools import product

import pytest

from fleet.__main__ import main
from fleet.formats import event_bodies
from fleet.formats.registry import Registry
from fleet.reporting import report
from fleet.store.reader import UNREADABLE_GAP, StoreReader, open_reader
from gateway.core.codec import cbor, columns, record
from gateway.core.codec.schema import (
    POINTS_MAX,
    SCHEMA_BYTES_MAX,
    SCHEMA_POINTS_MAX,
    STREAMS_MAX,
    decode_schema,
    encode_schema,
)
from gateway.core.errors import FormatError
from gateway.core.evidence import batch
from gateway.core.reading import ClockState, Point, Stream
from tests.fleet.maker import ORIGIN_MS, QUARTER_MS, deflate
from tests.support.work import work_of

WORK_MAX = 200_000          # lines, calls and copied bytes; the old reader needed 15 million
POINT = [14, 0, ""]


def refused(call, *arguments):
    """Return (work, text of the FormatError) of a call."""
    work, error = work_of(call, *arguments)
    assert isinstance(error, FormatError), error
    return work, str(error)


def array(items, count):
    """Return the CBOR of an array of one item, so often."""
    return cbor.head(cbor.ARRAY, count) + cbor.encode(items) * count


def schema_bytes(kinds, streams):
    return cbor.head(cbor.ARRAY, 2) + kinds + streams


@pytest.mark.parametrize(("what", "data", "words"), [
    ("a million streams", schema_bytes(array([POINT], 1), array(["m", 0], 1_000_000)),
     f"4000012 bytes, at most {SCHEMA_BYTES_MAX}"),
    ("many streams", schema_bytes(array([POINT], 1), array(["m", 0], 100_000)),
     f"an array of at most {STREAMS_MAX}"),
    ("many points of one device", schema_bytes(
        array([POINT] * (POINTS_MAX + 1), 1), array(["m", 0], 1)),
     f"an array of at most {POINTS_MAX}"),
    ("many lists of points", schema_bytes(array([POINT], 300), array(["m", 0], 1)),
     f"an array of at most {STREAMS_MAX}"),
    ("many points of all devices", schema_bytes(
        array([POINT] * POINTS_MAX, 1), array(["m", 0], 17)),
     f"17408 points, at most {SCHEMA_POINTS_MAX}")])
def test_a_schema_that_announces_too_much_is_refused_before_it_is_read(what, data, words):
    work, text = refused(decode_schema, data)
    assert words in text, (what, text)
    assert work - len(data) < WORK_MAX, what


def test_a_schema_as_large_as_is_allowed_is_read():
    points = tuple(Point(14, 0, str(i)) for i in range(POINTS_MAX))
    schema = tuple(Stream(f"d{i}", points) for i in range(SCHEMA_POINTS_MAX // POINTS_MAX))
    assert decode_schema(encode_schema(schema)) == schema


@pytest.mark.parametrize(("what", "events", "words"), [
    ("more events than records", array([0, 10, ["a", "b"]], 500_000), "at most 1 was expected"),
    ("one event with a long body", array([0, 10, [1] * 9000], 1), "an event is"),
    ("one event with a body of megabytes", array([0, 10, [b"x" * 100] * 10_000], 1), "too many")])
def test_events_are_counted_and_measured_before_they_are_decoded(what, events, words):
    one = columns.encode((), [record.EventRecord(1, 0, 10, ["a", "b"])])
    head = one[:-len(array([0, 10, ["a", "b"]], 1))]
    assert columns.decode((), 1, one)[0].body == ["a", "b"]
    work, text = refused(columns.decode, (), 1, head + events)
    assert words in text, (what, text)
    assert work - len(head + events) < WORK_MAX, what


def test_four_kilobytes_that_declare_a_million_streams_cost_the_fleet_next_to_nothing(
        ingest, gateway):
    body = deflate(cbor.encode([
        schema_bytes(array([POINT], 1), array(["m", 0], 1_000_000)), b"\0"]))
    made = batch.Batch("shop-1", bytes(16), 1, 1, 1, 1, gateway.prev, bytes(32),
                       ClockState(9, 0, ORIGIN_MS, 0), batch.CODEC_DEFLATE, body)
    sealed = batch.seal(batch.encode_payload(made), gateway.kid, gateway.key.sign)
    assert len(sealed) < 5000
    tracemalloc.start()
    try:
        assert ingest.process_one("shop-1", sealed).code == "bad-schema"
        assert tracemalloc.get_traced_memory()[1] < 20 << 20       # the body itself, twice
    finally:
        tracemalloc.stop()


GOOD_BODIES = {
    record.BOOT: ["start", "1.0", 0, 17], record.GAP: [-1, None, 5, "no room"],
    record.TORN: [7, 512, 100], record.CLOCK: [3, 1, 2, 3, "observed"],
    record.IO_ERROR: ["read", 5, "input/output"], record.LOGIN: ["a", "b", 1],
    record.DOWNSAMPLED: [1, 9, 2, bytes(32)], record.STOP: ["asked to stop"],
    record.ALARM: ["batch-damaged", "batch 7"], record.DEVICE: [0, "lost", "no reply"]}
WRONG = (None, -2, 1 << 60, 1.5, b"x", {}, [])


def bodies_that_cannot_be():
    """Yield (kind, body): each good body cut short, and with one entry of another kind."""
    for kind, good in GOOD_BODIES.items():
        yield kind, good[:-1]
        yield kind, []
        for (place, entry), wrong in product(enumerate(good), WRONG):
            a_time = kind == record.GAP and place in (1, 2) and wrong in (None, -2)
            if type(wrong) is not type(entry) and not a_time:
                yield kind, [*good[:place], wrong, *good[place + 1:]]


def test_every_body_that_a_gateway_writes_fits_and_no_other():
    for kind, good in GOOD_BODIES.items():
        assert event_bodies.fault(kind, good) is None, kind
        assert event_bodies.fault(kind, [*good, "of a newer gateway"]) is None, kind
    assert event_bodies.fault(200, ["of", "a", "newer", "gateway"]) is None
    tried = list(bodies_that_cannot_be())
    assert len(tried) > 200
    for kind, body in tried:
        assert event_bodies.fault(kind, body) is not None, (kind, body)


def with_event(gateway, kind, body):
    """Return the sealed first batch of a gateway, with one more event."""
    records = gateway.records(900, True)
    records.append(record.EventRecord(records[-1].seq + 1, 899_000, kind, body))
    return gateway.seal(records)


@pytest.mark.parametrize("body", [[], [0], [-1, None], [0, 1, 2], [0, None, "soon", "x"],
                                  [0, None, 1 << 60, "x"], ["grid", None, None, "x"]])
def test_a_gap_without_its_four_entries_is_refused_and_no_report_meets_it(body, ingest, gateway):
    outcome = ingest.process_one("shop-1", with_event(gateway, record.GAP, body))
    assert outcome.code == "bad-schema"
    assert "event gap" in outcome.detail


def test_a_report_tolerates_a_gap_that_was_stored_before_bodies_were_checked(
        ingest, gateway, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(event_bodies, "check", lambda records: None)
    assert ingest.process_one("shop-1", with_event(gateway, record.GAP, [0])).code == "admit"
    for _ in range(2):
        assert ingest.process_one("shop-1", gateway.seal()).code == "admit"
    gaps = StoreReader(tmp_path).gaps("shop-1", ORIGIN_MS, ORIGIN_MS + QUARTER_MS)
    assert [(gap.stream, gap.reason) for gap in gaps] == [(-1, UNREADABLE_GAP)]
    device = Registry(tmp_path).find("shop-1")
    with open_reader(tmp_path) as reader:
        content = report.build(reader, report.ReportRequest(
            device, None, ORIGIN_MS, ORIGIN_MS + QUARTER_MS))
    assert content["evidence"]["gap_list"][0]["reason"] == UNREADABLE_GAP
    capsys.readouterr()
    assert main(["report", "--data", str(tmp_path), "--site", "shop",
                 "--from", "2026-06-01T00:00:00Z", "--to", "2026-06-01T00:15:00Z"]) == 0
    assert json.loads(capsys.readouterr().out)["evidence"]["gaps"] == 1
