"""A revoked cabinet: refused by the fleet at once, and named in the broker's list."""

import json

import pytest
from cryptography import x509

from fleet import settings
from fleet.authority import issue
from fleet.formats import envelope
from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.ingest.live_table import LiveTable
from fleet.store.writer import EvidenceStore
from fleet.web.panels import PageView, state, status
from fleet.web.snapshot import EMPTY
from gateway.core.errors import UnknownDevice
from tests.fleet.maker import ORIGIN_MS, PaperGateway, figures, live
from tests.support import evidence_world
from tests.support.cabinets import NOW, enrol, fleet, later, make_fleet
from tests.support.documented_keys import keys


def revoke(data, name="shop-1"):
    return fleet(["revoke", name, "--data", str(data), "--now", NOW.isoformat()])


def listed(data):
    found = x509.load_pem_x509_crl((data / "broker/revoked.crl").read_bytes())
    authority = issue.load_certificate(data)
    assert found.is_signature_valid(authority.public_key())
    assert found.next_update_utc == authority.not_valid_after_utc
    return {one.serial_number for one in found}


def test_every_certificate_of_the_cabinet_is_on_the_list_and_no_other(data):
    assert listed(data) == set()
    issue.new(data, "shop-1", issue.key_of(issue.issued(data, "shop-1")[0]), later(2))
    assert revoke(data) == 0
    serials = {one.serial_number for one in issue.issued(data, "shop-1")}
    assert listed(data) == serials and len(serials) == 2
    assert revoke(data, "shop-2") == 0
    assert listed(data) > serials


def test_its_evidence_and_live_figures_are_refused_and_what_is_stored_stays_known(data):
    gateway = PaperGateway()
    path = data / "registry/shop-1.json"
    signer = gateway.key.public_key().public_bytes_raw()
    entry = json.loads(path.read_text())
    path.write_text(json.dumps(entry | {"evidence_key_hex": signer.hex(),
                                        "kid_hex": gateway.kid.hex()}))
    registry = Registry(data)
    sealed = gateway.seal(seconds=60)
    assert envelope.open_batch(sealed, registry.find, "shop-1").batch.cabinet == "shop-1"
    table = LiveTable(registry.refuses)
    assert table.update("shop-1", live(), 0.0, 0)
    assert revoke(data) == 0
    with pytest.raises(UnknownDevice, match="revoked at 2026-03-01T12:00:00Z"):
        envelope.open_batch(sealed, registry.find, "shop-1")
    assert not table.update("shop-1", live(), 0.0, 0)
    assert [one.id for one in registry.sites()["shop"]] == ["shop-1", "shop-2"]
    entry = json.loads(path.read_text())
    assert set(entry) - keys("formats.md", "17. Registry entry") == set()


def test_a_revoked_name_is_not_enrolled_again(data, tmp_path, capsys):
    assert revoke(data) == 0
    assert enrol(tmp_path / "shop-1", data) == 1
    assert "was revoked" in capsys.readouterr().err


def test_without_the_authoritys_key_the_fleet_refuses_and_the_broker_is_named(data, capsys):
    key = data / "authority/ca.key"
    content = key.read_bytes()
    key.unlink()
    assert revoke(data) == 1
    assert Registry(data).refuses("shop-1")
    assert "the broker still lets it in" in capsys.readouterr().out
    assert listed(data) == set()
    key.write_bytes(content)
    key.chmod(0o600)
    assert revoke(data) == 0
    assert len(listed(data)) == 1


def test_an_unknown_name_is_told(data, capsys):
    assert revoke(data, "shop-9") == 1
    assert "no cabinet 'shop-9'" in capsys.readouterr().err


class Revoked:
    """A fleet that holds two batches of a cabinet that is revoked since."""

    def __init__(self, folder):
        self.data, self.key = make_fleet(folder / "fleet"), None
        self.key = settings.receipt_key(settings.load(self.data).receipt_key)
        self.gateway = PaperGateway()
        self.gateway.enrol(self.data)
        self.store = EvidenceStore(self.data)
        self.ingest = Ingest(self.store, Registry(self.data).find, self.key, lambda: ORIGIN_MS)
        self.first = [self.gateway.seal() for _ in range(2)]
        self.outcomes = [self.process_one(one) for one in self.first]
        assert revoke(self.data) == 0

    def process_one(self, sealed):
        return self.ingest.process_one("shop-1", sealed)


@pytest.fixture
def revoked(tmp_path):
    made = Revoked(tmp_path)
    yield made
    made.store.close()


def test_what_it_sends_after_that_is_refused_with_the_reason_and_gets_no_receipt(revoked):
    assert [one.code for one in revoked.outcomes] == ["admit", "admit"]
    shown = revoked.outcomes[-1].receipt
    for sealed in (revoked.gateway.seal(), revoked.first[0], shown):
        outcome = revoked.process_one(sealed)
        assert (outcome.code, outcome.receipt) == ("unknown-device", None)
        assert "was revoked at 2026-03-01T12:00:00Z" in outcome.detail


def test_what_was_stored_before_is_evidence_as_it_was(revoked, capsys):
    capsys.readouterr()
    assert fleet(["verify", "--data", str(revoked.data), "--site", "shop"]) == 0
    said = capsys.readouterr().out
    assert "shop-1 was revoked at 2026-03-01T12:00:00Z" in said
    assert "signatures, chain and sequence hold" in said
    bundle = evidence_world.bundle(revoked.data, "shop", revoked.key)
    public = revoked.key.public_key().public_bytes_raw()
    found = evidence_world.checked(bundle, public, [], [revoked.gateway.public])
    assert found.faults == []
    assert len(found.parts) == 2


def test_the_page_says_revoked_and_not_silent(revoked):
    device = Registry(revoked.data).find("shop-1")
    view = PageView(device, figures(), 1.0, ORIGIN_MS, EMPTY, 1.0, True)
    assert state(view) == "revoked" != state(view._replace(cabinet=device._replace(revoked="")))
    assert "Revoked at 2026-03-01 12:00:00 UTC" in status(view, "revoked")
