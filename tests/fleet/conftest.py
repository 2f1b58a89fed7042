"""A paper gateway enrolled at an empty fleet, and the fleet's desk over a real store."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.formats.registry import Registry
from fleet.ingest.ingest import Desk
from fleet.store.writer import Store
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
    made = Store(tmp_path)
    yield made
    made.close()


@pytest.fixture
def desk(tmp_path, store, receipt_key, gateway):
    """The admission desk of a fleet that knows `gateway`."""
    return Desk(store, Registry(tmp_path).find, receipt_key, lambda: ORIGIN_MS)


@pytest.fixture
def filled(tmp_path, store, desk, gateway):
    """The store's folder after four batches; and their sealed bytes."""
    sealed = [gateway.seal(seconds=450) for _ in range(4)]
    assert [desk.receive("shop-1", one).code for one in sealed] == ["admit"] * 4
    return tmp_path, sealed
