"""Serial numbers survive a restart and a power cut at any moment."""

from gateway.core.errors import StoreError
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


def test_while_they_cannot_be_read_nothing_is_written_over_them(tmp_path):
    class Refusing(FlashStore):
        """Gives no file while `refuses`."""

        refuses = True

        def read(self, name, offset, count):
            if self.refuses:
                raise StoreError("refused", 13)
            return super().read(name, offset, count)
    store = FlashStore(tmp_path)
    for serial in ("A1", "A2", "A3"):
        Serials(store).keep({"grid": serial})
    store.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    store = Refusing(tmp_path)
    kept = Serials(store)
    assert kept.known == {} and not kept.keep({"grid": "B1"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    store.refuses = False
    assert kept.keep({"grid": "B1"}) and Serials(store).known == {"grid": "B1"}
    store.close()
