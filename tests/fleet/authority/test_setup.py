"""A fleet made by `init`: what lies where, who may read it, what its authority may do."""

import datetime
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet import settings
from fleet.authority import certificates, issue
from fleet.authority import setup as setups
from gateway.core.errors import ConfigError
from tests.support.cabinets import NOW, fleet, later, make_fleet


@pytest.fixture
def data(tmp_path):
    """A freshly made fleet's folder."""
    return make_fleet(tmp_path / "fleet", "--host", "energy.example", "--port", "18883")


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def extension(one, kind):
    return one.extensions.get_extension_for_class(kind)


def test_every_private_key_is_readable_by_its_owner_only(data):
    keys = sorted(data.rglob("*.key"))
    assert [key.relative_to(data).as_posix() for key in keys] == [
        "authority/ca.key", "broker/broker.key", "keys/client.key", "keys/receipt.key"]
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700, key.parent


def test_the_authority_signs_leaves_and_lists_and_nothing_else(data):
    authority = certificate(data / "authority/ca.crt")
    basic, usage = extension(authority, x509.BasicConstraints), extension(authority, x509.KeyUsage)
    assert (basic.value.ca, basic.value.path_length, basic.critical) == (True, 0, True)
    assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.critical) == (True, True, True)
    assert not usage.value.digital_signature
    assert authority.not_valid_after_utc == later(7300)
    assert authority.not_valid_before_utc == later(-1)


@pytest.mark.parametrize(("name", "common", "purpose"), [
    ("broker/broker.crt", "broker", ExtendedKeyUsageOID.SERVER_AUTH),
    ("keys/client.crt", "fleet", ExtendedKeyUsageOID.CLIENT_AUTH)])
def test_the_fleets_own_certificates_serve_one_purpose_each(data, name, common, purpose):
    leaf = certificate(data / name)
    leaf.verify_directly_issued_by(certificate(data / "authority/ca.crt"))
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == common
    assert list(extension(leaf, x509.ExtendedKeyUsage).value) == [purpose]
    basic, usage = extension(leaf, x509.BasicConstraints), extension(leaf, x509.KeyUsage)
    assert (basic.value.ca, basic.critical, usage.critical) == (False, True, True)
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign and not usage.value.crl_sign
    assert leaf.not_valid_after_utc == later(1825)


def test_the_brokers_certificate_has_the_name_that_cabinets_use(data):
    names = extension(certificate(data / "broker/broker.crt"), x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "energy.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_no_certificate_outlives_the_authority(data):
    authority = issue.load(data)
    leaf = certificates.client(authority, "shop-1", certificates.new_key().public_key(),
                               later(7000))
    assert leaf.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_a_certificate_is_due_after_two_thirds_of_its_life(data):
    leaf = certificate(data / "keys/client.crt")
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    due = leaf.not_valid_before_utc + life * 2 / 3
    assert not certificates.renewal_due(leaf, due - datetime.timedelta(seconds=1))
    assert certificates.renewal_due(leaf, due + datetime.timedelta(seconds=1))


def test_the_broker_files_hold_relative_paths_and_the_bind_address(data):
    conf = (data / "broker/mosquitto.conf").read_text().splitlines()
    assert "listener 18883 127.0.0.1" in conf
    assert {"require_certificate true", "use_identity_as_username true",
            "use_username_as_clientid true", "crlfile revoked.crl"} <= set(conf)
    for name in ("mosquitto.conf", "amqtt.yaml", "acl"):
        assert str(data) not in (data / "broker" / name).read_text()
    for line in conf:
        word, _, value = line.partition(" ")
        if word in ("cafile", "certfile", "keyfile", "crlfile", "acl_file"):
            assert (data / "broker" / value).is_file(), line


def test_a_broker_for_other_machines_listens_on_the_address_that_was_given(tmp_path):
    data = make_fleet(tmp_path / "fleet", "--host", "10.0.0.5", "--bind", "0.0.0.0")
    assert "listener 8883 0.0.0.0" in (data / "broker/mosquitto.conf").read_text()
    configured = settings.load(data)
    assert (configured.cabinet_host, configured.cabinet_port) == ("10.0.0.5", 8883)
    assert (configured.host, configured.port) == ("127.0.0.1", 8883)    # on this machine


def test_the_fleets_own_settings_can_be_loaded(data):
    configured = settings.load(data)
    assert configured.factors is None
    key = settings.receipt_key(configured.receipt_key)
    public = serialization.load_pem_public_key((data / "keys/receipt.pub").read_bytes())
    assert key.public_key() == public


def test_a_second_init_replaces_no_key(data, capsys):
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert fleet(["init", "--data", str(data)]) == 1
    assert "is there already and is not overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(("words", "told"), [
    (["--host", "a b"], "a host name or an IP address"), (["--port", "0"], "1..65535"),
    (["--bind", "x/y"], "a host name or an IP address"), (["--factors", 'a"b'], "factor set")])
def test_a_mistake_is_named_and_nothing_is_made(tmp_path, capsys, words, told):
    assert fleet(["init", "--data", str(tmp_path / "fleet"), *words]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "fleet").exists()


def test_an_authority_whose_key_is_offline_or_another_says_so(data):
    key = data / "authority/ca.key"
    content = key.read_bytes()
    key.unlink()
    with pytest.raises(ConfigError, match="bring the authority's key back"):
        issue.load(data)
    setups.write_new(key, certificates.private_pem(certificates.new_key()), 0o600)
    with pytest.raises(ConfigError, match=r"not the key of .*ca\.crt"):
        issue.load(data)
    key.write_bytes(content)
    key.chmod(0o640)
    with pytest.raises(ConfigError, match="others can read"):
        issue.load(data)
    assert NOW < issue.load_certificate(data).not_valid_after_utc
