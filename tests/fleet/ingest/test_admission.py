"""Every way a batch can arrive, and the one verdict for each."""

import itertools
import sqlite3

import pytest
from cryptography.exceptions import InvalidSignature

from fleet.store.reader import StoreReader
from gateway.core.evidence import batch, chain, receipt
from tests.fleet.maker import CONFIG_HASH, PaperGateway

SHORT_S = 60            # one minute of scans: small batches, quick tests


def opened_receipt(outcome, key):
    """Return the Receipt of an outcome after checking the fleet's signature over it."""
    message, content = receipt.open_sealed(outcome.receipt)
    key.public_key().verify(message.signature, message.signed)
    return content


def stored(tmp_path):
    """Return the numbers of the stored batches, in order."""
    connection = sqlite3.connect(tmp_path / "fleet.db")
    return [row[0] for row in connection.execute("SELECT number FROM batches ORDER BY number")]


def test_a_good_batch_is_stored_and_receipted_with_its_chain_value(ingest, gateway, receipt_key):
    sealed = gateway.seal(seconds=SHORT_S)
    content = opened_receipt(ingest.process_one("shop-1", sealed), receipt_key)
    assert content.low_water == gateway.next_seq - 1
    assert content.chain == chain.chain_hash(batch.open_sealed(sealed)[0].payload)
    assert (content.cabinet, content.journal_id) == ("shop-1", bytes(16))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
def test_in_any_order_the_low_water_mark_never_passes_a_hole(order, ingest, gateway, receipt_key,
                                                             tmp_path):
    sealed = [gateway.seal(seconds=SHORT_S) for _ in range(4)]
    ends = [batch.open_sealed(one)[1].last_seq for one in sealed]
    arrived = set()
    for index in order:
        outcome = ingest.process_one("shop-1", sealed[index])
        arrived.add(index)
        whole = next(n for n in range(5) if n not in arrived)
        assert opened_receipt(outcome, receipt_key).low_water == (ends[whole - 1] if whole else 0)
    assert stored(tmp_path) == [1, 2, 3, 4]


def test_the_same_batch_ten_times_counts_once_and_is_receipted_ten_times(ingest, gateway, tmp_path):
    sealed = gateway.seal(seconds=SHORT_S)
    outcomes = [ingest.process_one("shop-1", sealed) for _ in range(10)]
    assert [outcome.code for outcome in outcomes] == ["admit"] + ["duplicate"] * 9
    assert all(outcome.receipt for outcome in outcomes)
    assert stored(tmp_path) == [1]
    # 11 streams x 6 + CONFIG
    assert StoreReader(tmp_path).evidence("shop-1", 0, 1 << 50) == (67, 1)


def stranger(gateway):
    return "ghost-1", PaperGateway("ghost-1").seal(seconds=SHORT_S)


def other_topic(gateway):
    return "other-1", gateway.seal(seconds=SHORT_S)


def wrong_key(gateway):
    return "shop-1", PaperGateway().seal(seconds=SHORT_S)


def borrowed_key_id(gateway):
    clone = PaperGateway()
    clone.kid = gateway.kid
    return "shop-1", clone.seal(seconds=SHORT_S)


def nonsense(gateway):
    return "shop-1", b"\x00" * 100


def empty(gateway):
    return "shop-1", b""


def oversized(gateway):
    return "shop-1", bytes(batch.SEALED_MAX + 1)


def torn(gateway):
    return "shop-1", gateway.seal(seconds=SHORT_S)[:-1]


def followed_by_more(gateway):
    return "shop-1", gateway.seal(seconds=SHORT_S) + b"\x00"


def body_is_no_deflate(gateway):
    return "shop-1", gateway.seal(seconds=SHORT_S, body=b"\xff" * 50)


def claims_more_records(gateway):
    return "shop-1", gateway.seal(seconds=SHORT_S, last_seq=68)


def does_not_begin_at_the_start(gateway):
    return "shop-1", gateway.seal(seconds=SHORT_S, prev=bytes(32))


