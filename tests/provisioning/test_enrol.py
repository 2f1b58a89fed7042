"""Enrolment: the fleet learns public keys, and never swaps one silently."""

import datetime
import hashlib
import json
import stat
import tomllib

import pytest
from cryptography.hazmat.primitives import serialization

from provisioning.__main__ import main
from tests.support.documented_keys import keys

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
PARTS = """
[site]
id = "{site}"
cabinet = "{cabinet}"
[factors]
id = "de-2024-direct-duck-1"
[[bus]]
name = "pv"
transport = "tcp"
protocol = "modbus"
host = "127.0.0.1"
port = 502
[[device]]
name = "pv"
bus = "pv"
unit = 1
profile = "sunspec-generic"
role = "pv"
rated_w = 8000
"""


def run(*words):
    """Run a provisioning command at a fixed time."""
    return main([str(word) for word in words], now=NOW)


def make_site(folder, name, site="shop", cabinet="shop-1"):
    """Make a site in folder/name and return its path."""
    parts = folder / f"{name}.toml"
    parts.write_text(PARTS.format(site=site, cabinet=cabinet))
    assert run("init", "--parts", parts, "--out", folder / name) == 0
    return folder / name


@pytest.fixture
def site(tmp_path):
    """A freshly made site's folder."""
    return make_site(tmp_path, "site")


def test_the_registry_holds_the_public_key_under_the_id_batches_use(site, tmp_path):
    assert run("enrol", "--site", site, "--data", tmp_path / "fleet") == 0
    entry = json.loads((tmp_path / "fleet/registry/shop-1.json").read_text())
    key = serialization.load_pem_private_key((site / "keys/evidence.key").read_bytes(), None)
    raw = key.public_key().public_bytes_raw()
    assert entry["evidence_key_hex"] == raw.hex()
    assert entry["kid_hex"] == hashlib.sha256(raw).hexdigest()[:16]
    assert (entry["device"], entry["site"]) == ("shop-1", "shop")
    assert entry["enrolled"] == "2026-03-01T12:00:00Z"
    assert set(entry) - keys("formats.md", "17. Registry entry") == set()


def test_no_private_key_of_the_gateway_reaches_the_fleet(site, tmp_path):
    run("enrol", "--site", site, "--data", tmp_path / "fleet")
    held = [path.read_bytes() for path in (tmp_path / "fleet").rglob("*") if path.is_file()]
    for name in ("keys/evidence.key", "keys/tls.key", "ca/ca.key", "broker/broker.key"):
        assert (site / name).read_bytes() not in held, name


def test_the_fleets_own_keys_are_copied_for_its_owner_only(site, tmp_path):
    run("enrol", "--site", site, "--data", tmp_path / "fleet")
    settings = tomllib.loads((tmp_path / "fleet/fleet.toml").read_text())
    assert (settings["broker"]["host"], settings["broker"]["port"]) == ("127.0.0.1", 8883)
    for name in (settings["broker"]["key"], settings["receipt"]["key"]):
        assert stat.S_IMODE((tmp_path / "fleet" / name).stat().st_mode) == 0o600


def test_enrolling_twice_changes_nothing(site, tmp_path):
    run("enrol", "--site", site, "--data", tmp_path / "fleet")
    before = {p: p.read_bytes() for p in (tmp_path / "fleet").rglob("*") if p.is_file()}
    assert run("enrol", "--site", site, "--data", tmp_path / "fleet") == 0
    assert {p: p.read_bytes() for p in before} == before


def test_a_second_board_cannot_take_an_enrolled_name(site, tmp_path, capsys):
    run("enrol", "--site", site, "--data", tmp_path / "fleet")
    clone = make_site(tmp_path, "clone")
    (clone / "fleet/receipt.key").write_bytes((site / "fleet/receipt.key").read_bytes())
    assert run("enrol", "--site", clone, "--data", tmp_path / "fleet") == 1
    message = capsys.readouterr().err
    assert "enrolled with another evidence key" in message and "withdraw" in message


def test_a_site_that_trusts_another_receipt_key_is_told_so(site, tmp_path, capsys):
    run("enrol", "--site", site, "--data", tmp_path / "fleet")
    other = make_site(tmp_path, "other", site="kiosk", cabinet="kiosk-1")
    assert run("enrol", "--site", other, "--data", tmp_path / "fleet") == 1
    assert "signs receipts with another key" in capsys.readouterr().err


def test_a_folder_that_is_no_site_is_told_with_the_next_step(tmp_path, capsys):
    assert run("enrol", "--site", tmp_path, "--data", tmp_path / "fleet") == 1
    assert "python -m provisioning init --out" in capsys.readouterr().err
