"""Serial numbers survive a restart and a power cut at any moment."""

from gateway.storage.serials import NAMES, Serials
from gateway.storage.store import FlashStore


def test_serial_numbers_are_there_after_a_restart(tmp_path):
    store = FlashStore(tmp_path)
    kept = Serials(store)
    assert kept.known == {} and kept.keep({"grid": "A1", "pv": ""}) and kept.keep({"pv": "7"})
    store.close()
    store = FlashStore(tmp_path)
    assert Serials(store).known == {"grid": "A1", "pv": "7"}
    store.close()


def test_nothing_is_written_while_nothing_changes(tmp_path):
    store = FlashStore(tmp_path)
    kept = Serials(store)
    kept.keep({"grid": "A1"})
    before = store.counts()
    for _ in range(100):
        assert kept.keep({"grid": "A1", "new": ""})
    assert store.counts() == before
    store.close()


def test_a_file_that_is_torn_leaves_the_one_before(tmp_path):
    store = FlashStore(tmp_path)
    kept = Serials(store)
    kept.keep({"grid": "A1"})
    kept.keep({"grid": "B2"})
    newest = tmp_path / NAMES[0]
    whole = newest.read_bytes()
    for size in range(len(whole)):
        newest.write_bytes(whole[:size])
        assert Serials(store).known == {"grid": "A1"}, size
    newest.write_bytes(whole)
    assert Serials(store).known == {"grid": "B2"}
    store.close()
