"""The fleet's own certificates are renewed for the keys that they have."""

import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fleet import settings
from fleet.authority import certificates, downlink, issue, own
from fleet.authority import enrol as enrolments
from provisioning.__main__ import main as provisioning
from tests.support.cabinets import (
    NOW,
    PARTS,
    enrol,
    fleet,
    install,
    later,
    make_cabinet,
    make_fleet,
    request_of,
)

DUE, DUE_OF_AUTHORITY = 1217, 4867      # days: two thirds of a life, and the day of grace
KEYS = {"fleet": "keys/client.key", "broker": "broker/broker.key", "authority": "authority/ca.key"}


@pytest.fixture
def data(tmp_path):
    return make_fleet(tmp_path / "fleet", "--host", "energy.example")


def load(data, name):
    return x509.load_pem_x509_certificate((data / own.FILES[name]).read_bytes())


def renew(data, name, now):
    return fleet(["renew", name, "--data", str(data), "--now", now.isoformat()])


@pytest.mark.parametrize("name", ["fleet", "broker", "authority"])
def test_a_certificate_is_renewed_for_its_key_with_what_it_was_for(data, name):
    before = load(data, name)
    key = load_pem_private_key((data / KEYS[name]).read_bytes(), None)
    assert renew(data, name, later(100)) == 0
    after = load(data, name)
    assert after.public_key() == before.public_key() == key.public_key()
    assert after.subject == before.subject and after.serial_number != before.serial_number
    assert after.not_valid_after_utc > before.not_valid_after_utc
    after.verify_directly_issued_by(load(data, "authority"))
    kinds = {one.oid: one.value for one in before.extensions}
    assert {one.oid: one.value for one in after.extensions} == kinds


def test_after_the_authoritys_renewal_everybody_has_it_and_old_certificates_hold(data, tmp_path):
    cabinet = make_cabinet(tmp_path / "cabinet")
    assert enrol(cabinet, data) == 0 and install(cabinet) == 0
    leaf = x509.load_pem_x509_certificate((cabinet / "keys/tls.crt").read_bytes())
    assert renew(data, "authority", later(5000)) == 0
    made = load(data, "authority")
    for copy in ("keys/ca.crt", "broker/ca.crt"):
        assert (data / copy).read_bytes() == (data / "authority/ca.crt").read_bytes()
    leaf.verify_directly_issued_by(made)
    revoked = x509.load_pem_x509_crl((data / "broker/revoked.crl").read_bytes())
    assert revoked.is_signature_valid(made.public_key())
    assert revoked.next_update_utc == made.not_valid_after_utc
    [(_, file)] = downlink.waiting(data, "shop-1")
    content = downlink.content_of(file)
    assert (content.action, content.body) == ("authority", certificates.der(made))


def test_a_cabinet_without_a_network_gets_the_renewed_authority_with_its_answer(data, tmp_path):
    cabinet = make_cabinet(tmp_path / "cabinet")
    assert enrol(cabinet, data) == 0 and install(cabinet) == 0
    assert renew(data, "authority", later(5000)) == 0
    assert enrol(cabinet, data, now=later(5001)) == 0
    assert install(cabinet, None, later(5001)) == 0
    assert (cabinet / "ca/ca.crt").read_bytes() == (data / "authority/ca.crt").read_bytes()
    leaf = x509.load_pem_x509_certificate((cabinet / "keys/tls.crt").read_bytes())
    assert leaf.not_valid_after_utc == later(5001 + 1825)
    assert request_of(cabinet).exists()


def test_serve_renews_client_and_broker_and_says_what_a_person_has_to_do(data, caplog):
    key = settings.receipt_key(settings.load(data).receipt_key)
    one = downlink.Sender(data, key, lambda _cabinet: {})
    before = load(data, "broker"), load(data, "fleet"), load(data, "authority")
    one.current(later(DUE - 2))
    assert (load(data, "broker"), load(data, "fleet"), load(data, "authority")) == before
    one.current(later(DUE))
    assert load(data, "fleet").not_valid_after_utc == later(DUE + 1825)
    assert load(data, "broker").not_valid_after_utc == later(DUE + 1825)
    assert "restart the broker" in caplog.text
    assert "renew authority" not in caplog.text
    for _ in range(3):
        one.current(later(DUE_OF_AUTHORITY))
    assert caplog.text.count("next: wattproof-fleet renew authority") == 1
    assert load(data, "authority") == before[2]


def test_without_the_authoritys_key_serve_says_so_and_goes_on(data, caplog):
    (data / "authority/ca.key").unlink()
    key = settings.receipt_key(settings.load(data).receipt_key)
    assert downlink.Sender(data, key, lambda _cabinet: {}).current(later(DUE)) == {}
    assert "next: wattproof-fleet renew broker" in caplog.text
    assert renew(data, "broker", later(DUE)) == 1


@pytest.mark.parametrize("name", list(own.FILES))
def test_no_cabinet_takes_a_name_of_the_fleets_own(data, tmp_path, name):
    parts = tmp_path / "parts.toml"
    parts.write_text(PARTS.format(site="shop", cabinet=name))
    assert provisioning(["request", "--parts", str(parts), "--out", str(tmp_path / "c")]) == 1
    assert name in enrolments.RESERVED


def test_renew_says_what_comes_next(data, capsys):
    capsys.readouterr()
    assert fleet(["renew", "broker", "--data", str(data), "--now", NOW.isoformat(),
                  "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["name"] == "broker" and said["sent_to"] == []
    assert issue.issued(data, "broker") == []
