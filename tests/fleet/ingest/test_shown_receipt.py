"""A store that came back from an older copy is told so by a cabinet, with its own receipt."""

import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.formats.registry import Registry, key_id
from fleet.formats.values import Chain
from fleet.ingest import shown_receipt
from fleet.ingest.ingest import SHOWN, Ingest
from fleet.store.incidents import RESTORED, UNHELD
from fleet.store.reader import open_reader
from fleet.store.writer import EvidenceStore
from fleet.verify import UNDESCRIBED, site
from gateway.core.codec.record import ALARM, EventRecord
from gateway.core.evidence import receipt
from tests.fleet.maker import ORIGIN_MS, PaperGateway

HELD = Chain("shop-1", bytes(16), 100, bytes(32))


def said(epoch, low_water):
    return receipt.Receipt("shop-1", bytes(16), epoch, low_water, bytes(32), 0)


@pytest.mark.parametrize(("epoch", "low_water", "verdict"), [
    (5, 100, (False, None)), (5, 99, (False, None)), (4, 100, (False, None)),
    (5, 101, (True, (101, 101))), (6, 100, (True, None)), (6, 250, (True, (101, 250))),
    (4, 250, (False, (101, 250)))])
def test_the_epoch_rises_where_a_receipt_says_more_or_was_spoken_later(epoch, low_water, verdict):
    assert shown_receipt.judge(said(epoch, low_water), 5, HELD) == verdict


class Fleet:
    """A fleet's folder, its desk, and the last receipt that it gave."""

    def __init__(self, data, key):
        self.data, self.key, self.now_ms = data, key, ORIGIN_MS
        self.start()

    def start(self):
        self.store = EvidenceStore(self.data, lambda: self.now_ms)
        self.ingest = Ingest(self.store, Registry(self.data).find, self.key, lambda: self.now_ms)

    def process_one(self, sealed, sender="shop-1"):
        outcome = self.ingest.process_one(sender, sealed)
        self.last = outcome.receipt or getattr(self, "last", None)
        return outcome

    def said(self):
        return receipt.open_sealed(self.last)[1]

    def put_back(self, copy):
        """Put a snapshot of the whole folder in position: nothing in it knows."""
        self.store.close()
        shutil.rmtree(self.data)
        shutil.copytree(copy, self.data)
        self.start()


@pytest.fixture
def fleet(tmp_path, gateway, receipt_key):
    made = Fleet(tmp_path, receipt_key)
    yield made
    made.store.close()


def snapshot(fleet, tmp_path_factory):
    """Copy a stopped fleet's folder."""
    fleet.store.close()
    copy = tmp_path_factory.mktemp("snapshot") / "fleet"
    shutil.copytree(fleet.data, copy)
    fleet.start()
    return copy


def test_a_snapshot_put_back_begins_a_new_epoch_once_a_cabinet_shows_its_receipt(
        fleet, gateway, tmp_path_factory):
    sealed = [gateway.seal(seconds=60) for _ in range(8)]
    for one in sealed[:3]:
        fleet.process_one(one)
    before = fleet.said()
    copy = snapshot(fleet, tmp_path_factory)
    for one in sealed[3:7]:
        fleet.process_one(one)
    shown = fleet.last
    fleet.put_back(copy)
    assert [receipt.open_sealed(one)[1] for _, one in fleet.ingest.receipts()] == [before]
    outcome = fleet.process_one(shown)
    assert (outcome.code, outcome.low_water) == (SHOWN, before.low_water)
    assert fleet.said().epoch > before.epoch and fleet.said().low_water == before.low_water
    assert [name for name, _ in fleet.ingest.repeated()] == ["shop-1"]
    assert fleet.ingest.repeated() == []
    lost, = [one for one in fleet.store.incidents.all("shop-1")
             if one.position.startswith("record")]
    assert (lost.kind, lost.first_seq) == (RESTORED, before.low_water + 1)
    assert lost.last_seq == receipt.open_sealed(shown)[1].low_water
    for one in sealed[3:]:
        assert fleet.process_one(one).code == "admit"
    assert fleet.said().low_water == gateway.next_seq - 1


def test_the_cabinet_of_a_lost_store_is_heard_in_an_epoch_above_the_one_it_shows(
        fleet, gateway, tmp_path_factory):
    fleet.process_one(gateway.seal(seconds=60))
    fleet.process_one(gateway.seal(seconds=60))
    shown = fleet.last
    fleet.store.close()
    for file in fleet.data.glob("fleet.*"):
        file.unlink()
    fleet.now_ms = 1                        # and the clock went back to 1970
    fleet.start()
    old = receipt.open_sealed(shown)[1].epoch
    assert fleet.store.epoch < old
    assert fleet.process_one(shown).low_water == 0
    assert fleet.said().epoch == old + 1


