"""Enrolment: requests are believed as far as they are signed, names are never taken over."""

import datetime
import hashlib
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet.authority import enrol as enrolments
from fleet.formats.registry import Registry
from gateway.core.errors import ConfigError, FormatError
from gateway.core.evidence import enrolment
from tests.support.cabinets import (
    NOW,
    enrol,
    later,
    make_cabinet,
    make_fleet,
    request_of,
)
from tests.support.documented_keys import keys


@pytest.fixture
def data(tmp_path):
    """A freshly made fleet's folder."""
    return make_fleet(tmp_path / "fleet")


@pytest.fixture
def cabinet(tmp_path):
    """A freshly made cabinet's folder, on another machine as it were."""
    return make_cabinet(tmp_path / "cabinet")


def answer_of(folder):
    return enrolment.open_answer(request_of(folder).with_suffix(".answer").read_bytes())


def private(path):
    return serialization.load_pem_private_key(path.read_bytes(), None)


def state_of(data):
    """Return all files of a fleet with their content."""
    return {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}


def test_the_registry_holds_the_public_key_under_the_id_that_batches_use(cabinet, data):
    assert enrol(cabinet, data) == 0
    entry = json.loads((data / "registry/shop-1.json").read_text())
    raw = private(cabinet / "keys/evidence.key").public_key().public_bytes_raw()
    assert entry["evidence_key_hex"] == raw.hex()
    assert entry["kid_hex"] == hashlib.sha256(raw).hexdigest()[:16]
    assert (entry["device"], entry["site"]) == ("shop-1", "shop")
    assert entry["enrolled"] == "2026-03-01T12:00:00Z"
    assert set(entry) - keys("formats.md", "17. Registry entry") == set()
    assert Registry(data).find("shop-1").public == raw


def test_the_answer_is_signed_by_the_fleet_and_holds_a_certificate_for_the_cabinets_key(
        cabinet, data):
    assert enrol(cabinet, data) == 0
    message, answer = answer_of(cabinet)
    receipt = private(data / "keys/receipt.key").public_key()
    receipt.verify(message.signature, message.signed)
    assert answer.receipt_public == receipt.public_bytes_raw()
    assert answer.request_hash == hashlib.sha256(request_of(cabinet).read_bytes()).digest()
    assert (answer.cabinet, answer.host, answer.port) == ("shop-1", "127.0.0.1", 8883)
    leaf = x509.load_der_x509_certificate(answer.certificate)
    leaf.verify_directly_issued_by(x509.load_der_x509_certificate(answer.authority))
    assert leaf.public_key() == private(cabinet / "keys/tls.key").public_key()
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "shop-1"
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (later(-1), later(1825))


def test_no_private_key_goes_either_way(cabinet, data):
    of_cabinet = [path.read_bytes() for path in cabinet.rglob("*.key")]
    assert enrol(cabinet, data) == 0
    of_fleet = [path.read_bytes() for path in data.rglob("*.key")]
    here, there = state_of(cabinet).values(), state_of(data).values()
    assert not any(key in there for key in of_cabinet) and len(of_cabinet) == 2
    assert not any(key in here for key in of_fleet) and len(of_fleet) == 4


def test_two_cabinets_join_one_fleet_and_know_the_same_receipt_key(cabinet, data, tmp_path):
    other = make_cabinet(tmp_path / "other", site="kiosk", cabinet="kiosk-1")
    assert [enrol(one, data) for one in (cabinet, other)] == [0, 0]
    assert set(Registry(data).sites()) == {"kiosk", "shop"}
    first, second = answer_of(cabinet)[1], answer_of(other)[1]
    assert first.receipt_public == second.receipt_public
    assert first.authority == second.authority
    assert first.certificate != second.certificate


def test_enrolling_twice_changes_nothing_and_gives_the_same_certificate(cabinet, data):
    enrol(cabinet, data)
    before, answer = state_of(data), answer_of(cabinet)[1]
    assert enrol(cabinet, data, now=later(30)) == 0
    assert state_of(data) == before
    assert answer_of(cabinet)[1].certificate == answer.certificate


def test_after_two_thirds_of_its_life_the_same_request_gives_a_new_certificate(cabinet, data):
    enrol(cabinet, data)
    first = answer_of(cabinet)[1].certificate
    assert enrol(cabinet, data, now=later(1217)) == 0
    second = x509.load_der_x509_certificate(answer_of(cabinet)[1].certificate)
    assert second.not_valid_after_utc == later(1217 + 1825)
    assert second.public_key() == x509.load_der_x509_certificate(first).public_key()


