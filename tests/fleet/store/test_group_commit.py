"""Batches that are committed together count as they would one after the other."""

import sqlite3
from contextlib import closing

import pytest

from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.store.writer import FILE, EvidenceStore
from gateway.core.codec import record
from gateway.core.evidence import receipt
from tests.fleet.maker import CONFIG_HASH, ORIGIN_MS, PaperGateway

SHORT_S = 60
TABLES = ("batches", "chains", "configs", "clocks", "events", "channels", "counter_parts",
          "gauge_parts", "scan_parts", "refused", "refused_counts", "leaves", "tree_nodes",
          "incidents", "quarantine")


def rows(folder):
    """Return the content of every table that admission writes."""
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
                for name in TABLES}


def low_waters(outcomes):
    """Return what each outcome's receipt says, None for those without one."""
    return [one.receipt and receipt.open_sealed(one.receipt)[1].low_water for one in outcomes]


def lies_about_its_descriptor(gateway):
    """Seal the next batch with a CONFIG event that is found out only while it is booked."""
    records = [record.EventRecord(gateway.next_seq, 0, record.CONFIG, [CONFIG_HASH, b"other"])]
    return gateway.seal(records)


def messages(first, second):
    """Return [(topic, sealed)] of two gateways, good and bad ones in turn."""
    one, two = first.seal(seconds=SHORT_S), first.seal(seconds=SHORT_S)
    clone = PaperGateway(key=first.key)
    clone.seal(seconds=SHORT_S)
    fork = clone.seal(seconds=2 * SHORT_S)
    lie = lies_about_its_descriptor(second)
    return [("shop-1", two), ("shop-2", lie), ("shop-1", b"no batch"), ("shop-2", lie),
            ("shop-1", one), ("shop-1", one), ("shop-1", fork), ("shop-2", one), ("shop-2", lie),
            ("shop-2", second.seal(seconds=SHORT_S)), ("shop-1", first.seal(seconds=SHORT_S))]


@pytest.fixture
def pair(gateway, tmp_path):
    """Two enrolled gateways."""
    other = PaperGateway("shop-2")
    other.enrol(tmp_path, "corner")
    return gateway, other


def received(folder, registry, given, size):
    """Return (outcomes without receipts, rows) of messages taken `size` at a time."""
    store, outcomes = EvidenceStore(folder), []
    ingest = Ingest(store, registry.find, PaperGateway().key, lambda: ORIGIN_MS)
    for start in range(0, len(given), size):
        outcomes += ingest.process(given[start:start + size])
    store.close()
    return [one._replace(receipt=None) for one in outcomes], rows(folder)


@pytest.mark.parametrize("size", [2, 3, 11])
def test_groups_of_good_and_bad_batches_leave_what_single_ones_leave(size, pair, tmp_path):
    given, registry = messages(*pair), Registry(tmp_path)
    alone = received(tmp_path / "alone", registry, given, 1)
    assert [one.code for one in alone[0]] == [
        "admit", "bad-schema", "bad-schema", "bad-schema", "admit", "duplicate", "fork",
        "unknown-device", "received-not-booked", "admit", "admit"]
    assert received(tmp_path / "together", registry, given, size) == alone


def test_of_a_group_the_last_receipt_of_each_journal_covers_all_of_it(ingest, pair):
    first, second = pair
    group = [("shop-1", first.seal(seconds=SHORT_S)), ("shop-2", second.seal(seconds=SHORT_S)),
             ("shop-1", first.seal(seconds=SHORT_S)), ("shop-1", b"no batch")]
    assert low_waters(ingest.process(group)) == [
        None, second.next_seq - 1, first.next_seq - 1, None]


def test_a_disk_that_fails_at_the_last_batch_of_a_group_keeps_none_and_says_nothing(
        tmp_path, pair, receipt_key):
    class Full(EvidenceStore):
        left = 2

        def add_batch(self, *given):
            self.left -= 1
            if self.left < 0:
                raise sqlite3.OperationalError("database or disk is full")
            return super().add_batch(*given)

    store, (first, _) = Full(tmp_path), pair
    ingest = Ingest(store, Registry(tmp_path).find, receipt_key, lambda: ORIGIN_MS)
    group = [("shop-1", first.seal(seconds=SHORT_S)) for _ in range(3)]
    before = rows(tmp_path)
    with pytest.raises(sqlite3.OperationalError):
        ingest.process(group)
    assert rows(tmp_path) == before
    store.left = 3
    assert low_waters(ingest.process(group))[-1] == first.next_seq - 1
    store.close()
