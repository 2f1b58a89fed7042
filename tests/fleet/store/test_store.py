"""The store keeps its promises over a crash, and receipts never say more than it holds."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.errors import StoreDamaged
from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.store.reader import StoreReader
from fleet.store.writer import REFUSED_MAX, EvidenceStore
from gateway.core.evidence import receipt
from tests.fleet.maker import ORIGIN_MS, PaperGateway
from tests.support.fleet_rows import change, rows

ROOT = Path(__file__).resolve().parents[3]
# Admits what it is given and dies by SIGKILL at the named moment of the second batch.
CHILD = """
import os, pathlib, signal, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fleet.ingest import ingest as desks
from fleet.ingest.ingest import Ingest
from fleet.formats.registry import Registry
from fleet.store.writer import EvidenceStore

data, moment = pathlib.Path(sys.argv[1]), sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
class Dying(EvidenceStore):
    def advance(self, device, journal):
        if moment == "before the commit" and armed:
            die()
        return super().advance(device, journal)
class DyingDesk(Ingest):
    def receipt(self, held):
        if moment == "between commit and receipt" and armed:
            die()
        return super().receipt(held)
armed = False
ingest = DyingDesk(Dying(data), Registry(data).find, Ed25519PrivateKey.generate(), lambda: 0)
print(ingest.process_one("shop-1", (data / "1.batch").read_bytes()).low_water, flush=True)
armed = True
ingest.process_one("shop-1", (data / "2.batch").read_bytes())
"""


@pytest.mark.parametrize(("moment", "kept"), [("before the commit", 1),
                                              ("between commit and receipt", 2)])
def test_a_killed_fleet_has_all_it_receipted_and_takes_the_rest_again(
        moment, kept, tmp_path, gateway, receipt_key):
    sealed = [gateway.seal(seconds=60) for _ in range(2)]
    for number, one in enumerate(sealed, 1):
        (tmp_path / f"{number}.batch").write_bytes(one)
    child = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), moment], cwd=ROOT,
                           env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
                           timeout=60, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert child.stdout.split() == [b"67"]
    assert sum(row.batches for row in StoreReader(tmp_path).journals("shop-1")) == kept
    store = EvidenceStore(tmp_path)
    ingest = Ingest(store, Registry(tmp_path).find, receipt_key, lambda: ORIGIN_MS)
    codes = [ingest.process_one("shop-1", one).code for one in sealed]
    assert codes == ["duplicate", "duplicate" if kept == 2 else "admit"]
    assert StoreReader(tmp_path).journals("shop-1")[0].low_water == gateway.next_seq - 1
    store.close()


def test_the_epoch_stays_with_a_store_and_differs_between_stores(tmp_path):
    first = EvidenceStore(tmp_path / "a")
    epoch = first.epoch
    first.close()
    assert EvidenceStore(tmp_path / "a").epoch == epoch
    assert EvidenceStore(tmp_path / "b").epoch != epoch


def test_receipts_carry_the_epoch_and_are_repeated_for_every_journal(ingest, store, gateway):
    ingest.process_one("shop-1", gateway.seal(seconds=60))
    (device, sealed), = ingest.receipts()
    content = receipt.open_sealed(sealed)[1]
    assert (device, content.epoch, content.low_water) == ("shop-1", store.epoch, 67)


def test_refused_batches_cannot_fill_the_disk(ingest, store, tmp_path):
    with store.transaction():
        for number in range(REFUSED_MAX + 50):
            store.refuse("ghost-1", "bad-schema", "x" * 5000, (number, b"", 1))
    kept = rows(store, "SELECT count(*), max(length(detail)) FROM refused")[0]
    assert kept == (REFUSED_MAX, 300)
    assert StoreReader(tmp_path).refused("ghost-1") == {"bad-schema": REFUSED_MAX + 50}


def test_the_store_syncs_at_every_commit(store):
    own = store._connection  # noqa: SLF001  this setting is the connection's, not the file's
    assert own.execute("PRAGMA synchronous").fetchone() == (2,)
    assert rows(store, "PRAGMA journal_mode") == [("wal",)]


def test_a_broken_database_is_told_with_the_next_step(tmp_path):
    (tmp_path / "fleet.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StoreDamaged, match="restore it from a backup"):
        EvidenceStore(tmp_path)


def test_a_gateway_enrolled_while_the_fleet_runs_is_welcome_at_once(ingest, tmp_path):
    late = PaperGateway("late-1")
    sealed = late.seal(seconds=60)
    assert ingest.process_one("late-1", sealed).code == "unknown-device"
    (tmp_path / "registry/late-1.json").write_text(json.dumps(late.entry("kiosk")))
    assert ingest.process_one("late-1", sealed).code == "admit"


def test_the_low_water_mark_stops_before_a_batch_that_names_another_predecessor(ingest, gateway,
                                                                                store):
    for _ in range(3):
        ingest.process_one("shop-1", gateway.seal(seconds=60))
    from_the_start = ("UPDATE chains SET low_water = 0, number = 0, chain_hash = (SELECT prev "
                      "FROM batches WHERE number = 1)")
    change(store, from_the_start)
    with store.transaction():
        assert store.advance("shop-1", gateway.journal_id).low_water == 67 + 66 + 66
    change(store, from_the_start)
    change(store, "UPDATE batches SET prev = zeroblob(32) WHERE number = 3")
    with store.transaction():
        assert store.advance("shop-1", gateway.journal_id).low_water == 67 + 66