def test_an_older_receipt_changes_nothing_and_is_answered(fleet, gateway):
    fleet.process_one(gateway.seal(seconds=60))
    old = fleet.last
    fleet.process_one(gateway.seal(seconds=60))
    epoch = fleet.store.epoch
    for shown in (old, fleet.last):
        assert fleet.process_one(shown).receipt is not None
        assert fleet.said().low_water == gateway.next_seq - 1
    assert fleet.store.epoch == epoch and fleet.store.incidents.all("shop-1") == []


def forged(fleet, gateway, **changes):
    """Return a receipt with other words, signed by the fleet or by `key`."""
    key = changes.pop("key", fleet.key)
    content = fleet.said()._replace(epoch=fleet.store.epoch + 5, **changes)
    return receipt.seal(content, key_id(key.public_key().public_bytes_raw()), key.sign)


def test_only_what_this_fleet_signed_for_this_cabinet_is_believed(fleet, gateway):
    PaperGateway("other-1").enrol(fleet.data)
    fleet.process_one(gateway.seal(seconds=60))
    epoch = fleet.store.epoch
    stranger = Ed25519PrivateKey.generate()
    broken = bytearray(forged(fleet, gateway))
    broken[-1] ^= 1
    for sender, message in (("shop-1", forged(fleet, gateway, key=stranger)),
                            ("shop-1", forged(fleet, gateway, cabinet="other-1")),
                            ("other-1", forged(fleet, gateway)), ("shop-1", bytes(broken)),
                            ("ghost-1", forged(fleet, gateway, cabinet="ghost-1"))):
        outcome = fleet.process_one(message, sender)
        assert (outcome.low_water, outcome.code == SHOWN) == (None, False), sender
    assert fleet.store.epoch == epoch


def declared(gateway, text, seconds=60):
    """Return a batch that says which of those before it will not come."""
    scans = gateway.records(seconds, with_config=False)
    event = EventRecord(scans[0].seq, scans[0].ticks_ms, ALARM, ["batch-lost", text])
    return gateway.seal([event, *(one._replace(seq=one.seq + 1) for one in scans)])


@pytest.mark.parametrize(("text", "passed", "place"), [
    ("1-5", True, "4-5"), ("4-5", True, "4-5"), ("5-5", False, "5-5"), ("1-4", False, "4-4"),
    ("1-9999999999", False, None), ("5-1", False, None), ("1-", False, None), ("-5", False, None)])
def test_what_nobody_holds_is_declared_and_passed(fleet, gateway, text, passed, place):
    sealed = [gateway.seal(seconds=60) for _ in range(7)]
    for number in (1, 2, 3, 6, 7):
        fleet.process_one(sealed[number - 1])
    held = fleet.said().low_water
    outcome = fleet.process_one(declared(gateway, text))
    assert (outcome.low_water > held) == passed
    found = [one.position for one in fleet.store.incidents.all("shop-1") if one.kind == UNHELD]
    assert found == ([place] if place else [])


def test_a_batch_that_comes_after_all_is_taken(fleet, gateway):
    sealed = [gateway.seal(seconds=60) for _ in range(6)]
    for number in (1, 2, 3, 5, 6):
        fleet.process_one(sealed[number - 1])
    fleet.process_one(declared(gateway, "4-5"))
    assert fleet.said().low_water == gateway.next_seq - 1
    assert fleet.process_one(sealed[3]).code == "admit"


def test_what_is_stored_inside_a_declared_range_is_passed_as_far_as_it_goes(fleet, gateway):
    sealed, ends = [], []
    for _ in range(7):
        sealed.append(gateway.seal(seconds=60))
        ends.append(gateway.next_seq - 1)
    for number in (1, 2, 3, 5):
        fleet.process_one(sealed[number - 1])
    assert fleet.process_one(declared(gateway, "4-6")).low_water == ends[4]
    assert fleet.process_one(sealed[6]).low_water == gateway.next_seq - 1


def test_verify_names_batches_whose_configuration_is_lost_once_it_cannot_come(fleet, gateway):
    sealed = [gateway.seal(seconds=60) for _ in range(3)]       # the first one has the descriptor
    for one in sealed[1:]:
        fleet.process_one(one)

    def faults():
        with open_reader(fleet.data) as reader:
            return [(one.code, one.what) for checked in site(
                reader, Registry(fleet.data).sites()["shop"]) for one in checked.faults
                    if one.code == UNDESCRIBED]
    assert faults() == []                       # it may still come
    fleet.process_one(declared(gateway, "1-1"))
    (_, what), = faults()
    assert what.startswith("3 batches with records ") and "not accounted" in what
    assert fleet.process_one(sealed[0]).code == "admit" and faults() == []