REFUSED = (
    (stranger, "unknown-device"), (other_topic, "unknown-device"),
    (wrong_key, "bad-signature"), (borrowed_key_id, "bad-signature"),
    (nonsense, "bad-schema"), (empty, "bad-schema"), (oversized, "bad-schema"),
    (torn, "bad-schema"), (followed_by_more, "bad-schema"),
    (body_is_no_deflate, "bad-schema"), (claims_more_records, "bad-schema"),
    (does_not_begin_at_the_start, "broken-chain"),
)


@pytest.mark.parametrize(("make", "code"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_what_is_not_welcome_is_named_counted_and_not_booked(make, code, ingest, gateway, tmp_path):
    sender, sealed = make(gateway)
    outcome = ingest.process_one(sender, sealed)
    assert (outcome.code, outcome.receipt) == (code, None)
    assert StoreReader(tmp_path).refused(sender) == {code: 1}
    assert stored(tmp_path) == []


def test_after_a_refused_batch_the_service_goes_on(ingest, gateway):
    for make, _ in REFUSED[:8]:
        ingest.process_one(*make(PaperGateway()))
    assert ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S)).code == "admit"


def test_no_flipped_bit_of_a_batch_is_ever_admitted(ingest, gateway, tmp_path):
    sealed = gateway.seal(seconds=SHORT_S)
    for place in range(0, len(sealed), 7):
        bad = bytearray(sealed)
        bad[place] ^= 1 << place % 8
        assert ingest.process_one("shop-1", bytes(bad)).receipt is None, place
    assert stored(tmp_path) == []


def test_other_content_under_a_held_number_is_a_fork_and_never_booked(ingest, gateway, tmp_path):
    clone = PaperGateway(key=gateway.key)
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    clone.at_s = 3600
    assert ingest.process_one("shop-1", clone.seal(seconds=SHORT_S)).code == "fork"
    assert StoreReader(tmp_path).refused("shop-1") == {"fork": 1}
    assert stored(tmp_path) == [1]


def test_a_record_that_is_held_in_another_batch_is_a_fork(ingest, gateway):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    gateway.next_seq -= 5
    assert ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S)).code == "fork"


def test_a_batch_that_names_another_predecessor_is_refused_from_both_sides(ingest, gateway):
    first, second = gateway.seal(seconds=SHORT_S), gateway.seal(seconds=SHORT_S)
    ingest.process_one("shop-1", first)
    gateway.prev = bytes(32)
    assert ingest.process_one("shop-1",
                              gateway.seal(number=2, seconds=SHORT_S)).code == "broken-chain"
    assert ingest.process_one("shop-1", second).code == "admit"


def test_a_predecessor_that_a_held_successor_does_not_name_is_refused(ingest, gateway):
    clone = PaperGateway(key=gateway.key)
    gateway.seal(seconds=SHORT_S)
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))       # batch 2, waits for batch 1
    clone.at_s = 7200                                           # same shape, other readings
    assert ingest.process_one("shop-1", clone.seal(seconds=SHORT_S)).code == "broken-chain"


def test_two_journals_of_one_device_do_not_mix(ingest, gateway, receipt_key):
    second = PaperGateway(journal_id=b"\x01" * 16, key=gateway.key)
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    outcome = ingest.process_one("shop-1", second.seal(seconds=SHORT_S))
    content = opened_receipt(outcome, receipt_key)
    assert (content.journal_id, content.low_water) == (b"\x01" * 16, 67)


def test_a_receipt_of_another_fleet_does_not_pass_for_ours(ingest, gateway):
    outcome = ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    message, _ = receipt.open_sealed(outcome.receipt)
    with pytest.raises(InvalidSignature):
        PaperGateway().key.public_key().verify(message.signature, message.signed)


def test_the_paper_gateway_names_its_configuration(gateway):
    _, content = batch.open_sealed(gateway.seal(seconds=SHORT_S))
    assert content.config_hash == CONFIG_HASH
