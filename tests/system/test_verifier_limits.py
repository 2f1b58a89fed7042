"""The offline verifier enforces every limit of docs/formats.md, also where a true key signed."""

import hashlib
import tracemalloc
import zlib

import pytest

from gateway.core.codec import cbor
from gateway.core.evidence import batch, downsampled
from tests.fleet.maker import CONFIG_HASH, DESCRIPTOR, SCHEMA, PaperGateway, deflate
from tests.support import evidence_world as forge

read = forge.verifier("evidence_format")
period = forge.verifier("evidence_period")


def payload(**changes):
    """Return a batch's payload of 13 parts by name, with some of them exchanged."""
    gateway = PaperGateway()
    records = gateway.records(60, True)
    body = batch.make_body(SCHEMA, records, batch.CODEC_RAW, deflate)
    parts = {"version": 3, "device": "shop-1", "journal": bytes(16), "number": 1, "boot": 1,
             "first": records[0].seq, "last": records[-1].seq, "prev": bytes(32),
             "config": CONFIG_HASH, "clock": [3, 0, 0, 50], "codec": 0, "body": body}
    return cbor.encode(list({**parts, **changes}.values()))


def refused(data):
    """Return whether a payload is refused, by a named reason."""
    try:
        read.Batch(data)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        return str(error) or type(error).__name__
    return None


def test_a_batch_as_it_is_written_is_read():
    assert refused(payload()) is None


@pytest.mark.parametrize("changes", [
    {"version": 1}, {"version": True}, {"version": 4}, {"device": ""}, {"device": "x" * 41},
    {"device": b"shop-1"}, {"journal": bytes(15)}, {"number": 0}, {"number": 1 << 32},
    {"number": True}, {"boot": 1 << 32}, {"boot": -1}, {"first": 0}, {"last": 1 << 54},
    {"first": 1, "last": 131_073}, {"prev": bytes(31)}, {"config": bytes(33)},
    {"clock": [5, 0, 0, 0]}, {"clock": [3, 0, 0]}, {"clock": [3, -1, 0, 0]},
    {"clock": [3, 0, 253_402_300_800_000, 0]}, {"clock": [3, 0, 0, True]}, {"codec": 2},
    {"codec": True}, {"body": "text"}, {"more": 1}], ids=str)
def test_a_head_outside_its_limits_is_refused(changes):
    assert refused(payload(**changes))


def body(schema=None, columns=None, extra=()):
    """Return a raw body of a schema and columns."""
    lists, streams = schema or [[[[43, 0, ""]]], [["a", 0]]]
    return cbor.encode([cbor.encode([lists, streams]),
                        columns if columns is not None else plain(), *extra])


def plain():
    """Return columns of one scan of one stream: ticks 5, value 7."""
    return bytes.fromhex("01 01 00 00 10 00 0a 0e 80".replace(" ", ""))


def one(**parts):
    """Return the payload of a batch of one record with this body."""
    return payload(first=1, last=1, body=body(**parts))


def test_a_body_of_one_scan_is_read():
    assert refused(one()) is None


@pytest.mark.parametrize("schema", [
    [[[[43, 0, ""]]], [["a", 0]] * 257], [[[[43, 0, ""]], [[43, 0, ""]]], [["a", 0], ["b", 1]]],
    [[[[43, 0, ""]], [[47, 0, ""]]], [["a", 0]]], [[[[47, 0, ""]], [[43, 0, ""]]],
                                                   [["a", 1], ["b", 0]]],
    [[[]], [["a", 0]]], [[[[43, 0, ""]] * 1025], [["a", 0]]], [[[[65_536, 0, ""]]], [["a", 0]]],
    [[[[43, 10, ""]]], [["a", 0]]], [[[[43, 0, "x" * 65]]], [["a", 0]]],
    [[[[43, 0, 5]]], [["a", 0]]],
    [[[[43, 0, ""]]], [["x" * 65, 0]]], [[[[43, 0, ""]]], [["", 0]]],
    [[[[True, 0, ""]]], [["a", 0]]]], ids=range(13))
