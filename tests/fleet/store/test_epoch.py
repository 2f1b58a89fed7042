"""The epoch rises whenever a store may hold less than it promised, whatever the clock does."""

import shutil

import pytest

from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.store import epoch
from fleet.store.incidents import RESTORED
from fleet.store.reader import open_reader
from fleet.store.writer import EvidenceStore
from gateway.core.evidence import receipt
from tests.fleet.maker import ORIGIN_MS

LATER_MS = ORIGIN_MS + 3_600_000


@pytest.mark.parametrize(("now_ms", "known", "raised"), [
    (1000, (), 1000), (1000, (7,), 1000), (1000, (1000,), 1001), (1000, (5000, 7), 5001),
    (0, (), 1), (-5, (0,), 1)])
def test_an_epoch_is_the_time_or_one_more_where_the_clock_stands_behind(now_ms, known, raised):
    assert epoch.after(now_ms, *known) == raised


def copied(source, target):
    """Copy a stopped fleet's whole folder over another one, as a snapshot does."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def notes(data, kind=RESTORED):
    with open_reader(data) as reader:
        return [one for one in reader.incidents("shop-1") if one.kind == kind]


@pytest.mark.parametrize("clock_ms", [LATER_MS, 0])
def test_a_database_put_back_from_a_plain_copy_is_noticed_at_the_next_start(
        clock_ms, tmp_path, gateway, receipt_key):
    first = EvidenceStore(tmp_path, lambda: ORIGIN_MS)
    ingest = Ingest(first, Registry(tmp_path).find, receipt_key, lambda: ORIGIN_MS)
    ingest.process_one("shop-1", gateway.seal(seconds=60))
    spoken = first.epoch
    first.close()
    shutil.copy(tmp_path / "fleet.db", tmp_path / "copy")
    second = EvidenceStore(tmp_path, lambda: ORIGIN_MS)
    assert second.epoch == spoken
    ingest = Ingest(second, Registry(tmp_path).find, receipt_key, lambda: ORIGIN_MS)
    ingest.process_one("shop-1", gateway.seal(seconds=60))
    second.close()
    shutil.copy(tmp_path / "copy", tmp_path / "fleet.db")
    third = EvidenceStore(tmp_path, lambda: clock_ms)
    assert third.epoch == max(spoken + 1, clock_ms)
    third.close()
    found, = notes(tmp_path)
    assert found.first_seq == 68 and "put back from a copy or a backup" in found.detail


def test_a_store_begun_anew_speaks_in_a_higher_epoch_even_if_the_clock_went_back(tmp_path):
    first = EvidenceStore(tmp_path, lambda: LATER_MS)
    spoken = first.epoch
    first.close()
    (tmp_path / "fleet.db").rename(tmp_path / "away")
    second = EvidenceStore(tmp_path, lambda: ORIGIN_MS)
    assert second.epoch == spoken + 1
    second.close()


def test_a_file_that_says_nonsense_is_no_reason_for_a_new_epoch(tmp_path):
    first = EvidenceStore(tmp_path, lambda: ORIGIN_MS)
    spoken = first.epoch
    first.close()
    for text in (b"", b"x", b"99999999999999 y", b"9" * 200, b"1"):
        (tmp_path / epoch.FILE).write_bytes(text)
        again = EvidenceStore(tmp_path, lambda: LATER_MS)
        assert again.epoch == spoken, text
        again.close()


def test_an_epoch_that_was_not_committed_is_not_spoken(store, ingest, gateway):
    ingest.process_one("shop-1", gateway.seal(seconds=60))
    spoken = store.epoch
    with pytest.raises(OSError), store.transaction():
        store.raise_epoch(spoken + 1000, "a test")
        raise OSError("the disk is full")
    assert receipt.open_sealed(ingest.receipts()[0][1])[1].epoch == spoken
