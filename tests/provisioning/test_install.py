"""An answer is installed when it is to this cabinet's request and of its own fleet."""

import datetime
import hashlib
import stat
import tomllib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from fleet.authority import certificates, issue
from gateway.config import load as config
from gateway.core.evidence import enrolment
from provisioning.__main__ import main
from provisioning.identity import fingerprint
from tests.support.cabinets import (
    NOW,
    enrol,
    install,
    later,
    make_cabinet,
    make_fleet,
    request_of,
)


@pytest.fixture
def data(tmp_path):
    """A fleet whose broker is elsewhere."""
    return make_fleet(tmp_path / "fleet", "--host", "energy.example", "--port", "18883")


@pytest.fixture
def cabinet(tmp_path, data):
    """A cabinet whose request was answered."""
    folder = make_cabinet(tmp_path / "cabinet")
    assert enrol(folder, data) == 0
    return folder


def state_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def certificate(folder):
    return x509.load_pem_x509_certificate((folder / "keys/tls.crt").read_bytes())


def receipt_key(data):
    return serialization.load_pem_private_key((data / "keys/receipt.key").read_bytes(), None)


def test_after_the_answer_the_cabinet_could_run(cabinet, data):
    assert config.check(cabinet / "cabinet.toml") != []
    assert install(cabinet) == 0
    assert config.check(cabinet / "cabinet.toml") == []
    loaded = config.load(cabinet / "cabinet.toml")
    assert (loaded.uplink.host, loaded.uplink.port) == ("energy.example", 18883)
    assert (cabinet / "fleet/receipt.pub").read_bytes() == (data / "keys/receipt.pub").read_bytes()
    assert (cabinet / "ca/ca.crt").read_bytes() == (data / "authority/ca.crt").read_bytes()
    assert stat.S_IMODE((cabinet / "keys/tls.key").stat().st_mode) == 0o600


def test_a_broker_that_the_parts_name_is_kept(tmp_path, data):
    folder = tmp_path / "own"
    assert make_cabinet(folder) == folder
    toml = folder / "cabinet.toml"
    toml.write_text(toml.read_text().replace('host = "broker.invalid"', 'host = "proxy.example"'))
    assert enrol(folder, data) == 0 and install(folder) == 0
    assert tomllib.loads(toml.read_text())["uplink"]["host"] == "proxy.example"


def test_an_answer_for_another_cabinet_is_refused(cabinet, data, tmp_path, capsys):
    other = make_cabinet(tmp_path / "other", cabinet="shop-2")
    assert enrol(other, data) == 0
    before = state_of(cabinet)
    assert install(cabinet, request_of(other).with_suffix(".answer")) == 1
    assert "the answer is for shop-2" in capsys.readouterr().err
    assert state_of(cabinet) == before


def test_an_answer_to_another_request_is_refused(cabinet, capsys):
    assert main(["request", "--site", str(cabinet)], now=later(1)) == 0
    assert install(cabinet) == 1
    assert "is not to" in capsys.readouterr().err
    assert not (cabinet / "keys/tls.crt").exists()


def test_a_certificate_for_other_keys_is_refused(cabinet, tmp_path, capsys):
    clone = make_cabinet(tmp_path / "clone")
    (clone / "shop-1.request").unlink()                 # of the same name, on another machine
    assert install(clone, request_of(cabinet).with_suffix(".answer")) == 1
    assert "for another key" in capsys.readouterr().err


def test_only_the_fleet_that_is_known_is_believed(cabinet, tmp_path, capsys):
    assert install(cabinet) == 0
    before = state_of(cabinet)
    assert enrol(cabinet, make_fleet(tmp_path / "foreign")) == 0
    assert install(cabinet) == 1
    assert "belongs to another fleet" in capsys.readouterr().err
    after = state_of(cabinet)
    assert {path for path in after if after[path] != before[path]} == {
        cabinet / "shop-1.answer"}


def test_the_first_answer_is_compared_with_a_fingerprint_if_one_is_given(cabinet, data, capsys):
    public = receipt_key(data).public_key().public_bytes_raw()
    told = fingerprint(public)
    wrong = ("0" if told[0] != "0" else "1") + told[1:]
    assert install(cabinet, None, NOW, "--fleet-key", wrong) == 1
    assert "signed by another fleet" in capsys.readouterr().err
    assert not (cabinet / "keys/tls.crt").exists()
    assert install(cabinet, None, NOW, "--fleet-key", told.upper().replace(" ", ":")) == 0


def test_an_expired_certificate_is_refused(cabinet, capsys):
    assert install(cabinet, now=later(1826)) == 1
    assert "expired" in capsys.readouterr().err
    assert not (cabinet / "keys/tls.crt").exists()


def test_a_renewal_by_file_replaces_the_certificate_and_no_key(cabinet, data):
    assert install(cabinet) == 0
    first, keys = certificate(cabinet), [p.read_bytes() for p in sorted(cabinet.rglob("*.key"))]
    at = later(1300)
    assert main(["request", "--site", str(cabinet)], now=at) == 0
    assert enrol(cabinet, data, now=at) == 0 and install(cabinet, now=at) == 0
    second = certificate(cabinet)
    assert second.not_valid_after_utc == at + datetime.timedelta(days=1825)
    assert second.public_key() == first.public_key()
    assert [p.read_bytes() for p in sorted(cabinet.rglob("*.key"))] == keys


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(9000)])
def test_garbage_is_refused(cabinet, capsys, content):
    (cabinet / "shop-1.answer").write_bytes(content)
    assert install(cabinet) == 1
    said = capsys.readouterr().err
    assert said.startswith("wattproof-provisioning: ") and "next: " in said


def test_no_changed_byte_of_an_answer_is_believed(cabinet):
    path = cabinet / "shop-1.answer"
    sealed = path.read_bytes()
    for place in range(0, len(sealed), 7):
        path.write_bytes(sealed[:place] + bytes((sealed[place] ^ 1,)) + sealed[place + 1:])
        assert install(cabinet) == 1, place
    assert not (cabinet / "keys/tls.crt").exists()


def answered(cabinet, data, certificate=None, authority=None):
    """Replace the answer by one that the fleet's own key signed, with another content."""
    path = cabinet / "shop-1.answer"
    _, answer = enrolment.open_answer(path.read_bytes())
    answer = answer._replace(
        certificate=certificates.der(certificate) if certificate else answer.certificate,
        authority=certificates.der(authority) if authority else answer.authority)
    key = receipt_key(data)
    kid = hashlib.sha256(answer.receipt_public).digest()[:8]
    path.write_bytes(enrolment.seal_answer(answer, kid, key.sign))


def test_a_certificate_of_another_authority_name_or_purpose_is_refused(cabinet, data, capsys):
    own = serialization.load_pem_private_key((cabinet / "keys/tls.key").read_bytes(), None)
    here, other = issue.load(data), certificates.authority("other", NOW)
    for made, told in (
            (certificates.client(other, "shop-1", own.public_key(), NOW), "not signed by"),
            (certificates.client(here, "shop-2", own.public_key(), NOW), "does not name"),
            (certificates.server(here, ["shop-1"], own.public_key(), NOW), "does not name")):
        answered(cabinet, data, made)
        assert install(cabinet) == 1
        assert told in capsys.readouterr().err
    leaf = x509.load_der_x509_certificate(
        enrolment.open_answer((cabinet / "shop-1.answer").read_bytes())[1].certificate)
    answered(cabinet, data, authority=leaf)             # a leaf in the place of an authority
    assert install(cabinet) == 1
    assert "path length 0" in capsys.readouterr().err
    assert not (cabinet / "keys/tls.crt").exists()