def test_a_schema_outside_its_limits_is_refused(schema):
    assert refused(one(schema=schema))


@pytest.mark.parametrize("columns", [
    "8180080100",                       # 131,073 records
    "02 01 00 00 00 10 00 0a 0e 80",    # a run without the records for it
    "01 00 00 00 00 10 00 0a 0e 80",    # a symbol that was expected
    "01 01 00 01 00 00 01 00 00 00 10 00 0a 0e 80",     # reason 0
    "01 01 00 00 08 08 00 0a 0e 80",    # neighbouring runs of modes that are equal
    "01 01 00 00 10 00 8a 00 0e 80",    # a padded number
    "01 01 00 00 10 00 0a 0e 81 83 00 00 80",           # an event of kind 0
    "01 01 00 00 10 00 0a 0e 80 00",    # bytes behind the end
    "01 01 00 00 10 00 0a 0e 98 00",    # the number of events in a long form
    "01 01 00 00 10 00 0a 80808080808080808080 01 80",  # more than ten bytes
])
def test_columns_that_no_writer_may_write_are_refused(columns):
    assert refused(one(columns=bytes.fromhex(columns.replace(" ", ""))))


def test_an_event_beyond_8192_bytes_is_refused():
    def event(size):
        events = cbor.encode([[5, 9, ["x" * size]]])
        return payload(first=1, last=2, body=body(
            columns=bytes.fromhex("02 01 01 00 00 10 00 0a 0e".replace(" ", "")) + events))
    assert refused(event(8000)) is None
    assert refused(event(8190)) == "columns: event"


def test_4194304_values_are_too_many_before_any_is_read():
    lists = [[[number, 0, ""] for number in range(1, 1025)]]
    count = bytes.fromhex("818002")             # 32,769 records of 1,024 values
    assert refused(payload(first=1, last=32_769, body=body(
        schema=[lists, [["a", 0]]], columns=count + count + bytes(4)))) \
        == "columns: too many values"


def test_a_body_that_inflates_beyond_16_mib_is_refused_without_being_held():
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(bytes(64 << 20)) + bomb.flush()
    tracemalloc.start()
    assert refused(payload(codec=1, body=data)) == "batch: deflate"
    assert tracemalloc.get_traced_memory()[1] < 40 << 20
    tracemalloc.stop()


def test_bytes_behind_a_deflated_body_are_refused():
    gateway = PaperGateway()
    records = gateway.records(60, True)
    packed = batch.make_body(SCHEMA, records, batch.CODEC_DEFLATE, deflate)
    assert refused(payload(codec=1, body=packed)) is None
    assert refused(payload(codec=1, body=packed + b"x")) == "batch: deflate"


def coarse(**changes):
    """Return the payload of a downsampled batch of no record."""
    row = [1, 1, 5, bytes(32)]
    content = downsampled.DownsampledBatch("shop-1", bytes(16), 1, 1, 1, 5, bytes(32), CONFIG_HASH,
                                           (3, 0, 0, 50), 0, b"", 2, [row])
    parts = {"version": 2, "device": content.cabinet, "journal": content.journal_id,
             "replaced": [row], "boot": 1, "rule": 2, "prev": bytes(32), "config": CONFIG_HASH,
             "clock": [3, 0, 0, 50], "codec": 0, "body": cbor.encode([
                 cbor.encode([[[[43, 0, ""]]], [["a", 0]]]), EMPTY, b"", EMPTY, b"", []])}
    return cbor.encode(list({**parts, **changes}.values()))


EMPTY = bytes.fromhex("000080")         # no record, no step, no event


@pytest.mark.parametrize("changes", [
    {"rule": 0}, {"rule": 5}, {"rule": True}, {"replaced": []},
    {"replaced": [[n + 1, n * 5 + 1, n * 5 + 5, bytes(32)] for n in range(257)]},
    {"replaced": [[1, 1, 5, bytes(32)], [3, 6, 9, bytes(32)]]},
    {"replaced": [[1, 1, 5, bytes(32)], [2, 5, 9, bytes(32)]]},
    {"replaced": [[1, 1, 5, bytes(31)]]}, {"body": cbor.encode([b"", b""])}], ids=str)
