"""A paper gateway enrolled at an empty fleet, and the fleet's ingest over a real store."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.store.writer import EvidenceStore
from tests.fleet.maker import ORIGIN_MS, PaperGateway


@pytest.fixture
def gateway(tmp_path):
    """An enrolled gateway."""
    made = PaperGateway()
    made.enrol(tmp_path)
    return made


@pytest.fixture
def receipt_key():
    """The fleet's receipt key."""
    return Ed25519PrivateKey.generate()


@pytest.fixture
def store(tmp_path):
    """The fleet's store."""
    made = EvidenceStore(tmp_path)
    yield made
    made.close()


@pytest.fixture
def ingest(tmp_path, store, receipt_key, gateway):
    """Ingest of a fleet that knows `gateway`."""
    return Ingest(store, Registry(tmp_path).find, receipt_key, lambda: ORIGIN_MS)


@pytest.fixture
def filled(tmp_path, store, ingest, gateway):
    """The store's folder after four batches; and their sealed bytes."""
    sealed = [gateway.seal(seconds=450) for _ in range(4)]
    assert [ingest.process_one("shop-1", one).code for one in sealed] == ["admit"] * 4
    return tmp_path, sealed