def test_a_second_board_cannot_take_an_enrolled_name(cabinet, data, tmp_path, capsys):
    enrol(cabinet, data)
    before = state_of(data)
    clone = make_cabinet(tmp_path / "clone")
    assert enrol(clone, data) == 1
    said = capsys.readouterr().err
    assert "enrolled with another evidence key" in said and "withdraw" in said
    assert state_of(data) == before


def changed(folder, /, **changes):
    """Return the cabinet's request with other parts, signed again with its own key."""
    _, made = enrolment.open_request(request_of(folder).read_bytes())
    made = made._replace(**changes)
    key = private(folder / "keys/evidence.key")
    return enrolment.seal_request(made, hashlib.sha256(made.public).digest()[:8], key.sign)


def csr(key, name):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(
        key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(65537, 2048)
WRONG = (
    ({"cabinet": "fleet", "csr": csr(P256, "fleet")}, "not allowed"),
    ({"cabinet": "broker", "csr": csr(P256, "broker")}, "not allowed"),
    ({"cabinet": "../../x"}, "not allowed"),
    ({"cabinet": "kiosk-1"}, "names another cabinet"),
    ({"site": "Shop"}, "not allowed"),
    ({"timezone": "Europe/Berlln"}, "not a time zone"),
    ({"timezone": "../../../etc/passwd"}, "not a time zone"),
    ({"csr": csr(P256, "shop-2")}, "names another cabinet"),
    ({"csr": csr(P384, "shop-1")}, "P-256"),
    ({"csr": csr(RSA, "shop-1")}, "P-256"),
    ({"csr": b"no DER"}, "not PKCS"),
    ({"csr": csr(P256, "shop-1")[:-1] + b"\x00"}, "request"),
    ({"public": ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()},
     "did not sign it"),
)


@pytest.mark.parametrize(("changes", "told"), WRONG)
def test_a_request_that_does_not_hold_is_refused_and_changes_nothing(cabinet, data, changes,
                                                                     told):
    before = state_of(data)
    with pytest.raises(FormatError, match=told):
        enrolments.enrol(data, changed(cabinet, **changes), NOW)
    assert state_of(data) == before


def test_a_certificate_request_with_a_wrong_signature_is_refused(cabinet, data):
    _, made = enrolment.open_request(request_of(cabinet).read_bytes())
    forged = csr(P256, "shop-1")
    own = private(cabinet / "keys/tls.key").public_key()
    point = own.public_bytes(serialization.Encoding.X962,
                             serialization.PublicFormat.UncompressedPoint)
    theirs = P256.public_key().public_bytes(serialization.Encoding.X962,
                                            serialization.PublicFormat.UncompressedPoint)
    assert forged.count(theirs) == 1
    with pytest.raises(FormatError, match="the TLS key did not sign"):
        enrolments.enrol(data, changed(cabinet, csr=forged.replace(theirs, point)), NOW)
    assert made.cabinet == "shop-1"


def test_no_changed_byte_of_a_request_is_believed(cabinet, data):
    sealed, before = request_of(cabinet).read_bytes(), state_of(data)
    for place in range(len(sealed)):
        bad = sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1:]
        with pytest.raises(FormatError):
            enrolments.opened(bad)
    with pytest.raises(FormatError):
        enrolments.opened(sealed[:-1])
    assert state_of(data) == before


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(5000)])
def test_garbage_and_large_files_are_refused_at_the_command(cabinet, data, capsys, content):
    request_of(cabinet).write_bytes(content)
    assert enrol(cabinet, data) == 1
    said = capsys.readouterr().err
    assert said.startswith("wattproof-fleet: ") and "next: " in said


def test_without_the_authoritys_key_nobody_is_enrolled(cabinet, data, capsys):
    (data / "authority/ca.key").unlink()
    before = state_of(data)
    assert enrol(cabinet, data) == 1
    assert "keep it offline" in capsys.readouterr().err
    assert state_of(data) == before


def test_a_fleet_that_was_never_made_is_told_with_the_next_step(cabinet, tmp_path, capsys):
    assert enrol(cabinet, tmp_path / "none") == 1
    assert "python -m fleet init" in capsys.readouterr().err


def test_an_entry_that_cannot_be_read_is_named(cabinet, data):
    (data / "registry/shop-1.json").write_text("{")
    with pytest.raises(ConfigError, match="not a registry entry"):
        enrolments.enrol(data, request_of(cabinet).read_bytes(), NOW + datetime.timedelta(1))