def test_a_coarsened_batch_outside_its_limits_is_refused(changes):
    assert refused(coarse()) is None
    assert refused(coarse(**changes))


@pytest.mark.parametrize("changes", [
    {"interval_s": 0}, {"interval_s": 86_401}, {"interval_s": True}, {"site": 5},
    {"devices": {}}, {"devices": [*DESCRIPTOR["devices"], DESCRIPTOR["devices"][0]]},
    {"devices": [{"name": "a", "ct_ratio": "1e3"}]}, {"devices": [{"name": "a", "ct_ratio": "0"}]},
    {"devices": [{"name": "a", "ct_ratio": 2_000_000}]},
    {"devices": [{"name": "a", "rated_w": -1}]}, {"devices": [{"name": "a", "role": 1}]},
    {"devices": [{"name": "a", "unit": 65_536}]}, {"devices": [{"name": "a", "unit": True}]},
    {"devices": [{"name": "a", "serial": "x" * 65}]}, {"devices": [{"name": "a", "bus": 1}]},
    {"devices": [{"name": "a", "path": "x" * 201}]}, {"buses": {}}, {"buses": [{}]},
    {"buses": [{"name": "a", "address": 1}]}, {"buses": [{"name": "a"}] * 1025},
    {"name": "x" * 8000}], ids=lambda one: str(one)[:40])
def test_a_site_descriptor_outside_its_limits_is_refused(changes):
    assert period.site_of(cbor.encode(DESCRIPTOR))["site"] == "shop"
    with pytest.raises((ValueError, TypeError)):
        period.site_of(cbor.encode({**DESCRIPTOR, **changes}))


@pytest.mark.parametrize("data", [
    "", "18", "1817", "190017", "ff", "9f00ff", "fb3ff0000000000000", "f7", "e0",
    "3b8000000000000000",
    "a2616100616100", "a2616200616100", "a1400000", "62c328", "5f", "81" * 9 + "00", "0000"])
def test_cbor_that_is_not_deterministic_is_refused(data):
    with pytest.raises((ValueError, IndexError, KeyError)):
        read.cbor(bytes.fromhex(data))


def test_a_receipt_and_a_hand_over_beyond_1024_bytes_are_refused(tmp_path):
    made = forge.real_world(tmp_path, batches=2, period=(
        forge.ORIGIN_MS, forge.ORIGIN_MS + forge.QUARTER_MS))
    said, parts = forge.opened_bundle(made.bundle)
    long = forge.written({**said, "receipts": [said["receipts"][0] + bytes(1024)]}, parts, made.key)
    assert "receipts: too long" in "\n".join(forge.checked(long).faults)
    entry = said["registry"].decode().rstrip()[:-1] + (
        ', "handovers": [{"public_hex": "%s", "statement_hex": "%s"}]}' % ("00" * 32, "00" * 1025))
    long = forge.written({**said, "registry": entry.encode()}, parts, made.key)
    assert "hand-over 1 of 1: too long" in "\n".join(forge.checked(long).faults)


@pytest.mark.parametrize("changes", [
    {"from": forge.ORIGIN_MS + 1}, {"to": forge.ORIGIN_MS}, {"key": bytes(31)}, {"config": b""},
    {"keys": {}}, {"cabinet": "x" * 41}, {"format": "wattproof-evidence-2"},
    {"keys": {"00" * 16: bytes(32), "01" * 16: bytes(32)}}])
def test_contents_outside_their_limits_are_refused(changes, tmp_path_factory):
    made = forge.real_world(tmp_path_factory.mktemp("fleet"), batches=2, period=(
        forge.ORIGIN_MS, forge.ORIGIN_MS + forge.QUARTER_MS))
    said, parts = forge.opened_bundle(made.bundle)
    kid = hashlib.sha256(said["key"]).digest()[:8]
    assert kid and forge.checked(forge.written({**said, **changes}, parts, made.key)).faults
