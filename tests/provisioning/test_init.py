"""A site made by `init`: what lies where, who may read it, and what is refused."""

import datetime
import json
import stat
import tomllib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provisioning.__main__ import main

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
PARTS = """
[site]
id = "shop"
name = "Bäckerei \\"Süd\\""
timezone = "Europe/Berlin"
cabinet = "shop-1"
[uplink]
host = "broker.example"
port = 18883
[factors]
id = "de-2024-direct-duck-1"
[[bus]]
name = "rtu-1"
transport = "serial"
protocol = "modbus"
tty = "bus/rtu-1"
baud = 9600
[[device]]
name = "grid"
bus = "rtu-1"
unit = 1
profile = "eastron-sdm630-v2"
role = "grid"
rated_w = 17000
"""


@pytest.fixture
def site(tmp_path):
    """A freshly made site's folder."""
    (tmp_path / "parts.toml").write_text(PARTS)
    assert run("init", "--parts", tmp_path / "parts.toml", "--out", tmp_path / "site") == 0
    return tmp_path / "site"


def run(*words):
    """Run a provisioning command at a fixed time."""
    return main([str(word) for word in words], now=NOW)


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def name_of(path):
    return certificate(path).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def test_every_private_key_is_readable_by_its_owner_only(site):
    keys = sorted(site.rglob("*.key"))
    assert [key.relative_to(site).as_posix() for key in keys] == [
        "broker/broker.key", "ca/ca.key", "fleet/client.key", "fleet/receipt.key",
        "keys/evidence.key", "keys/tls.key"]
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700, key.parent


def test_evidence_and_receipts_are_ed25519_and_tls_is_p256(site):
    kinds = {path.name: serialization.load_pem_private_key(path.read_bytes(), None)
             for path in site.rglob("*.key")}
    assert type(kinds["evidence.key"]).__name__ == "Ed25519PrivateKey"
    assert type(kinds["receipt.key"]).__name__ == "Ed25519PrivateKey"
    for name in ("tls.key", "ca.key", "client.key", "broker.key"):
        assert kinds[name].curve.name == "secp256r1", name


