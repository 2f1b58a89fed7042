"""What the right key signed, and a stranger's copy of it, altered in any layer: never a crash.

Each case is a batch of an enrolled gateway with one part altered - payload, deflate, schema,
columns, descriptor or event - and everything around it made again, signature included.  It is
admitted or refused by name, counted, and nothing else is affected.
"""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.formats.registry import Registry
from fleet.ingest.ingest import NOT_ROLLED_UP, Ingest
from fleet.store.reader import StoreReader
from fleet.store.writer import EvidenceStore
from gateway.core.codec import cbor, columns, cose, record
from gateway.core.evidence import batch
from gateway.core.reading import CLOCK_SIMULATED
from tests.fleet.maker import (
    DESCRIPTOR,
    ORIGIN_MS,
    SCHEMA,
    UNCERTAINTY_MS,
    PaperGateway,
    deflate,
)
from tests.fleet.store.test_group_commit import rows
from tests.support.fuzz import damaged, either, lcg

CASES, MANY = 400, 20_000
SHORT_S = 30
ADMITTED = ("admit", NOT_ROLLED_UP)
REFUSED = ("bad-schema", "bad-signature", "unknown-device", "broken-chain")
EVENTS = (                                      # kind and a good body
    (record.CLOCK, [3, 0, ORIGIN_MS, 50, "ntp"]), (record.ALARM, ["batch-lost", "1"]),
    (record.GAP, [-1, ORIGIN_MS, None, "off"]), (record.BOOT, ["power", "1.0", 0, 0]))


def config(below, descriptor):
    """Return a CONFIG event whose descriptor is altered and whose hash is true."""
    data = either(below, descriptor)
    return record.EventRecord(1, 0, record.CONFIG, [hashlib.sha256(data).digest(), data])


def records(below, gateway):
    """Return the records of half a minute, with an event of any kind among them."""
    found = gateway.records(SHORT_S, True)
    if below(3) == 0:
        found[0] = config(below, DESCRIPTOR)
    kind, body = EVENTS[below(len(EVENTS))]
    return [*found, record.EventRecord(found[-1].seq + 1, 30_000, kind, body)]


def with_events(below, inner, items):
    """Return columns with one of their events altered."""
    events = [[one.ticks_ms, one.kind, one.body] for one in items if record.is_event(one)]
    good = cbor.encode(events)
    assert inner.endswith(good)
    return inner[:-len(good)] + either(below, events)


def case(below, gateway):
    """Return a sealed batch that is altered in one layer and repaired in all others."""
    gateway.next_seq, gateway.at_s = 1, 0
    items, layer = records(below, gateway), below(7)
    inner, schema = columns.encode(SCHEMA, items), columns.encode_schema(SCHEMA)
    if layer == 0:
        inner = damaged(below, inner)
    if layer == 1:
        inner = with_events(below, inner, items)
    if layer == 2:
        schema = either(below, cbor.decode(schema))
    body = [schema, inner]
    body = deflate(either(below, body) if layer == 3 else cbor.encode(body))
    if layer == 4:
        body = damaged(below, body)
    said = [batch.VERSION, gateway.cabinet, gateway.journal_id, 1, 1, 1, items[-1].seq,
            gateway.prev,
            items[0].body[0], [CLOCK_SIMULATED, 0, ORIGIN_MS, UNCERTAINTY_MS],
            batch.CODEC_DEFLATE, body]
    payload = either(below, said) if layer == 5 else cbor.encode(said)
    return cose.sign1(gateway.kid, payload, gateway.key.sign)


def signer(below, gateway, number):
    """Return who signs: the gateway, one with another key, or a stranger; a new journal each."""
    journal, kind = number.to_bytes(16, "big"), below(16)
    if kind == 0:
        return PaperGateway("ghost-1", journal, gateway.key)
    made = PaperGateway(gateway.cabinet, journal, None if kind < 3 else gateway.key)
    made.kid = gateway.kid if kind == 1 else made.kid
    return made


def outcomes(ingest, gateway, seed, count):
    """Return the outcomes of `count` cases, each sent twice at once."""
    below, found = lcg(seed), []
    for number in range(count):
        who = signer(below, gateway, number)
        pair = ingest.process([(gateway.cabinet, case(below, who))] * 2)
        genuine = (who.cabinet, who.public) == (gateway.cabinet, gateway.public)
        assert genuine or pair[0].code not in ADMITTED
        found += pair
    return found


def judge(tmp_path, gateway, seed, count):
    """Receive cases between two batches of a neighbour, and hold all of it to account."""
    neighbour = PaperGateway("shop-2")
    neighbour.enrol(tmp_path, "corner")
    registry, key = Registry(tmp_path), Ed25519PrivateKey.generate()
    good = [("shop-2", neighbour.seal(seconds=900)) for _ in range(2)]
    for folder, cases in (("quiet", 0), ("loud", count)):
        store = EvidenceStore(tmp_path / folder)
        ingest = Ingest(store, registry.find, key, lambda: ORIGIN_MS)
        assert ingest.process_one(*good[0]).code == "admit"
        found = outcomes(ingest, gateway, seed, cases)
        assert ingest.process_one(*good[1]).low_water == neighbour.next_seq - 1
        store.close()
    refused = [one for one in found if one.low_water is None]
    assert {one.code for one in found} <= {*ADMITTED, "duplicate", *REFUSED, "fork"}
    assert all(one.detail for one in refused)
    assert not [one for one in refused if "cbor2" in one.detail]      # both readers agree
    counted = StoreReader(tmp_path / "loud").refused("shop-1")
    assert sum(counted.values()) == len(refused) + sum(one.code == NOT_ROLLED_UP for one in found)
    assert of_neighbour(tmp_path / "loud") == of_neighbour(tmp_path / "quiet")
    return found


def of_neighbour(folder):
    """Return what is booked of shop-2, without numbers that only count what came between."""
    found = rows(folder)
    channels = {row[0]: row[2:] for row in found["channels"] if row[1] == "shop-2"}
    parts = [(channels[row[0]], row[1], *row[3:]) for name in ("counter_parts", "gauge_parts")
             for row in found[name] if row[0] in channels]
    return parts, [row for row in found["chains"] if row[0] == "shop-2"]


def test_altered_batches_are_admitted_or_refused_by_name_and_touch_nothing_else(tmp_path, gateway):
    codes = [one.code for one in judge(tmp_path, gateway, 20261126, CASES)]
    for code in ("admit", "duplicate", "bad-schema", "bad-signature", "unknown-device"):
        assert codes.count(code) >= 5, code


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_twenty_thousand_altered_batches_are_admitted_or_refused_by_name(tmp_path, gateway):
    judge(tmp_path, gateway, 7, MANY)
