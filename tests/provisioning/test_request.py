"""A cabinet made by `request`: what lies where, who may read it, and what is refused."""

import datetime
import json
import stat
import tomllib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.core.evidence import enrolment
from gateway.ledger.factors import factors
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
    assert run("request", "--parts", tmp_path / "parts.toml", "--out", tmp_path / "site") == 0
    return tmp_path / "site"


def run(*words):
    """Run a provisioning command at a fixed time."""
    return main([str(word) for word in words], now=NOW)


def load(path):
    """Return the private key of a file."""
    return serialization.load_pem_private_key(path.read_bytes(), None)


def test_every_private_key_is_readable_by_its_owner_only(site):
    keys = sorted(site.rglob("*.key"))
    assert [key.relative_to(site).as_posix() for key in keys] == [
        "keys/evidence.key", "keys/tls.key"]
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700, key.parent


def test_evidence_is_ed25519_and_tls_is_p256(site):
    assert type(load(site / "keys/evidence.key")).__name__ == "Ed25519PrivateKey"
    assert load(site / "keys/tls.key").curve.name == "secp256r1"


def test_the_request_is_signed_by_both_keys_and_names_the_cabinet(site):
    message, made = enrolment.open_request((site / "shop-1.request").read_bytes())
    evidence = load(site / "keys/evidence.key").public_key()
    evidence.verify(message.signature, message.signed)
    assert made.public == evidence.public_bytes_raw()
    assert (made.cabinet, made.site, made.name) == ("shop-1", "shop", 'Bäckerei "Süd"')
    csr = x509.load_der_x509_csr(made.csr)
    assert csr.is_signature_valid and csr.public_key() == load(site / "keys/tls.key").public_key()
    assert [one.value for one in csr.subject] == ["shop-1"]


def test_no_private_key_is_in_the_request(site):
    data = (site / "shop-1.request").read_bytes()
    evidence, tls = (load(site / f"keys/{name}.key") for name in ("evidence", "tls"))
    assert evidence.private_bytes_raw() not in data
    assert tls.private_numbers().private_value.to_bytes(32, "big") not in data


def test_a_second_request_has_the_same_keys_and_changes_nothing_else(site):
    before = {path: path.read_bytes() for path in site.rglob("*")
              if path.is_file() and path.suffix != ".request"}
    _, first = enrolment.open_request((site / "shop-1.request").read_bytes())
    assert main(["request", "--site", str(site)], now=NOW + datetime.timedelta(days=900)) == 0
    _, again = enrolment.open_request((site / "shop-1.request").read_bytes())
    assert (again.public, again.cabinet) == (first.public, first.cabinet)
    assert again.utc_ms > first.utc_ms
    assert {path: path.read_bytes() for path in before} == before


def test_the_cabinet_file_says_what_the_parts_said(site):
    cabinet = tomllib.loads((site / "cabinet.toml").read_text())
    assert cabinet["site"]["name"] == 'Bäckerei "Süd"'
    assert cabinet["uplink"]["port"] == 18883
    assert cabinet["device"] == tomllib.loads(PARTS)["device"]
    assert cabinet["bus"][0]["tty"] == str(site.parent / "bus/rtu-1")
    for path in (cabinet["keys"]["evidence"], cabinet["uplink"]["key"]):
        assert (site / path).is_file(), path


def test_a_new_cabinet_replaces_no_key(site, capsys):
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert run("request", "--parts", site.parent / "parts.toml", "--out", site) == 1
    assert "evidence.key is there already and is not overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_the_simulators_endpoints_make_a_site_too(tmp_path):
    (tmp_path / "endpoints.json").write_text(json.dumps({
        "site": {"off_grid": True},
        "buses": [{"name": "pv", "transport": "tcp", "protocol": "modbus",
                   "host": "127.0.0.1", "port": 1502}],
        "devices": [{"name": "pv", "bus": "pv", "unit": 1, "profile": "sunspec-generic",
                     "role": "pv", "rated_w": 8000, "ct_ratio": None}],
        "clock": {"speed": 60, "origin_utc": "2026-06-01T00:00:00Z", "started_unix_ms": 1},
        "factors": {"id": "de-2024-direct-duck-1"}, "truth": "truth.jsonl"}))
    assert run("request", "--parts", tmp_path / "endpoints.json", "--out", tmp_path / "s",
               "--site-id", "corner") == 0
    cabinet = tomllib.loads((tmp_path / "s/cabinet.toml").read_text())
    assert cabinet["site"]["cabinet"] == "corner-1"
    assert cabinet["clock"]["speed"] == 60
    assert "truth" not in cabinet and "ct_ratio" not in cabinet["device"][0]


def test_a_factor_file_is_found_from_the_parts(tmp_path):
    (tmp_path / "own.toml").write_text(
        (factors.DATA / "de-2024-direct-duck-1.toml").read_text())
    (tmp_path / "parts.toml").write_text(PARTS.replace(
        'id = "de-2024-direct-duck-1"', 'file = "own.toml"'))
    assert run("request", "--parts", tmp_path / "parts.toml", "--out", tmp_path / "site") == 0
    written = tomllib.loads((tmp_path / "site/cabinet.toml").read_text())["factors"]["file"]
    assert written == str(tmp_path / "own.toml")


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
    assert run("request", "--parts", tmp_path / "parts.toml", "--out", tmp_path / "site") == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_old_keys_of_a_bus_are_told_at_once_with_their_lines_in_the_parts(tmp_path, capsys):
    parts = PARTS.replace('transport = "serial"\nprotocol = "modbus"\ntty =',
                          'kind = "rtu"\nport =')
    (tmp_path / "parts.toml").write_text(parts)
    line = parts[:parts.index("kind =")].count("\n") + 1
    assert run("request", "--parts", tmp_path / "parts.toml", "--out", tmp_path / "site") == 1
    path = tmp_path / "parts.toml"
    assert capsys.readouterr().err == (
        f'{path}:{line}: kind = "rtu" is now transport = "serial", '
        f'protocol = "modbus"\n{path}:{line + 1}: port = "bus/rtu-1" is now tty = "bus/rtu-1"; '
        "port is the port of a TCP server\n"
        "wattproof-provisioning: 2 keys have new names; next: write the new ones and run the "
        "command again\n")
    assert not (tmp_path / "site").exists()


def test_missing_parts_are_told_with_the_next_step(tmp_path, capsys):
    assert run("request", "--parts", tmp_path / "no.toml", "--out", tmp_path / "site") == 1
    assert "give --parts an existing parts.toml" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "told"), [
    (["init", "--parts", "x", "--out", "y"], "python -m fleet init --data FLEET"),
    (["enrol", "--site", "x", "--data", "y"], "python -m fleet enrol"),
])
def test_a_command_of_before_is_refused_with_those_of_today(capsys, words, told):
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_the_example_in_the_documents_makes_a_cabinet(tmp_path):
    example = Path(__file__).resolve().parents[2] / "docs/parts.example.toml"
    assert run("request", "--parts", example, "--out", tmp_path / "site") == 0
    cabinet = tomllib.loads((tmp_path / "site/cabinet.toml").read_text())
    said = tomllib.loads(example.read_text())
    assert cabinet["site"] == said["site"] and len(cabinet["device"]) == len(said["device"]) > 4