def test_certificates_carry_the_names_the_broker_will_trust(site):
    assert name_of(site / "keys/tls.crt") == "shop-1"
    assert name_of(site / "fleet/client.crt") == "fleet"
    names = certificate(site / "broker/broker.crt").extensions.get_extension_for_class(
        x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "broker.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_certificates_come_from_the_local_authority_and_serve_one_purpose(site):
    authority = certificate(site / "ca/ca.crt")
    purposes = {"keys/tls.crt": ExtendedKeyUsageOID.CLIENT_AUTH,
                "fleet/client.crt": ExtendedKeyUsageOID.CLIENT_AUTH,
                "broker/broker.crt": ExtendedKeyUsageOID.SERVER_AUTH}
    for name, purpose in purposes.items():
        leaf = certificate(site / name)
        leaf.verify_directly_issued_by(authority)
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [purpose], name


def test_validity_starts_from_the_time_given_not_from_the_machine(site):
    leaf = certificate(site / "keys/tls.crt")
    assert leaf.not_valid_before_utc == NOW - datetime.timedelta(days=1)
    assert leaf.not_valid_after_utc > NOW + datetime.timedelta(days=730)


def test_the_cabinet_file_says_what_the_parts_said(site):
    cabinet = tomllib.loads((site / "cabinet.toml").read_text())
    assert cabinet["site"]["name"] == 'Bäckerei "Süd"'
    assert cabinet["uplink"]["port"] == 18883
    assert cabinet["device"] == tomllib.loads(PARTS)["device"]
    assert cabinet["bus"][0]["tty"] == str(site.parent / "bus/rtu-1")
    for path in (cabinet["keys"]["evidence"], cabinet["uplink"]["ca"],
                 cabinet["uplink"]["certificate"], cabinet["uplink"]["receipt_key"]):
        assert (site / path).is_file(), path


def test_the_broker_listens_here_only_and_a_gateway_reaches_its_own_topics_only(site):
    conf = (site / "broker/mosquitto.conf").read_text().splitlines()
    assert "listener 18883 127.0.0.1" in conf
    assert {"require_certificate true", "use_identity_as_username true"} <= set(conf)
    acl = (site / "broker/acl").read_text().split("user ")
    assert acl[1].splitlines()[0] == "shop-1"
    assert [line for line in acl[1].splitlines()[1:] if line] == [
        "topic write wp/1/shop-1/up", "topic write wp/1/shop-1/live",
        "topic read wp/1/shop-1/receipt"]


def test_a_second_init_replaces_no_key(site, capsys):
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert run("init", "--parts", site.parent / "parts.toml", "--out", site) == 1
    assert "evidence.key is there already and is not overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_the_simulators_endpoints_make_a_site_too(tmp_path):
    (tmp_path / "endpoints.json").write_text(json.dumps({
        "buses": [{"name": "pv", "transport": "tcp", "protocol": "modbus",
                   "host": "127.0.0.1", "port": 1502}],
        "devices": [{"name": "pv", "bus": "pv", "unit": 1, "profile": "sunspec-generic",
                     "role": "pv", "rated_w": 8000, "ct_ratio": None}],
        "clock": {"speed": 60, "origin_utc": "2026-06-01T00:00:00Z", "started_unix_ms": 1},
        "factors": {"id": "de-2024-direct-duck-1"}, "truth": "truth.jsonl"}))
    assert run("init", "--parts", tmp_path / "endpoints.json", "--out", tmp_path / "s",
               "--site", "corner") == 0
    cabinet = tomllib.loads((tmp_path / "s/cabinet.toml").read_text())
    assert cabinet["site"]["cabinet"] == "corner-1"
    assert cabinet["clock"]["speed"] == 60
    assert "truth" not in cabinet and "ct_ratio" not in cabinet["device"][0]


MISTAKES = (
    # text replaced, by what, words of the message
    ('[uplink]', '[uplnk]', "did you mean [uplink]"),
    ('cabinet = "shop-1"', 'cabinet = "Shop 1"', "out of a-z, 0-9 and '-'"),
    ('cabinet = "shop-1"', 'cabinet = "fleet"', "belongs to another certificate"),
    ('"Europe/Berlin"', '"Europe/Berlln"', "an IANA name"),
    ('bus = "rtu-1"', 'bus = "rtu-l"', "did you mean 'rtu-1'"),
    ('port = 18883', 'port = 0', "1..65535"),
    ('rated_w = 17000', 'rated_W = 17000', "rated_w"),
    ('profile = "eastron-sdm630-v2"', 'profile = "eastron-sdm360-v2"', "eastron-sdm630-v2"),
    ('[factors]', '[status]', "[factors] is missing"),
    ('[[bus]]', '[bus', "line"),
)


@pytest.mark.parametrize(("old", "new", "words"), MISTAKES)
def test_a_mistake_in_the_parts_is_named_and_nothing_is_made(tmp_path, capsys, old, new, words):
    (tmp_path / "parts.toml").write_text(PARTS.replace(old, new, 1))
    assert run("init", "--parts", tmp_path / "parts.toml", "--out", tmp_path / "site") == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_old_keys_of_a_bus_are_told_at_once_with_their_lines_in_the_parts(tmp_path, capsys):
    parts = PARTS.replace('transport = "serial"\nprotocol = "modbus"\ntty =',
                          'kind = "rtu"\nport =')
    (tmp_path / "parts.toml").write_text(parts)
    line = parts[:parts.index("kind =")].count("\n") + 1
    assert run("init", "--parts", tmp_path / "parts.toml", "--out", tmp_path / "site") == 1
    path = tmp_path / "parts.toml"
    assert capsys.readouterr().err == (
        f'{path}:{line}: kind = "rtu" is now transport = "serial", '
        f'protocol = "modbus"\n{path}:{line + 1}: port = "bus/rtu-1" is now tty = "bus/rtu-1"; '
        "port is the port of a TCP server\n"
        "wattproof-provisioning: 2 keys have new names; next: write the new ones and run init "
        "again\n")
    assert not (tmp_path / "site").exists()


def test_missing_parts_are_told_with_the_next_step(tmp_path, capsys):
    assert run("init", "--parts", tmp_path / "no.toml", "--out", tmp_path / "site") == 1
    assert "give --parts an existing parts.toml" in capsys.readouterr().err
