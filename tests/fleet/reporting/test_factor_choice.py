"""A report is made with the site's own factor set, by its hash, or says that it is not."""

import json

import pytest

from fleet.__main__ import main
from fleet.errors import ReportError
from fleet.formats.registry import Registry
from fleet.reporting import factor_choice
from fleet.texts import say
from fleet.web import panels
from fleet.web.snapshot import Snapshots
from gateway.ledger.factors import factors
from tests.fleet.maker import DESCRIPTOR, run_shop

PACKAGED = factors.DATA / "de-2024-direct-duck-1.toml"
HOURS = ("2026-06-01T00:00:00Z", "2026-06-01T02:00:00Z")


def own_set(folder, name="own.toml", factor="999.0", set_id="de-2024-direct-duck-1"):
    """Write a site's own set: the packaged one's form, another factor; return (file, hash)."""
    text = PACKAGED.read_text()
    old = next(line for line in text.splitlines() if line.startswith("g_per_kwh"))
    assert old.split('"')[1] != factor
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.replace(old, f'g_per_kwh = "{factor}"', 1).replace(
        'id = "de-2024-direct-duck-1"', f'id = "{set_id}"', 1))
    return path, factors.load(path).sha256


def ask(data, *more):
    """Return (exit code, report or None)."""
    out = data / "report.json"
    code = main(["report", "--data", str(data), "--site", "shop", "--from", HOURS[0], "--to",
                 HOURS[1], "--out", str(out), *more])
    return code, json.loads(out.read_text()) if code == 0 else None


def test_a_set_that_the_fleet_does_not_hold_is_refused_with_the_next_step(
        ingest, gateway, tmp_path, capsys):
    _, digest = own_set(tmp_path / "cabinet")
    run_shop(ingest, gateway, factor_sha256=digest)
    code, _ = ask(tmp_path)
    told = capsys.readouterr().err
    assert code == 1 and digest in told
    assert f"copy the cabinet's factor file into {tmp_path}" in told


def test_a_set_that_the_fleet_holds_is_used_whatever_its_file_is_called(ingest, gateway, tmp_path):
    path, digest = own_set(tmp_path / "factors", "anything.toml")
    run_shop(ingest, gateway, factor_sha256=digest)
    code, found = ask(tmp_path)
    assert code == 0 and found["factors"]["sha256"] == digest
    assert found["factors"]["configured_sha256"] == digest
    # 720 W for two hours at the set's own factor: the live figures of the gateway say the same.
    expected = sum(1.44 / 8 * factors.load(path).mean(start, 900_000)
                   for start in range(1_780_272_000_000, 1_780_279_200_000, 900_000))
    assert found["carbon_g"]["indirect"] == pytest.approx(expected)
    packaged = ask(tmp_path, "--factors", str(PACKAGED))[1]["carbon_g"]["indirect"]
    assert packaged != pytest.approx(expected, rel=0.01)


def test_another_set_that_was_asked_for_is_named_beside_the_sites_own(ingest, gateway, tmp_path):
    _, digest = own_set(tmp_path / "cabinet", set_id="own-1")
    run_shop(ingest, gateway, factor_set="own-1", factor_sha256=digest)
    code, found = ask(tmp_path, "--factors", "de-2024-direct-duck-1")
    assert code == 0 and (found["factors"]["configured_id"], found["factors"]["id"]) == (
        "own-1", "de-2024-direct-duck-1")
    note = [one for one in found["notes"] if "configured with own-1" in one]
    assert len(note) == 1 and digest in note[0] and found["factors"]["sha256"] in note[0]


def test_the_page_says_that_its_day_and_its_moment_use_other_factors(ingest, gateway, tmp_path):
    _, digest = own_set(tmp_path / "cabinet", set_id="own-1")
    run_shop(ingest, gateway, factor_set="own-1", factor_sha256=digest)
    device = Registry(tmp_path).find("shop-1")
    day = panels.day(Snapshots(tmp_path, "de-2024-direct-duck-1").get(device))
    assert [one for one in day.notes if "configured with another factor set, own-1" in one]
    refused = Snapshots(tmp_path, None).get(device)
    assert refused.today is None and digest in refused.why


def test_the_sites_own_packaged_set_needs_no_note(ingest, gateway, tmp_path):
    run_shop(ingest, gateway, factor_sha256=factors.load(PACKAGED).sha256)
    for more in ((), ("--factors", "de-2024-direct-duck-1")):
        notes = ask(tmp_path, *more)[1]["notes"]
        assert not [one for one in notes if "factor set" in one and "configured" in one], notes


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/own.toml", "own.toml", "none"])
def test_a_descriptor_names_no_file_of_the_fleets_machine(tmp_path, name, monkeypatch):
    own_set(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")           # own.toml lies here
    with pytest.raises(ReportError, match="no factor set is named"):
        factor_choice.choose(tmp_path, None, DESCRIPTOR | {"factor_set": name})


def test_sets_that_changed_within_a_period_are_told_once():
    old, new = {"factor_set": "a"}, {"factor_set": "a", "factor_sha256": "1" * 64}
    other = {"factor_set": "b", "factor_sha256": "2" * 64}
    assert factor_choice.changes([old, new, new], "a") == []
    assert factor_choice.changes([old, new, other], "b") == [say(
        "factors_note.several", used="b")]
